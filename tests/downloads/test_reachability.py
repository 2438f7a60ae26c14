"""What `tsgbench sources --check` finds of addresses, against a local server."""

import socket

import pytest
from download_server import BODY, serve, status

from tsgbench.cli import addresses
from tsgbench.cli.sources import list_sources, render, total
from tsgbench.downloads import content_key, fetch, reachability
from tsgbench.downloads.reachability import Answer, Question, ask, ask_all, list_addresses
from tsgbench.errors import UserError


def page(handler):
    handler.answer(200, b"<html>log in", **{"Content-Type": "text/html"})


def no_head(code):
    """Refuses HEAD, and serves all else."""

    def behave(handler):
        (status(code) if handler.command == "HEAD" else serve(BODY))(handler)

    return behave


def dropped(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)


PLANS = {
    "whole": (serve(BODY), "reachable", ""),
    "no_head": (no_head(405), "reachable", ""),
    "head_404": (no_head(404), "reachable", ""),
    "gone": (status(404), "gone", "HTTP 404"),
    "gone_too": (status(410), "gone", "HTTP 410"),
    "password": (status(401), "refused", "HTTP 401"),
    "busy": (status(503), "refused", "HTTP 503"),
    "login": (page, "refused", "a web page (a login, a warning or an error) instead of the file"),
    "circle": (status(302, Location="/circle"), "refused", "HTTP 302"),
    "ftp": (status(302, Location="ftp://127.0.0.1/x"), "refused", "unknown url type: ftp"),
    "for_now": (status(302, Location="/whole"), "reachable", ""),
    "dropped": (dropped, "no answer", "the connection was dropped"),
}


@pytest.mark.parametrize("name", PLANS)
def test_what_an_address_answers(server, name):
    plan, state, said = PLANS[name]
    server.plans |= {"whole": [serve(BODY)], name: [plan]}
    answer = ask(Question("it", f"{server.url}/{name}"), timeout_s=5)
    assert (answer.source, answer.state, answer.said) == ("it", state, said)
    assert len(answer.date) == len("2026-01-01")


def test_what_moved_for_good_says_where(server):
    server.plans = {"old": [status(301, Location="/new")], "new": [serve(BODY)]}
    answer = ask(Question("it", f"{server.url}/old"))
    assert (answer.state, answer.said) == ("moved", f"to {server.url}/new")
    assert server.requests == [("old", "HEAD"), ("new", "HEAD")], "no body was asked for"


def test_a_page_for_people_may_be_a_page(server):
    server.plans = {"login": [page]}
    assert ask(Question("it", f"{server.url}/login", is_page=True)).state == "reachable"


@pytest.fixture
def nowhere() -> str:
    """An address of this machine at which nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def test_no_network_is_not_gone(server, nowhere, monkeypatch):
    asked = [Question("a", f"{nowhere}/x"), Question("b", f"{nowhere}/y")]
    assert {answer.state for answer in ask_all(asked)} == {"no network"}
    server.plans = {"whole": [serve(BODY)]}
    asked.append(Question("c", f"{server.url}/whole"))
    assert [one.state for one in ask_all(asked)] == ["no answer", "no answer", "reachable"]


def test_a_host_without_an_address_is_gone_only_where_others_answer(server, monkeypatch):
    found = socket.getaddrinfo

    def look_up(host, *more, **options):
        if host == "gone.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setenv("no_proxy", "127.0.0.1,gone.invalid")
    server.plans = {"whole": [serve(BODY)]}
    gone, here = Question("a", "http://gone.invalid/x"), Question("b", f"{server.url}/whole")
    assert [one.state for one in ask_all([gone])] == ["no network"]
    assert [(one.state, one.said) for one in ask_all([gone, here])] == [
        ("gone", "no such host"),
        ("reachable", ""),
    ]


SOURCES = {
    "file": {"path": "a.bin", "urls": ["http://x/a", "file:///a"], "page": "http://x/page"},
    "joined": {
        "path": "b.bin",
        "parts": [
            {"urls": ["http://x/0"], "alternates": [{"url": "http://y/0", "note": "moved"}]},
            {"urls": ["http://x/1"]},
        ],
        "alternates": [{"note": "look there"}],
    },
    "ids": {"path": "ids.json", "urls": ["http://x/ids"]},
    "videos": {
        "path": "v",
        "alternates": [{"url": "http://y/{key}.mp4", "note": "a copy"}],
        "videos": {
            "by": "template",
            "ids_from": ["ids"],
            "url": "http://x/{key}.mp4",
            "key": "v_(.)",
        },
    },
    "site": {"path": "s", "videos": {"by": "yt_dlp", "ids_from": ["ids"], "url": "http://x/{key}"}},
}


def test_every_address_is_asked_and_of_videos_one(tmp_path):
    asked = list_addresses(SOURCES, SOURCES, tmp_path)
    assert [one.address for one in asked if one.is_page] == ["http://x/page"]
    assert [one.address for one in asked if one.source == "joined"] == [
        *("http://x/0", "http://y/0", "http://x/1")
    ]
    assert not [one for one in asked if one.source in ("videos", "site")], "no list of ids yet"
    (tmp_path / "ids.json").write_text('{"v_q": {}, "other": {}}')
    asked = list_addresses(SOURCES, ["videos"], tmp_path)
    assert [one.address for one in asked] == ["http://x/q.mp4", "http://y/q.mp4"]


def test_answers_are_kept_and_no_network_replaces_none(tmp_path):
    def answer(name: str, state: str, date: str) -> Answer:
        return Answer(name, f"http://x/{name}", state, date)

    first = [answer("a", "gone", "2026-01-01"), answer("b", "reachable", "2026-01-01")]
    reachability.write_answers(tmp_path, first)
    away = [answer("a", "no network", "2026-02-01"), answer("c", "no network", "2026-02-01")]
    reachability.write_answers(tmp_path, away)
    assert reachability.read_answers(tmp_path) == [*first, away[1]]
    reachability.write_answers(tmp_path, [answer("a", "moved", "2026-03-01")])
    assert reachability.read_answers(tmp_path)[0].state == "moved"
    (tmp_path / "addresses.csv").write_text("source,nonsense\na,b\n")
    with pytest.raises(UserError, match=r"addresses\.csv: no table of source, address, state"):
        reachability.read_answers(tmp_path)


def test_the_list_shows_what_was_found_and_reported(server, tmp_path):
    server.plans = {"whole": [serve(BODY)]}
    about = {"kind": "weights", "licence": "MIT", "purpose": "a test"}
    sources = {
        "one": about
        | {"path": "one.bin", "urls": [f"{server.url}/whole", f"{server.url}/lost"]}
        | {"alternates": [{"note": "404 reported by somebody, 2023"}]},
        "two": about | {"path": "two.bin", "urls": [f"{server.url}/lost"]},
    }
    answers = addresses.check(sources, tmp_path, None)
    assert addresses.lost(answers) == ["two"]
    said = addresses.as_text(answers, tmp_path)
    assert f"gone       {server.url}/lost (HTTP 404)" in said
    assert "2 gone, 1 reachable; noted in" in said and "answers: two" in said
    statuses = list_sources(sources, tmp_path)
    text = render(statuses, total(statuses, tmp_path))
    assert f"addresses asked {answers[0].date}: 1 gone, 1 reachable" in text
    assert "reported: 404 reported by somebody, 2023" in text
    assert not list(tmp_path.glob("*.bin*"))


def test_no_network_is_said_as_that(nowhere, tmp_path):
    about = {"kind": "weights", "licence": "MIT", "purpose": "a test"}
    answers = addresses.check(
        {"it": about | {"path": "x", "urls": [f"{nowhere}/x"]}}, tmp_path, None
    )
    said = addresses.as_text(answers, tmp_path)
    assert "no network here, so nothing is known" in said and "gone" not in said


def test_alternates_are_tried_last_and_held_to_the_same_checksum(get, server, target):
    server.plans = {"dead": [status(404)], "wrong": [serve(BODY[::-1])], "copy": [serve(BODY)]}
    noted = [{"note": "look there"}]
    noted += [{"url": f"{server.url}/{name}", "note": "a copy"} for name in ("wrong", "copy")]
    facts = get("dead", alternates=noted)
    assert facts["files"][0]["from"] == f"{server.url}/copy" and target.read_bytes() == BODY
    assert "wrong SHA-256" in facts["tried"][1]
    assert [name for name, _ in server.requests] == ["dead", "wrong", "copy"]


def test_alternates_of_parts_are_tried(server, tmp_path):
    server.plans = {"0": [status(404)], "copy": [serve(BODY[:10])], "1": [serve(BODY[10:20])]}
    alternate = {"url": f"{server.url}/copy", "note": "a copy"}
    parts = [
        {"urls": [f"{server.url}/0"], "alternates": [alternate]},
        {"urls": [f"{server.url}/1"]},
    ]
    source = {"path": "x.bin", "parts": parts}
    fetch(source, tmp_path, mirror=None, progress=False, attempts=1, backoff_s=0.001)
    assert (tmp_path / "x.bin").read_bytes() == BODY[:20]


def test_an_alternate_changes_no_identity():
    source = {"path": "x.bin", "urls": ["http://x/a"]}
    assert content_key(
        source | {"alternates": [{"url": "http://y/a", "note": "n"}]}
    ) == content_key(source)
