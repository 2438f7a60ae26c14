"""`tsgbench features --like`: what somebody else's features are, and the recipe that reads them."""

import hashlib
import math
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tsgbench.cli.bars import track
from tsgbench.cli.datasets import read_tables
from tsgbench.cli.known import Known
from tsgbench.config import Catalogue
from tsgbench.downloads.folders import members_of
from tsgbench.downloads.manifest import Entry
from tsgbench.downloads.manifest import as_text as as_manifest
from tsgbench.errors import UserError
from tsgbench.features import foreign
from tsgbench.features.durations import compare_durations
from tsgbench.features.foreign import Inventory, Naming, Seen
from tsgbench.features.layouts import Unusable
from tsgbench.features.released import ALL_OF_IT, DEFAULTS, row_times
from tsgbench.files import sha256_file

NAMED = 5  # ids that the text names
FITS_SHARE = 0.01  # of the videos that a stated rate may contradict


@dataclass(frozen=True)
class Match:
    """A data set beside a release. durations: seconds of each of its videos; are_exact: these are
    the videos' own, not rounded up to a grid."""

    dataset: str
    durations: dict[str, float]
    are_exact: bool
    naming: Naming

    @property
    def share(self) -> float:
        """Of the data set's videos, how many the release has."""
        return len(self.naming.found) / len(self.durations)


def examine(
    path: Path,
    known: Known,
    *,
    dataset: str | None = None,
    name: str | None = None,
    videos: int | None = None,
    mirror: str | None = None,
) -> dict[str, Any]:
    """Everything that the verb says, as it stands in its JSON.

    dataset: whose ids are looked for; None: the best of all whose annotations are here. name: of
    the recipe; None: after the file. videos: how many arrays are read, spread evenly; None: all.
    `UserError` for what cannot be read, or is no features.
    """
    inventory = foreign.take_inventory(path)
    if not inventory.paths:
        raise UserError(f"{path}: holds no array of floating-point numbers; name another file")
    matches, untried = _match(known, inventory, dataset, mirror)
    best = max(matches, key=lambda match: match.share, default=None)
    if best is None or not best.naming.found:
        raise UserError(_nothing_matches(path, inventory, matches, untried))
    seen = _look(inventory, best.naming, videos)
    facts = _describe(inventory, best, seen) | {
        "file": str(path),
        "layout": inventory.layout,
        "arrays": len(inventory.paths),
        "also": [
            match.dataset for match in matches if match is not best and match.share >= best.share
        ],
        "untried": untried,
    }
    if not facts["problems"]:
        facts |= _entries(known.catalogue, name, path, inventory, facts)
    return facts


def _match(
    known: Known, inventory: Inventory, dataset: str | None, mirror: str | None
) -> tuple[list[Match], list[str]]:
    """The data sets whose annotations are here, beside the release; and the others' names."""
    if dataset is not None:
        known.need_dataset(dataset)
    matches, untried = [], []
    for name in track([dataset] if dataset else list(known.catalogue.datasets), "comparing ids"):
        try:
            tables, report = read_tables(known.catalogue, name, mirror)
        except UserError:
            if dataset:
                raise
            untried.append(name)
            continue
        durations = {
            video: float(seconds)
            for table in tables.values()
            for video, seconds in zip(table.video_ids, table.durations, strict=True)
        }
        if durations:
            naming = foreign.match_names(inventory, durations.keys())
            matches.append(Match(name, durations, not report["duration_grid_s"], naming))
    return matches, untried


def _nothing_matches(
    path: Path, inventory: Inventory, matches: list[Match], untried: list[str]
) -> str:
    names = ", ".join(repr("/".join(parts)) for parts in inventory.paths[:3])
    said = f"{path}: none of its {len(inventory.paths):,} names ({names}, …) holds a video's id of"
    tried = [f"{match.dataset} ({next(iter(match.durations))!r}, …)" for match in matches]
    rest = f"; not tried, as their annotations are not here: {', '.join(untried)}"
    return (
        f"{said} {', '.join(tried) or 'any data set'}{rest if untried else ''}; name files by ids"
        " of the data set"
    )


def _look(inventory: Inventory, naming: Naming, videos: int | None) -> dict[str, Seen]:
    wanted = sorted(naming.found)
    if videos is not None:
        rows = np.linspace(0, len(wanted) - 1, min(max(1, videos), len(wanted)))
        wanted = [wanted[row] for row in np.unique(rows.round().astype(int))]
    recipe = naming.as_recipe(inventory.layout)
    return foreign.look(inventory, recipe, wanted, lambda ids: track(list(ids), "reading"))


def _describe(inventory: Inventory, match: Match, seen: dict[str, Seen]) -> dict[str, Any]:
    """What the arrays are, what is wrong with them, and the recipe as far as they decide it."""
    naming, durations = match.naming, match.durations
    facts: dict[str, Any] = {
        "dataset": match.dataset,
        "videos": len(naming.found),
        "of_videos": len(durations),
        "missing": sorted(durations.keys() - naming.found.keys()),
        "unused": naming.names - len(set(naming.found.values())),
        "naming": {"key": naming.key, "name": naming.name, "member": naming.member},
        "members": naming.members,
        "looked_at": len(seen),
        "problems": [],
    }
    if not seen:
        return facts | {"problems": ["no video's array is there"]}
    try:
        turned, known_by = foreign.is_transposed(seen.values())
    except UserError as error:
        return facts | {"problems": [str(error)]}
    arrays = _describe_arrays(seen, int(turned), durations)
    if broken := arrays["broken"]:
        facts["problems"].append(
            f"{len(broken)} arrays hold NaN or infinity, the first {broken[0]!r}, which the reader"
            " refuses; get them again"
        )
    if arrays["rows"] is None:
        facts["problems"].append("no array has a row that is not zeros alone; get them again")
    rows = arrays.pop("rows_by_video")
    times, lost = _choose_times(rows, match, arrays["rate"])
    failed = len(facts["missing"]) + lost
    recipe = naming.as_recipe(inventory.layout) | {"transposed": turned, "times": times}
    recipe |= {
        "drop_zero_rows": arrays["ends_in_zeros"] > 0,
        "dtype": "float16" if arrays["dtypes"] == ["float16"] else "float32",
        "max_failed_share": math.ceil(failed / len(durations) * 1000) / 1000,
    }
    released = {key: value for key, value in recipe.items() if value != DEFAULTS.get(key, "")}
    return facts | arrays | {"transposed": turned, "known_by": known_by, "released": released}


def _describe_arrays(
    seen: dict[str, Seen], axis: int, durations: dict[str, float]
) -> dict[str, Any]:
    """axis: along which rows follow one another."""
    kept = {video: one.shape[axis] - one.zero[axis][1] for video, one in seen.items()}
    first = next(iter(seen.values()))
    used = [count for count in kept.values() if count]
    return {
        "width": first.shape[1 - axis],
        "stored_shape": list(first.stored),
        "dtypes": sorted({one.dtype for one in seen.values()}),
        "rows": [min(used), int(np.median(used)), max(used)] if used else None,
        "rows_by_video": kept,
        "rate": foreign.fit_rate(kept, durations) if used else None,
        "ends_in_zeros": sum(one.zero[axis][1] > 0 for one in seen.values()),
        "zero_within": sum(one.zero[axis][0] > 0 for one in seen.values()),
        "all_zero": sorted(video for video, count in kept.items() if not count),
        "broken": sorted(video for video, one in seen.items() if one.broken[axis]),
    }


def _choose_times(rows: dict[str, int], match: Match, rate: dict | None) -> tuple[Any, int]:
    """`times` of the recipe, and how many videos would fail by it.

    Chunks where whole half seconds fit the videos' durations; else equal parts, which is what the
    code that reads most releases takes rows for.
    """
    empty = sum(not count for count in rows.values())
    if rate is None:
        return ALL_OF_IT, empty
    chunk_s = round(2 * rate["step_s"]) / 2
    if chunk_s:
        ends, refused = {}, 0
        for video, count in rows.items():
            if count:
                try:
                    times = row_times(count, match.durations[video], {"chunk_s": chunk_s})
                    ends[video] = float(times[-1, 1])
                except Unusable:
                    refused += 1
        differ = len(compare_durations(ends, match.durations)) if match.are_exact else 0
        if refused + differ <= FITS_SHARE * len(rows):
            return {"chunk_s": chunk_s}, empty + refused + differ
    return ALL_OF_IT, empty


# --- the recipe


def _entries(
    known: Catalogue, name: str | None, path: Path, inventory: Inventory, facts: dict[str, Any]
) -> dict[str, Any]:
    """What to paste: the source and the recipe, by the name of both."""
    taken = known.sources.keys() | known.features.keys()
    if name is None:
        name = next(one for one in _names(path.stem) if one not in taken)
    elif name in taken or not re.fullmatch("[a-z0-9_]+", name):
        raise UserError(
            f"--name: {name!r} is the name of a source or of features already, or has other signs"
            " than a to z, digits and _; choose another"
        )
    size = f"{facts['width']} wide"
    source = {
        "kind": "features",
        **_origin(name, path, inventory),
        "licence": "not known; ask whoever made them",
        "purpose": f"features made elsewhere, {size} ({path.name})",
    }
    recipe = {
        "title": f"{path.name}, {size}, made elsewhere",
        "released": {"source": name, **facts["released"]},
    }
    return {"name": name, "source": source, "recipe": recipe}


def _names(stem: str) -> Iterator[str]:
    """Names that a recipe may have, after its file's."""
    slug = re.sub("[^a-z0-9]+", "_", stem.lower()).strip("_") or "features"
    yield slug
    yield from (f"{slug}_{number}" for number in count(2))


def _origin(name: str, path: Path, inventory: Inventory) -> dict[str, Any]:
    """Where the source gets its files: one by its address on this machine, several by links."""
    if len(inventory.files) == 1 and inventory.layout != "npy":
        (file,) = inventory.files.values()
        ending = {"hdf5": ".h5"}.get(inventory.layout, file.suffix)
        return {
            "path": f"features/{name}{ending}",
            "urls": [file.resolve().as_uri()],
            "bytes": file.stat().st_size,
            "sha256": sha256_file(file),
        }
    pattern = f"*.{inventory.layout}"
    members = members_of(path, [pattern])
    entries = {
        member: Entry(file.stat().st_size, sha256_file(file))
        for member, file in track(list(members.items()), "hashing")
    }
    sha256 = hashlib.sha256(as_manifest(entries).encode()).hexdigest()
    folder = {"at": str(path.resolve()), "members": [pattern], "sha256": sha256}
    return {"path": f"features/{name}", "folder": folder}


# --- as text


def as_text(facts: dict[str, Any]) -> str:
    """The same for a person: what it is, then what to paste where."""
    lines = [f"{facts['file']}: {facts['layout']}, {facts['arrays']:,} arrays"]
    lines += [f"  {title:10}{said}" for title, said in _lines(facts)]
    lines += [f"  {'problem':10}{said}" for said in facts["problems"]]
    if "recipe" not in facts:
        return "\n".join([*lines, "", "No recipe: mend that first."])
    name = facts["name"]
    return "\n".join(
        [
            *lines,
            "",
            "# at the end of config/sources.yaml:",
            _yaml({name: facts["source"]}),
            "# at the end of config/features.yaml, in its section `features`:",
            textwrap.indent(_yaml({name: facts["recipe"]}), "  "),
            "# in a study, under `datasets`:",
            f"#   {facts['dataset']}: {{features: {name}, vectors: …}}",
        ]
    )


def _yaml(content: dict) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000).rstrip()


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    videos, of_videos, missing = facts["videos"], facts["of_videos"], facts["missing"]
    also = f"; and of {', '.join(facts['also'])}" if facts["also"] else ""
    yield "data set", f"{facts['dataset']}, {videos:,} of its {of_videos:,} videos{also}"
    if facts["untried"]:
        yield "", f"(not tried, their annotations are not here: {', '.join(facts['untried'])})"
    if missing:
        more = ", …" if len(missing) > NAMED else ""
        yield "missing", f"{len(missing):,}: {', '.join(missing[:NAMED])}{more}"
    if facts["unused"]:
        yield "unused", f"{facts['unused']:,} of its names are no video's of this data set"
    yield "names", _say_names(facts["naming"], facts["members"])
    if "width" not in facts:
        return
    shape = "(width, rows), transposed" if facts["transposed"] else "(rows, width)"
    yield (
        "arrays",
        f"{facts['width']} wide, {', '.join(facts['dtypes'])}, {shape}: {facts['known_by']}",
    )
    if facts["rows"]:
        low, middle, high = facts["rows"]
        yield "rows", f"{low:,} to {high:,} per video, median {middle:,}"
    if facts["rate"]:
        yield "rate", _say_rate(facts["rate"])
    yield "numbers", _say_numbers(facts)


def _say_names(naming: dict[str, Any], members: dict[str, int]) -> str:
    plain = naming["name"] == "{key}" and naming["key"] == DEFAULTS["key"]
    said = (
        "as the data set's" if plain else f"{naming['name']}, {{key}} of the id by {naming['key']}"
    )
    if naming["member"]:
        others = ", ".join(name for name in members if name != naming["member"])
        said += f"; the array {naming['member']} in each{f' (others: {others})' if others else ''}"
    return said


def _say_rate(rate: dict[str, Any]) -> str:
    if rate["fixed_rows"]:
        return f"{rate['fixed_rows']} rows in every video, whatever its duration"
    step_s = rate["step_s"]
    return (
        f"a row per {step_s:.3g} s of the annotated durations (nine of ten videos:"
        f" {rate['from_s']:.3g} to {rate['to_s']:.3g}), as every 8 frames at {8 / step_s:.3g} or"
        f" every 16 at {16 / step_s:.3g} frames per second"
    )


def _say_numbers(facts: dict[str, Any]) -> str:
    said = [
        f"{len(facts['broken']):,} with NaN or infinity",
        f"{facts['ends_in_zeros']:,} that end in rows of zeros",
        f"{facts['zero_within']:,} with such rows before",
    ]
    if facts["all_zero"]:
        said.append(f"{len(facts['all_zero']):,} of nothing else ({facts['all_zero'][0]}, …)")
    return f"of {facts['looked_at']:,} arrays looked at: {', '.join(said)}"
