"""The document of a table: read back as written, damage named, one way to write its values."""

import json
from dataclasses import replace

import pytest

from tsgbench.errors import UserError
from tsgbench.jobs import code
from tsgbench.reporting import build_table, describe
from tsgbench.reporting.document import Result, Value, read_document, write_document
from tsgbench.reporting.numbers import Shown

PRINTED = {"published": 60.0, "published_text": "60.00", "published_std": 0.5}
RUN = Result("x", False, "complete", [], [], [{"cell": "c"}], None, {})


@pytest.fixture
def written(spec, cells, published, tmp_path):
    document = describe(build_table(spec, cells, published), "1dentity")
    write_document(document, tmp_path / "table.json")
    return document, tmp_path / "table.json"


def test_it_is_read_back_as_it_was_written(written):
    document, path = written
    assert read_document(path) == document


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content["rows"][1]["results"]["real"].pop("values"), "'values'"),
        (lambda content: content.update(groups=3), "not iterable"),
        (lambda content: content.update(extra=1), "extra"),
        (lambda content: content.update(schema=99), "not a table's provenance of this version"),
    ],
)
def test_a_damaged_file_is_named_with_the_remedy(written, damage, said):
    _, path = written
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"table\.json: .*{said}.*; write the table again"):
        read_document(path)


def test_writers_read_nothing_but_the_document():
    closure = code.closure("tsgbench.reporting.render")
    assert "tsgbench.reporting.document" in closure and "tsgbench.reporting.html" in closure
    builders = ("cells", "draft", "caption", "rows", "published", "departures", "uncertainty")
    assert not {f"tsgbench.reporting.{name}" for name in builders} & set(closure)


def test_a_number_is_written_in_one_way():
    value = Value(51.0, 1.414, (49.0, 53.5), [50.0, 52.0], difference=-9.0, verdict="below")
    shown = Shown(replace(value, p_value=0.01234, **PRINTED))
    assert (shown.mean_std, shown.interval) == ("51.00 ± 1.41", "[49.00, 53.50]")
    assert (shown.interval_to(1), shown.seeds) == ("[49.0, 53.5]", ["50.00", "52.00"])
    assert (shown.printed, shown.printed_std, shown.doubt) == ("60.00", "0.50", "")
    assert (shown.difference, shown.mark) == ("-9.00", "↓")
    assert (shown.p_value, shown.star) == ("0.0123", "*")
    assert shown.missing(RUN) == shown.printed_missing == ""


def test_what_is_not_there_is_written_in_one_way():
    shown = Shown(Value())
    parts = (shown.mean_std, shown.interval, shown.printed, shown.difference, shown.mark)
    assert {*parts, shown.p_value, shown.star} == {""}
    assert shown.missing(RUN) == shown.printed_missing == "n/a"
    assert shown.missing(replace(RUN, cells=[])) == "— not run"
    assert Shown(Value(published_uncertain=True)).printed_missing == "?"


@pytest.mark.parametrize(("difference", "text"), [(0.004, "0.00"), (-0.004, "0.00"), (1, "+1.00")])
def test_numbers_that_are_written_alike_have_no_sign_between_them(difference, text):
    assert Shown(Value(1.0, difference=difference)).difference == text
