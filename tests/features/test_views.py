"""Several views of one video: each gives what it gives alone, and the video is decoded once."""

import weakref

import numpy as np
import pytest

from tsgbench.errors import UserError
from tsgbench.features import video
from tsgbench.features.video import View, read_clips, read_views
from video_samples import write_video

VIEWS = [
    View(16, chunk_clips=4),
    View(16, fps=3, clip_len=1, stride=1, chunk_clips=2),
    View((20, 30), crop=12, clip_len=5, stride=3, until_s=2.5, chunk_clips=1),
    View(24, keep_aspect=True, fps=20, until_s=4.1, clip_len=4, stride=4),
]


def gathered(path, views) -> tuple[dict[int, list], UserError | None]:
    """What each view gave, and what ended them all."""
    seen: dict[int, list] = {number: [] for number in range(len(views))}
    try:
        for number, item in read_views(path, views):
            seen[number].append(item)
    except UserError as error:
        return seen, error
    return seen, None


def assert_same_chunks(found: list, alone: list) -> None:
    assert len(found) == len(alone) > 0
    for (clips, times), (clips_alone, times_alone) in zip(found, alone, strict=True):
        assert np.array_equal(clips, clips_alone) and np.array_equal(times, times_alone)


def read_alone(path, view: View) -> list:
    return list(read_clips(path, **vars(view)))


@pytest.mark.parametrize("frames", [60, 5])  # 5: too short for a clip of most of them
def test_each_view_is_what_it_is_alone(tmp_path, frames):
    path = write_video(tmp_path / "a.mp4", frames)
    seen, error = gathered(path, VIEWS)
    assert error is None
    for number, view in enumerate(VIEWS):
        assert seen[number][-1] is None
        assert_same_chunks(seen[number][:-1], read_alone(path, view))


def test_what_is_wrong_with_the_video_reaches_all_that_still_read(tmp_path):
    """A clean end would make a short video of a broken one."""
    whole = write_video(tmp_path / "whole.mkv", 160)
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    views = [*VIEWS, View(16, crop=17)]
    seen, error = gathered(path, views)
    assert "cut off" in str(error)
    for number in (0, 1):
        assert seen[number] and None not in seen[number]
    for number in (2, 3):  # which had all they wanted before
        assert_same_chunks(seen[number][:-1], read_alone(whole, views[number]))
        assert seen[number][-1] is None
    (only,) = seen[4]  # wrong with this view alone, which is what ends it
    assert "crop: 17 pixels do not fit into 16x16" in str(only)


def test_one_that_fails_later_leaves_the_others_alone(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", 60)
    shrink, made = video._Shrinker.__call__, []

    def fail(self, frame):
        made.append(self.size)
        if self.size == (20, 30) and made.count(self.size) == 10:
            raise UserError("no memory for that")
        return shrink(self, frame)

    monkeypatch.setattr(video._Shrinker, "__call__", fail)
    seen, error = gathered(path, VIEWS)
    monkeypatch.undo()
    assert error is None and str(seen[2][-1]) == "no memory for that"
    for number in (0, 1, 3):
        assert_same_chunks(seen[number][:-1], read_alone(path, VIEWS[number]))


def test_decoding_ends_with_the_last_view(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", 160)
    decoded, alone = frames_decoded(monkeypatch), []
    for view in VIEWS[2:]:
        read_alone(path, view)
        alone.append(len(decoded))
        decoded.clear()
    gathered(path, VIEWS[2:])
    assert len(decoded) == max(alone) == 35 and min(alone) == 22  # 4.1 and 2.5 s, 8 a second


def frames_decoded(monkeypatch) -> list:
    decoded, timed = [], video._timed

    def count(*of):
        for item in timed(*of):
            decoded.append(item[1])
            yield item

    monkeypatch.setattr(video, "_timed", count)
    return decoded


def test_full_size_frames_do_not_pile_up_and_are_made_smaller_once(tmp_path, monkeypatch):
    """Neither for a view that takes few of them, nor for one with long clips."""
    path = write_video(tmp_path / "a.mp4", 120)
    views = [View(16), View(16, fps=8), View(16, fps=0.2), View(8, clip_len=64, fps=1, stride=64)]
    decoded, alive, most, made = [], weakref.WeakSet(), [], []
    start, shrink = video._Picture.__init__, video._Shrinker.__call__

    def follow(self, *args):
        start(self, *args)
        alive.add(self)
        most.append(sum(picture.frame is not None for picture in alive))

    def count(self, frame):
        made.append(self.size)
        return shrink(self, frame)

    monkeypatch.setattr(video._Picture, "__init__", follow)
    monkeypatch.setattr(video._Shrinker, "__call__", count)
    decoded = frames_decoded(monkeypatch)
    gathered(path, views)
    assert len(decoded) == 120
    # One in each view that waits for a tick, and those of the frame at hand
    assert max(most) <= 2 + 2 * len(views)
    assert made.count(16) == 120 and made.count(8) == 15
