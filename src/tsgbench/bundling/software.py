"""The code as CodeMeta has it, and the terms of use of code and data."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

from tsgbench import __version__
from tsgbench.bundling.contents import Contents
from tsgbench.outside import PACKAGE
from tsgbench.reporting.markdown import escape

CONTEXT = "https://w3id.org/codemeta/3.0"
SPDX = "https://spdx.org/licenses/"
# How a source says that its terms of use are not known
UNSTATED = ("none stated", "not stated", "not known", "not read")
UNKNOWN = "not stated"


@dataclass(frozen=True)
class Licence:
    """Of something that took part. record: of what brought it; kind: as the source's, or what it is
    otherwise."""

    record: str
    name: str
    kind: str
    terms: str
    about: str

    @property
    def is_stated(self) -> bool:
        """Whether the terms are known, as far as they go."""
        return not any(words in self.terms for words in UNSTATED)


def licences_of(contents: Contents) -> list[Licence]:
    """The terms of use of each source, of one's own data and of adopted predictions, as config
    states them."""
    licences = []
    for result in contents.of_phase("download"):
        name = result.job.wildcards["source"]
        source = contents.study.catalogue.sources[name]
        licences.append(
            Licence(result.job.record, name, source["kind"], source["licence"], source["purpose"])
        )
    for result in contents.of_phase("gather"):
        about = "videos and annotations of the study's own"
        licences.append(
            Licence(result.job.record, result.job.wildcards["dataset"], "own data", UNKNOWN, about)
        )
    for result in contents.of_phase("render"):
        about = "videos and sentences that the code renders from a seed"
        terms = "nobody else's: made by the code of this bundle"
        licences.append(
            Licence(result.job.record, result.job.wildcards["dataset"], "made here", terms, about)
        )
    for result in contents.of_phase("adopt"):
        given = result.record.content["settings"]["predictions"]
        about = f"predictions of another program: {given['source']}"
        licences.append(Licence(result.job.record, result.job.key, "predictions", UNKNOWN, about))
    return licences


def licences_text(contents: Contents) -> str:
    """The terms of use of everything, as Markdown."""
    own = f"The code (`src/`, `workflow/`, `config/`, `published/`) is under {code_licence()}."
    if any(file.path == "LICENSE" for file in contents.code):
        own += " [LICENSE](LICENSE) is its text."
    lines = [
        "# Terms of use",
        "",
        own,
        "Results (`results/`) are of whoever ran the study, who says on which terms"
        " they are given.",
        "",
        "Data and weights are their owners', and this list is a statement of what the sources say,"
        " not legal advice. They are packed only where the bundle was made with `--with-data`;"
        " before it is passed on, see whether each of them allows that.",
        "",
        "| what | kind | terms of use, as its source states them | what it is |",
        "|---|---|---|---|",
    ]
    for row in licences_of(contents):
        cells = (row.name, row.kind, row.terms, row.about)
        lines.append("| " + " | ".join(map(escape, cells)) + " |")
    return "\n".join([*lines, ""])


def code_licence() -> str:
    """SPDX's name of the package's licence."""
    return _stated().get("License-Expression") or UNKNOWN


def describe_code(contents: Contents) -> dict[str, Any]:
    """`codemeta.json`. Papers are those whose models took part."""
    stated = _stated()
    requirements = [line for line in stated.get("Requires-Dist", []) if "extra ==" not in line]
    described = {
        "@context": CONTEXT,
        "@type": "SoftwareSourceCode",
        "name": PACKAGE,
        "description": stated.get("Summary"),
        "version": __version__,
        "license": f"{SPDX}{code_licence()}" if code_licence() != UNKNOWN else None,
        "author": [{"@type": "Organization", "name": stated["Author"]}]
        if "Author" in stated
        else None,
        "keywords": stated.get("Keywords", "").split(",") if stated.get("Keywords") else None,
        "programmingLanguage": ["Python", "Snakemake"],
        "operatingSystem": "POSIX",
        "softwareRequirements": sorted(requirements),
        "referencePublication": _papers(contents),
    }
    return {name: value for name, value in described.items() if value}


def _papers(contents: Contents) -> list[dict[str, Any]]:
    catalogue = contents.study.catalogue
    cells = contents.of_phase("train")
    models = dict.fromkeys(one.record.content["settings"]["model"] for one in cells)
    keys = dict.fromkeys(catalogue.models.get(model, {}).get("paper") for model in models)
    papers = [catalogue.published[key]["paper"] for key in keys if key in catalogue.published]
    return [
        {
            "@type": "ScholarlyArticle",
            "name": paper["title"],
            **({"datePublished": str(paper["year"])} if "year" in paper else {}),
        }
        for paper in papers
    ]


def _stated() -> dict[str, Any]:
    """What the installed package says of itself; nothing where it is run from its source alone."""
    try:
        package = metadata(PACKAGE)
    except PackageNotFoundError:
        return {}
    stated: dict[str, Any] = {name: package[name] for name in package}
    return stated | {"Requires-Dist": package.get_all("Requires-Dist") or []}
