"""Videos by id list: each one fetched, resumed and counted by itself.

The ids come from annotation files. A video appears under its name whole or not at all, so that a
killed run goes on with the next. What cannot be had is listed in `unavailable.csv`; more than the
stated share of it, or many failures in a row, and the run stops with what it has.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tsgbench.downloads import join_address, obtain, want, ytdlp
from tsgbench.downloads.archives import describe_manifest
from tsgbench.downloads.formats import find_format_fault
from tsgbench.downloads.identifiers import (
    fill_template,
    key_of,
    read_keys,
    templates_of,
    wanted_videos,
)
from tsgbench.downloads.manifest import MANIFEST, read_manifest, write_manifest
from tsgbench.downloads.transfer import DownloadRefusedError, FileSpec, RetryPolicy, transfer_file
from tsgbench.downloads.unavailable import (
    UNAVAILABLE,
    Loss,
    Unavailable,
    count_reasons,
    read_losses,
    write_losses,
)
from tsgbench.errors import UserError
from tsgbench.files import sha256_file

log = logging.getLogger(__name__)

SCRATCH = ".incoming"
# So many failures in a row that may pass are no bad luck: the site refuses, or the network is gone
MOST_IN_A_ROW = 10
SAVED_EVERY = 100

Bring = Callable[[str, Path], None]  # (video id, where to put it); raises Unavailable


def collect(
    name: str,
    sources: dict[str, dict],
    destination: Path,
    *,
    ready: dict[str, list[Path]],
    how: dict,
) -> dict:
    """Fetch every video that the annotation files name, as far as it can be had.

    ready: source -> its files, for needed sources that are already here; the others are fetched
    first. how: keyword arguments of `fetch`. Returns facts as `fetch` does, with the manifest as
    the one file, and `videos`: `wanted`, `here`, `bytes`, `unavailable` (reason -> how many).
    """
    source = sources[name]
    spec = source["videos"]
    folder = want(source, destination).target
    folder.mkdir(parents=True, exist_ok=True)
    needed = {
        need: ready.get(need) or _files(obtain(need, sources, destination, **how), destination)
        for need in source.get("needs", [])
    }
    wanted = wanted_videos(spec, needed)
    near = _first_of(
        _from_mirror(source, wanted, how),
        _from_spares(spec.get("spares", []), sources, destination, ready, how),
    )
    gather = Gathering(name, source, folder, wanted)
    gather.run(near, _from_upstream(source, needed, folder, wanted, how))
    entries = read_manifest(folder / MANIFEST)
    return {
        "path": source["path"],
        "excerpt": False,
        "substitute": False,
        "files": [describe_manifest(destination, folder, "videos")],
        "videos": {
            "wanted": len(wanted),
            "here": len(entries),
            "bytes": sum(entry.bytes for entry in entries.values()),
            "unavailable": count_reasons(gather.losses),
        },
        "tried": [],
    }


class Gathering:
    """One run over the ids, and its books: what is here, what is lost, when to stop."""

    def __init__(self, name: str, source: dict, folder: Path, wanted: dict[str, str | None]):
        self.name, self.source, self.folder, self.ids = name, source, folder, list(wanted)
        self.spec = source["videos"]
        known = read_losses(folder / UNAVAILABLE)
        self._discard_wrong(wanted)
        # What may have passed is tried again; a video that has come is lost no more
        self.losses = {
            video: loss
            for video, loss in known.items()
            if loss.is_final and video in wanted and not self.path_of(video).is_file()
        }
        self.in_a_row = 0

    def _discard_wrong(self, wanted: dict[str, str | None]) -> None:
        """What is here and not what its checksum says is fetched again."""
        for video, sha256 in wanted.items():
            path = self.path_of(video)
            if sha256 and path.is_file() and sha256_file(path) != sha256:
                log.warning("%s: wrong SHA-256; fetched again", path)
                path.unlink()

    def path_of(self, video: str) -> Path:
        """Where a video lies, or will."""
        return self.folder / f"{video}{self.spec['suffix']}"

    def run(self, near: Bring, upstream: Bring) -> None:
        """Fetch what is not here. near: mirror and spares, asked for every video; upstream: the
        host, asked for those that near has not and that were not refused for good."""
        open_ids = [video for video in self.ids if not self.path_of(video).is_file()]
        log.info("%s: %d of %d videos to fetch", self.name, len(open_ids), len(self.ids))
        try:
            for count, video in enumerate(open_ids, start=1):
                self._fetch(video, near, upstream)
                if count % SAVED_EVERY == 0:
                    self._save()
                    lost = len(self.losses)
                    log.info("%s: %d of %d, %d lost", self.name, count, len(open_ids), lost)
        finally:
            self._save()
        self._check_share()
        shutil.rmtree(self.folder / SCRATCH, ignore_errors=True)

    def _fetch(self, video: str, near: Bring, upstream: Bring) -> None:
        try:
            near(video, self.path_of(video))
            self.losses.pop(video, None)
            return
        except Unavailable:
            if video in self.losses:
                return
        try:
            upstream(video, self.path_of(video))
            self.in_a_row = 0
        except Unavailable as error:
            log.info("%s: %s: %s", self.name, video, error)
            self.losses[video] = Loss.of(error)
            if self.spec["by"] == "page":
                return  # all that is to be placed by hand is told at once
            self.in_a_row = 0 if error.is_final else self.in_a_row + 1
            self._check_share()
            if self.in_a_row >= MOST_IN_A_ROW:
                raise UserError(
                    f"{self.name}: {self.in_a_row} videos in a row failed (last: {error}), so the"
                    " site refuses or the network is gone; run again later, what has come is kept"
                ) from None

    def _check_share(self) -> None:
        limit = self.spec["max_failed_share"]
        if len(self.losses) <= limit * len(self.ids):
            return
        reasons = ", ".join(f"{n} {reason}" for reason, n in count_reasons(self.losses).items())
        remedy = (
            f"see {self.folder / UNAVAILABLE}, and raise videos.max_failed_share if it is right"
        )
        if "page" in self.source:
            remedy = f"get them from {self.source['page']} and place them as {self.path_of('ID')}"
        raise UserError(
            f"{self.name}: {len(self.losses)} of {len(self.ids)} videos cannot be had, more than"
            f" the share {limit} that config/sources.yaml allows ({reasons}); {remedy}"
        )

    def _save(self) -> None:
        here = (self.path_of(video) for video in self.ids)
        write_manifest(self.folder, [path.name for path in here if path.is_file()])
        write_losses(self.folder / UNAVAILABLE, self.losses)


def _first_of(*ways: Bring | None) -> Bring:
    """Ask several ways in turn; Unavailable where none has the video, or there is none."""

    def bring(video: str, target: Path) -> None:
        for way in filter(None, ways):
            try:
                return way(video, target)
            except Unavailable:
                continue
        raise Unavailable("neither in the mirror nor in a spare", is_final=False)

    return bring


def _policy(how: dict) -> RetryPolicy:
    return RetryPolicy(
        False,  # a bar for each of thousands would drown everything else
        how.get("attempts", 4),
        how.get("backoff_s", 1.0),
        how.get("timeout_s", 30.0),
        how.get("longest_wait_s", 300.0),
    )


def _transfer(sha256: str | None, target: Path, addresses: list[str], policy: RetryPolicy) -> None:
    """The first address that gives the right file; gone for good only if it is so for all."""
    wanted = FileSpec(target.name, target, None, sha256, keeps_record=False)
    refusals = []
    for address in addresses:
        try:
            transfer_file(wanted, address, policy)
            return
        except DownloadRefusedError as reason:
            refusals.append(reason)
    said = "; ".join(dict.fromkeys(map(str, refusals)))
    raise Unavailable(said, is_final=all(reason.is_final for reason in refusals))


def _from_mirror(source: dict, wanted: dict[str, str | None], how: dict) -> Bring | None:
    if not how.get("mirror"):
        return None

    def bring(video: str, target: Path) -> None:
        address = join_address(how["mirror"], f"{source['path']}/{target.name}")
        _transfer(wanted[video], target, [address], _policy(how))

    return bring


def _from_spares(
    names: list[str],
    sources: dict[str, dict],
    destination: Path,
    ready: dict[str, list[Path]],
    how: dict,
) -> Bring | None:
    """Videos that another source has, where the usual host lost them; matched by id or stem.

    A spare that cannot be had costs its videos, which are counted, and stops nothing.
    """
    video_files: dict[str, Path] = {}
    for name in names:
        try:
            files = ready.get(name) or _files(
                obtain(name, sources, destination, **how), destination
            )
        except UserError as error:
            log.warning("%s: %s", name, error)
            continue
        video_files |= {path.stem: path for path in files} | {path.name: path for path in files}
    if not video_files:
        return None

    def bring(video: str, target: Path) -> None:
        spare = (
            video_files.get(target.name)
            or video_files.get(video)
            or video_files.get(Path(video).stem)
        )
        if spare is None:
            raise Unavailable("in no spare", is_final=True)
        if fault := find_format_fault(spare, spare.name):
            raise Unavailable(fault, is_final=True)
        copy = target.with_name(target.name + ".part")
        shutil.copyfile(spare, copy)
        os.replace(copy, target)

    return bring


def _from_upstream(
    source: dict,
    needed: dict[str, list[Path]],
    folder: Path,
    wanted: dict[str, str | None],
    how: dict,
) -> Bring:
    spec = source["videos"]
    if spec["by"] == "page":

        def ask_a_person(_video: str, _target: Path) -> None:
            raise Unavailable("to be placed by hand", is_final=False)

        return ask_a_person
    keys = None
    if "keys" in spec:
        keys = {k: v for path in needed[spec["keys"]] for k, v in read_keys(path).items()}
    program: list[str] = []

    def bring(video: str, target: Path) -> None:
        key = key_of(video, spec.get("key", "(.+)"), keys)
        if key is None:
            raise Unavailable("its host's name for it is not known", is_final=True)
        addresses = [fill_template(template, key) for template in templates_of(source)]
        time.sleep(spec.get("pause_s", 0))
        if spec["by"] == "template":
            return _transfer(wanted[video], target, addresses, _policy(how))
        if not program:  # looked for when first needed: a complete folder or mirror needs none
            program.extend(ytdlp.find_program())
        choice = spec.get("format", ytdlp.FORMAT)
        scratch = folder / SCRATCH
        return ytdlp.bring_video(program, addresses[0], target, scratch=scratch, choice=choice)

    return bring


def _files(facts: dict, destination: Path) -> list[Path]:
    """The files of facts, with those that manifests among them list."""
    paths: Iterable[Path] = [destination / file["path"] for file in facts["files"]]
    return [
        entry
        for path in paths
        for entry in (
            [path.parent / name for name in read_manifest(path)]
            if path.name == MANIFEST
            else [path]
        )
    ]
