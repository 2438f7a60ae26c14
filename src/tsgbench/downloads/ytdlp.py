"""Videos of a site that only yt-dlp can read: an optional program, run once a video."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tsgbench.downloads.formats import find_format_fault
from tsgbench.downloads.unavailable import Unavailable
from tsgbench.errors import UserError

# No sound, at most 480 lines, and H.264 before what decodes slowly; a single file, so no ffmpeg
FORMAT = "bv[ext=mp4][vcodec^=avc1][height<=480]/b[ext=mp4][height<=480]/bv[ext=mp4]/b[ext=mp4]"
LONGEST_S = 1800.0

# What the site says of itself or of us, not of the video: another day it may answer
PASSING = re.compile(
    r"not a bot|429|too many requests|rate.?limit|try again later|timed? ?out|HTTP Error 5\d\d"
    r"|HTTP Error 403|unable to download|connection|network|resolve|temporar",
    re.IGNORECASE,
)
# (what yt-dlp says, what the table of losses says): one wording a cause, to count by
FINAL = [
    (re.compile(pattern, re.IGNORECASE), reason)
    for pattern, reason in (
        (r"private video|video is private", "private"),
        (r"account.*(terminated|closed)|no longer available because.*account", "account closed"),
        (r"copyright", "removed for copyright"),
        (r"removed|deleted", "removed"),
        (r"your country|geo.?restrict", "not available in this country"),
        (r"confirm your age|age.?restrict|inappropriate", "age restricted"),
        (r"members.?only|join this channel|requires payment|premium", "members only"),
        (r"requested format is not available|no video formats", "no MP4 offered"),
        (r"unavailable|not available|does not exist|no longer", "unavailable"),
    )
]


def find_program() -> list[str]:
    """The command that runs yt-dlp; `UserError` that says how to get it."""
    if program := shutil.which("yt-dlp"):
        return [program]
    if importlib.util.find_spec("yt_dlp"):
        return [sys.executable, "-m", "yt_dlp"]
    raise UserError(
        "yt-dlp: not found, and these videos come through it alone; install it (pip install"
        " yt-dlp), or set `mirror:` or TSGBENCH_MIRROR to a folder that has them"
    )


def bring_video(
    program: list[str],
    address: str,
    target: Path,
    *,
    scratch: Path,
    choice: str = FORMAT,
    longest_s: float = LONGEST_S,
) -> None:
    """Have yt-dlp bring one video to `target`; raises Unavailable.

    scratch: a folder where what has come of it waits, so that a killed run goes on there. choice:
    yt-dlp's format selection. longest_s: seconds after which a video counts as failed.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    command = [
        *program,
        "--ignore-config",
        "--no-playlist",
        "--no-progress",
        "--no-warnings",
        "--no-mtime",
        "--continue",
        *("--retries", "4", "--socket-timeout", "30"),
        *("--format", choice),
        *("--output", f"{scratch / target.stem.replace('%', '%%')}.%(ext)s"),
        "--",
        address,
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=longest_s
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"took more than {longest_s:.0f} s", is_final=False) from None
    except OSError as error:
        raise UserError(
            f"{program[0]}: cannot be run ({error.strerror}); install it again"
        ) from None
    if done.returncode != 0:
        raise _explain(done.stderr, done.returncode, target)
    came = scratch / (target.stem + target.suffix)
    if not came.is_file() or came.stat().st_size == 0:
        raise Unavailable(f"yt-dlp ended well and made no {target.suffix} file", is_final=False)
    if fault := find_format_fault(came, target.name):
        came.unlink()
        raise Unavailable(fault, is_final=False)
    came.replace(target)


def _explain(said: str, status: int, target: Path) -> Unavailable:
    """What a failed run means for its video. `UserError` if it is the disk's fault."""
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    text = " ".join(errors).removeprefix("ERROR:").strip()
    if "No space left on device" in said:
        raise UserError(f"{target}: the disk is full; free some space and run again")
    # Without what it says of the id, which may spell any word
    told = re.sub(r"^\[[^\]]*\]\s+\S+:\s*", "", text)
    if not PASSING.search(told):
        for pattern, reason in FINAL:
            if pattern.search(told):
                return Unavailable(reason, is_final=True)
    return Unavailable(told[:200] or f"yt-dlp ended with status {status}", is_final=False)
