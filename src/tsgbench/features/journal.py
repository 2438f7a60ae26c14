"""The journal that a feature file is made from: checksummed records, only ever appended."""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

JOURNAL = 2  # version of its layout
RECORD = struct.Struct("<IQI")  # bytes of the head, bytes of the body, CRC-32 of both
LAST_TIME = struct.Struct("=d")  # the body of a record of clips ends with their times


def journal_of(path: str | Path) -> Path:
    """Where the journal of the feature file `path` lies while that file is made."""
    path = Path(path)
    return path.with_name(path.name + ".partial")


def pack(head: dict, body: bytes) -> bytes:
    """One record."""
    text = json.dumps(head).encode()
    check = zlib.crc32(body, zlib.crc32(text))
    return RECORD.pack(len(text), len(body), check) + text + body


def scan(journal: BinaryIO) -> Iterator[tuple[dict, bytes, int]]:
    """(head, body, end offset) of every whole record; stops at the first torn one.

    The first is the title; then every video has one or more records of clips and one of its end.
    """
    journal.seek(0)
    while len(prefix := journal.read(RECORD.size)) == RECORD.size:
        head_bytes, body_bytes, check = RECORD.unpack(prefix)
        end = journal.tell() + head_bytes + body_bytes
        text, body = journal.read(head_bytes), journal.read(body_bytes)
        torn = len(text) + len(body) < head_bytes + body_bytes
        if torn or zlib.crc32(body, zlib.crc32(text)) != check:
            return
        yield json.loads(text), body, end
        journal.seek(end)


def last_end_s(path: str | Path) -> float:
    """When the last clip of a journal ends, in seconds; 0.0 where there is none yet."""
    end_s = 0.0
    with open(path, "rb") as journal:
        for head, body, _ in scan(journal):
            if "shape" in head:
                (end_s,) = LAST_TIME.unpack_from(body, len(body) - LAST_TIME.size)
    return end_s
