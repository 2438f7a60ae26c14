"""IA-Net: properties of its parts, sizes, candidates, losses, one forward pass on fixed weights."""

import math

import numpy as np
import pytest
import torch
from model_samples import (
    CATALOGUE,
    CLIP_DIM,
    fixed_batch,
    fixed_model,
    make_batch,
    make_model,
    pad,
    pick,
    word_table,
)

from tsgbench.config import merge
from tsgbench.datasets.queries import Queries
from tsgbench.errors import UserError
from tsgbench.features.store import FeatureStore, FeatureWriter
from tsgbench.models import build
from tsgbench.models.ia_net import (
    AdditiveAlignment,
    Calibration,
    CosineAlignment,
    InterAttention,
    IntraAttention,
    LocalAttention,
    effective_widths,
)
from tsgbench.models.targets import centred_anchors, index_iou, index_labels
from tsgbench.text import WordTable
from tsgbench.training.data import GroundingData
from tsgbench.training.optim import build_optimizer

SETTINGS = CATALOGUE["ia_net"]["settings"]["model"]
DATASETS = CATALOGUE["ia_net"]["datasets"]
PRESETS = CATALOGUE["ia_net"]["presets"]
# Computed once, in double precision, by `fixed_model("ia_net")(fixed_batch())`
LOGITS = [
    0.15868279045625067,
    0.3553295128348024,
    0.03640441249010726,
    -0.08699437061530546,
    0.26531356712075954,
]
OFFSETS = [0.39339913039898294, -0.022452951562790008]
LOSSES = {"align": 0.7089591973096837, "boundary": 0.09042522072167966}
MOMENTS = [
    [3.395282564985686, 5.975919879219002, 0.5879570086817809],
    [0.7862704948341477, 5.956446812641599, 0.5881784486072842],
]
ACTIVITYNET = DATASETS["activitynet_captions"]["model"]


def size(model):
    """Trainable numbers, without the vector of unknown words, which the papers do not have."""
    return sum(p.numel() for p in model.parameters()) - model.words.unknown.numel()


def full_size(clip_dim, preset=None, dataset="charades_sta", **settings):
    table = WordTable(
        ["<pad>", "<unk>", "a"], torch.zeros(3, 300).numpy(), torch.tensor([0, 0, 1]).bool().numpy()
    )
    chosen = PRESETS.get(preset, {})
    changes = [
        chosen.get("model", {}),
        DATASETS[dataset].get("model", {}),
        chosen.get("datasets", {}).get(dataset, {}).get("model", {}),
        settings,
    ]
    merged = dict(SETTINGS)
    for change in changes:
        merged |= change
    return build("ia_net", clip_dim=clip_dim, words=table, settings=merged)


@pytest.fixture
def sides():
    """Clips and words with their masks; fp64."""
    torch.manual_seed(0)
    v_mask = torch.arange(7) < torch.tensor([7, 4])[:, None]
    q_mask = torch.arange(5) < torch.tensor([1, 5])[:, None]
    clips = torch.randn(2, 7, 8).double() * v_mask[..., None]
    words = torch.randn(2, 5, 8).double() * q_mask[..., None]
    return clips, words, v_mask, q_mask


# --- sizes ---------------------------------------------------------------------------------------


def test_size_of_the_public_code():
    assert size(full_size(500, "official", "activitynet_captions")) == 22_271_541
    assert round(size(full_size(4096, "official", "tacos")) / 1e6, 2) == 24.32
    assert round(size(full_size(1024, "official", "charades_sta")) / 1e6, 2) == 22.78


def test_size_of_the_text_is_the_printed_68_mib():
    sizes = {k: size(full_size(500, dataset="activitynet_captions", slots=k)) for k in (0, 3, 4)}
    assert 17e6 < sizes[3] < 19e6
    assert 65 < sizes[3] * 4 / 2**20 < 71
    blocks, width = 3, 512
    assert sizes[4] - sizes[3] == blocks * 2 * width
    assert sizes[3] - sizes[0] == blocks * 2 * width * 3


def test_attention_maps_share_the_width_so_that_their_number_costs_nothing():
    sizes = {make_size("ia_net", f"heads_{h}") for h in (1, 2, 8)}
    assert sizes == {make_size("ia_net", "full")}


def make_size(model, ablation):
    return size(make_model(model, ablation))


# --- blocks --------------------------------------------------------------------------------------


def plain_inter(layer, clips, words, v_mask, q_mask):
    """Equations 1 to 6 for one query at a time, head by head; masks cut the padding away."""
    found = []
    for row in range(len(clips)):
        t, n = int(v_mask[row].sum()), int(q_mask[row].sum())
        v = torch.cat([clips[row, :t], layer.clip_slots])
        q = torch.cat([words[row, :n], layer.word_slots])
        x, y = layer.clips(v), layer.words(q)
        part = x.shape[1] // layer.heads
        a_v = a_q = 0.0
        for h in range(layer.heads):
            scores = x[:, h * part : (h + 1) * part] @ y[:, h * part : (h + 1) * part].T
            a_v = a_v + (scores / part**0.5).softmax(1) / layer.heads
            a_q = a_q + (scores.T / part**0.5).softmax(1) / layer.heads
        found.append(((a_v @ q)[:t], (a_q @ v)[:n], a_v[:t], a_q[:n]))
    return found


@pytest.mark.parametrize("slots", [0, 1, 3])
@pytest.mark.parametrize("heads", [1, 4])
def test_inter_attention_is_its_equations(sides, slots, heads):
    clips, words, v_mask, q_mask = sides
    layer = InterAttention(8, heads, slots).double()
    found = layer(*sides)
    expected = plain_inter(layer, *sides)
    for row, (for_clips, for_words, a_v, a_q) in enumerate(expected):
        t, n = len(for_clips), len(for_words)
        torch.testing.assert_close(found[0][row, :t], for_clips)
        torch.testing.assert_close(found[1][row, :n], for_words)
        torch.testing.assert_close(found[2][row, :t, :n], a_v[:, :n])
        torch.testing.assert_close(found[2][row, :t, words.shape[1] :], a_v[:, n:])
        torch.testing.assert_close(found[3][row, :n, clips.shape[1] :], a_q[:, t:])


def test_attention_rows_sum_to_one_over_real_words_and_slots(sides):
    _, _, v_mask, q_mask = sides
    _, _, over_words, over_clips = InterAttention(8, 4, 3).double()(*sides)
    for weights, mask in ((over_words, q_mask), (over_clips, v_mask)):
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        at_padding = weights[..., : mask.shape[1]].transpose(1, 2)[~mask]
        assert (at_padding == 0).all()
        assert (weights[..., mask.shape[1] :] > 0).all(), "every slot is attended to"


def test_one_word_and_no_slots_leave_no_choice(sides):
    clips, words, _, _ = sides
    found, _, over_words, _ = InterAttention(8, 4, 0).double()(*sides)
    torch.testing.assert_close(over_words[0, :, 0], torch.ones(7).double())
    torch.testing.assert_close(found[0], words[0, :1].expand(7, -1))


def test_swapped_modalities_and_weights_give_swapped_answers(sides):
    clips, words, v_mask, q_mask = sides
    layer, mirrored = (InterAttention(8, 2, 3).double() for _ in range(2))
    mirrored.clips, mirrored.words = layer.words, layer.clips
    mirrored.clip_slots, mirrored.word_slots = layer.word_slots, layer.clip_slots
    for_clips, for_words, *maps = layer(*sides)
    swapped = mirrored(words, clips, q_mask, v_mask)
    for found, expected in zip(swapped, (for_words, for_clips, *maps[::-1]), strict=True):
        torch.testing.assert_close(found, expected)


def test_intra_attention_is_its_equations(sides):
    clips, _, v_mask, _ = sides
    layer = IntraAttention(8, 2).double()
    found, weights = layer(clips, v_mask)
    for row, t in enumerate(v_mask.sum(1).tolist()):
        x = layer.project(clips[row, :t])
        a = sum((x[:, c] @ x[:, c].T / 2).softmax(1) / 2 for c in (slice(0, 4), slice(4, 8)))
        torch.testing.assert_close(weights[row, :t, :t], a)
        torch.testing.assert_close(found[row, :t], a @ clips[row, :t])


def test_calibration_is_its_equations():
    torch.manual_seed(0)
    layer, x, m = Calibration(6).double(), *torch.randn(2, 3, 6).double()
    w, b = layer.refine_and_gate.weight, layer.refine_and_gate.bias
    refined = (x @ w[:6, :6].T + m @ w[:6, 6:].T + b[:6]).tanh()
    gate = (x @ w[6:, :6].T + m @ w[6:, 6:].T + b[6:]).sigmoid()
    torch.testing.assert_close(layer(x, m), gate * x + (1 - gate) * refined)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(layer(x, m), x / 2)
    layer.refine_and_gate.bias.data[6:] = 60.0
    torch.testing.assert_close(layer(x, m), x)


def test_components_of_table_4():
    kinds = {}
    for name in ("components_a", "components_b", "components_c", "full"):
        block = make_model("ia_net", name).blocks[0]
        kinds[name] = (
            type(block.after_inter[0]).__name__,
            type(block.after_intra[0]).__name__ if block.has_intra else None,
        )
    assert kinds == {
        "components_a": ("Residual", None),
        "components_b": ("Calibration", None),
        "components_c": ("Calibration", "Residual"),
        "full": ("Calibration", "Calibration"),
    }
    sizes = [make_size("ia_net", name) for name in kinds]
    assert sizes == sorted(sizes) and len(set(sizes)) == 4


def test_local_attention_reaches_so_many_clips_and_masks_padding():
    torch.manual_seed(0)
    layer = LocalAttention(8, 2, 3, 0.0).double()
    x = torch.randn(1, 12, 8).double()
    mask = torch.arange(12)[None] < 10
    changed = x.clone()
    changed[0, 5] += 1
    apart = (layer(x, mask) - layer(changed, mask)).abs().amax(-1)[0] > 1e-12
    assert apart.nonzero().flatten().tolist() == list(range(2, 9))
    changed = x.clone()
    changed[0, 10:] += 1
    assert torch.equal(layer(x, mask)[:, :10], layer(changed, mask)[:, :10])
    assert not torch.equal(layer(x, None)[:, :10], layer(changed, None)[:, :10])


def test_cosine_alignment_is_its_formula(sides):
    clips, words, v_mask, q_mask = sides
    for gamma in (1.0, 0.1):
        found = CosineAlignment(gamma)(clips, words, q_mask)
        cosine = torch.cosine_similarity(clips[1, 2], words[1], dim=-1)
        torch.testing.assert_close(found[1, 2], (cosine / gamma).softmax(0) @ words[1])
        torch.testing.assert_close(found[0, 2], words[0, 0])


def test_localiser_can_choose_a_word():
    """A clip that is one word and the opposite of nine others: with cosines as they are that word
    cannot have half of the weight, whatever the model learns; by default it has nearly all."""
    clip, mask = torch.tensor([[[3.0, 4.0]]]), torch.ones(1, 10, dtype=torch.bool)
    words = torch.cat([clip, -clip.expand(1, 9, 2)], dim=1)
    weight = {
        name: (1 + make_model("ia_net", name).align(clip, words, mask)[0, 0, 0].item() / 3) / 2
        for name in ("full", "gamma_1")
    }
    assert weight["gamma_1"] == pytest.approx(math.exp(2) / (math.exp(2) + 9), rel=1e-5)
    assert weight["gamma_1"] < 0.5 and weight["full"] > 0.999


def test_additive_alignment_is_its_formula(sides):
    clips, words, _, q_mask = sides
    layer = AdditiveAlignment(8).double()
    scores = layer.weigh((layer.clips(clips[1, 2]) + layer.words(words[1])).tanh()).squeeze(-1)
    found = layer(clips, words, q_mask)
    torch.testing.assert_close(found[1, 2], scores.softmax(0) @ words[1])
    torch.testing.assert_close(found[0, 2], words[0, 0])


# --- padding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ablation", ["full", "unmasked"])
def test_unmasked_attention_sees_the_padding(ablation):
    batch = make_batch()
    model = make_model("ia_net", ablation)
    alone, wide = model(batch), model(pad(batch, 5, 0))
    apart = (alone["logits"] - wide["logits"][:, :9])[batch.v_mask].abs().max()
    assert (apart > 1e-6) == (ablation == "unmasked"), float(apart)


def test_public_code_sees_the_padding():
    batch, model = make_batch(), make_model("ia_net", preset="official")
    outputs = model(batch)
    apart = (outputs["logits"] - model(pad(batch, 5, 0))["logits"][:, :9])[batch.v_mask].abs()
    assert apart.max() > 1e-6
    # There, all sentences have 20 words, so that neighbours with more words change nothing
    assert outputs["attention1_words_over_words"].shape[1:] == (20, 20)
    assert torch.allclose(outputs["logits"], model(pad(batch, 0, 4))["logits"], atol=1e-12)
    assert all(loss.isfinite() for loss in model.loss(outputs, batch).values())


def test_public_code_uses_every_parameter_and_answers_validly():
    batch, model = make_batch(size=6), make_model("ia_net", preset="official")
    outputs = model(batch)
    sum(model.loss(outputs, batch).values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-12, name
    with torch.inference_mode():
        start, end, _ = model.decode(outputs, batch, 5).unbind(-1)
    assert ((start >= 0) & (start < end) & (end <= batch.dur[:, None]) | start.isnan()).all()


# --- candidates ----------------------------------------------------------------------------------


def widths_of(dataset, preset=None):
    return full_size(500, preset, dataset, width=16).widths


def test_anchors_are_centred_and_as_wide_as_stated():
    widths = torch.tensor(ACTIVITYNET["widths"]).float()
    anchors = centred_anchors(200, widths)
    torch.testing.assert_close(anchors[..., 1] - anchors[..., 0] + 1, widths.expand(200, -1))
    torch.testing.assert_close(anchors.mean(-1), torch.arange(200.0)[:, None].expand(-1, 7))
    torch.testing.assert_close(index_iou(anchors, anchors), torch.ones(200, 7))


@pytest.mark.parametrize(
    ("dataset", "clips", "legal", "total"),
    [("activitynet_captions", 200, 719, 1400), ("tacos", 200, 774, 800)],
)
def test_share_of_legal_candidates(dataset, clips, legal, total):
    anchors = centred_anchors(clips, widths_of(dataset))
    inside = (anchors[..., 0] >= 0) & (anchors[..., 1] < clips)
    assert inside.numel() == total
    assert inside.sum() == legal


def test_widths_of_the_text_and_of_the_public_code():
    assert effective_widths(torch.tensor([8.0, 64.0]), 0.125).tolist() == [2.75, 16.75]
    assert widths_of("tacos").tolist() == [2.75, 4.75, 8.75, 16.75]
    assert widths_of("tacos", "paper").tolist() == [8, 16, 32, 64, 128]
    assert widths_of("charades_sta").tolist() == [16, 24, 32, 40]
    assert widths_of("charades_sta", "official").tolist() == [4.75, 6.75, 8.75, 10.75]
    for preset in (None, "official"):
        assert widths_of("activitynet_captions", preset).tolist() == ACTIVITYNET["widths"]


def test_candidates_stay_inside_each_video():
    batch, model = make_batch(), make_model("ia_net")
    anchors, legal = model.candidates(batch, torch.float64)
    for row, count in enumerate(batch.v_mask.sum(1).tolist()):
        for (t, k), (start, end) in zip(
            torch.cartesian_prod(torch.arange(9), torch.arange(5)).tolist(),
            anchors.flatten(0, 1).tolist(),
            strict=True,
        ):
            assert legal[row, t, k] == (start >= 0 and end < count)


def test_no_candidate_that_fits_names_the_setting():
    model = make_model("ia_net", widths=[16, 24])
    with pytest.raises(UserError, match="widths: no candidate fits into 9 clips"):
        model.decode(model(make_batch()), make_batch(), 1)


def test_index_iou_is_brute_force():
    spans = [(i, j) for i in range(6) for j in range(i, 6)]
    for a in spans:
        for b in spans:
            cells = [set(range(x[0], x[1] + 1)) for x in (a, b)]
            expected = len(cells[0] & cells[1]) / len(cells[0] | cells[1])
            found = index_iou(torch.tensor(a).float(), torch.tensor(b).float()).item()
            if expected:  # apart, the hull stands for the union and the overlap is zero
                assert found == pytest.approx(expected)
            else:
                assert found == 0


@pytest.mark.parametrize(
    ("dataset", "clips", "counts"),
    [
        ("activitynet_captions", 200, [24, 11, 5, 3, 2, 1, 1]),
        ("tacos", 200, [193, 93, 43, 18, 5]),
        ("charades_sta", 64, [25, 14, 9, 5]),
    ],
)
def test_windows_of_the_text_lie_a_printed_stride_apart(dataset, clips, counts):
    """Sec. 4.2: half a width apart, or an eighth; sec. 3.5 has them on every clip (the default)."""
    batch = make_batch(size=2, clips=clips)
    anchors, legal = full_size(500, "paper", dataset, width=16).candidates(batch, torch.float64)
    assert legal[0].sum(0).tolist() == counts
    for k in range(len(counts)):
        starts = anchors[legal[0, :, k], k, 0]
        width = anchors[0, k, 1] - anchors[0, k, 0] + 1
        share = 0.5 if dataset == "activitynet_captions" else 0.125
        assert 0 <= starts[0] <= 0.5 and (starts.diff() == max(1, share * width)).all()


# Sec. 4.2: length, widths, stride, alpha and learning rate on each data set
PRINTED = {
    "activitynet_captions": (200, [16, 32, 64, 96, 128, 160, 192], 0.5, 0.001, 8e-4),
    "tacos": (200, [8, 16, 32, 64, 128], 0.125, 0.005, 3e-4),
    "charades_sta": (64, [16, 24, 32, 40], 0.125, 0.005, 4e-4),
}


@pytest.mark.parametrize("dataset", PRINTED)
def test_preset_paper_holds_every_number_of_section_4_2(dataset):
    entry = CATALOGUE["ia_net"]
    chosen = {name: entry["settings"][name] for name in ("inputs", "model", "train")}
    paper = entry["presets"]["paper"]
    for layer in (paper, entry["datasets"][dataset], paper["datasets"].get(dataset, {})):
        chosen = merge(chosen, {name: layer[name] for name in chosen if name in layer})
    inputs, model, train = chosen.values()
    found = inputs["max_clips"], model["widths"], model["stride"], model["alpha"], train["lr"]
    assert found == PRINTED[dataset]
    assert model["half_width"] == 0.5, "as wide as stated"
    assert (model["width"], model["positive_share"], train["optimizer"]) == (512, 0.45, "adam")
    assert (model["slots"], model["heads"], model["n_blocks"]) == (3, 4, 3)  # table 4


# --- labels --------------------------------------------------------------------------------------


def plain_windows(source: int, clips: int, moment: list[float], duration: float) -> list[int]:
    """The span of the public code: the first window that starts at or after the moment's first
    source clip, the last that starts at or before its last one."""
    per_second = source / duration
    last_row = min(int(per_second * moment[1]), source - 1)
    first_row = min(int(per_second * moment[0]), last_row)
    starts = [int(value) for value in np.linspace(0, source - 1, clips)]
    first = next(i for i in range(clips) if starts[i] >= first_row)
    last = next(i for i in reversed(range(clips)) if starts[i] <= last_row)
    return [min(first, last), last]


def loaded(path, lengths, clips, **inputs):
    """Two queries on each of the videos of these lengths, as a training reads them."""
    rng = np.random.default_rng(0)
    attrs = {"identity": "x", "recipe": {}, "extractor": "test", "weights": "none"}
    attrs |= {"clip_len": 16, "stride": 8, "versions": {}}
    videos = [f"v{row:03}" for row in range(len(lengths))]
    with FeatureWriter(path, attrs) as writer:
        for video, length in zip(videos, lengths, strict=True):
            times = np.stack([np.arange(length), np.arange(length) + 1.0], axis=1)
            writer.write(video, rng.normal(size=(length, CLIP_DIM)).astype(np.float32), times)
    ids, shown = [f"q{row}" for row in range(2 * len(videos))], np.repeat(videos, 2).tolist()
    durations = np.repeat(rng.uniform(3, 90, len(videos)), 2)
    moments = np.sort(rng.uniform(0, 1, (len(ids), 2)), axis=1) * durations[:, None]
    moments[::5] = durations[::5, None] * [0.5, 1.0]  # to the end of the video
    queries = Queries(ids, shown, ["a b c"] * len(ids), durations, moments)
    inputs = CATALOGUE["ia_net"]["settings"]["inputs"] | {
        "max_clips": clips,
        "oov": "unk",
        **inputs,
    }
    with FeatureStore(path) as store:
        return GroundingData(
            queries, store, word_table(), inputs,
            with_moments=True, seed=0, device=torch.device("cpu"),
        )  # fmt: skip


def test_labels_of_the_public_code_equal_a_plain_loop(tmp_path):
    """Videos shorter than the axis, as long, and up to five times as long."""
    lengths = [1, 2, 7, 15, 16, 17, 31, 32, 33, 50, 64, 80]
    data, model = loaded(tmp_path / "f.h5", lengths, 16), make_model("ia_net", preset="official")
    batch = data.batch(torch.arange(len(data)), with_moments=True)
    expected = [
        plain_windows(lengths[row // 2], 16, moment, duration)
        for row, (moment, duration) in enumerate(
            zip(data.queries.moments.tolist(), data.queries.durations.tolist(), strict=True)
        )
    ]
    assert model.spans(batch).tolist() == expected
    assert expected != make_model("ia_net").spans(batch).tolist()
    assert data.batch(torch.arange(4), with_moments=False).windows is None


def test_windows_of_another_resampling_are_refused(tmp_path):
    data = loaded(tmp_path / "f.h5", [9, 20], 12, resample="round_mean", resample_when="longer")
    batch = data.batch(torch.arange(4), with_moments=True).to(torch.float64)
    model = make_model("ia_net", preset="official")
    with pytest.raises(UserError, match="span: 'windows' are those of inputs.resample"):
        model.loss(model(batch), batch)


# --- losses and decoding -------------------------------------------------------------------------


def plain_loss(model, outputs, batch, **how):
    """Equations 14 and 15, one candidate at a time."""
    counts = batch.v_mask.sum(1)
    spans = batch.windows if how["span"] == "windows" else index_labels(batch.gt, batch.dur, counts)
    spans = spans.tolist()
    reach = ((model.widths - 1) / 2).tolist()
    entropy = errors = positives = legal = every = 0
    for row, (first, last) in enumerate(spans):
        found = {}
        for t in range(batch.v_mask.shape[1]):
            for k, half in enumerate(reach):
                start, end, every = t - half, t + half, every + 1
                if start < 0 or end >= counts[row]:
                    continue
                overlap = max(min(end, last) - max(start, first) + 1, 0)
                found[t, k] = overlap / (max(end, last) - min(start, first) + 1), start, end
        best = max(iou for iou, _, _ in found.values())
        for (t, k), (iou, start, end) in found.items():
            target = iou / best if how["label"] == "rescaled" else iou
            p = torch.sigmoid(outputs["logits"][row, t, k]).item()
            entropy -= target * math.log(p) + (1 - target) * math.log(1 - p)
            legal += 1
            share = 0.8 * best if how["positives"] == "relative" else 0.45
            if iou >= share:
                positives += 1
                for side, wanted in enumerate((first - start, last - end)):
                    if how["anchors"] == "truncated":
                        wanted = (first, last)[side] - int((start, end)[side])
                    apart = abs(outputs["offsets"][row, t, k, side].item() - wanted)
                    errors += 0.5 * apart**2 if apart < 1 else apart - 0.5
    if how["average"] == "all":
        return entropy / every, errors / (2 * positives)
    return entropy / legal, errors / positives


@pytest.mark.parametrize(
    "ablation",
    [
        "full",
        "span_windows",
        "label_rescaled",
        "positives_relative",
        "average_all",
        "anchors_truncated",
    ],
)
def test_losses_are_their_equations(ablation):
    batch, model = make_batch(size=5), make_model("ia_net", ablation)
    model.offset.weight.data *= 20  # on both sides of the kink of the smooth L1
    outputs = model(batch)
    how = SETTINGS | CATALOGUE["ia_net"]["ablations"][ablation].get("model", {})
    align, boundary = plain_loss(model, outputs, batch, **how)
    losses = model.loss(outputs, batch)
    assert set(losses) == {"align", "boundary"}
    assert losses["align"].item() == pytest.approx(align, rel=1e-6)
    assert losses["boundary"].item() == pytest.approx(model.alpha * boundary, rel=1e-6)


def exact_outputs(model, batch):
    """Scores near the labels of the widest-overlap candidates, and offsets without error."""
    anchors, _ = model.candidates(batch, torch.float64)
    span = index_labels(batch.gt, batch.dur, batch.v_mask.sum(1))[:, None, None].double()
    logits = 20 * index_iou(anchors, span) - 10
    return {"logits": logits, "offsets": (span - anchors).expand(*logits.shape, 2)}, span[:, 0, 0]


def test_perfect_offsets_cost_nothing_and_decode_to_the_label():
    batch, model = make_batch(size=6), make_model("ia_net")
    outputs, span = exact_outputs(model, batch)
    assert model.loss(outputs, batch)["boundary"] == 0
    found = model.decode(outputs, batch, 1)[:, 0, :2]
    clip_s = (batch.dur / batch.v_mask.sum(1))[:, None]
    expected = torch.stack([span[:, 0], span[:, 1] + 1], 1) * clip_s
    torch.testing.assert_close(found, expected)


def test_label_of_the_annotated_candidate_is_one():
    batch, model = pick(make_batch(), torch.tensor([0])), make_model("ia_net")
    batch.gt = torch.tensor([[2.0, 5.0]]).double() * batch.dur[:, None] / 9
    span = index_labels(batch.gt, batch.dur, batch.v_mask.sum(1))[0]
    anchors, _ = model.candidates(batch, torch.float64)
    iou = index_iou(anchors, span.double())
    assert iou.max() == 1 and anchors[iou == 1].tolist() == [[2, 4]]


def test_a_batch_without_positives_has_a_finite_loss():
    batch, model = make_batch(), make_model("ia_net", positive_share=0.999, widths=[6.5, 7.5])
    losses = model.loss(model(batch), batch)
    assert losses["boundary"] == 0 and losses["align"].isfinite()
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_without_alpha_the_offsets_learn_nothing():
    batch = make_batch()
    for alpha in (0.0, 0.005):
        model = make_model("ia_net", alpha=alpha)
        sum(model.loss(model(batch), batch).values()).backward()
        assert (model.offset.weight.grad.abs().max() == 0) == (alpha == 0)
        assert model.score.weight.grad.abs().max() > 0


@pytest.mark.parametrize("ablation", ["full", "anchors_truncated"])
def test_decode_is_brute_force(ablation):
    batch, model = make_batch(size=5, seed=2), make_model("ia_net", ablation)
    model.offset.weight.data *= 50  # many ends leave the video or cross
    outputs = model(batch)
    found = model.decode(outputs, batch, 60)
    anchors, legal = model.candidates(batch, torch.float64)
    crossed = 0
    for row, count in enumerate(batch.v_mask.sum(1).tolist()):
        rows = []
        for t, k in legal[row].nonzero().tolist():
            ends = anchors[t, k].tolist()
            if ablation == "anchors_truncated":  # the public code counts from whole clips
                ends = [int(end) for end in ends]
            ends = [
                a + b for a, b in zip(ends, outputs["offsets"][row, t, k].tolist(), strict=True)
            ]
            start, end = (min(max(value, 0), count - 1) for value in ends)
            if end < start:
                start = end = (start + end) / 2
                crossed += 1
            score = outputs["logits"][row, t, k].sigmoid().item()
            rows.append([start, end + 1, score])
        rows = torch.tensor(sorted(rows, key=lambda r: -r[2])).double()
        rows[:, :2] *= batch.dur[row] / count
        kept = found[row][~found[row, :, 0].isnan()]
        torch.testing.assert_close(kept, rows[: len(kept)], atol=1e-6, rtol=1e-6)
        assert len(kept) == min(len(rows), found.shape[1])
    assert crossed


@pytest.mark.slow
def test_one_batch_is_learned_to_its_floor():
    """Offsets to zero error; scores to the entropy of their soft labels, which is not zero."""
    batch = make_batch(size=8, clips=12, seed=4).to(torch.float32)
    model = make_model("ia_net").float().train()
    optimizer = build_optimizer(model, name="adamw", lr=5e-3)
    for step in range(600):
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * (1 - step / 600)
        optimizer.zero_grad()
        losses = model.loss(model(batch), batch)
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    anchors, legal = model.candidates(batch, torch.float32)
    span = index_labels(batch.gt, batch.dur, batch.v_mask.sum(1))[:, None, None]
    target = index_iou(anchors, span.float())[legal]
    floor = -(torch.xlogy(target, target) + torch.xlogy(1 - target, 1 - target)).mean()
    assert losses["boundary"] / model.alpha < 2e-3
    assert -1e-4 < losses["align"] - floor < 0.01


# --- how weights start ---------------------------------------------------------------------------


def reaches(bound, *weights):
    """Whether weights are uniform draws within the bound: none beyond it, the largest near it."""
    return all(0.9 * bound < weight.abs().max() <= bound for weight in weights)


def test_weights_of_the_public_code_start_as_its_layers_do():
    """PyTorch's own start everywhere, but Xavier's in the attention of neighbouring clips."""
    model = make_model("ia_net", preset="official", width=64, reduce=32)
    local = {id(layer) for part in model.local for layer in (part.project, part.out)}
    assert len(local) == 4
    for name, layer in model.named_modules():
        if id(layer) in local:
            assert reaches((6 / sum(layer.weight.shape)) ** 0.5, layer.weight), name
            assert not layer.bias.any(), name
        elif isinstance(layer, torch.nn.Linear):
            assert reaches(layer.in_features**-0.5, layer.weight), name
        elif isinstance(layer, torch.nn.GRU):
            assert reaches(layer.hidden_size**-0.5, layer.weight_ih_l0, layer.weight_hh_l0), name


def test_gates_start_open_by_default():
    gates = {
        start: [m.gate_bias for m in make_model("ia_net", start=start).modules() if is_gate(m)]
        for start in ("open", "pytorch")
    }
    assert len(gates["open"]) == len(gates["pytorch"]) == 12  # two a modality and block
    assert all((bias == 2.0).all() for bias in gates["open"])
    assert all(bias.abs().max() < 0.5 for bias in gates["pytorch"])


def is_gate(module):
    return isinstance(module, Calibration)


# --- choices -------------------------------------------------------------------------------------


def test_unknown_choice_is_refused():
    with pytest.raises(UserError, match="align: 'cosin' is not one of"):
        make_model("ia_net", align="cosin")
    with pytest.raises(UserError, match="width: 18 must be a multiple of heads"):
        make_model("ia_net", width=18)
    with pytest.raises(UserError, match="local_heads: 4 do not divide the 6 numbers"):
        make_model("ia_net", "local_attention", reduce=6)


def test_wide_features_are_reduced_and_narrow_ones_kept():
    assert make_model("ia_net").reduce.weight.shape == (8, CLIP_DIM)
    assert isinstance(make_model("ia_net", reduce=CLIP_DIM).reduce, torch.nn.Identity)


# --- one pass on fixed weights -------------------------------------------------------------------


def test_forward_on_fixed_weights():
    """Weights and inputs by formula: the numbers change only when the computation does."""
    model, batch = fixed_model("ia_net"), fixed_batch()
    outputs = model(batch)
    losses = {name: value.item() for name, value in model.loss(outputs, batch).items()}
    close = {"rel": 1e-9, "abs": 1e-9}
    assert outputs["logits"][0, 3].tolist() == pytest.approx(LOGITS, **close)
    assert outputs["offsets"][1, 2, 1].tolist() == pytest.approx(OFFSETS, **close)
    assert losses == pytest.approx(LOSSES, **close)
    assert model.decode(outputs, batch, 1)[:, 0].tolist() == [
        pytest.approx(moment, rel=1e-6) for moment in MOMENTS
    ]
