"""Whose queries a file of other programs answers, and what becomes of each of its answers.

A query of the file is one of the data set's by its id, if it has one that the data set knows and
names no other video; else by video and sentence, whatever their capitals, punctuation, folders and
endings. Ids are the project's own, or the number that the public file gives (`qid` of QVHighlights,
`annotation_id` of DiDeMo). Queries of one video and sentence, which systems cannot tell apart, take
the file's answers in order, and the last of them if there are fewer.
"""

import html
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tsgbench.datasets.moments import SINGLE
from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.evaluation.foreign import Foreign
from tsgbench.evaluation.keeping import Ranked
from tsgbench.evaluation.predictions import Predictions
from tsgbench.features.failures import VIDEO_ENDINGS

# What is done to what a file need not have had; `docs/scoring.md` says why
POLICIES = {
    "queries_absent": "queries that the file does not have: left out, the means are of the others",
    "queries_without_answer": "queries without a moment as answer: a miss",
    "queries_repeated": "queries that the file answers again: the first counts",
    "queries_unknown": "queries of the file that are none of these: not scored",
    "queries_sorted_by_score": "queries whose answers did not stand in the order of their scores",
    "texts_without_times": "texts that state no time: no answer",
    "responses_not_read": "responses after a query's first: not read",
    "answers_not_finite": "answers whose time is no number: left out, the next takes the place",
    "answers_reversed": "answers that end before they start: left out, the next takes the place",
    "answers_repeated": "answers that repeat one of their query: kept",
    "answers_outside": "answers that reach outside their video: scored as they stand",
    "answers_as_shares": "answers, all of them, that end within 1 s: shares, not seconds?",
}
MAX_ABSENT = 0.05  # share of queries without which a file is taken to be of another split
FEW, LONG_S = 10, 5.0  # answers, and seconds of a video, that say nothing of a unit
BLOCK = 1 << 22  # spans that are held at once, 16 bytes each
PUBLIC_ID = re.compile(r"(?:train|val|test)_(\d+)")
WORD = re.compile(r"\w+")
ENDING = re.compile(f"(?:{'|'.join(map(re.escape, VIDEO_ENDINGS))})$", re.IGNORECASE)


@dataclass(frozen=True)
class Matched:
    """A file's answers to Q queries.

    source: (Q,) which of the file's queries answers each, -1 where none does. counts: what was met,
    by its name in `POLICIES`; an entry for each. first_unknown: a query of the file that is none
    of them, as it is named there.
    """

    foreign: Foreign
    source: np.ndarray
    counts: dict[str, int]
    first_unknown: str | None = None

    @property
    def rows(self) -> np.ndarray:
        """The queries that the file has, answered or not."""
        return np.flatnonzero(self.source >= 0)

    def without_empty(self) -> "Matched":
        """As if the file did not have the queries to which it does not answer with a moment."""
        return replace(self, source=np.where(self.has_answer, self.source, -1))

    def blocks(self) -> Iterator[tuple[np.ndarray, Predictions]]:
        """`rows`, as many at a time as `BLOCK` allows, with what the file answers to each."""
        first, sizes = _runs(self.foreign)
        rows = self.rows
        depth = max(1, int(sizes[self.source[rows]].max(initial=0)))
        step = max(1, BLOCK // depth)
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            counts = sizes[self.source[block]]
            rows_of = first[self.source[block], None] + np.arange(max(1, counts.max()))
            is_there = np.arange(rows_of.shape[1]) < counts[:, None]
            spans = np.full((*rows_of.shape, 2), np.nan)
            spans[is_there] = self.foreign.spans[rows_of[is_there]]
            yield block, Predictions(spans, source=str(self.foreign.path))

    def ranked(self) -> Ranked:
        """All answers to `rows`. A query without any has one that is NaN: a miss, but not absent
        from a file of predictions."""
        first, sizes = _runs(self.foreign)
        source = self.source[self.rows]
        counts = np.maximum(sizes[source], 1)
        rows = np.repeat(np.arange(len(source)), counts)
        ranks = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        is_there = (sizes[source] > 0)[rows]
        answers = (first[source][rows] + ranks)[is_there]
        columns = np.full((len(rows), 3), np.nan)
        columns[is_there, :2] = self.foreign.spans[answers]
        columns[is_there, 2] = self.foreign.scores[answers]
        return Ranked(rows, ranks, columns, counts)

    @property
    def has_answer(self) -> np.ndarray:
        """(Q,) whether the file answers with a moment."""
        sizes = np.append(_runs(self.foreign)[1], 0)  # the last stands for -1
        return sizes[self.source] > 0


def match(
    foreign: Foreign, queries: Queries, *, of: str, max_absent: float = MAX_ABSENT
) -> Matched:
    """Find each of the queries in the file.

    of: what the queries are, for messages. `UserError` where more than `max_absent` of them are not
    there, with one that was looked for and one that is there.
    """
    source = np.full(len(queries), -1)
    left, used = _match_ids(foreign, queries, source)
    _match_sentences(foreign, queries, source, left, used)
    is_absent = source < 0
    unknown = np.flatnonzero(~used["known"])
    if is_absent.all() or is_absent.mean() > max_absent:
        there = foreign.name(int(unknown[0]) if len(unknown) else 0)
        raise _too_few(foreign, queries, is_absent, there, of)
    matched = Matched(foreign, source, {})
    counts = dict.fromkeys(POLICIES, 0) | foreign.counts | _count_spans(matched, queries)
    counts["queries_absent"] = int(is_absent.sum())
    counts["queries_without_answer"] = int((~matched.has_answer[matched.rows]).sum())
    counts["queries_unknown"] = len(unknown)
    counts["queries_repeated"] = int((used["known"] & ~used["taken"]).sum())
    named = foreign.name(int(unknown[0])) if len(unknown) else None
    return Matched(foreign, source, counts, named)


def _too_few(
    foreign: Foreign, queries: Queries, is_absent: np.ndarray, there: str, of: str
) -> UserError:
    """there: a query of the file, one that is not known if there is any."""
    row, share = int(is_absent.argmax()), float(is_absent.mean())
    remedy = "name the data set and the split that it is of"
    if share < 1:
        allowed = np.ceil(100 * share) / 100
        remedy += f", or allow so many to be missing: --max-missing {allowed:g}"
        remedy += " (in a study, max_missing)"
    return UserError(
        f"{foreign.path}: has {np.count_nonzero(~is_absent):,} of the {len(queries):,} queries of"
        f" {of}; looked for was query {queries.query_ids[row]!r}, video"
        f" {queries.video_ids[row]!r}, sentence {queries.sentences[row][:80]!r}, and there is"
        f" {there}; {remedy}"
    )


def _runs(foreign: Foreign) -> tuple[np.ndarray, np.ndarray]:
    """(N,) where the answers of each of the file's queries begin, and how many it has."""
    sizes = np.bincount(foreign.entries, minlength=len(foreign.ids))
    return np.cumsum(sizes) - sizes, sizes


def _match_ids(
    foreign: Foreign, queries: Queries, source: np.ndarray
) -> tuple[list[int], dict[str, np.ndarray]]:
    """Fill `source` by ids; returns the file's queries that are left, and which ones are `known`
    and `taken`."""
    row_of = {query_id: row for row, query_id in enumerate(queries.query_ids)}
    for row, query_id in enumerate(queries.query_ids):
        if match := PUBLIC_ID.fullmatch(query_id):
            row_of.setdefault(match[1], row)
    used = {name: np.zeros(len(foreign.ids), dtype=bool) for name in ("known", "taken")}
    left = []
    for entry, named in enumerate(foreign.ids):
        row = -1 if named is None else row_of.get(named, -1)
        if row < 0 or not _fits(foreign, entry, queries, row):
            left.append(entry)
            continue
        used["known"][entry] = True
        if source[row] < 0:
            source[row] = entry
            used["taken"][entry] = True
    return left, used


def _fits(foreign: Foreign, entry: int, queries: Queries, row: int) -> bool:
    """Whether a query of the file does not say that it is another than its id has it."""
    video, sentence = foreign.videos[entry], foreign.sentences[entry]
    if video is not None:
        return _video(video) == _video(queries.video_ids[row])
    return sentence is None or _sentence(sentence) == _sentence(queries.sentences[row])


def _match_sentences(
    foreign: Foreign,
    queries: Queries,
    source: np.ndarray,
    left: list[int],
    used: dict[str, np.ndarray],
) -> None:
    """Fill the rest of `source` by video and sentence."""
    alike: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, query in enumerate(zip(queries.video_ids, queries.sentences, strict=True)):
        alike[_video(query[0]), _sentence(query[1])].append(row)
    by_key: dict[tuple[str, str], list[int]] = defaultdict(list)
    for entry in left:
        video, sentence = foreign.videos[entry], foreign.sentences[entry]
        if video is not None and sentence is not None:
            key = _video(video), _sentence(sentence)
            if key in alike:
                by_key[key].append(entry)
    for key, entries in by_key.items():
        used["known"][entries] = True
        rows = [row for row in alike[key] if source[row] < 0]
        for index, row in enumerate(rows):
            source[row] = entries[min(index, len(entries) - 1)]
        used["taken"][entries[: len(rows)]] = True


def _video(name: str) -> str:
    """A video's id without folders, the ending of a file, and ActivityNet's `v_`."""
    return ENDING.sub("", name.strip().rpartition("/")[2]).removeprefix("v_")


def _sentence(text: str) -> str:
    """The words of a sentence; the sentence itself where it has none."""
    # Annotations have their HTML entities written out, and others need not
    text = unicodedata.normalize("NFKC", html.unescape(text)).casefold()
    return " ".join(WORD.findall(text)) or text.strip()


def _count_spans(matched: Matched, queries: Queries) -> dict[str, int]:
    """Answers that are scored and reach outside their video, or repeat one of their query."""
    counts = {"answers_outside": 0, "answers_repeated": 0}
    for rows, predictions in matched.blocks():
        spans = predictions.spans
        limit = queries.durations[rows][:, None]
        with np.errstate(invalid="ignore"):
            is_outside = (spans[..., 0] < 0) | (spans[..., 1] > limit * (1 + SINGLE))
        counts["answers_outside"] += int(is_outside.sum())
        order = np.lexsort((spans[..., 1], spans[..., 0]), axis=-1)
        ordered = np.take_along_axis(spans, order[..., None], axis=1)
        counts["answers_repeated"] += int((ordered[:, 1:] == ordered[:, :-1]).all(axis=-1).sum())
    ends = matched.foreign.spans[:, 1]
    if len(ends) >= FEW and ends.max() <= 1.0 and np.median(queries.durations) > LONG_S:
        counts["answers_as_shares"] = len(ends)
    return counts
