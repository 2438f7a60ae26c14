"""Queries with the spans of every system on the video's time (FIAN's Figures 1 and 6, CMA's 5 and
6, SeqPAN's 8): the sentence, frames of the video, ground truth and each system's first prediction.
"""

from typing import TYPE_CHECKING

from tsgbench.jobs.records import Record
from tsgbench.reporting.figures import register
from tsgbench.reporting.page import Page, headline
from tsgbench.reporting.qualitative import (
    count_of,
    printed_rows,
)
from tsgbench.reporting.timeline import (
    add_absent,
    add_lanes,
    add_query,
    add_region_key,
    add_scene,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUERIES = 2  # of each data set, unless the figure says otherwise


@register("timelines")
def draw(spec: dict, records: dict[str, Record]) -> tuple["Figure", list[dict]]:
    """options: `queries`, how many of each data set (a number, or one by data set);
    `labels`, whether to draw regions too.

    records: `inspection:CELL` of one system, `run:CELL` of the others.
    """
    options, printed = spec.get("options") or {}, spec.get("printed") or {}
    page, scenes, has_regions = Page(), [], False
    rows: list[dict] = []
    for dataset in spec["datasets"]:
        count = count_of(options.get("queries", QUERIES), spec, dataset)
        scene = add_scene(page, rows, spec, records, dataset, count)
        if scene is None:
            continue
        scenes.append(scene)
        for query in scene.queries:
            add_query(page, query)
            add_lanes(page, scene, query, printed, labels=options.get("labels", False))
            has_regions |= options.get("labels", False) and len(query.regions_true) > 0
    add_absent(page, spec, scenes)
    if has_regions:
        add_region_key(page)
    return page.make(has_title=bool(headline(spec))), rows + printed_rows(spec)
