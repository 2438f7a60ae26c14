"""CMA: properties of its parts, sizes, losses against brute force, ends in the wrong order."""

import math

import pytest
import torch
from model_samples import CATALOGUE, cut, make_batch, make_model, pad, pick
from torch import nn

from tsgbench.datasets import moments
from tsgbench.errors import UserError
from tsgbench.models import build
from tsgbench.models.cma import (
    AttentionBlock,
    DecoderLayer,
    Fusion,
    PhraseExtraction,
    attention_labels,
    attention_loss,
    diversity_loss,
    regression_loss,
)
from tsgbench.text import WordTable
from tsgbench.training.optim import build_optimizer


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def real_sized(dataset="charades_sta", clip_dim=1024, **settings):
    """The model as on a real data set, with 300-d words."""
    table = WordTable(
        ["<pad>", "<unk>", "a"], torch.zeros(3, 300).numpy(), torch.tensor([0, 0, 1]).bool().numpy()
    )
    entry = CATALOGUE["cma"]
    own = entry["settings"]["model"] | entry["datasets"][dataset].get("model", {})
    return build("cma", clip_dim=clip_dim, words=table, settings=own | settings)


def millions(*args, **settings):
    return round(size(real_sized(*args, **settings)) / 1e6, 1)


def test_sizes_are_those_of_the_specification():
    assert millions() == 15.9
    widths = (0, 512, 1024, 2048)
    assert [millions(ffn_width=width) for width in widths] == [13.2, 15.9, 18.5, 23.7]
    more = size(real_sized(guides="multiple")) - size(real_sized())
    assert round(more / 1e6, 1) == 1.2
    anet = [
        millions("activitynet_captions", 500, guides="multiple", ffn_width=width)
        for width in widths
    ]
    assert anet == [14.7, 17.3, 19.9, 25.2]
    assert 2 * size(real_sized("activitynet_captions", 500, guides="multiple")) < 53.6e6, "LGI+"


def test_preset_of_the_equations_has_attention_alone():
    preset = CATALOGUE["cma"]["presets"]["paper"]["model"]
    model = real_sized(**preset)
    assert not [name for name, _ in model.named_parameters() if "ffn" in name]
    assert round(size(model) / 1e6, 1) == 13.2


def test_unknown_choices_are_refused():
    with pytest.raises(UserError, match="'cma': pe: 'sine' is not one of"):
        make_model("cma", pe="sine")
    with pytest.raises(UserError, match="guides: multiple"):
        make_model("cma", "structure_decoder", guides="multiple")


@pytest.mark.parametrize(("setting", "extra"), [("max_clips", (40, 0)), ("max_words", (0, 40))])
def test_too_long_a_batch_names_the_setting_of_the_table(setting, extra):
    batch = pad(make_batch(), *extra)
    with pytest.raises(UserError, match=f"{setting}: a batch is 4.* long"):
        make_model("cma", "pe_learned")(batch)
    make_model("cma")(batch)  # sines know no limit


# --- query and guide vectors ---------------------------------------------------------------------


def test_query_encoder_is_pytorchs_packed_lstm():
    model, batch = make_model("cma", lstm_layers=2), make_batch()
    encoder, width = model.query, 16
    plain = nn.LSTM(encoder.vectors.dim, width // 2, 2, batch_first=True, bidirectional=True)
    plain = plain.double()
    for place, layer in enumerate(encoder.layers):
        for side, suffix in ((layer.ahead, ""), (layer.back, "_reverse")):
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                value = getattr(side, f"{kind}_l0").data
                getattr(plain, f"{kind}_l{place}{suffix}").data.copy_(value)
    counts = batch.q_mask.sum(1)
    packed = nn.utils.rnn.pack_padded_sequence(
        encoder.vectors(batch.tokens), counts, batch_first=True, enforce_sorted=False
    )
    states, (last, _) = plain(packed)
    states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
    found, sentence = encoder(batch.tokens, batch.q_mask)
    torch.testing.assert_close(found, states)
    torch.testing.assert_close(sentence, torch.cat([last[-2], last[-1]], dim=1))  # eq. 6


def test_sentence_is_the_one_without_padding():
    model, batch = make_model("cma"), make_batch()
    _, sentence = model.query(batch.tokens, batch.q_mask)
    for row in range(len(batch.dur)):
        alone = cut(pick(batch, torch.tensor([row])))
        _, expected = model.query(alone.tokens, alone.q_mask)
        torch.testing.assert_close(sentence[row : row + 1], expected, atol=1e-9, rtol=0)


def test_guide_vectors_are_weighted_sums_of_real_words():
    torch.manual_seed(0)
    layer, words = PhraseExtraction(8, 5, 3).double(), torch.randn(2, 4, 8).double()
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    guides, weights = layer(words, mask)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 3).double())
    assert (weights[1, :, 2:] == 0).all()
    first, second = (module.weight for module in layer.score if isinstance(module, nn.Linear))
    for row, count in ((0, 4), (1, 2)):
        real = words[row, :count]
        expected = (second @ torch.tanh(first @ real.T)).softmax(dim=1)  # eq. 7
        torch.testing.assert_close(weights[row, :, :count], expected)
        torch.testing.assert_close(guides[row], expected @ real)  # eq. 8


def test_encoder_treats_every_guide_alike_and_merges_them_in_order():
    model, batch = make_model("cma", "guides_multiple"), make_batch()
    clips = model.clip_positions(model.clips(batch.video)) * batch.v_mask[..., None]
    guides = torch.randn(len(clips), 3, clips.shape[2]).double()
    one_by_one = []
    for place in range(3):
        x = clips * guides[:, place, None]
        for layer in model.encoder:
            x = layer(x, batch.v_mask)
        one_by_one.append(x)
    expected = model.merge(torch.cat(one_by_one, dim=2)) * batch.v_mask[..., None]  # eq. 11
    torch.testing.assert_close(model.encode(clips, guides, batch.v_mask), expected)


def test_fusion_with_the_neutral_guide_changes_nothing():
    clips = torch.randn(2, 5, 8)
    assert torch.equal(Fusion(8, "hadamard")(clips, torch.ones(2, 1, 8)), clips)
    assert torch.equal(Fusion(8, "add")(clips, torch.zeros(2, 1, 8)), clips)


@pytest.mark.parametrize("kind", ["concat", "hadamard_mlp"])
def test_learned_fusions_are_their_formulas(kind):
    torch.manual_seed(0)
    layer, clips, guide = Fusion(8, kind), torch.randn(2, 5, 8), torch.randn(2, 1, 8)
    found = layer(clips, guide)
    for row in range(2):
        for place in range(5):
            v, g = clips[row, place], guide[row, 0]
            joined = torch.cat([v, g])
            if kind == "hadamard_mlp":
                joined = layer.clips(v).relu() * layer.guide(g).relu()
            torch.testing.assert_close(found[row, place], layer.join(joined).relu())


# --- attention -----------------------------------------------------------------------------------


def two_sequences():
    torch.manual_seed(0)
    clips = torch.randn(2, 5, 8).double(), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    words = torch.randn(2, 3, 8).double(), torch.tensor([[1, 1, 0], [1, 1, 1]]).bool()
    return clips, words


@pytest.mark.parametrize("own", [True, False])
def test_attention_block_is_pytorchs_with_residual_and_norm(own):
    (x, mask), (seen, seen_mask) = two_sequences()
    if own:
        seen, seen_mask = x, mask
    block = AttentionBlock(8, 2, 0.0).double()
    plain = nn.MultiheadAttention(8, 2, batch_first=True).double()
    plain.load_state_dict(
        {
            "in_proj_weight": block.project.weight,
            "in_proj_bias": block.project.bias,
            "out_proj.weight": block.out.weight,
            "out_proj.bias": block.out.bias,
        }
    )
    found = block(x, mask) if own else block(x, mask, seen, seen_mask)
    taken, weights = plain(x, seen, seen, key_padding_mask=~seen_mask)
    torch.testing.assert_close(found[mask], block.norm(x + taken)[mask])
    assert (found[~mask] == 0).all()
    torch.testing.assert_close(block.weights(x, seen, seen_mask), weights)


def test_swapping_modalities_and_branches_swaps_the_outputs():
    (clips, v_mask), (words, q_mask) = two_sequences()
    layer = DecoderLayer(8, 2, 8, 0.0, last=False).double()
    found_words, found_clips = layer(words, clips, q_mask, v_mask)
    layer.words, layer.clips = layer.clips, layer.words
    swapped_clips, swapped_words = layer(clips, words, v_mask, q_mask)
    torch.testing.assert_close(swapped_words, found_words)
    torch.testing.assert_close(swapped_clips, found_clips)


def test_branches_look_at_each_other_before_either_has_looked():
    (clips, v_mask), (words, q_mask) = two_sequences()
    layer = DecoderLayer(8, 2, 0, 0.0, last=False).double()
    found_words, found_clips = layer(words, clips, q_mask, v_mask)
    own_words, own_clips = layer.words.own(words, q_mask), layer.clips.own(clips, v_mask)
    torch.testing.assert_close(
        found_words, layer.words.other(own_words, q_mask, own_clips, v_mask)
    )  # eq. 15
    torch.testing.assert_close(
        found_clips, layer.clips.other(own_clips, v_mask, own_words, q_mask)
    )  # eq. 16


def test_maps_are_of_each_modality_over_the_other_and_change_no_output():
    model = make_model("cma").eval()
    batch = make_batch()
    outputs, inspected = model(batch), model.inspect(batch)
    for name, value in outputs.items():
        torch.testing.assert_close(inspected.pop(name), value, rtol=0, atol=0)
    clips, words = batch.v_mask, batch.q_mask
    axes = {"clips_over_words": (clips, words), "words_over_clips": (words, clips)}
    # The words of the last layer look at nothing
    assert set(inspected) == {f"attention1_{name}" for name in axes} | {
        "attention2_clips_over_words"
    }
    for name, map_ in inspected.items():
        rows, columns = axes[name.partition("_")[2]]
        sums = map_.masked_fill(~columns[:, None], 0.0).sum(dim=2)
        torch.testing.assert_close(sums[rows], torch.ones_like(sums[rows]))
    outputs = make_model("cma", "structure_encoder").inspect(batch)
    assert not [name for name in outputs if name.startswith("attention")]


def test_last_layer_keeps_no_weights_that_nothing_reads():
    model = make_model("cma")
    first, last = (set(dict(layer.words.named_children())) for layer in model.decoder)
    assert first == {"own", "other", "ffn"} and last == {"own"}


@pytest.mark.parametrize("ablation", ["full", "guides_multiple", "structure_encoder"])
def test_temporal_attention_lies_on_real_clips_and_locates_inside_the_video(ablation):
    batch = make_batch()
    outputs = make_model("cma", ablation)(batch)
    weights, location = outputs["clip_weights"], outputs["location"]
    torch.testing.assert_close(weights.sum(1), torch.ones(4).double())
    assert (weights[~batch.v_mask] == 0).all()
    assert ((location > 0) & (location < 1)).all()
    if ablation == "guides_multiple":
        phrases = outputs["phrases"]
        assert phrases.shape == (4, 3, batch.q_mask.shape[1])
        torch.testing.assert_close(phrases.sum(2), torch.ones(4, 3).double())


# --- structure and order -------------------------------------------------------------------------


def test_encoder_alone_hears_the_words_only_through_the_sentence():
    batch = make_batch()
    for ablation, is_deaf in (("structure_encoder", True), ("full", False)):
        model = make_model("cma", ablation)
        constant = torch.ones(4, 16).double()
        query = model.query.forward
        model.query.forward = lambda *given, q=query, c=constant: (q(*given)[0], c)
        model(batch)["location"].sum().backward()
        grads = [parameter.grad for parameter in model.query.parameters()]
        assert all(grad is None for grad in grads) == is_deaf, ablation


def test_decoder_alone_never_reads_the_sentence():
    batch = make_batch()
    for ablation, ignores in (("structure_decoder", True), ("full", False)):
        model = make_model("cma", ablation)
        before = model(batch)["location"]
        query = model.query.forward
        model.query.forward = lambda *given, q=query: (q(*given)[0], q(*given)[1] + 1.0)
        assert torch.equal(model(batch)["location"], before) == ignores, ablation


@pytest.mark.parametrize("ablation", ["pe_none", "full", "pe_learned"])
def test_position_encoding_makes_the_order_of_clips_count(ablation):
    batch = make_batch(size=1)
    order = torch.randperm(batch.video.shape[1], generator=torch.Generator().manual_seed(1))
    mixed = pick(batch, torch.tensor([0]))
    mixed.video = batch.video[:, order]
    model = make_model("cma", ablation)
    before, after = model(batch), model(mixed)
    is_blind_to_order = ablation == "pe_none"
    for found, expected in (
        (after["location"], before["location"]),
        (after["clip_weights"], before["clip_weights"][:, order]),
    ):
        assert torch.allclose(found, expected, atol=1e-12) == is_blind_to_order


def test_order_of_words_counts_without_position_encoding_too():
    batch, model = make_batch(size=1), make_model("cma", "pe_none")
    batch.tokens = torch.arange(2, 8)[None]
    before, batch.tokens = model(batch)["location"], batch.tokens.flip(1)
    assert not torch.allclose(model(batch)["location"], before, atol=1e-6)


# --- losses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 1.0), (2.0, 0.1), (2.0, 0.4), (10.0, 0.1)])
def test_regression_loss_is_eq_24(alpha, beta):
    gap = torch.arange(-200, 201, dtype=torch.float64) / 200
    found = 2 * alpha * beta * regression_loss(gap, beta)
    quadratic, linear = alpha * gap**2, 2 * alpha * beta * gap.abs() - alpha * beta**2
    torch.testing.assert_close(found, torch.where(gap.abs() < beta, quadratic, linear))
    huber = nn.functional.huber_loss(gap, torch.zeros_like(gap), delta=beta, reduction="none")
    torch.testing.assert_close(found, 2 * alpha * huber)
    assert found[200] == 0
    torch.testing.assert_close(found, found.flip(0))
    around = torch.tensor([beta - 1e-9, beta + 1e-9], dtype=torch.float64, requires_grad=True)
    values = regression_loss(around, beta)
    (slopes,) = torch.autograd.grad(values.sum(), around)
    torch.testing.assert_close(values[0], values[1], atol=1e-8, rtol=0)
    torch.testing.assert_close(slopes, torch.ones(2).double(), atol=1e-7, rtol=0)


@pytest.mark.parametrize("ablation", ["full", "reg_2_0p2", "reg_smooth_l1", "reg_slope1_0p2"])
def test_regression_sums_both_ends_over_the_mean_of_the_batch(ablation):
    model, batch = make_model("cma", ablation), make_batch()
    outputs = model(batch)
    found = model.loss(outputs, batch)["regression"].item()
    alpha, beta = {
        "full": (10, 0.1),
        "reg_2_0p2": (2, 0.2),
        "reg_smooth_l1": (0.5, 1),
        "reg_slope1_0p2": (2.5, 0.2),  # 2 * 2.5 * 0.2 = 1
    }[ablation]
    total = 0.0
    for row in range(4):
        for end in range(2):
            x = abs(outputs["location"][row, end] - batch.gt[row, end] / batch.dur[row]).item()
            total += alpha * x**2 if x < beta else 2 * alpha * beta * x - alpha * beta**2
    assert found == pytest.approx(total / 4, rel=1e-12)


def brute_force_labels(start, end, dur, count, clips):
    """LGI's rounding, with its mask clipped to the real clips."""
    first = min(round(start / dur * count), count - 1)
    last = min(max(round(end / dur * count), first + 1), count - 1)
    return [first <= place <= last for place in range(clips)]


def test_attention_labels_are_lgis_and_never_empty_or_on_padding():
    rng = torch.Generator().manual_seed(0)
    counts = torch.randint(1, 13, (500,), generator=rng)
    mask = torch.arange(12) < counts[:, None]
    dur = 1 + 60 * torch.rand(500, generator=rng, dtype=torch.float64)
    shares = torch.rand(500, 2, generator=rng, dtype=torch.float64).sort(dim=1).values
    shares[:100] = shares[:100, :1]  # moments without a length
    shares[100:120] = torch.tensor([1.0, 1.0])
    shares[120:140] = torch.tensor([0.0, 1.0])
    gt = shares * dur[:, None]
    labels = attention_labels(gt, dur, mask)
    assert labels.any(dim=1).all() and not (labels & ~mask).any()
    for row in range(500):
        start, end = gt[row].tolist()
        expected = brute_force_labels(start, end, dur[row].item(), int(counts[row]), 12)
        assert labels[row].tolist() == expected


def test_attention_loss_is_least_for_a_uniform_weight_on_the_moment():
    labels = torch.tensor([[0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]).bool()
    best = labels.double() / labels.sum(1, keepdim=True)
    floor = (math.log(3) + math.log(2)) / 2
    assert attention_loss(best, labels).item() == pytest.approx(floor, abs=1e-6)
    for seed in range(20):
        rng = torch.Generator().manual_seed(seed)
        noise = torch.rand(2, 6, generator=rng, dtype=torch.float64)
        other = 0.9 * best + 0.1 * noise / noise.sum(1, keepdim=True)
        assert attention_loss(other, labels) > floor
    zero = torch.zeros(2, 6, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(attention_loss(zero, labels), zero)
    assert slope.isfinite().all() and (slope[~labels] == 0).all()


def test_diversity_is_zero_only_for_different_words():
    def loss(rows):
        return diversity_loss(torch.tensor([rows], dtype=torch.float64)).item()

    assert loss([[1, 0, 0], [0, 0, 1]]) == 0
    assert loss([[1, 0, 0], [1, 0, 0]]) == 2, "the same word twice"
    assert loss([[1, 0, 0], [0, 0.5, 0.5]]) == 0.25, "a guide spread over two words"
    weights = torch.rand(3, 4, 5, dtype=torch.float64)
    expected = [torch.linalg.norm(a @ a.T - torch.eye(4).double()) ** 2 for a in weights]
    torch.testing.assert_close(diversity_loss(weights), torch.stack(expected).mean())


def test_losses_are_those_of_the_structure():
    batch = make_batch()
    for ablation, names in (
        ("full", {"regression", "attention"}),
        ("guides_multiple", {"regression", "attention", "diversity"}),
        ("structure_decoder", {"regression", "attention"}),
    ):
        model = make_model("cma", ablation, attention_weight=2.0, diversity_weight=3.0)
        plain = make_model("cma", ablation)
        outputs = model(batch)
        found, once = model.loss(outputs, batch), plain.loss(outputs, batch)
        assert set(found) == names
        for name, weight in (("regression", 1), ("attention", 2), ("diversity", 3)):
            if name in names:
                torch.testing.assert_close(found[name], weight * once[name])


# --- decoding ------------------------------------------------------------------------------------


def decoded(ends, dur=None, **settings):
    batch = make_batch(size=len(ends))
    if dur is not None:
        batch.dur = torch.full((len(ends),), dur).double()
    outputs = {"location": torch.tensor(ends, dtype=torch.float64)}
    return make_model("cma", **settings).decode(outputs, batch, 5)[:, 0], batch


def test_a_moment_is_decoded_as_it_is_and_cut_to_the_video():
    found, _ = decoded([[0.1, 0.4], [0.5, 1.7], [0.0, 1.0]], dur=10.0, output="relu")
    expected = torch.tensor([[1.0, 4, 1], [5, 10, 1], [0, 10, 1]]).double()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ends_in_the_wrong_order_are_a_miss_that_can_be_counted(dtype):
    ends = [[0.6, 0.2], [0.3, 0.3], [0.0, 0.0], [1.2, 1.1], [0.2, 0.6]]
    batch = make_batch(size=5).to(dtype)
    outputs = {"location": torch.tensor(ends, dtype=dtype)}
    found = make_model("cma").decode(outputs, batch, 1)[:, 0]
    start, end, score = found.unbind(1)
    assert score.tolist() == [0, 0, 0, 0, 1]
    assert (start < end).all() and (start >= 0).all() and (end <= batch.dur).all()
    annotated = (batch.dur[:, None] * torch.tensor([0.2, 0.6])).double().numpy()
    overlaps = moments.iou(found[:, :2].double().numpy(), annotated)
    assert (overlaps[:4] < 1e-6).all() and overlaps[4] > 0.999


def test_sorted_ends_are_never_a_miss():
    found, batch = decoded([[0.6, 0.2], [0.2, 0.6]], sort_endpoints=True)
    assert (found[:, 2] == 1).all()
    torch.testing.assert_close(
        found[:, :2] / batch.dur[:, None], torch.tensor([[0.2, 0.6], [0.2, 0.6]]).double()
    )


@pytest.mark.parametrize("output", ["sigmoid", "relu"])
def test_an_untrained_model_regresses_about_the_middle_half(output):
    batch = make_batch(size=40)
    outputs = make_model("cma", output=output)(batch)
    torch.testing.assert_close(
        outputs["location"].mean(0), torch.tensor([0.25, 0.75]).double(), atol=0.2, rtol=0
    )
    assert (outputs["location"][:, 0] < outputs["location"][:, 1]).all()


@pytest.mark.slow
@pytest.mark.parametrize("ablation", ["full", "guides_multiple"])
def test_eight_samples_reach_the_floor_of_every_loss(ablation):
    batch = make_batch(size=8, clips=12, seed=4).to(torch.float32)
    model = make_model("cma", ablation, width=32).float().train()
    optimizer = build_optimizer(model, name="adam", lr=2e-3)
    for step in range(900):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - step / 900)
        optimizer.zero_grad()
        losses = model.loss(model(batch), batch)
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert losses["regression"] < 1e-4
    labels = attention_labels(batch.gt, batch.dur, batch.v_mask)
    floor = labels.sum(1).float().log().mean()
    assert losses["attention"] < floor + 0.05
    found = model.eval().decode(model(batch), batch, 1)[:, 0, :2].detach().numpy()
    assert (moments.iou(found, batch.gt.numpy()) >= 0.7).all()
