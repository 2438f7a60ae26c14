"""Counts that the documentation writes out, against the files that they count."""

import re
from pathlib import Path

import pytest
import yaml
from model_samples import CATALOGUE

ROOT = Path(__file__).parents[2]
WRITTEN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty"
)
NUMBERS = WRITTEN.split()
NUMBER = rf"(\d+|{'|'.join(NUMBERS)})"
OF_A_TABLE = re.compile(
    rf"Table (\d+)[^.]*?{NUMBER} rows are {NUMBER} ablations and {NUMBER} names"
)


def sections() -> dict[str, str]:
    """The text of docs/models.md by model, without line breaks."""
    parts = re.split(r"^## (.+)$", (ROOT / "docs" / "models.md").read_text(), flags=re.MULTILINE)
    named = dict(zip(parts[1::2], (" ".join(part.split()) for part in parts[2::2]), strict=True))
    titles = {entry.get("title"): model for model, entry in CATALOGUE.items()}
    return {titles[title]: text for title, text in named.items() if title in titles}


def number(word: str) -> int:
    return int(word) if word.isdigit() else NUMBERS.index(word)


def wrong_counts(model: str, text: str) -> list[str]:
    """The statements about the number of a model's ablations, or of a table's, that do not hold."""
    wrong = []
    for said in OF_A_TABLE.finditer(text):
        printed = yaml.safe_load((ROOT / "published" / f"{model}.yaml").read_text())["tables"]
        (table,) = [table for table in printed if table["id"] == f"table{said[1]}"]
        data_set = table["rows"][0]["dataset"]  # a table has the same rows for each of them
        cells = [row.get("cell") for row in table["rows"] if row["dataset"] == data_set]
        whole = cells.count(f"{model}/full")
        if [number(said[place]) for place in (2, 3, 4)] != [len(cells), len(cells) - whole, whole]:
            wrong.append(said[0])
    named = re.finditer(rf"{NUMBER} ablations", OF_A_TABLE.sub("", text))
    count = len(CATALOGUE[model]["ablations"])
    return wrong + [said[0] for said in named if number(said[1]) != count]


@pytest.mark.parametrize("model", sections())
def test_counts_of_ablations_are_those_of_the_code(model):
    assert not wrong_counts(model, sections()[model])


def test_a_wrong_count_is_found():
    total = len(CATALOGUE["ia_net"]["ablations"])
    rows = "Table 4 is long; its seventeen rows are {} ablations and four names of the whole model."
    assert wrong_counts("ia_net", f"It has {total} ablations.") == []
    assert wrong_counts("ia_net", f"It has {total + 1} ablations.") == [f"{total + 1} ablations"]
    assert wrong_counts("ia_net", rows.format("thirteen")) == []
    assert len(wrong_counts("ia_net", rows.format("twelve"))) == 1


@pytest.mark.parametrize("path", ["README.md", "docs/extending.md", "docs/reports.md"])
def test_other_pages_count_no_models_ablations(path):
    """They speak of all models at once: a count there would have nothing to be checked against."""
    assert not re.search(rf"\b{NUMBER}\s+ablations", (ROOT / path).read_text())
