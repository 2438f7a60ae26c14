"""Files of several streams: which is the film, how long it is, and what is no video at all."""

import os
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from tsgbench.errors import UserError
from tsgbench.features import video
from video_samples import clips_of, numbers, write_video

FILM = {
    ".mp4": ("libx264", "aac"),
    ".mkv": ("libx264", "aac"),
    ".webm": ("libvpx", "libopus"),
    ".flv": ("flv", "libmp3lame"),
    ".wmv": ("wmv2", "wmav2"),
}
PICTURE = np.full((48, 64, 3), 250, np.uint8)  # no frame of the film is as bright


def write_streams(
    path: Path,
    *,
    film_s: int = 4,
    sound_s: int = 0,
    subtitles_s: int = 0,
    cover: Disposition | None = None,
    film: Disposition = Disposition.default,
) -> Path:
    """Eight frames a second as `write_video` has them, behind a cover picture where one is asked
    for, beside sound and subtitles of their own lengths."""
    film_codec, sound_codec = FILM.get(path.suffix, FILM[".mp4"])
    with ExitStack() as stack:
        container = stack.enter_context(av.open(str(path), "w"))
        streams = {}
        if cover == ATTACHED and path.suffix in (".mkv", ".mka"):
            container.add_attachment("cover.jpg", "image/jpeg", as_jpeg())
        elif cover is not None:
            streams["cover"] = container.add_stream("mjpeg", rate=1)
            streams["cover"].height, streams["cover"].width = PICTURE.shape[:2]
            streams["cover"].pix_fmt = "yuvj420p"
            streams["cover"].disposition = cover
        if film_s:
            streams["film"] = container.add_stream(film_codec, rate=8)
            streams["film"].height, streams["film"].width = PICTURE.shape[:2]
            streams["film"].pix_fmt = "yuv420p"
            streams["film"].bit_rate = 4_000_000
            streams["film"].disposition = film
        if sound_s:
            streams["sound"] = container.add_stream(sound_codec, rate=48000, layout="mono")
            streams["sound"].bit_rate = 64_000
        if subtitles_s:
            lines = stack.enter_context(av.open(str(subtitles(path, subtitles_s))))
            streams["subtitles"] = container.add_stream_from_template(lines.streams.subtitles[0])
        container.start_encoding()
        packets = []
        if "cover" in streams:
            packets += encode(streams["cover"], [av.VideoFrame.from_ndarray(PICTURE)])
        if film_s:
            packets += encode(streams["film"], grey_frames(8 * film_s))
        if sound_s:
            packets += encode(streams["sound"], silence(sound_s))
        if subtitles_s:
            packets += [packet for packet in lines.demux() if packet.dts is not None]
            packets[-1].stream = streams["subtitles"]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    if cover == ATTACHED and path.suffix == ".mp4":
        put_tags_first(path)
    return path


def as_jpeg() -> bytes:
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.height, encoder.width, encoder.pix_fmt = *PICTURE.shape[:2], "yuvj420p"
    encoder.time_base = video.Fraction(1)
    return bytes(encode(encoder, [av.VideoFrame.from_ndarray(PICTURE)])[0])


def put_tags_first(path: Path) -> None:
    """The cover before the film in an MP4: both orders of the boxes in its header occur."""
    content = path.read_bytes()
    moov = content.rindex(b"moov") - 4
    tags = content.rindex(b"udta") - 4
    size = int.from_bytes(content[tags : tags + 4])
    assert tags + size == len(content) > moov  # the last box of the last box
    film = content.index(b"trak", moov) - 4
    path.write_bytes(content[:film] + content[tags:] + content[film:tags])


def subtitles(path: Path, seconds: int) -> Path:
    """One line in the last second."""
    times = [f"00:00:{second:02},000" for second in (seconds - 1, seconds)]
    path = path.with_suffix(".srt")
    path.write_text("1\n" + " --> ".join(times) + "\na line\n\n")
    return path


def encode(stream, frames: list) -> list:
    return [packet for frame in [*frames, None] for packet in stream.encode(frame)]


def grey_frames(count: int) -> list:
    made = []
    for k in range(count):
        grey = np.full(PICTURE.shape, 8 + 4 * (k % 48), np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
        frame.pts, frame.time_base = k, video.Fraction(1, 8)
        made.append(frame)
    return made


def silence(seconds: int) -> list:
    made = []
    for second in range(seconds):
        samples = np.zeros((1, 48000), np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = (
            48000,
            48000 * second,
            video.Fraction(1, 48000),
        )
        made.append(frame)
    return made


def untagged(path: Path) -> Path:
    """A Matroska file that says nothing of the length of its streams, as some programs write it."""
    content = path.read_bytes()
    assert b"DURATION" in content
    path.write_bytes(content.replace(b"DURATION", b"DOTATION"))
    return path


ATTACHED = Disposition.attached_pic
PLAIN = Disposition(0)


@pytest.mark.parametrize(
    ("suffix", "cover", "film"),
    [
        (".mp4", ATTACHED, Disposition.default),
        (".mp4", ATTACHED, PLAIN),
        (".mkv", ATTACHED, Disposition.default),
        (".mkv", PLAIN, Disposition.default),
        (".mkv", Disposition.default, Disposition.default),
        (".mkv", Disposition.default, PLAIN),
    ],
)
@pytest.mark.parametrize("film_s", [1, 4])
def test_a_cover_in_front_is_not_the_film(tmp_path, suffix, cover, film, film_s):
    """However it is marked, and however short the film is."""
    path = write_streams(tmp_path / f"a{suffix}", film_s=film_s, cover=cover, film=film, sound_s=1)
    with av.open(str(path)) as container:
        names = [stream.codec_context.name for stream in container.streams.video]
    # Matroska's attachments stand behind; the others in front of the film
    assert names.index("mjpeg") == (suffix == ".mkv" and cover == ATTACHED)
    clips, times = clips_of(path, clip_len=1, stride=1)
    assert len(clips) == 8 * film_s and clips.mean((1, 2, 3, 4)).max() < 200
    assert times[-1, 1] == pytest.approx(film_s, abs=0.1)
    assert video.probe(path).fps == 8


def test_of_two_films_the_default_one_is_read(tmp_path):
    """Frames of the second stream are brighter by half, and it is the one that players show."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=8) for _ in range(2)]
        for place, stream in enumerate(streams):
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            stream.disposition = Disposition.default if place else PLAIN
        for place, stream in enumerate(streams):
            for packet in encode(stream, grey_frames(32)[16 * place :][:16]):
                container.mux(packet)
    clips, _ = clips_of(path, clip_len=1, stride=1)
    assert numbers(clips)[0, 0] == 16


@pytest.mark.parametrize(
    ("name", "cover"),
    [("a.mp4", ATTACHED), ("a.mka", ATTACHED), ("a.mkv", PLAIN), ("a.mkv", Disposition.default)],
)
def test_sound_with_a_cover_is_no_video(tmp_path, name, cover):
    path = write_streams(tmp_path / name, film_s=0, sound_s=4, cover=cover)
    with pytest.raises(UserError, match=rf"{name}: holds .*no video stream"):
        clips_of(path)


LONGER = [(suffix, {"sound_s": 8}) for suffix in (".mkv", ".webm", ".flv", ".wmv")]
LONGER += [(".mkv", {"subtitles_s": 8})]


@pytest.mark.parametrize(("suffix", "more"), LONGER)
@pytest.mark.parametrize("tags", [True, False])
def test_a_film_shorter_than_its_sound_is_whole(tmp_path, suffix, tags, more):
    """These containers state their own length alone, or a stream's in a tag."""
    path = write_streams(tmp_path / f"a{suffix}", **more)
    if suffix in (".mkv", ".webm") and not tags:
        path = untagged(path)
    with av.open(str(path)) as container:  # as it should be: longer than the film, which is unsaid
        assert container.duration > 7e6
        assert (container.streams.video[0].duration or 8000) > 7000
    _, times = clips_of(path)
    assert times[-1, 1] == pytest.approx(4, abs=0.2)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("tags", [True, False])
@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".flv", ".wmv"])
def test_a_film_cut_off_with_its_sound_is_not(tmp_path, suffix, tags, share):
    path = write_streams(tmp_path / f"a{suffix}", film_s=20, sound_s=20)
    if suffix in (".mkv", ".webm") and not tags:
        path = untagged(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    said = ", or recorded live" if suffix == ".wmv" else r": its header promises 20\.\d s"
    with pytest.raises(UserError, match=rf"a\{suffix}: cut off{said}"):
        clips_of(path)


def test_a_film_that_starts_late_is_whole(tmp_path):
    """Matroska's lengths count from zero, be it before the first frame or not."""
    stamps = [5000 + 125 * k for k in range(32)]
    path = write_video(tmp_path / "a.mkv", 32, stamps=stamps)
    assert clips_of(path)[1][-1, 1] == pytest.approx(4, abs=0.2)


@pytest.mark.parametrize("name", ["10:30.mp4", "http:a.mp4", "concat:a.mp4", "%03d.mp4", "-a.mp4"])
def test_a_bare_name_is_a_file_whatever_it_looks_like(tmp_path, monkeypatch, name):
    os.rename(write_video(tmp_path / "a.mp4", 20), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(clips_of(Path(name))[0]) == 2
    assert video.probe(name).frames == 20


def test_a_folder_that_is_not_utf8_can_be_read_and_named(tmp_path):
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    assert len(clips_of(write_video(folder / "a.mp4", 20))[0]) == 2
    (folder / "b.mp4").write_text("text")
    with pytest.raises(UserError, match=r"caf\\xe9/b\.mp4: cannot be decoded") as caught:
        clips_of(folder / "b.mp4")
    str(caught.value).encode()


def test_tags_in_another_encoding_do_not_matter(tmp_path):
    path = write_video(tmp_path / "a.mkv", 20)
    content = path.read_bytes()
    assert b"ENCODER" in content
    path.write_bytes(content.replace(b"Lavf", b"La\xe9f"))
    with pytest.raises(UnicodeDecodeError), av.open(str(path)) as container:
        dict(container.metadata)
    assert len(clips_of(path)[0]) == 2


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".gif"])
def test_a_picture_is_no_video(tmp_path, suffix):
    codec = {".jpg": "mjpeg", ".png": "png", ".bmp": "bmp", ".gif": "gif"}[suffix]
    kind = {".jpg": "yuvj420p", ".png": "rgb24", ".bmp": "bgr24", ".gif": "rgb8"}[suffix]
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w", format="gif" if suffix == ".gif" else "image2") as container:
        stream = container.add_stream(codec, rate=1)
        stream.height, stream.width, stream.pix_fmt = 48, 64, kind
        for packet in encode(stream, [av.VideoFrame.from_ndarray(PICTURE).reformat(format=kind)]):
            container.mux(packet)
    with pytest.raises(UserError, match=rf"a\{suffix}: (is a|holds one) picture"):
        clips_of(path)


def test_a_folder_of_frames_is_called_one(tmp_path):
    (tmp_path / "frames").mkdir()
    with pytest.raises(UserError, match="frames: is a folder, and a video is one file"):
        clips_of(tmp_path / "frames")


# Written by FFmpeg under these names; the second is what it calls the format
CONTAINED = {
    "a.mp4": ("mp4", "libx264"),
    "a.mov": ("mov", "libx264"),
    "a.3gp": ("3gp", "libx264"),
    "a.m4v": ("m4v", "mpeg4"),
    "a.mkv": ("matroska", "libx264"),
    "a.webm": ("webm", "libvpx"),
    "a.avi": ("avi", "mpeg4"),
    "a.flv": ("flv", "flv"),
    "a.wmv": ("asf", "wmv2"),
    "a.ts": ("mpegts", "libx264"),
    "a.mpg": ("mpeg", "mpeg2video"),
    "a.vob": ("vob", "mpeg2video"),
    "a.ogv": ("ogg", "libvpx"),
    "a.mxf": ("mxf", "mpeg2video"),
    "a.nut": ("nut", "libx264"),
    "a.gif": ("gif", "gif"),
    "no suffix": ("mp4", "libx264"),
}


@pytest.mark.parametrize("name", CONTAINED)
def test_ordinary_containers_are_read(tmp_path, name):
    form, codec = CONTAINED[name]
    path = tmp_path / name
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = PICTURE.shape[:2]
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        frames = grey_frames(40)
        for place, frame in enumerate(frames):
            frame.pts, frame.time_base = place, video.Fraction(1, 25)
        frames = [frame.reformat(format=stream.pix_fmt) for frame in frames]
        for packet in encode(stream, frames):
            container.mux(packet)
    assert len(clips_of(path, clip_len=1, stride=1)[0]) == 40


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:4.0,\nfilm.ts\n#EXT-X-ENDLIST\n"
SESSION = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n"
)
SUBTITLES = "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n"
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
ELSEWHERE = {
    "list.mp4": "ffconcat version 1.0\nfile film.ts\n",
    "list.ffconcat": "ffconcat version 1.0\nfile film.ts\n",
    "remote.mp4": "ffconcat version 1.0\nfile http://127.0.0.1:9/film.ts\n",
    "playlist.m3u8": PLAYLIST,
    "playlist.mp4": PLAYLIST,
    "session.mp4": SESSION,
    "subtitles.mp4": SUBTITLES + "timestamp: 00:00:00:000, filepos: 000000000\n",
    "drawing.mp4": DRAWING,
    "text.txt": "a film of letters\n" * 200,
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_file_that_names_others_opens_none_of_them(tmp_path, name):
    """FFmpeg would play a list of files, or a host's, under any name."""
    write_streams(tmp_path / "film.ts")
    path = tmp_path / name
    path.write_text(ELSEWHERE[name])
    if name in ("list.mp4", "list.ffconcat", "playlist.m3u8"):  # as it does where it is let
        with av.open(str(path)) as container:
            assert container.streams.video
    for read in (clips_of, video.probe):
        with pytest.raises(UserError, match=rf"{name}: (is a picture, a playlist|cannot be dec)"):
            read(path)


@pytest.mark.parametrize("name", ["concat:film.mp4|film.mp4", "http://127.0.0.1:9/film.mp4"])
def test_a_protocol_is_no_file(tmp_path, monkeypatch, name):
    write_video(tmp_path / "film.mp4", 20)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no such video file"):
        clips_of(name)


def test_a_pattern_of_pictures_is_one_file(tmp_path):
    """`a%d.png` and `*.png` are, for FFmpeg, every picture of the folder."""
    for name in ("a1.png", "a2.png", "a%d.png", "*.png"):
        (tmp_path / name).write_bytes(as_jpeg())
    for name in ("a%d.png", "*.png"):
        with pytest.raises(UserError, match="is a picture"):
            clips_of(tmp_path / name)
