"""Which requests the page and its script may make, and what they get.

Whatever is open in the same browser could send requests here, too: those under another host name
(a name may be led to this machine) and those that another page makes are refused.
"""

import mimetypes
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, render_template, request, send_file
from werkzeug.exceptions import Forbidden, HTTPException, NotFound

from tsgbench import __version__
from tsgbench.errors import UserError
from tsgbench.features.failures import VIDEO_ENDINGS
from tsgbench.reporting.templates import FILES
from tsgbench.serving.desk import CELLS, CHARACTERS, SENTENCES, Busy, Desk
from tsgbench.serving.shelf import Shelf, Video

PAGE = Path(__file__).parent / "page"
PARTS = {
    "page.css": FILES["page.css"],
    **{name: (PAGE / name).read_text(encoding="utf-8") for name in ("demo.css", "demo.js")},
}
HOSTS = ("127.0.0.1", "localhost")
QUESTION_BYTES = 1 << 16
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " media-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def build_app(shelf: Shelf, desk: Desk, *, port: int, title: str, is_demo: bool) -> Flask:
    """title: what stands above the page. is_demo: whether it says that its cells are a demo's."""
    app = Flask(__name__, template_folder="page", static_folder=None)
    _guard(app, [f"{host}:{port}" for host in HOSTS])
    _explain(app, shelf.max_bytes)
    _add_page(app, title, is_demo)
    _add_videos(app, shelf, desk)
    _add_questions(app, shelf, desk)
    return app


def _guard(app: Flask, hosts: list[str]) -> None:
    @app.before_request
    def refuse_strangers() -> None:
        if request.headers.get("Host") not in hosts:
            raise Forbidden(f"This page is served at {hosts[0]} alone.")
        is_foreign = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
        if is_foreign and request.path != "/":
            raise Forbidden("Another page may not ask for this.")
        if request.method == "POST" and request.headers.get("Origin") != request.host_url[:-1]:
            raise Forbidden("Another page may not send this.")

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response


def _explain(app: Flask, max_bytes: int) -> None:
    """What goes wrong is a sentence, as JSON that the script shows."""

    def said(sentence: str, status: int) -> tuple[Response, int]:
        return jsonify(error=sentence), status

    @app.errorhandler(UserError)
    def of_user(error: UserError) -> tuple[Response, int]:
        return said(str(error), 429 if isinstance(error, Busy) else 400)

    @app.errorhandler(OSError)
    def of_system(error: OSError) -> tuple[Response, int]:
        return said(f"The server cannot read or write a file: {error.strerror}", 500)

    @app.errorhandler(HTTPException)
    def of_request(error: HTTPException) -> tuple[Response, int]:
        sentence = error.description or error.name
        if error.code == 413 and request.path == "/videos":
            limit = f"{max_bytes / 1e6:,.0f} MB"
            sentence = f"Larger than {limit}; start the page with a larger --max-upload"
        return said(sentence, error.code or 500)


def _add_page(app: Flask, title: str, is_demo: bool) -> None:
    @app.get("/")
    def show_page() -> str:
        return render_template("demo.html", title=title, is_demo=is_demo, version=__version__)

    @app.get("/page/<name>")
    def show_part(name: str) -> Response:
        if name not in PARTS:
            raise NotFound
        return Response(PARTS[name], mimetype=mimetypes.guess_type(name)[0])


def _add_videos(app: Flask, shelf: Shelf, desk: Desk) -> None:
    @app.get("/offers")
    def list_offers() -> Response:
        return jsonify(
            videos=[_of_video(video) for video in shelf.videos()],
            cells=[
                {"key": cell.key, "label": cell.label, "about": cell.about}
                for cell in desk.offered.values()
            ],
            limits={
                "cells": CELLS,
                "sentences": SENTENCES,
                "characters": CHARACTERS,
                "bytes": shelf.max_bytes,
                "endings": VIDEO_ENDINGS,
            },
        )

    @app.get("/videos/<key>")
    def send_video(key: str) -> Response:
        """The file, or the range of it that a player asks for."""
        path = shelf.find(key).path
        kind = mimetypes.guess_type(path.name)[0] or ""
        kind = kind if kind.startswith("video/") else "application/octet-stream"
        return send_file(path.resolve(), mimetype=kind, conditional=True, max_age=0)

    @app.post("/videos")
    def take_video() -> Response:
        request.max_content_length = shelf.max_bytes
        return jsonify(_of_video(shelf.add(request.args.get("name", ""), request.stream)))


def _of_video(video: Video) -> dict[str, Any]:
    return {
        "key": video.key,
        "name": video.name,
        "group": video.group,
        "sentences": [[one.text, one.start_s, one.end_s] for one in video.sentences],
    }


def _add_questions(app: Flask, shelf: Shelf, desk: Desk) -> None:
    @app.post("/questions")
    def ask() -> tuple[Response, int]:
        request.max_content_length = QUESTION_BYTES
        asked = request.get_json()
        parts = asked if isinstance(asked, dict) else {}
        video, sentences, cells = (parts.get(name) for name in ("video", "sentences", "cells"))
        if not isinstance(video, str) or not _are_texts(sentences) or not _are_texts(cells):
            raise UserError("A question has a video, a list of sentences and a list of cells")
        question = desk.ask(shelf.find(video), sentences, cells)  # type: ignore[arg-type]
        return jsonify(number=question.number), 202

    @app.get("/questions/<int:number>")
    def look_at(number: int) -> Response:
        return jsonify(desk.progress(number))


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
