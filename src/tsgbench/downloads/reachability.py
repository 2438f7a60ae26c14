"""Whether the addresses of sources still answer, without fetching what they hold.

Each is asked for its head (HEAD), and where that is refused for its first byte. What came of it is
a table beside the downloads, which is shown with the sources and says of which day it is.
"""

import csv
import http.client
import io
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from tsgbench.downloads.connection import LED_BY, OPENER, RedirectRefusedError
from tsgbench.downloads.identifiers import (
    addresses_of,
    fill_template,
    key_of,
    read_keys,
    templates_of,
    wanted_videos,
)
from tsgbench.errors import UserError
from tsgbench.files import write_text

TABLE = "addresses.csv"
AT_ONCE = 4
TIMEOUT_S = 15.0
PERMANENT = (301, 308)
GONE = (404, 410)
PROXY = (403, 407, 502, 503, 504)  # what a proxy says where it does not let a request through

REACHABLE, MOVED, GONE_FOR_GOOD, REFUSED = "reachable", "moved", "gone", "refused"
SILENT, NO_NETWORK = "no answer", "no network"
FINE = (REACHABLE, MOVED)
DROPPED, NO_HOST = "the connection was dropped", "no such host"


@dataclass(frozen=True)
class Question:
    """An address of a source. is_page: for people, so that it may well be a web page."""

    source: str
    address: str
    is_page: bool = False


@dataclass(frozen=True)
class Answer:
    """What came of asking one address. date: UTC. said: why, or where it moved to."""

    source: str
    address: str
    state: str
    date: str
    said: str = ""


def list_addresses(sources: dict[str, dict], names: Iterable[str], folder: Path) -> list[Question]:
    """Every address that a program or a person fetches from, once for each source.

    Of videos by template, the address of one of them, where the list of ids is in `folder`; what
    comes through another program is not asked.
    """
    asked = []
    for name in names:
        source = sources[name]
        entries = [source, *source.get("parts", [])]
        addresses = [address for entry in entries for address in addresses_of(entry)]
        if source.get("videos", {}).get("by") == "template":
            addresses = _of_one_video(source, sources, folder)
        pages = [source["page"]] if "page" in source else []
        asked += [
            Question(name, one, is_page=one in pages)
            for one in dict.fromkeys([*addresses, *pages])
            if one.startswith("http")
        ]
    return asked


def _of_one_video(source: dict, sources: dict[str, dict], folder: Path) -> list[str]:
    spec = source["videos"]
    files = {name: [folder / sources[name]["path"]] for name in spec.get("ids_from", [])}
    try:
        ids = wanted_videos(spec, files)
        keys = read_keys(folder / sources[spec["keys"]]["path"]) if "keys" in spec else None
    except (UserError, OSError):  # not here yet
        return []
    named = (key_of(video, spec.get("key", "(.+)"), keys) for video in ids)
    key = next((key for key in named if key is not None), None)
    return [] if key is None else [fill_template(one, key) for one in templates_of(source)]


def ask_all(
    asked: Sequence[Question],
    *,
    timeout_s: float = TIMEOUT_S,
    track: Callable[[Iterable[Answer], int], Iterable[Answer]] = lambda answers, _: answers,
) -> list[Answer]:
    """An answer to each, in their order, a few asked at a time.

    Where nobody answered at all, nothing is known of any of them: it is the network that is not
    there. Where somebody did, a host that has no address any more is gone.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        coming = pool.map(lambda question: ask(question, timeout_s=timeout_s), asked)
        answers = list(track(coming, len(asked)))
    if all(answer.state == SILENT for answer in answers):
        return [replace(answer, state=NO_NETWORK, said="") for answer in answers]
    return [replace(one, state=GONE_FOR_GOOD) if one.said == NO_HOST else one for one in answers]


def ask(question: Question, *, timeout_s: float = TIMEOUT_S) -> Answer:
    """What one address answers. No body is read."""
    state, said = _ask(question, "HEAD", timeout_s)
    if state in (REFUSED, GONE_FOR_GOOD) or said == DROPPED:  # some know no HEAD, or answer wrongly
        state, said = _ask(question, "GET", timeout_s)
    today = datetime.now(UTC).date().isoformat()
    return Answer(question.source, question.address, state, today, said)


def _ask(question: Question, method: str, timeout_s: float) -> tuple[str, str]:
    headers = {"User-Agent": "tsgbench", "Accept-Encoding": "identity"}
    if method == "GET":
        headers["Range"] = "bytes=0-0"
    codes: list[int] = []
    try:
        request = urllib.request.Request(question.address, headers=headers, method=method)
        setattr(request, LED_BY, codes)
        with OPENER.open(request, timeout=timeout_s) as response:
            return _judge(question, response, codes)
    except urllib.error.HTTPError as error:
        error.close()
        return _explain(error.code, request)
    except RedirectRefusedError as error:
        return REFUSED, str(error)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        # In words, it is not the network that says so: a scheme that is not followed
        return (REFUSED, reason) if isinstance(reason, str) else _silence(reason)
    except ValueError as error:
        return REFUSED, f"not a valid address ({error})"


def _judge(
    question: Question, response: http.client.HTTPResponse, codes: list[int]
) -> tuple[str, str]:
    """Of an answer that is no error. A page in the place of a file is a login or a warning."""
    if response.headers.get_content_type() == "text/html" and not question.is_page:
        return REFUSED, "a web page (a login, a warning or an error) instead of the file"
    if codes and all(code in PERMANENT for code in codes):
        return MOVED, f"to {response.geturl()}"
    return REACHABLE, ""


def _explain(code: int, request: urllib.request.Request) -> tuple[str, str]:
    said = f"HTTP {code}"
    is_proxied = request.host != urllib.parse.urlsplit(request.full_url).netloc
    if is_proxied and code in PROXY:
        return SILENT, f"{said} of the proxy {request.host}"
    return GONE_FOR_GOOD if code in GONE else REFUSED, said


def _silence(reason: object) -> tuple[str, str]:
    if isinstance(reason, socket.gaierror):
        return SILENT, NO_HOST if reason.errno == socket.EAI_NONAME else "no host found just now"
    if isinstance(reason, http.client.HTTPException | ConnectionError) and not isinstance(
        reason, ConnectionRefusedError
    ):
        return SILENT, DROPPED
    if isinstance(reason, TimeoutError):
        return SILENT, "timed out"
    return SILENT, getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


# --- the table


def read_answers(folder: Path) -> list[Answer]:
    """What was found when the addresses were last asked; nothing if they never were."""
    path = folder / TABLE
    if not path.is_file():
        return []
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            return [Answer(**row) for row in csv.DictReader(stream)]
    except (TypeError, UnicodeDecodeError, csv.Error) as error:
        names = ", ".join(field.name for field in fields(Answer))
        raise UserError(
            f"{path}: no table of {names} ({error}); delete it, and ask again with --check"
        ) from None


def write_answers(folder: Path, answers: list[Answer]) -> list[Answer]:
    """Keep the answers in the table, with older ones to what was not asked now; all of them.

    That there was no network takes no earlier answer's place.
    """
    known = {(one.source, one.address): one for one in read_answers(folder)}
    for answer in answers:
        key = (answer.source, answer.address)
        if answer.state != NO_NETWORK or key not in known:
            known[key] = answer
    text = io.StringIO()
    writer = csv.DictWriter(text, [one.name for one in fields(Answer)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(known[key]) for key in sorted(known))
    write_text(folder / TABLE, text.getvalue())
    return list(known.values())
