"""SeqPAN: properties of its parts, sizes, and one forward pass on fixed weights."""

import math

import pytest
import torch
from model_samples import (
    CATALOGUE,
    cut,
    fixed_batch,
    fixed_model,
    make_batch,
    make_model,
    pad,
    pick,
)

from tsgbench.errors import UserError
from tsgbench.models import build
from tsgbench.models.seqpan import (
    CharacterCNN,
    ContextQueryAttention,
    ParallelAttention,
    TransformerBlock,
    gumbel_like,
    orthogonality_loss,
    sample_labels,
)
from tsgbench.models.targets import index_labels
from tsgbench.optim import build_optimizer
from tsgbench.text import WordTable

# Computed once, in double precision, by `fixed_model("seqpan")(fixed_batch())`
START = [
    -0.6768699370959365,
    -0.5456689018678071,
    -0.08927254251092392,
    -0.2739028274249441,
    -0.6290589342479063,
    -0.5984325585131417,
]
END_OF_SECOND = [0.6271305849686313, 0.41622063805024556, 0.03646806886463411, 0.04607019681806819]
MATCH = [0.4962637817762893, 0.3902468656474175, 0.05377534528993175, 0.059714007286361476]
LOSSES = {
    "location": 3.473340745519699,
    "match": 2.7501650735107415,
    "orthogonal": 2.308380553240995,
}

INTERACTIONS = ["sgpa", "pa", "se_trm", "co_trm", "seco", "cose"]


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def charades_sized(characters=40, **settings):
    """The model as on Charades-STA: 1,024-d clips, 300-d words, so many characters."""
    words = ["<pad>", "<unk>", "".join(chr(97 + i) for i in range(characters - 1))]
    table = WordTable(words, torch.zeros(3, 300).numpy(), torch.tensor([0, 0, 1]).bool().numpy())
    entry = CATALOGUE["seqpan"]["settings"]["model"]
    return build("seqpan", clip_dim=1024, words=table, settings=entry | settings)


def test_sizes_are_those_of_the_specification():
    assert size(charades_sized()) == 1_186_556
    assert round(size(charades_sized(char=False)) / 1e6, 3) == 1.157
    for dataset, expected in (("activitynet_captions", 1.213), ("tacos", 1.236)):
        change = CATALOGUE["seqpan"]["datasets"][dataset]["model"]
        assert round(size(charades_sized(**change)) / 1e6, 3) == expected
    paper = CATALOGUE["seqpan"]["presets"]["paper"]["model"]
    assert 1.1e6 < size(charades_sized(**paper)) < 1.3e6
    sizes = {kind: size(charades_sized(interaction=kind).blocks[0]) for kind in INTERACTIONS}
    assert sizes["sgpa"] == 264_704
    assert sizes["se_trm"] == sizes["co_trm"] < sizes["pa"] < sizes["sgpa"]
    assert sizes["seco"] == sizes["cose"] == 2 * sizes["se_trm"]


def test_presets_build_and_differ():
    batch = make_batch()
    official, paper = (make_model("seqpan", preset=p) for p in ("official", "paper"))
    assert {"match_score.weight", "label_vectors"} <= set(dict(paper.named_parameters()))
    assert len(official.localiser.encoders) == 1 and len(paper.localiser.encoders) == 2
    sample = paper(batch)["match"][batch.v_mask]
    assert ((sample == 0) | (sample == 1)).all()
    assert not ((official(batch)["match"] == 0) | (official(batch)["match"] == 1)).any()


def test_match_none_leaves_no_trace():
    names = [name for name, _ in make_model("seqpan", "match_none").named_parameters()]
    assert not [name for name in names if "label" in name or "match" in name]
    batch = make_batch()
    model = make_model("seqpan", "match_none")
    assert set(model.loss(model(batch), batch)) == {"location"}


# --- labels and noise ----------------------------------------------------------------------------


def test_hard_sample_is_exactly_one_hot_and_passes_gradients():
    scores = torch.randn(5, 7, 4, requires_grad=True)
    sample = sample_labels(scores, hard=True)
    assert ((sample == 0) | (sample == 1)).all() and (sample.sum(-1) == 1).all()
    assert torch.equal(sample.argmax(-1), scores.argmax(-1))
    weights = torch.randn(4)
    (hard,) = torch.autograd.grad((sample * weights).sum(), scores)
    (soft,) = torch.autograd.grad((sample_labels(scores, hard=False) * weights).sum(), scores)
    torch.testing.assert_close(hard, soft)
    assert (hard != 0).any()
    model, batch = make_model("seqpan", "st_hard").train(), make_batch()
    model(batch)["start"][batch.v_mask].square().sum().backward()  # only through the sample
    assert (model.match_score.weight.grad != 0).any() and (model.label_vectors.grad != 0).any()


def test_temperature_goes_from_one_hot_to_uniform():
    scores = torch.tensor([0.3, 1.0, -0.5, 0.2])
    cold, hot = (sample_labels(scores / tau, hard=False) for tau in (0.01, 1e4))
    torch.testing.assert_close(cold, torch.tensor([0.0, 1, 0, 0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(hot, torch.full((4,), 0.25), atol=1e-3, rtol=0)


def test_noisy_argmax_follows_the_softmax():
    torch.manual_seed(0)
    scores = torch.tensor([1.0, 0.0, -1.0, 0.5]).expand(200_000, 4)
    drawn = (scores + gumbel_like(scores)).argmax(-1).bincount(minlength=4) / len(scores)
    torch.testing.assert_close(drawn, scores[0].softmax(0), atol=0.005, rtol=0)


@pytest.mark.parametrize("squared", [True, False])
def test_orthogonality_counts_only_different_rows(squared):
    rows = torch.linalg.qr(torch.randn(6, 4, dtype=torch.float64)).Q.T * torch.tensor(
        [[1.0], [2], [0.1], [30]]
    )
    assert orthogonality_loss(rows, squared=squared) < 1e-12
    skewed = rows + rows[[1]]
    products = skewed @ skewed.T
    apart = (products - torch.diag(products.diagonal())).square().sum()
    expected = apart if squared else apart.sqrt()
    torch.testing.assert_close(orthogonality_loss(skewed, squared=squared), expected)
    exact = torch.eye(4, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(orthogonality_loss(exact, squared=squared), exact)
    assert slope.isfinite().all()


def test_noise_only_where_it_is_asked_for():
    batch = make_batch()
    for ablation, is_random in (("full", False), ("gumbel_at_test", True), ("vanilla", False)):
        model = make_model("seqpan", ablation)
        assert torch.equal(model(batch)["start"], model(batch)["start"]) != is_random, ablation
        model.train()
        is_noisy = ablation != "vanilla"
        assert torch.equal(model(batch)["match"], model(batch)["match"]) != is_noisy, ablation


def test_tau_divides_the_label_scores():
    batch = make_batch()
    logits = {
        name: make_model("seqpan", name)(batch)["match_logits"] * tau
        for name, tau in (("full", 0.3), ("tau_0p5", 0.5), ("vanilla", 1.0))
    }
    torch.testing.assert_close(logits["tau_0p5"], logits["full"])
    torch.testing.assert_close(logits["vanilla"], logits["full"])


# --- attention -----------------------------------------------------------------------------------


def pair(first, second, gap=2):
    """Two sequences end to end, as the blocks take them: x, real, split."""
    (x1, m1), (x2, m2) = first, second
    x = torch.cat([torch.nn.functional.pad(x1, (0, 0, 0, gap)), x2], dim=1)
    real = torch.cat([torch.nn.functional.pad(m1, (0, gap)), m2], dim=1)
    return x, real, x1.shape[1] + gap


def two_sequences():
    torch.manual_seed(0)
    clips = torch.randn(2, 5, 8).double(), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    words = torch.randn(2, 3, 8).double(), torch.tensor([[1, 1, 0], [1, 1, 1]]).bool()
    return clips, words


@pytest.mark.parametrize(
    "block",
    [
        ParallelAttention(8, 2, 0.0, "input"),
        ParallelAttention(8, 2, 0.0, "linear"),
        TransformerBlock(8, 2, 0.0, "single"),
        TransformerBlock(8, 2, 0.0, "4x", cross=True),
    ],
)
def test_swapping_the_modalities_swaps_the_outputs(block):
    block = block.double()
    clips, words = two_sequences()
    one, other = block(*pair(clips, words)), block(*pair(words, clips))
    torch.testing.assert_close(one[:, :5], other[:, 5:])
    torch.testing.assert_close(one[:, 7:], other[:, :3])
    assert (one[:, :5][~clips[1]] == 0).all()


def test_what_each_attention_looks_at():
    clips, words = two_sequences()
    changed = words[0] + 1.0, words[1]
    own = TransformerBlock(8, 2, 0.0, "single").double()
    cross = TransformerBlock(8, 2, 0.0, "single", cross=True).double()
    assert torch.equal(own(*pair(clips, words))[:, :5], own(*pair(clips, changed))[:, :5])
    # Layer normalisation removes a constant shift: change one channel
    changed = words[0] * torch.linspace(0, 2, 8), words[1]
    differs = cross(*pair(clips, words))[:, :5] != cross(*pair(clips, changed))[:, :5]
    assert differs[clips[1]].all()
    # Cross-attention finds nothing of its own sequence: equal queries, equal answers
    block = ParallelAttention(8, 2, 0.0, "input").double()
    x, real, split = pair(clips, (words[0], torch.tensor([[1, 0, 0], [0, 1, 0]]).bool()))
    _, other = block.contexts(block.norm_own(x), block.norm_other(x), real, split)
    torch.testing.assert_close(other[:, :5], other[:, :1].expand(-1, 5, -1))


@pytest.mark.parametrize("similarity", ["trilinear", "bilinear"])
def test_context_query_weights_sum_to_one_over_real_places(similarity):
    clips, words = two_sequences()
    layer = ContextQueryAttention(8, similarity, 0.0).double()
    over_words, over_clips = layer.attend(clips[0], words[0], clips[1], words[1])
    torch.testing.assert_close(over_words.sum(2), torch.ones(2, 5).double())
    torch.testing.assert_close(over_clips.sum(1), torch.ones(2, 3).double())
    assert (over_words.transpose(1, 2)[~words[1]] == 0).all()
    assert (over_clips[~clips[1]] == 0).all()


def test_trilinear_similarity_is_its_formula():
    clips, words = two_sequences()
    layer = ContextQueryAttention(8, "trilinear", 0.0).double()
    w1, w2, w3 = layer.weights
    x, y = clips[0][:, :, None], words[0][:, None]
    scores = (x @ w1) + (y @ w2) + (x * y) @ w3
    expected = scores.masked_fill(~words[1][:, None], -torch.inf).softmax(2)
    torch.testing.assert_close(layer.attend(clips[0], words[0], clips[1], words[1])[0], expected)


def test_attention_output_sums_to_one_over_words():
    batch = make_batch()
    weights = make_model("seqpan")(batch)["attention"]
    sums = weights.sum(2)[batch.v_mask]
    torch.testing.assert_close(sums, torch.ones_like(sums))


# --- padding, words, lengths ---------------------------------------------------------------------


def test_unmasked_convolutions_leak_the_padding():
    batch = make_batch()
    row = pick(batch, torch.tensor([1]))
    for ablation, leaks in (("full", False), ("unmasked", True)):
        model = make_model("seqpan", ablation)
        with torch.no_grad():  # at the start, these biases are zero
            for norm in model.convolutions.norms:
                norm.bias.fill_(0.1)
        alone, wide = model(cut(row)), model(pad(cut(row), 6, 4))
        clips = alone["start"].shape[1]
        apart = (alone["start"] - wide["start"][:, :clips]).abs().max()
        assert (apart > 1e-6) == leaks, (ablation, float(apart))


def test_character_feature_is_a_convolution_over_characters():
    words = ["<pad>", "<unk>", "ab", "abcde", "c"]
    torch.manual_seed(0)
    layer = CharacterCNN(words, 6).double()
    found = layer(torch.tensor([[3, 2], [4, 3]]))
    assert found.shape == (2, 2, 100)
    torch.testing.assert_close(found[0, 0], found[1, 1])
    table = torch.cat([torch.zeros(1, 6).double(), layer.vectors])
    vectors = table[layer.spelling[torch.tensor([3, 2, 4])]]  # (3, C, 6)
    expected = []
    for kernel, bias in zip(layer.kernels, layer.biases, strict=True):
        conv = torch.nn.functional.conv1d(vectors.transpose(1, 2), kernel.permute(2, 1, 0), bias)
        expected.append(conv.relu().amax(-1))
    expected = torch.cat(expected, -1)
    torch.testing.assert_close(found[0, 0], expected[0])
    torch.testing.assert_close(found[0, 1], expected[1])
    torch.testing.assert_close(found[1, 0], expected[2])


def test_one_letter_words_have_room_for_the_widest_kernel():
    assert CharacterCNN(["<pad>", "<unk>", "a"], 4)(torch.tensor([[2, 1]])).isfinite().all()


def test_words_are_told_apart_by_their_characters():
    batch = make_batch()
    batch.tokens[0, :2] = torch.tensor([1, 5])  # both without a vector
    with_characters, without = make_model("seqpan"), make_model("seqpan", "no_char")
    assert torch.equal(*without.words(batch.tokens)[0, :2])
    assert not torch.equal(*with_characters.words(batch.tokens)[0, :2])


@pytest.mark.parametrize(("setting", "extra"), [("max_clips", (40, 0)), ("max_words", (0, 40))])
def test_too_long_a_batch_names_the_setting(setting, extra):
    with pytest.raises(UserError, match=f"{setting}: a batch is 4.* long"):
        make_model("seqpan")(pad(make_batch(), *extra))


def test_unknown_choice_is_refused():
    with pytest.raises(UserError, match="interaction: 'sgap' is not one of"):
        make_model("seqpan", interaction="sgap")


# --- losses and decoding -------------------------------------------------------------------------


@pytest.mark.parametrize("ablation", ["full", "labels_onehot", "st_hard", "match_none"])
def test_decoded_span_is_the_best_of_all_and_scored_with_its_probability(ablation):
    batch, model = make_batch(size=6), make_model("seqpan", ablation)
    outputs = model(batch)
    counts = batch.v_mask.sum(1)
    found = model.decode(outputs, batch, 1)[:, 0]
    for row, count in enumerate(counts.tolist()):
        start, end = (outputs[n][row, :count].softmax(0) for n in ("start", "end"))
        joint = (start[:, None] * end).triu()
        i, j = divmod(int(joint.argmax()), count)
        cell = batch.dur[row] / count
        expected = torch.stack([i * cell, (j + 1) * cell, joint.max()])
        torch.testing.assert_close(found[row], expected, rtol=1e-5, atol=1e-6)


def test_weights_scale_their_losses():
    batch = make_batch()
    base = make_model("seqpan")
    outputs = base(batch)
    plain = base.loss(outputs, batch)
    assert set(plain) == {"location", "match", "orthogonal"}
    base.location_weight, base.match_lambda = 0.5, 3.0
    base.label_vectors.data[0] = base.label_vectors.data[1]
    weighted = base.loss(outputs, batch)
    torch.testing.assert_close(weighted["location"], 0.5 * plain["location"])
    torch.testing.assert_close(weighted["match"], 3.0 * plain["match"])
    torch.testing.assert_close(weighted["orthogonal"], torch.tensor(6.0).double())  # 3 * 2 pairs


def test_location_loss_is_its_formula():
    batch, model = make_batch(size=3), make_model("seqpan", "labels_onehot")
    outputs = model(batch)
    span = index_labels(batch.gt, batch.dur, batch.v_mask.sum(1))
    expected = sum(
        torch.nn.functional.cross_entropy(outputs[name], span[:, side])
        for side, name in enumerate(("start", "end"))
    )
    torch.testing.assert_close(model.loss(outputs, batch)["location"], expected)


@pytest.mark.parametrize(("ablation", "floor"), [("labels_onehot", 0.0), ("full", None)])
def test_location_loss_reaches_its_floor(ablation, floor):
    """Zero for one-hot targets; for soft ones their entropy, 2.079 nats away from the ends."""
    batch = make_batch(size=8, clips=12, seed=4).to(torch.float32)
    counts = batch.v_mask.sum(1)
    model = make_model("seqpan", ablation, match="none").float().train()
    span = index_labels(batch.gt, batch.dur, counts)
    if floor is None:
        inner = -(0.5 * math.log(0.5) + 0.5 * math.log(0.25))
        edge = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
        assert 2 * inner == pytest.approx(2.079, abs=1e-3)
        is_edge = (span == 0) | (span == counts[:, None] - 1)
        floor = torch.where(is_edge, edge, inner).sum(1).mean().item()
    optimizer = build_optimizer(model, name="adamw", lr=5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        location = model.loss(model(batch), batch)["location"]
        location.backward()
        optimizer.step()
    assert -1e-4 < location.item() - floor < 0.01


def test_forward_on_fixed_weights():
    """Weights and inputs by formula: the numbers change only when the computation does."""
    model, batch = fixed_model("seqpan"), fixed_batch()
    outputs = model(batch)
    losses = {name: value.item() for name, value in model.loss(outputs, batch).items()}
    start, end = outputs["start"][0].tolist(), outputs["end"][1].tolist()
    close = {"rel": 1e-9, "abs": 1e-9}
    assert start == pytest.approx(START, **close)
    assert end == pytest.approx([*END_OF_SECOND, -math.inf, -math.inf], **close)
    assert outputs["match"][1, 2].tolist() == pytest.approx(MATCH, **close)
    assert losses == pytest.approx(LOSSES, **close)
