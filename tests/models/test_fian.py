"""FIAN: properties of its parts, sizes, and one forward pass on fixed weights."""

import copy

import numpy as np
import pytest
import torch
from model_samples import (
    CATALOGUE,
    fixed_batch,
    fixed_model,
    make_batch,
    make_model,
    pad,
    pick,
    settings_of,
)
from torch.nn import functional as F

from tsgbench.errors import UserError
from tsgbench.models import build
from tsgbench.models.fian import (
    AdditiveAttention,
    AnchorHead,
    ContentHead,
    Encoder,
    GatedIntegration,
    GuidedAttention,
    SelfAttention,
)
from tsgbench.models.targets import index_iou, index_labels
from tsgbench.text import WordTable
from tsgbench.text.tokens import tokenize

# Features of a clip and parameters in millions, with feed-forward layers of 2048 and of 512 units
SIZES = {
    "activitynet_captions": (500, 23.2, 16.9),
    "tacos": (4096, 24.2, 17.9),
    "charades_sta": (1024, 22.6, 16.3),
}
# Computed once, in double precision, from `fixed_model` and `fixed_batch` of two longer videos
SCORE = [
    -0.07723364945174874,
    -0.4725049138453217,
    0.0,
    -0.3585831034907614,
    0.0,
    0.6144025206540796,
    0.0,
    0.0,
]
OFFSET = [
    -0.5964747115817994,
    0.3563933202781851,
    -0.5745382257287055,
    0.3629295197367628,
    -0.5203061656465667,
    0.3426869752038058,
]
LOSSES = {"align": 1.3964231130886815, "boundary": 0.021116857445646668}


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def full_sized(dataset, **settings):
    """The model as on a data set, with 300-d words."""
    table = WordTable(["<pad>", "<unk>", "a"], np.zeros((3, 300), np.float32), np.arange(3) == 2)
    entry = CATALOGUE["fian"]
    own = entry["settings"]["model"] | entry["datasets"][dataset].get("model", {})
    return build("fian", clip_dim=SIZES[dataset][0], words=table, settings=own | settings)


def two_sequences(width=8):
    """x (2, 5, D), y (2, 3, D) and their masks; padding is zero."""
    torch.manual_seed(0)
    x_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    y_mask = torch.tensor([[1, 1, 0], [1, 1, 1]]).bool()
    x, y = torch.randn(2, 5, width).double(), torch.randn(2, 3, width).double()
    return x * x_mask[..., None], y * y_mask[..., None], x_mask, y_mask


# --- sizes and variants --------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", SIZES)
def test_sizes_are_those_of_the_specification(dataset):
    _, wide, narrow = SIZES[dataset]
    assert round(size(full_sized(dataset)) / 1e6, 1) == wide
    assert round(size(full_sized(dataset, ffn_scale=1)) / 1e6, 1) == narrow


def test_size_of_one_guided_attention_and_of_the_head():
    guided = GuidedAttention(512, 8, has_gate=True)
    assert size(guided) == 4 * (512**2 + 512) + 2 * 512**2 + 2 * 512
    head = ContentHead(512, (8, 16, 32, 64), 0.125, 200)
    assert size(head) == 3 * 512 * 120 + 4 * 3


def test_number_of_candidates_on_each_data_set():
    def count(dataset, **change):
        entry = CATALOGUE["fian"]
        own = entry["settings"]["model"] | entry["datasets"][dataset].get("model", {}) | change
        head = ContentHead(2, own["windows"], own["rho"], own["max_clips"])
        return len(head.candidates)

    assert count("activitynet_captions") == 89
    assert count("charades_sta") == 53
    changes = {
        name: CATALOGUE["fian"]["ablations"][name].get("model", {})
        for name in ("stride_1", "full", "stride_quarter", "stride_half")
    }
    assert [count("tacos", **change) for change in changes.values()] == [684, 347, 175, 89]


def test_what_reaches_the_final_recurrence():
    width = settings_of("fian")["width"]
    expected = {"soft": 1, "cma": 1, "vq": 1, "vqma": 1, "qvma": 1, "concat": 2, "matrix": 4}
    for ablation, widths in {"full": 2, **expected}.items():
        model = make_model("fian", ablation)
        assert model.final_gru.ahead.input_size == widths * width, ablation


def test_variants_hold_only_the_encoders_they_use():
    expected = {
        "full": {"qv_query", "qv_video", "vq_video", "vq_query"},
        "soft": {"vq_video"},
        "cma": {"vq_video"},
        "vq": {"vq_video"},
        "vqma": {"vq_video", "vq_query"},
        "qvma": {"qv_query", "qv_video"},
        "concat": {"qv_query", "qv_video", "vq_video"},
        "matrix": {"qv_query", "qv_video", "vq_video"},
    }
    for ablation, names in expected.items():
        assert set(make_model("fian", ablation).encoders) == names, ablation
    names = [name for name, _ in make_model("fian", "vq").named_parameters()]
    assert not [name for name in names if "qv" in name or "integration" in name]
    full, shared = make_model("fian"), make_model("fian", "share_same_direction")
    assert shared.encoders["vq_video"] is shared.encoders["qv_video"]
    assert size(full.encoders) == 2 * size(shared.encoders)


def test_matrix_joins_both_videos_their_difference_and_product():
    model = make_model("fian", "matrix")
    first, second = torch.randn(2, 2, 5, 16).double()
    parts = model.fuse([first, second], []).chunk(4, dim=-1)
    for part, expected in zip(parts, (first, second, first - second, first * second), strict=True):
        assert torch.equal(part, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"branches": "qvq"}, "branches: 'qvq' is not one of"),
        ({"integrate": "matrix", "branches": "vq"}, "integrate: 'matrix' needs branches 'both'"),
        ({"windows": [4, 30]}, r"windows: \[4, 30\] must be sizes between 1 and max_clips, 20"),
        ({"heads": 3}, "width: 16 must be a multiple of heads, 3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        make_model("fian", **change)


# --- attention -----------------------------------------------------------------------------------


@pytest.mark.parametrize("has_gate", [True, False])
def test_guided_attention_is_its_equations(has_gate):
    x, y, _, y_mask = two_sequences()
    layer = GuidedAttention(8, 2, has_gate=has_gate).double()
    q, (k, v) = layer.query(x), layer.key_value(y).chunk(2, dim=-1)
    found = []
    for part in (slice(0, 4), slice(4, 8)):  # heads
        scores = torch.einsum("bxd,byd->bxy", q[..., part], k[..., part]) / 4**0.5
        weights = scores.masked_fill(~y_mask[:, None], -torch.inf).softmax(2)
        torch.testing.assert_close(weights.sum(2), torch.ones(2, 5).double())
        found.append(torch.einsum("bxy,byd->bxd", weights, v[..., part]))
    expected = layer.out(torch.cat(found, dim=-1))
    if has_gate:
        torch.nn.init.normal_(layer.gate_bias)
        torch.nn.init.normal_(layer.content_bias)
        joint = x @ layer.guide.weight.T + expected @ layer.attended.weight.T
        expected = torch.sigmoid(joint + layer.gate_bias) * (joint + layer.content_bias)
    torch.testing.assert_close(layer(x, y, y_mask), expected)


def test_gate_without_weights_halves_the_content_bias():
    x, y, _, y_mask = two_sequences()
    layer = GuidedAttention(8, 2, has_gate=True).double()
    content = torch.randn(8).double()
    with torch.no_grad():
        for parameter in (layer.guide.weight, layer.attended.weight, layer.gate_bias):
            parameter.zero_()
        layer.content_bias.copy_(content)
    torch.testing.assert_close(layer(x, y, y_mask), (content / 2).expand(2, 5, 8))


def test_soft_attention_is_its_formula():
    x, y, _, y_mask = two_sequences()
    layer = AdditiveAttention(8).double()
    weights = layer.weights(x, y, y_mask)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 5).double())
    assert (weights.transpose(1, 2)[~y_mask] == 0).all()
    for row, place, word in ((0, 1, 0), (1, 2, 2)):
        scores = [
            layer.score(torch.tanh(layer.of_x(x[row, place]) + layer.of_y(y[row, other])))
            for other in range(int(y_mask[row].sum()))
        ]
        expected = torch.cat(scores).softmax(0)[word]
        torch.testing.assert_close(weights[row, place, word], expected)
    torch.testing.assert_close(layer(x, y, y_mask), weights @ y)


@pytest.mark.parametrize("attention", ["cga", "cma", "soft"])
def test_encoder_never_reads_padding(attention):
    x, y, x_mask, y_mask = two_sequences()
    encoder = Encoder(8, 2, 0.0, 2, attention).double()
    noise = y + 9 * (~y_mask)[..., None]
    found = encoder(x, y, x_mask, y_mask)
    assert torch.equal(found, encoder(x, noise, x_mask, y_mask))
    assert (found[~x_mask] == 0).all() and (found[x_mask] != 0).any()


def test_encoder_adds_and_normalises_after():
    x, y, x_mask, y_mask = two_sequences()
    encoder = Encoder(8, 2, 0.0, 2, "cga").double()
    first = F.layer_norm(x + encoder.attention(x, y, y_mask), (8,))
    second = F.layer_norm(first + encoder.ffn(first), (8,))
    torch.testing.assert_close(encoder(x, y, x_mask, y_mask), second * x_mask[..., None])


def test_window_of_self_attention_reaches_three_clips():
    torch.manual_seed(0)
    x, mask = torch.randn(1, 12, 8).double(), torch.ones(1, 12, dtype=torch.bool)
    changed = x.clone()
    changed[0, 6] += torch.randn(8).double()
    for reach, expected in ((3, range(3, 10)), (0, range(12))):
        layer = SelfAttention(8, 2, 0.0, reach).double()
        differs = (layer(x, mask) != layer(changed, mask)).any(-1)[0]
        assert differs.nonzero().flatten().tolist() == list(expected)


def test_swapping_the_modalities_and_the_branches_swaps_the_results():
    clips, words, v_mask, q_mask = two_sequences(16)
    model = make_model("fian")
    videos, queries = model.attend(clips, words, v_mask, q_mask)
    swapped, encoders = copy.deepcopy(model), model.encoders
    for name, other in (
        ("qv_query", "vq_video"),
        ("vq_video", "qv_query"),
        ("qv_video", "vq_query"),
        ("vq_query", "qv_video"),
    ):
        swapped.encoders[name] = encoders[other]
    # The query stands where the video stood, and the video where the query stood
    for_words, for_clips = swapped.attend(words, clips, q_mask, v_mask)
    torch.testing.assert_close(for_clips[0], videos[1])
    torch.testing.assert_close(for_clips[1], videos[0])
    torch.testing.assert_close(for_words[0], queries[1])
    torch.testing.assert_close(for_words[1], queries[0])
    assert not torch.equal(videos[0], videos[1])


# --- what CMIN's code decides --------------------------------------------------------------------


class Silence(torch.nn.Module):
    """Stands where dropout does: keeps what comes in and lets nothing through."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(x)
        return 0 * x


def test_dropout_is_where_cmin_has_it():
    """Of clips and words as they come in, and of what each of the three recurrences gives."""
    batch, model, taken = make_batch(), make_model("fian"), {}
    assert make_model("fian", dropout=0.3).dropout.p == 0.3
    model.dropout = Silence().double()
    readers = {"query_gru", "project", "video_gru", "final_gru", "head"}
    for name, module in model.named_modules():
        if name in readers | {"words", "encoders.qv_query"}:
            module.register_forward_hook(
                lambda _, given, found, name=name: taken.update({name: (given, found)})
            )
    model(batch)
    made = [taken["words"][1], taken["query_gru"][1], batch.video]
    made += [taken["video_gru"][1], taken["final_gru"][1]]
    assert [id(x) for x in model.dropout.seen] == [id(x) for x in made]
    for name in ("query_gru", "project", "head"):
        assert not taken[name][0][0].any(), f"{name} reads what dropout gives"
    assert all(not x.any() for x in taken["encoders.qv_query"][0][:2])


def test_words_are_cmins():
    """Without full stops and commas, so that the 20 places of eq. 11 hold words."""
    inputs = CATALOGUE["fian"]["settings"]["inputs"]
    found = tokenize("The man (left) jumps, then turns.", inputs["tokenizer"])
    assert found == ["the", "man", "left", "jumps", "then", "turns"]
    assert inputs["oov"] == "drop"


# --- integration, and the fixed lengths it asks for ----------------------------------------------


def integration_inputs():
    torch.manual_seed(1)
    videos, queries = torch.randn(2, 2, 5, 8).double(), torch.randn(2, 2, 3, 8).double()
    return list(videos), list(queries), GatedIntegration(2, 8, 4, 6).double()


def test_integration_is_its_equations():
    videos, queries, layer = integration_inputs()
    laid = []
    for query, lay in zip(queries, layer.lay, strict=True):
        rows = [
            sum(lay.weight[t, word] * query[:, word] for word in range(3)) + lay.bias[t]
            for t in range(5)
        ]
        laid.append(torch.stack(rows, dim=1))
    query = torch.cat(laid, dim=-1)
    ratio = torch.sigmoid(query @ layer.gate.weight.T + layer.gate.bias)
    expected = F.layer_norm(torch.cat(videos, dim=-1) + ratio * query, (16,))
    torch.testing.assert_close(layer(videos, queries), expected)


def test_closed_gate_leaves_the_videos_alone():
    videos, queries, layer = integration_inputs()
    with torch.no_grad():
        layer.gate.weight.zero_()
        layer.gate.bias.fill_(-torch.inf)
    expected = F.layer_norm(torch.cat(videos, dim=-1), (16,))
    assert torch.equal(layer(videos, queries), expected)


def test_empty_query_is_laid_as_the_bias():
    videos, queries, layer = integration_inputs()
    query = torch.stack([lay.bias[:5] for lay in layer.lay]).repeat_interleave(8, dim=0).T
    ratio = torch.sigmoid(query @ layer.gate.weight.T + layer.gate.bias)
    expected = F.layer_norm(torch.cat(videos, dim=-1) + ratio * query, (16,))
    found = layer(videos, [torch.zeros_like(query) for query in queries])
    torch.testing.assert_close(found, expected)


def test_content_of_padding_is_irrelevant():
    """Also of the slots of eq. 11, which has a weight for every one of them."""
    batch = pad(make_batch(), clips=3, words=4)
    noisy = copy.copy(batch)
    noisy.video = batch.video + torch.randn_like(batch.video) * ~batch.v_mask[..., None]
    noisy.tokens = torch.where(batch.q_mask, batch.tokens, 7)
    for ablation in ("full", "soft", "matrix", "video_window3"):
        model = make_model("fian", ablation)
        first, second = model(batch), model(noisy)
        for name in first:
            assert torch.equal(first[name], second[name]), (ablation, name)


def test_place_in_the_query_matters_for_the_integration():
    """What makes FIAN's length of a query fixed: a word counts by its place (eq. 11)."""
    videos, queries, layer = integration_inputs()
    later = [F.pad(query, (0, 0, 1, 0)) for query in queries]  # the same words a place later
    assert not torch.allclose(layer(videos, queries), layer(videos, later))


@pytest.mark.parametrize(("setting", "extra"), [("max_clips", (12, 0)), ("max_words", (0, 7))])
def test_too_long_a_batch_names_the_setting(setting, extra):
    with pytest.raises(UserError, match=f"{setting}: a batch is .* long"):
        make_model("fian")(pad(make_batch(), *extra))


# --- candidates ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("windows", "rho"), [((2, 5, 8), 0.4), ((3, 16), 0.125), ((4,), 0.0)])
def test_a_score_is_made_of_the_clips_of_its_candidate(windows, rho):
    torch.manual_seed(0)
    head = ContentHead(6, windows, rho, 16).double()
    candidates = head.candidates.long()
    expected = [
        (start, start + window - 1)
        for window in windows
        for start in range(0, 16 - window + 1, max(1, round(rho * window)))
    ]
    assert [tuple(row) for row in candidates.tolist()] == expected
    x = torch.randn(2, 16, 6).double()
    found = head(x)
    assert found.shape == (2, len(expected), 3)
    for place, (start, end) in enumerate(expected):
        weight, bias = {
            convolve.kernel_size[0]: (convolve.weight, convolve.bias)
            for convolve in head.convolutions
        }[end - start + 1]
        inside = torch.einsum("btd,odt->bo", x[:, start : end + 1], weight) + bias
        torch.testing.assert_close(found[:, place], inside)
        outside = torch.randn_like(x)
        outside[:, start : end + 1] = x[:, start : end + 1]
        assert torch.equal(head(outside)[:, place], found[:, place])


def test_shifting_the_video_by_a_stride_shifts_the_scores_by_one():
    head = ContentHead(6, (8,), 0.25, 20).double()
    x = torch.randn(1, 22, 6).double()
    torch.testing.assert_close(head(x[:, 2:])[:, :-1], head(x[:, :-2])[:, 1:])


def test_anchors_of_the_other_heads():
    ending = AnchorHead(6, (2, 5), 9, is_centred=False)
    centred = AnchorHead(6, (2, 5), 9, is_centred=True)
    assert len(ending.candidates) == len(centred.candidates) == 18
    assert ending.candidates[2 * 7 : 2 * 8].tolist() == [[6, 7], [3, 7]]
    assert centred.candidates[2 * 4 : 2 * 5].tolist() == [[3.5, 4.5], [2, 6]]
    x = torch.randn(1, 9, 6)
    changed = x.clone()
    changed[0, 4] += 1
    for head, channels in ((ending, 1), (centred, 3)):
        assert head(x).shape == (1, 18, channels)
        differs = (head(x) != head(changed)).any(-1)[0]
        assert differs.nonzero().flatten().tolist() == [8, 9]


@pytest.mark.parametrize("ablation", ["full", "head_tgn", "head_cmin"])
def test_legal_candidates_are_those_inside_the_video(ablation):
    model = make_model("fian", ablation)
    v_mask = torch.arange(20) < torch.tensor([20, 11, 3])[:, None]
    legal = model.legal(v_mask)
    for row, count in enumerate((20, 11, 3)):
        for place, (start, end) in enumerate(model.head.candidates.tolist()):
            assert legal[row, place] == (start >= 0 and end <= count - 1)


def test_a_video_shorter_than_every_window_keeps_one_candidate():
    model = make_model("fian", windows=[6, 9])
    batch = make_batch(size=3, clips=4)
    assert model.legal(batch.v_mask).sum(1).tolist() == [1, 1, 1]
    outputs = model(batch)
    assert all(loss.isfinite() for loss in model.loss(outputs, batch).values())
    found = model.decode(outputs, batch, 5)
    assert found[:, 1:].isnan().all()
    start, end, _ = found[:, 0].unbind(-1)
    assert ((start >= 0) & (start < end) & (end <= batch.dur)).all()


# --- loss ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ablation", ["full", "best_positive", "head_tgn", "head_cmin"])
def test_losses_are_their_formulas(ablation):
    """Candidate by candidate, as sec. 3.5 and table 5 have it."""
    batch, model = make_batch(size=5, clips=14, seed=2), make_model("fian", ablation)
    outputs = model(batch)
    counts = batch.v_mask.sum(1)
    spans = index_labels(batch.gt, batch.dur, counts).tolist()
    positives, negatives, all_terms, shifts = [], [], [], []
    for row, (first, last) in enumerate(spans):
        overlaps = {}
        for place, (start, end) in enumerate(model.head.candidates.tolist()):
            if start < 0 or end > counts[row] - 1:
                continue
            hull = max(end, last) - min(start, first) + 1
            overlaps[place] = max(0.0, min(end, last) - max(start, first) + 1) / hull
        best = max(overlaps, key=overlaps.get)
        for place, overlap in overlaps.items():
            label, is_positive = overlap, overlap > 0.55
            if ablation == "head_tgn":
                is_positive = overlap > 0.5
                label = float(is_positive)
            if ablation == "head_cmin":
                label = overlap / overlaps[best]
                label, is_positive = label if label >= 0.3 else 0.0, place == best
            if ablation == "best_positive":
                is_positive = is_positive or place == best
            score = outputs["candidate_score"][row, place].sigmoid()
            term = -(label * score.log() + (1 - label) * (1 - score).log())
            (positives if is_positive else negatives).append(term)
            all_terms.append(term)
            if is_positive and ablation != "head_tgn":
                target = torch.tensor([first, last]) - model.head.candidates[place]
                apart = outputs["candidate_offset"][row, place] - target
                small = apart.abs() < 1
                shifts.append(torch.where(small, apart**2 / 2, apart.abs() - 0.5).sum())

    def mean(terms):
        return torch.stack(terms).mean()

    is_cmin = ablation == "head_cmin"
    expected = {"align": mean(all_terms) if is_cmin else mean(positives) + mean(negatives)}
    if ablation != "head_tgn":
        expected["boundary"] = 0.005 * mean(shifts)  # table 5 changes the head alone
    found = model.loss(outputs, batch)
    assert set(found) == set(expected)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])


def aligned_batch(model, place):
    """One query whose moment is the candidate at `place`."""
    batch = pick(make_batch(clips=14), torch.tensor([0]))
    start, end = model.head.candidates[place]
    batch.gt = torch.stack([start, end + 1])[None] * batch.dur / 14
    return batch


def test_moment_that_is_a_candidate_has_no_boundary_loss():
    model = make_model("fian", tau=0.99)
    place = int((model.head.candidates == torch.tensor([3.0, 8.0])).all(1).nonzero())
    batch = aligned_batch(model, place)
    span = index_labels(batch.gt, batch.dur, batch.v_mask.sum(1))
    overlap = index_iou(model.head.candidates, span[:, None])
    assert overlap[0, place] == 1 and (overlap[0].argmax() == place)
    outputs = model(batch)
    outputs["candidate_offset"] = torch.zeros_like(outputs["candidate_offset"])
    assert model.loss(outputs, batch)["boundary"] == 0


def test_a_batch_without_positives_has_no_boundary_loss():
    model = make_model("fian", windows=[9])
    batch = aligned_batch(model, 0)
    batch.gt[0, 1] = batch.gt[0, 0] + batch.dur[0] / 14  # one clip
    losses = model.loss(model(batch), batch)
    assert losses["boundary"] == 0 and losses["align"] > 0 and losses["align"].isfinite()
    forced = make_model("fian", "best_positive", windows=[9])
    assert forced.loss(forced(batch), batch)["boundary"] > 0


def test_twice_as_many_negatives_weigh_the_same():
    model = make_model("fian")
    batch = aligned_batch(model, 5)
    outputs = model(batch)
    before = model.loss(outputs, batch)
    span = index_labels(batch.gt, batch.dur, batch.v_mask.sum(1))
    legal = model.legal(batch.v_mask)
    overlap = index_iou(model.head.candidates, span[:, None])
    again = ((overlap <= model.tau) & legal)[0]
    assert 0 < again.sum() < legal.sum()
    model.head.candidates = torch.cat([model.head.candidates, model.head.candidates[again]])
    outputs = {name: torch.cat([value, value[:, again]], dim=1) for name, value in outputs.items()}
    torch.testing.assert_close(model.loss(outputs, batch), before)


def test_alpha_weighs_the_boundary_loss():
    batch = make_batch(size=6)
    model = make_model("fian")
    outputs = model(batch)
    plain = model.loss(outputs, batch)
    model.alpha *= 3
    weighted = model.loss(outputs, batch)
    assert plain["boundary"] > 0
    torch.testing.assert_close(weighted["boundary"], 3 * plain["boundary"])
    torch.testing.assert_close(weighted["align"], plain["align"])


# --- decoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ablation", ["full", "head_tgn", "head_cmin", "windows_short"])
def test_decoded_moments_are_the_best_candidates_with_their_ends_moved(ablation):
    batch, model = make_batch(size=5, clips=14), make_model("fian", ablation)
    outputs = model(batch)
    if "candidate_offset" in outputs:  # far enough to leave the video, and to cross
        outputs["candidate_offset"] = 40 * outputs["candidate_offset"]
    legal = model.legal(batch.v_mask)
    found = model.decode(outputs, batch, 3)
    for row, count in enumerate(batch.v_mask.sum(1).tolist()):
        scores = outputs["candidate_score"][row].sigmoid().masked_fill(~legal[row], -1)
        for rank, place in enumerate(scores.argsort(descending=True)[:3].tolist()):
            if not legal[row, place]:
                assert found[row, rank].isnan().all()
                continue
            start, end = model.head.candidates[place].tolist()
            if "candidate_offset" in outputs:
                shift = outputs["candidate_offset"][row, place].tolist()
                start, end = start + shift[0], end + shift[1]
            start, end = (min(max(edge, 0.0), count - 1.0) for edge in (start, end))
            if end < start:
                start = end = (start + end) / 2
            cell = batch.dur[row].item() / count
            expected = [start * cell, (end + 1) * cell, scores[place].item()]
            assert found[row, rank].tolist() == pytest.approx(expected)


def test_forward_on_fixed_weights():
    """Weights and inputs by formula: the numbers change only when the computation does."""
    model, batch = fixed_model("fian"), fixed_batch(clips=(12, 8), first_end_s=3.0)
    outputs = model(batch)
    losses = {name: value.item() for name, value in model.loss(outputs, batch).items()}
    close = {"rel": 1e-9, "abs": 1e-9}
    assert outputs["candidate_score"][0, ::8].tolist() == pytest.approx(SCORE, **close)
    assert outputs["candidate_offset"][1, :3].flatten().tolist() == pytest.approx(OFFSET, **close)
    assert losses == pytest.approx(LOSSES, **close)
