"""The papers' figures as jobs of a study, and the inspections that some of them draw from."""

from collections.abc import Callable, Iterator
from typing import Any

from tsgbench.config import HEADLINE, Catalogue, as_list, protocols_of
from tsgbench.jobs.cells import CellId, cell_names, cell_prefix
from tsgbench.jobs.layout import Job, Layout, describe_study
from tsgbench.specifications.papers import Papers
from tsgbench.specifications.printed import examples_to_choose, system_label, target_name

DRAWN_BY = ("kind", "reads", "systems")  # of a figure's `draw`; the rest are its kind's options
CHOSEN = {"best": 4, "worst": 4}  # queries that are inspected, beside those asked for


class Figures:
    """Plans every figure that some paper's `draw` describes.

    annotations, videos, find: as of `Reports`. statistics: data set -> record.
    """

    def __init__(
        self,
        config: dict[str, Any],
        catalogue: Catalogue,
        papers: Papers,
        annotations: dict[str, Job],
        statistics: dict[str, str],
        videos: dict[str, str],
        find: Callable[[str], Job],
    ):
        self.config, self.catalogue, self.papers = config, catalogue, papers
        self.layout = Layout(config["study"])
        self.annotations, self.statistics = annotations, statistics
        self.videos, self.find = videos, find

    def jobs(self) -> Iterator[Job]:
        """Every inspection and figure, inputs before consumers."""
        for name, (content, parts) in self.papers.figures().items():
            yield from self._plan_figure(name, content, parts)

    def _plan_figure(
        self, name: str, content: dict[str, Any], parts: list[dict[str, Any]]
    ) -> Iterator[Job]:
        draw = next(part["draw"] for part in parts if "draw" in part)
        printed = list(dict.fromkeys(one for part in parts for one in as_list(part["dataset"])))
        drawn = [one for printed_one in printed for one in self.papers.of_study(printed_one)]
        stands_in = self.papers.stand_ins(printed)
        drawn = stands_in + drawn
        missing = [one for one in printed if not self.papers.of_study(one)]
        systems = [self._system(system, drawn, content) for system in draw.get("systems", [])]
        if draw["reads"] == "inspections":
            for cell in self._inspected(systems, drawn):
                yield self._plan_inspect(cell)
        scored_by = {one: self.papers.convention(one, content) for one in drawn}
        settings = {
            **describe_study(self.config, name),
            "kind": draw["kind"],
            # As the paper's tables are, so that one cell has one number beside what it prints
            "conventions": {k: v for k, v in scored_by.items() if v != HEADLINE}
            if draw["reads"] == "scores"
            else {},
            "datasets": {one: self.catalogue.datasets[one]["title"] for one in [*drawn, *missing]},
            "stands_in": bool(stands_in),
            "systems": systems,
            "notes": self.papers.cells.notes(one["model"] for one in systems if one["seeds"]),
            "options": {key: value for key, value in draw.items() if key not in DRAWN_BY},
            "printed": {
                "paper": content["paper"]["system"],
                "figure": target_name(parts[0]["id"]).replace("figure", "Figure "),
                "plots": " ".join(f"{part['plots']}." for part in parts),
                "numbers": {key: found for part in parts for key, found in part["numbers"].items()},
                "reproduce": parts[0].get("reproduce", {}),
                # The paper's own, which alone may have its numbers beside them
                "datasets": [one for one in [*drawn, *missing] if one not in stands_in],
                "splits": {
                    one: self._tested(one, content) for one in drawn if one not in stands_in
                },
            },
        }
        inputs = self._figure_inputs(draw["reads"], systems, drawn)
        module = f"tsgbench.reporting.figures.{draw['kind']}"
        yield self.layout.job("figure", {"figure": name}, settings, inputs, (module,))

    def _tested(self, dataset: str, content: dict[str, Any]) -> list[str]:
        """The splits that the paper's numbers of a data set are of."""
        protocol = self.papers.protocol(dataset, content)
        return as_list(protocols_of(self.catalogue.datasets[dataset])[protocol]["test"])

    def _system(self, system: str, datasets: list[str], content: dict[str, Any]) -> dict[str, Any]:
        """One system of a figure: how it is called, the protocol by which the paper got its numbers
        on each data set, and the seeds of its cells."""
        model, ablation = system.split("/")
        title = self.catalogue.models[model]["title"]
        drawn = {
            "model": model,
            "ablation": ablation,
            "label": system_label(title, ablation),
            "protocols": {one: self.papers.protocol(one, content) for one in datasets},
        }
        prefixes = [cell_prefix(drawn, dataset) for dataset in datasets]
        seeds = {seed for prefix in prefixes for seed in self.papers.seeds.get(prefix, [])}
        return drawn | {"seeds": sorted(seeds)}

    def _cells_of(
        self, systems: list[dict[str, Any]], datasets: list[str], *, first: bool = True
    ) -> list[str]:
        """Names of the cells of some systems, each by its first seed or by all."""
        prefixes = [cell_prefix(system, dataset) for system in systems for dataset in datasets]
        last = 1 if first else None
        seeds = {prefix: self.papers.seeds.get(prefix, [])[:last] for prefix in prefixes}
        return [cell for prefix in prefixes for cell in cell_names(prefix, seeds[prefix])]

    def _inspected(self, systems: list[dict[str, Any]], datasets: list[str]) -> list[str]:
        """The cells that choose a figure's queries: on each data set, of the first system there."""
        first: dict[str, str] = {}
        for cell in self._cells_of(systems, datasets):
            first.setdefault(CellId.parse(cell).dataset, cell)
        return list(first.values())

    def _figure_inputs(
        self, reads: str, systems: list[dict[str, Any]], datasets: list[str]
    ) -> dict[str, Any]:
        if reads == "statistics":
            return {
                f"statistics:{one}": self.statistics[one]
                for one in datasets
                if one in self.statistics
            }
        is_first = reads == "inspections"
        cells = self._cells_of(systems, datasets, first=is_first)
        inputs = self.layout.cell_records(cells, "run", "metrics")
        shown = {CellId.parse(cell).dataset for cell in cells}
        inputs |= {f"annotations:{one}": self.annotations[one].record for one in sorted(shown)}
        if is_first:
            inputs |= self.layout.cell_records(self._inspected(systems, datasets), "inspection")
            inputs |= {f"videos:{one}": path for one, path in self.videos.items() if one in shown}
        return inputs

    def _plan_inspect(self, cell: str) -> Job:
        train = self.find(self.layout.cell_record("train", cell))
        inputs = {
            **train.inputs,
            "run": train.record,
            "metrics": self.layout.cell_record("evaluate", cell),
        }
        dataset = train.wildcards["dataset"]
        if dataset in self.videos:
            inputs["videos"] = self.videos[dataset]
        settings = {"model": train.settings, "choose": self._choose(train)}
        return self.layout.job("inspect", train.wildcards, settings, inputs, train.modules)

    def _choose(self, train: Job) -> dict[str, Any]:
        """Which queries of a cell are looked at: chosen by the study, printed, best and worst."""
        content = self.catalogue.published.get(train.wildcards["model"], {})
        ids = self.config.get("inspect", {}).get(train.wildcards["dataset"], [])
        return {**CHOSEN, "ids": ids, "examples": examples_to_choose(content.get("figures", []))}
