"""What is broken on purpose: the same result, or one sentence, and never anything else.

`make faults` draws many more than the few of every run (FAULTS: how many; SEED: which).
"""

import json
import os
import random
from pathlib import Path

import pytest

from tsgbench.errors import UserError
from tsgbench.records import check_input, current_record, write_record

IDENTITY = "0123456789abcdef"
SEED = int(os.environ.get("SEED", "1"))
FAULTS = int(os.environ.get("FAULTS", "3000"))
ODD = (
    *(None, [], {}, "", 0, -1, 1.5, True, "x" * 50, ["a"], [[[]]], {"a": None}, {"to": 1}),
    *({"data.txt": odd} for odd in (None, [], {}, {"bytes": "1", "sha256": 3}, {"bytes": 1})),
    *(
        {name: {"bytes": 1, "sha256": "0"}}
        for name in ("../x", "/etc/passwd", "", "a\0b", "a" * 400)
    ),
)
TEXTS = (
    "",
    "{",
    "null",
    "[]",
    "3",
    '"x"',
    "NaN",
    '{"schema": 1e999}',
    "[" * 100_000,
    '{"a":' * 5000,
)


@pytest.fixture
def record(tmp_path) -> Path:
    (tmp_path / "data.txt").write_text("numbers")
    path = tmp_path / "data.json"
    write_record(
        path,
        phase="reduce",
        key="shapes/x",
        identity=IDENTITY,
        settings={},
        code="c",
        inputs={},
        files=[tmp_path / "data.txt"],
        facts={"n": 1},
        made={"at": "now"},
    )
    return path


def outcome(path: Path) -> str:
    """How a consumer and a plan take a record; whatever else is raised fails the test."""
    planned = current_record(path, IDENTITY)
    try:
        found = check_input(path, IDENTITY)
    except UserError as error:
        assert "\n" not in str(error) and str(error).startswith(str(path.parent))
        assert planned is None
        return "refused"
    assert found.file("data.txt").read_text() == "numbers" or not found.content["outputs"]
    return "same"


@pytest.mark.parametrize(
    "field", ["schema", "identity", "digest", "inputs", "outputs", "facts", "accepted"]
)
def test_a_field_of_another_form_is_refused_or_harmless(record, field):
    good, seen = json.loads(record.read_text()), set()
    for odd in ODD:
        record.write_text(json.dumps(good | {field: odd}))
        if field == "outputs" and odd == {}:
            continue  # a record without files, which its facts stand for
        seen.add(outcome(record))
    assert "refused" in seen


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_record_that_is_none_is_refused(record, text):
    record.write_text(text)
    assert outcome(record) == "refused"


def test_a_record_that_is_a_folder_or_not_utf8_is_refused(record):
    record.write_bytes(b"\xff\xfe\x00")
    assert outcome(record) == "refused"
    record.unlink()
    record.mkdir()
    with pytest.raises(UserError, match="is a directory; name a file"):
        check_input(record, IDENTITY)


def test_flipped_bits_of_a_record_or_its_file_are_refused_or_harmless(record):
    flip_bits(record, 200)


@pytest.mark.faults
def test_many_flipped_bits(record):
    flip_bits(record, FAULTS)


def flip_bits(record: Path, count: int) -> None:
    draw, data = random.Random(SEED), record.parent / "data.txt"
    whole = {path: path.read_bytes() for path in (record, data)}
    seen = set()
    for _ in range(count):
        path = draw.choice(list(whole))
        content = bytearray(whole[path])
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        came_out = outcome(record)
        assert path == record or came_out == "refused"
        path.write_bytes(whole[path])
        seen.add(came_out)
    assert "refused" in seen
