"""The baseline that matches words: what a clip is worth, and which run of clips comes first."""

import numpy as np
import pytest
import torch
from model_samples import make_batch, make_model, word_table

from tsgbench.errors import UserError
from tsgbench.models import Batch, build

WORDS = 12


def described(clips: list[list[int]], query: list[int], duration_s: float) -> Batch:
    """A video whose clips are sums of the vectors of these words (rows of the table)."""
    vectors = torch.from_numpy(word_table(WORDS).vectors).double()
    video = torch.stack([vectors[rows].sum(dim=0) for rows in clips])[None]
    return Batch(
        video=video,
        v_mask=torch.ones(1, len(clips), dtype=torch.bool),
        tokens=torch.tensor([query]),
        q_mask=torch.ones(1, len(query), dtype=torch.bool),
        dur=torch.tensor([duration_s]).double(),
        video_idx=torch.zeros(1, dtype=torch.long),
        gt=torch.zeros(1, 2).double(),
    )


@pytest.mark.parametrize("place", [0, 3, 8])
def test_the_clips_that_say_the_query_are_found(place):
    clips = [[10 + number % 3] for number in range(10)]
    clips[place : place + 2] = [[6, 7], [7, 6]]
    batch = described(clips, [6, 7], duration_s=20.0)
    found = make_model("match", smooth=0).decode({}, batch, 3)
    assert found[0, 0, :2].tolist() == pytest.approx([2 * place, 2 * place + 4])


def test_frequent_training_words_weigh_little():
    # word 2 is in every training sentence, 9 in none
    batch = described([[2], [2], [2], [9], [2], [2]], [2, 9], duration_s=6.0)
    found = make_model("match", smooth=0).decode({}, batch, 1)
    assert found[0, 0, :2].tolist() == pytest.approx([3, 4])


def test_worth_equals_a_plain_loop():
    batch, model = make_batch(size=5), make_model("match", above=0.3, smooth=1, rare=0.01)
    found = model.worth(batch).numpy()
    table = word_table(WORDS).vectors.astype(float)
    counts = np.zeros(len(table))
    for word in (2, 3, 2, 3, 3, 1, 4, 2):
        counts[word] += 1
    weights = 0.01 / (0.01 + counts / counts.sum())
    for row in range(5):
        clips = batch.video[row][batch.v_mask[row]].numpy()
        words = batch.tokens[row][batch.q_mask[row]].numpy()
        query = sum(weights[word] * table[word] for word in words)
        norms = np.maximum(np.linalg.norm(clips, axis=1) * np.linalg.norm(query), 1e-8)
        scores = clips @ query / norms
        near = [scores[max(0, place - 1) : place + 2].mean() for place in range(len(scores))]
        expected = (near - np.mean(near)) / max(np.std(near), 1e-9) - 0.3
        np.testing.assert_allclose(found[row][: len(clips)], expected, atol=1e-5)
        assert not found[row][len(clips) :].any()


def test_every_run_of_clips_is_ranked_once():
    batch = make_batch(size=3)
    found = make_model("match").decode({}, batch, None)
    for row, clips in zip(found, batch.v_mask.sum(dim=1).tolist(), strict=True):
        present = row[~row[:, 0].isnan()]
        assert len(present) == len(present[:, :2].unique(dim=0)) == clips * (clips + 1) // 2


def test_features_of_another_width_are_refused():
    with pytest.raises(UserError, match="clips of 7 numbers and word vectors of 12"):
        build("match", clip_dim=7, words=word_table(WORDS), settings={}, module="match")
