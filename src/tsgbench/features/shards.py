"""Shards of extractions: a part of a data set's videos each, extracted by a job of its own.

How many there are, and whether a job makes those of several extractions in one pass over the
videos, decides nothing of the results. So they are no part of the plan or of any identity: what a
shard makes is a journal, as a killed extraction leaves one, and the extraction itself goes on from
all of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tsgbench.errors import UserError
from tsgbench.files import read_json

REPORT = "{identity}.{shard}.json"  # in `folder_of`
NAMED = re.compile(r"([1-9]\d*)-of-([1-9]\d*)")


@dataclass(frozen=True)
class Shard:
    """The `number`th, from 1, of `total`."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """`2-of-8`; `UserError` for anything else."""
        match = NAMED.fullmatch(text)
        if not match or int(match[1]) > int(match[2]):
            raise UserError(f"--shard: {text!r} is no shard; name one such as 2-of-8")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}-of-{self.total}"

    def share(self, videos: Sequence[str]) -> list[str]:
        """Its videos: a run of them, so that all shards one after another are in the same order."""
        first, last = (len(videos) * n // self.total for n in (self.number - 1, self.number))
        return list(videos[first:last])


@dataclass(frozen=True)
class Finished:
    """What a shard left: its journal, and the facts of its extraction; None: it was killed, and
    what it had finished counts."""

    journal: Path
    facts: dict[str, Any] | None


def folder_of(features: Path) -> Path:
    """Where the shards of a feature file lie until it is made."""
    return features.with_name(f"{features.stem}.shards")


def report_of(features: Path, identity: str, shard: Shard) -> Path:
    """The facts of a shard, written when it is done."""
    return folder_of(features) / REPORT.format(identity=identity, shard=shard)


def journal_of_shard(features: Path, identity: str, shard: Shard) -> Path:
    """Where the videos of a shard are."""
    return report_of(features, identity, shard).with_suffix(".journal")


def finished(features: Path, identity: str) -> list[Finished]:
    """What shards left, in the order of their videos; none for an extraction in one piece.

    Of several numbers of shards, as after a change of the setting, all are taken: a video that two
    have is written once.
    """
    found = []
    for journal in journals(features, identity):
        report = journal.with_suffix(".json")
        shard = Shard.parse(journal.stem.removeprefix(f"{identity}."))
        facts = read_json(report) if report.is_file() else None
        found.append((shard.number / shard.total, shard.total, Finished(journal, facts)))
    return [each for *_, each in sorted(found, key=lambda entry: entry[:2])]


def journals(features: Path, identity: str) -> list[Path]:
    """Of all shards of a feature file, done or not."""
    return sorted(folder_of(features).glob(f"{identity}.*.journal"))
