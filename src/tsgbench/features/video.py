"""Decoding: video files to clips of frames with their exact times.

Time zero is where the container's own clock starts, as in a player; a frame is on screen from its
presentation time until that of the next frame. All times are half-open intervals in seconds.
"""

import itertools
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter

from tsgbench.errors import UserError

# Containers that hold their film themselves. Whatever else FFmpeg takes for a video (playlists,
# scripts and lists of files, session descriptions) may name any file or host; pictures are none.
CONTAINERS = (
    "asf,av1,avi,cavsvideo,dirac,dv,flv,gif,gxf,h261,h263,h264,hevc,ivf,kux,live_flv,m4v,matroska,"
    "mjpeg,mov,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,rm,swf,vc1,wtv,yuv4mpegpipe"
)
OWN_FILE_ALONE = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}

# A file may hold a little less than its header says (edit lists, a last frame never written);
# missing more than both of these means that it was cut off.
MISSING_S = 1.0
MISSING_SHARE = 0.05

# Streams that are no film: a cover, thumbnails of chapters, one still picture
NO_FILM = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
# Beside a film, a stream of one of these is a picture of it, however its file marks it
PICTURE_CODECS = {"bmp", "gif", "mjpeg", "png", "tiff", "webp"}
# Matroska's length of one stream, HH:MM:SS.fraction, under DURATION or, say, DURATION-eng
DURATION_TAG = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")

# Matroska rounds times to milliseconds: a tick and a change of frames this close are simultaneous.
ROUNDING_S = 6e-4

# Without the last two, FFmpeg's fast conversion to RGB is off by up to two grey levels of 255.
SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


@dataclass(frozen=True)
class VideoInfo:
    """What a file's header says. duration_s: the container's, audio included, as annotators see it.
    width, height: of the pictures as stored, before the rotation that a telephone may ask for.

    frames: of the video stream; an estimate from duration and rate where the header has no count.
    """

    duration_s: float
    fps: float
    width: int
    height: int
    frames: int


def probe(path: str | Path) -> VideoInfo:
    """Read a video's header. `UserError` if it is missing, empty, damaged or holds no video."""
    with _open(path) as (container, stream):
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        duration_s = _container_s(container) or _stream_s(container, stream) or 0.0
        if not duration_s or not fps:
            raise UserError(
                f"{shown(path)}: has no duration or frame rate; re-encode it, for example to MP4"
            )
        frames = stream.frames or round((_stream_s(container, stream) or duration_s) * fps)
        return VideoInfo(duration_s, fps, stream.width, stream.height, frames)


@dataclass(frozen=True)
class View:
    """What is made of a video's frames; `read_clips` says what each setting means."""

    size: int | tuple[int, int]
    keep_aspect: bool = False
    crop: int | None = None
    clip_len: int = 16
    stride: int = 8
    fps: float | None = None
    until_s: float | None = None
    chunk_clips: int = 32

    def __post_init__(self) -> None:
        numbers = self.clip_len, self.stride, self.fps, self.until_s
        if min(number for number in numbers if number is not None) <= 0:
            raise UserError(
                f"clip_len {self.clip_len}, stride {self.stride}, fps {self.fps}, until_s"
                f" {self.until_s}: all must be above 0"
            )

    @property
    def frames(self) -> tuple:
        """How its frames are resized and cut."""
        return self.size, self.keep_aspect, self.crop


Clips = tuple[np.ndarray, np.ndarray]  # and their times


def read_clips(
    path: str | Path,
    *,
    size: int | tuple[int, int],
    keep_aspect: bool = False,
    crop: int | None = None,
    clip_len: int = 16,
    stride: int = 8,
    fps: float | None = None,
    until_s: float | None = None,
    chunk_clips: int = 32,
) -> Iterator[Clips]:
    """Clips of `clip_len` frames, every `stride` frames, in chunks of at most `chunk_clips`.

    Every frame is decoded once and those that are taken are resized at once, to `size` (height,
    width; with `keep_aspect`, to fit into it; one number: a square, or with `keep_aspect` the
    shorter side), then cut to a central square of `crop` pixels.
    fps: None takes every frame of the file; a number takes, for each tick of that clock, the frame
    on screen at that moment. until_s: None takes the whole video; a number only what appears before
    that second, and what follows is not decoded.

    Yields RGB (n, clip_len, H, W, 3) uint8 and times (n, 2): when a clip's first frame appears and
    when its last one leaves the screen, never beyond the end of the video. Where the frames left
    over at the end do not fill a stride, the last clip is moved back to end with the video, so that
    every frame is in a clip (for `stride <= clip_len`). A video shorter than one clip gives one
    clip, its last frame repeated. Memory does not grow with the length of the video.
    """
    view = View(size, keep_aspect, crop, clip_len, stride, fps, until_s, chunk_clips)
    for _, seen in read_views(path, [view]):
        if isinstance(seen, UserError):
            raise seen
        if seen is not None:
            yield seen


def read_views(
    path: str | Path, views: Sequence[View]
) -> Iterator[tuple[int, Clips | UserError | None]]:
    """Clips of several views of one video, which is decoded once: of each view what `read_clips`
    gives, to the bit.

    Yields a view's number and its next chunk of clips; None once it has them all; or what is wrong
    with that view alone, which then ends. Whatever is wrong with the video is raised, for all views
    that have not ended. Every frame is shown to all views before the next one is decoded, so that
    none runs ahead and full-size frames do not pile up; decoding ends with the last view.
    """
    shrinkers = {view.frames: _Shrinker(path, *view.frames) for view in views}
    boxes: list[deque[tuple | None]] = [deque() for _ in views]
    reading = {n: _clips(_handed_over(boxes[n]), view) for n, view in enumerate(views)}
    empty = set(reading)
    for frame in itertools.chain(_read_frames(path), [None]):
        # Of views that resize alike, the first one that takes the frame makes the picture for all
        makers = {key: _Picture(shrink, frame) for key, shrink in shrinkers.items()}
        for number, clips in list(reading.items()):
            boxes[number].append(frame and (makers[views[number].frames], *frame[1:]))
            seen: Clips | UserError | None
            try:
                while (seen := next(clips)) is not None:
                    empty.discard(number)
                    yield number, seen
                continue
            except StopIteration:
                seen = _no_picture(path, views[number]) if number in empty else None
            except av.error.FFmpegError as error:
                seen = _undecodable(path, error)
            except UserError as error:
                seen = error
            del reading[number]
            yield number, seen
        if not reading:
            return


def _no_picture(path: str | Path, view: View) -> UserError:
    """Of a video of no length, or whose film begins after all that is taken of it."""
    return UserError(
        f"{shown(path)}: shows no picture that the recipe takes (fps: {view.fps}, until_s:"
        f" {view.until_s}); get the file again, or take more of it"
    )


class _Picture:
    """A frame that becomes a picture when it is first asked for."""

    def __init__(self, shrink: "_Shrinker", frame: tuple | None) -> None:
        self.shrink = shrink
        self.frame: Any = frame and frame[0]
        self.made: np.ndarray | None = None

    def make(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        if self.made is None:
            self.made, self.frame = self.shrink(self.frame), None
        return self.made


def _handed_over(box: deque[tuple | None]) -> Iterator[tuple | None]:
    """(`_Picture`, start_s, end_s) of each frame that is put into `box`, until a None is; and None
    whenever there is none yet."""
    is_first = True
    while True:
        if not box:
            yield None
            continue
        frame = box.popleft()
        if frame is None:
            return
        if is_first:  # whether or not it is taken: all pictures are of its size
            frame[0].shrink.fit(frame[0].frame)
            is_first = False
        yield frame


def _clips(frames: Iterator[tuple | None], view: View) -> Iterator[Clips | None]:
    """Chunks of clips; like all that it is put together of, None where a frame is awaited."""
    if view.fps is not None:
        frames = _at_rate(frames, view.fps)
    if view.until_s is not None:
        frames = _cut(frames, view.until_s)
    clips, times = [], []
    for window in _windows(_made(frames), view.clip_len, view.stride):
        if window is None:
            yield None
            continue
        clips.append(window[0])
        times.append(window[1])
        if len(clips) == view.chunk_clips:
            yield np.stack(clips), np.array(times)
            clips, times = [], []
    if clips:
        yield np.stack(clips), np.array(times)


def _made(frames: Iterator[tuple | None]) -> Iterator[tuple | None]:
    """Frames that are taken, as pictures."""
    for frame in frames:
        yield frame and (frame[0].make(), *frame[1:])


def _cut(frames: Iterator[tuple | None], until_s: float) -> Iterator[tuple | None]:
    """The frames that appear before `until_s`, and none on screen longer than that."""
    for frame in frames:
        if frame is None:
            yield None
            continue
        picture, start_s, end_s = frame
        if start_s >= until_s - ROUNDING_S:
            return
        yield picture, start_s, min(end_s, until_s)


def _windows(frames: Iterator[tuple | None], clip_len: int, stride: int) -> Iterator[tuple | None]:
    """Sliding windows over (picture, start_s, end_s); yields (clip, (start_s, end_s))."""
    kept: deque[tuple] = deque(maxlen=clip_len)
    count = 0
    for frame in frames:
        if frame is None:
            yield None
            continue
        count += 1
        kept.append(frame)
        if count >= clip_len and (count - clip_len) % stride == 0:
            yield _clip(list(kept))
    if 0 < count < clip_len:
        yield _clip([*kept, *[kept[-1]] * (clip_len - count)])
    elif count and (count - clip_len) % stride:
        yield _clip(list(kept))


def _clip(frames: list[tuple]) -> tuple[np.ndarray, tuple[float, float]]:
    return np.stack([picture for picture, _, _ in frames]), (frames[0][1], frames[-1][2])


def _at_rate(frames: Iterator[tuple | None], fps: float) -> Iterator[tuple | None]:
    """At every tick k / fps the frame on screen, shown until the next tick or the video's end."""
    tick, waiting, end_s = 0, None, 0.0
    for frame in frames:
        if frame is None:
            yield None
            continue
        picture, _, end_s = frame
        # A tick at a change of frames takes the new one. A tick before the first frame (a video
        # stream that starts late) takes the first.
        while tick / fps < end_s - ROUNDING_S:
            if waiting is not None:
                yield *waiting, tick / fps
            waiting = (picture, tick / fps)
            tick += 1
    if waiting is not None:
        yield *waiting, min(tick / fps, end_s)


def _read_frames(path: str | Path) -> Iterator[tuple[av.VideoFrame, float, float]]:
    """Decode: (frame, start_s, end_s) of every frame, in display order."""
    with _open(path) as (container, stream):
        waiting, end_s, frames = None, 0.0, 0
        for frame, start_s, length_s in _timed(container, stream):
            frames += 1
            if waiting is not None:
                yield *waiting, start_s
            waiting, end_s = (frame, start_s), start_s + length_s
        if waiting is None:
            raise UserError(
                f"{shown(path)}: holds no frame that can be decoded; get the file again"
            )
        if frames == 1 and stream.codec_context.name in PICTURE_CODECS:
            raise UserError(f"{shown(path)}: holds one picture and no video stream")
        _check_whole(path, container, stream, end_s)
        # The last frame's own is often only a guess; the name was that of a frame's length
        if length_s := _container_s(container):  # type: ignore[assignment]
            end_s = max(min(end_s, length_s), waiting[1])
        yield *waiting, end_s


class _Shrinker:
    """Decoded frames to upright RGB pictures, resized and cropped, all of the first one's size."""

    def __init__(
        self, path: str | Path, size: int | tuple[int, int], keep_aspect: bool, crop: int | None
    ) -> None:
        self.path, self.size, self.keep_aspect, self.crop = path, size, keep_aspect, crop
        self.resizer = VideoReformatter()  # one for all frames: it keeps its tables
        self.shape: tuple[int, int] | None = None

    def fit(self, frame: av.VideoFrame) -> tuple[int, int]:
        """Height and width of all pictures, by the first frame; `UserError` if the crop does not
        fit into them."""
        if self.shape is None:
            stored = (frame.height, frame.width)
            lies_down = _turns(frame) % 2 == 1
            shape = _scaled(*(stored[::-1] if lies_down else stored), self.size, self.keep_aspect)
            if self.crop and self.crop > min(shape):
                raise UserError(
                    f"{shown(self.path)}: crop: {self.crop} pixels do not fit into"
                    f" {shape[0]}x{shape[1]}"
                )
            self.shape = shape
        return self.shape

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3) uint8."""
        shape, turns = self.fit(frame), _turns(frame)
        height, width = shape[::-1] if turns % 2 else shape
        # One thread: handing lines of small pictures to helpers takes twice as long as scaling them
        small = self.resizer.reformat(
            frame, width, height, "rgb24", interpolation=SCALING, threads=1
        )
        return _centre(np.rot90(small.to_ndarray(), turns), self.crop)


def _turns(frame: av.VideoFrame) -> int:
    """Quarters counterclockwise, as the file asks players to; a matrix without a meaning gives any
    number."""
    return round(frame.rotation / 90) % 4 if abs(frame.rotation) <= 360 else 0


def _timed(
    container: "av.container.InputContainer", stream: av.VideoStream
) -> Iterator[tuple[av.VideoFrame, float, float]]:
    """Frames with start and own length in seconds; starts strictly increase."""
    tick_s: Any = stream.time_base  # of a stream of frames, never None
    frame_s = 1 / (stream.average_rate or stream.guessed_rate or Fraction(25))
    # AVI stores no presentation times: those that FFmpeg guesses jump back and forth behind
    # B-frames, while the decoding times, counted from the first, are those of the display.
    has_times = container.format.name != "avi"
    zero, last = None, None
    for frame in container.decode(stream):
        stamp: Any = frame.pts if has_times else frame.dts
        if zero is None:
            zero = (
                Fraction(container.start_time or 0, av.time_base) if has_times else stamp * tick_s
            )
        start = None if stamp is None else stamp * tick_s - zero
        if last is not None and (start is None or start <= last):
            start = last + frame_s  # no time, or one that goes back: count on from the frame before
        last = Fraction(0) if start is None else start
        yield frame, float(last), float(frame.duration * tick_s if frame.duration else frame_s)


def _scaled(
    height: int, width: int, size: int | tuple[int, int], keep_aspect: bool
) -> tuple[int, int]:
    if not isinstance(size, int):
        if not keep_aspect:
            return size[0], size[1]
        scale = min(size[0] / height, size[1] / width)
        return max(1, round(height * scale)), max(1, round(width * scale))
    if not keep_aspect:
        return size, size
    shorter = min(height, width)
    return round(height * size / shorter), round(width * size / shorter)


def _centre(picture: np.ndarray, crop: int | None) -> np.ndarray:
    if crop is None:
        return picture
    top, left = (picture.shape[0] - crop) // 2, (picture.shape[1] - crop) // 2
    return picture[top : top + crop, left : left + crop]


def shown(path: str | Path) -> str:
    r"""A path as it can be printed and written to a list: bytes that are not UTF-8 as `\xe9`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _container_s(container: "av.container.InputContainer") -> float | None:
    return container.duration / av.time_base if container.duration else None


def _stream_s(container: "av.container.InputContainer", stream: av.VideoStream) -> float | None:
    """Length of the video stream itself by the header, or None.

    Matroska, FLV and ASF state the container's alone, which sound or subtitles may make longer;
    most programs that write Matroska add a tag for each stream.
    """
    if stream.duration and container.format.name != "asf":  # there, FFmpeg repeats the container's
        return float(stream.duration * stream.time_base)  # type: ignore[operator]  # both known
    for name, text in stream.metadata.items():
        match = DURATION_TAG.fullmatch(text)
        if match and name.upper().split("-")[0] == "DURATION":
            hours, minutes, seconds = match.groups()
            length_s = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
            return min(length_s, _container_s(container) or length_s) or None
    return None


def _check_whole(
    path: str | Path, container: "av.container.InputContainer", stream: av.VideoStream, end_s: float
) -> None:
    declared_s = _stream_s(container, stream)
    if not stream.duration:  # other lengths count from zero, wherever the film starts
        end_s += max(0, container.start_time or 0) / av.time_base
    if declared_s is None:
        declared_s = _container_s(container)
        if declared_s is None and container.format.name == "asf":
            # FFmpeg gives no length where the header states another size than the file has
            raise UserError(
                f"{shown(path)}: cut off, or recorded live: its header's size is not the file's;"
                " get the file again, or re-encode it, for example to MP4"
            )
        # Where only the container's length is known, the end may be that of the sound
        if _is_short(declared_s, end_s):
            end_s = max(end_s, _last_packet_s(path))
    if _is_short(declared_s, end_s):
        raise UserError(
            f"{shown(path)}: cut off: its header promises {declared_s:.1f} s of video, but it ends"
            f" after {end_s:.1f} s; get the file again"
        )


def _is_short(declared_s: float | None, end_s: float) -> bool:
    return bool(declared_s) and (
        declared_s - end_s  # type: ignore[operator]  # not None, or bool() had said so
        > max(MISSING_S, MISSING_SHARE * declared_s)  # type: ignore[operator]
    )


def _last_packet_s(path: str | Path) -> float:
    """When the last packet of any stream ends, of all that is there; nothing is decoded."""
    end_s = 0.0
    with _open(path) as (container, _):
        try:
            for packet in container.demux():
                if packet.pts is not None:
                    end = (packet.pts + (packet.duration or 0)) * packet.time_base
                    end_s = max(end_s, float(end))
        except av.error.FFmpegError:  # what lies behind is lost
            return end_s
    return end_s


@contextmanager
def _open(path: str | Path) -> Iterator[tuple]:
    """The container and its film; what FFmpeg objects to becomes a `UserError`."""
    path = Path(path)
    if path.is_dir():
        raise UserError(
            f"{shown(path)}: is a folder, and a video is one file; make one of a folder of frames"
        )
    if not path.is_file():
        raise UserError(f"{shown(path)}: no such video file; check the folder of videos")
    if path.stat().st_size == 0:
        raise UserError(f"{shown(path)}: is empty (0 bytes); get the file again")
    try:
        with _container(path) as container:
            stream = _film(path, container)
            # on small videos, threads cost more than they bring; parallelism is over videos
            stream.thread_type = "NONE"
            yield container, stream
    except av.error.FFmpegError as error:
        raise _undecodable(path, error) from None


def _undecodable(path: str | Path, error: av.error.FFmpegError) -> UserError:
    return UserError(
        f"{shown(path)}: cannot be decoded ({error.strerror}): not a video, or damaged; get it"
        " again"
    )


def _container(path: Path) -> "av.container.InputContainer":
    """The file as FFmpeg opens it, if its film is in it; `UserError` for other kinds."""
    try:
        # file: or a colon in a name would be read as a protocol; tags may be in any encoding
        return av.open(f"file:{path}", metadata_errors="replace", container_options=OWN_FILE_ALONE)
    except av.error.ArgumentError:
        raise UserError(
            f"{shown(path)}: is a picture, a playlist, a script or the like, not a video, or its"
            " header is damaged; name a video file, such as an MP4, or get it again"
        ) from None


def _film(path: Path, container: "av.container.InputContainer") -> av.VideoStream:
    """The video stream that a player would show: pictures apart, the one marked as default."""
    films = [stream for stream in container.streams.video if not stream.disposition & NO_FILM]
    if not films:
        raise UserError(f"{shown(path)}: holds no video stream (sound alone, or with a cover?)")
    decodable = [stream for stream in films if stream.codec_context is not None]
    if not decodable:
        raise UserError(
            f"{shown(path)}: its video codec is unknown here; re-encode it, for example to H.264"
        )
    return min(
        decodable,
        key=lambda stream: (
            stream.codec_context.name in PICTURE_CODECS,
            not stream.disposition & Disposition.default,
        ),
    )
