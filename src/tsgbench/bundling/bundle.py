"""Write a bundle: collect, describe, pack."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tsgbench.bundling import names
from tsgbench.bundling.anonymous import Anonymiser, Hidden, anonymise
from tsgbench.bundling.archive import write_archive
from tsgbench.bundling.checklist import as_text as checklist_text
from tsgbench.bundling.checklist import fill_in
from tsgbench.bundling.compute import as_text as compute_text
from tsgbench.bundling.compute import report_compute
from tsgbench.bundling.contents import Contents, collect
from tsgbench.bundling.crate import describe_run
from tsgbench.bundling.croissant import describe_data
from tsgbench.bundling.pages import describe_bundle, render_preview
from tsgbench.bundling.software import describe_code, licences_text
from tsgbench.planning.study import Study


@dataclass(frozen=True)
class Bundled:
    """What was written. referenced: files known by digest and size alone; unanswered: items of the
    checklist, of `items`."""

    path: Path
    results: int
    packed: int
    packed_bytes: int
    referenced: int
    referenced_bytes: int
    items: int
    unanswered: int
    hidden: Hidden | None = None


def bundle(
    study: Study,
    path: Path,
    targets: Iterable[str] = (),
    *,
    with_data: bool = False,
    anonymous: bool = False,
    source: str | None = None,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> Bundled:
    """Write the archive of some results; see `contents.collect` for the arguments and refusals.

    anonymous: without what tells who made them, and where (anonymous.py).
    """
    contents = collect(study, targets, with_data=with_data, source=source, progress=progress)
    if not anonymous:
        return _write(path, contents)
    with tempfile.TemporaryDirectory() as folder:
        hidden, hide = anonymise(contents, Path(folder))
        return _write(path, hidden, hide)


def _write(path: Path, contents: Contents, hide: Anonymiser | None = None) -> Bundled:
    """Describe and pack."""
    compute = report_compute(contents.records)
    items = fill_in(contents, compute)
    texts = _describe(contents) | {
        names.CHECKLIST: checklist_text(items),
        names.COMPUTE: compute_text(compute),
        names.COMPUTE_JSON: _json(compute),
    }
    if hide:
        texts = {name: hide.text(text) for name, text in texts.items()}
    texts[names.PREVIEW] = render_preview(contents, texts)
    if hide:
        texts[names.PREVIEW] = hide.text(texts[names.PREVIEW])
    added = {name: _measure(text) for name, text in sorted(texts.items())}
    texts[names.CRATE] = _json(describe_run(contents, added))
    if hide:
        texts[names.CRATE] = hide.text(texts[names.CRATE])
        hide.check(contents.files, texts)
    write_archive(path, contents.files, texts)
    packed = [file.bytes for file in contents.files if file.is_packed]
    referenced = [file.bytes for file in contents.files if not file.is_packed]
    return Bundled(
        path=path,
        results=len(contents.results),
        packed=len(packed),
        packed_bytes=sum(packed),
        referenced=len(referenced),
        referenced_bytes=sum(referenced),
        items=len(items),
        unanswered=sum(not item.evidence for item in items),
        hidden=hide.hidden if hide else None,
    )


def _describe(contents: Contents) -> dict[str, str]:
    """What follows from contents alone: path in the archive -> text."""
    return {
        names.README: describe_bundle(contents),
        names.STUDY: _json(contents.study.config),
        names.CODEMETA: _json(describe_code(contents)),
        names.LICENCES: licences_text(contents),
        **{
            f"{names.CROISSANT}/{name}.json": _json(sheet)
            for name, sheet in describe_data(contents).items()
        },
    }


def _json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _measure(text: str) -> tuple[str, int]:
    content = text.encode()
    return hashlib.sha256(content).hexdigest(), len(content)
