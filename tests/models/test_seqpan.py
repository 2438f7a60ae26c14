"""SeqPAN: properties of its parts, sizes, and one forward pass on fixed weights."""

import math
from collections import Counter

import pytest
import seqpan_plain
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
from tsgbench.models.layers import Dropout
from tsgbench.models.seqpan import (
    CharacterCNN,
    ContextQueryAttention,
    ParallelAttention,
    TransformerBlock,
    gumbel_like,
    interaction_block,
    orthogonality_loss,
    sample_labels,
)
from tsgbench.models.targets import index_labels
from tsgbench.text import WordTable
from tsgbench.training.optim import build_optimizer

# Computed once, in double precision, by `fixed_model("seqpan")(fixed_batch())`
START = [
    -0.6768671786717412,
    -0.54567298199917,
    -0.08927488966748792,
    -0.2738981114904143,
    -0.6290569961368316,
    -0.5984350707908949,
]
END_OF_SECOND = [0.6271259992391174, 0.4162212154549382, 0.036466952410277864, 0.04606665953065138]
MATCH = [0.4962622086294798, 0.3902477951853657, 0.053775748558965074, 0.059714247626189515]
LOSSES = {
    "location": 3.4733433102102875,
    "match": 2.750158078305048,
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
    assert torch.equal(official(batch)["start"], official(batch)["start"])
    assert not torch.equal(paper(batch)["start"], paper(batch)["start"]), "draws at test (app. A.3)"


def test_only_the_paper_corrects_the_bias_of_adam():
    entry = CATALOGUE["seqpan"]
    assert entry["settings"]["train"]["optimizer"] == "bert_adam"
    assert entry["presets"]["paper"]["train"] == {"optimizer": "adamw"}


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


@pytest.mark.parametrize("kind", INTERACTIONS)
@pytest.mark.parametrize("guide", ["input", "fused", "feed_forward"])
def test_swapping_the_modalities_swaps_the_outputs(kind, guide):
    block = interaction_block(kind, 8, 2, 0.0, guide, "1x").double()
    clips, words = two_sequences()
    one, other = block(*pair(clips, words)), block(*pair(words, clips))
    torch.testing.assert_close(one[:, :5], other[:, 5:])
    torch.testing.assert_close(one[:, 7:], other[:, :3])
    assert (one[:, :5][~clips[1]] == 0).all()


@pytest.mark.parametrize(("ffn", "hidden"), [("1x", 8), ("4x", 32)])
def test_transformer_block_is_pytorchs(ffn, hidden):
    """Table 6 compares with transformers as everyone has them: output projection, rectified FFN."""
    (block,) = interaction_block("se_trm", 8, 2, 0.0, "input", ffn).double()
    plain = torch.nn.TransformerEncoderLayer(
        8, 2, hidden, 0.0, layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).double()
    names = {
        "self_attn.in_proj_weight": block.project.weight,
        "self_attn.in_proj_bias": block.project.bias,
        "self_attn.out_proj": block.out,
        "linear1": block.ffn[0],
        "linear2": block.ffn[-1],
        "norm1": block.norm,
        "norm2": block.norm_ffn,
    }
    state = {}
    for name, value in names.items():
        if isinstance(value, torch.nn.Module):
            state |= {f"{name}.{kind}": weight for kind, weight in value.named_parameters()}
        else:
            state[name] = value
    plain.load_state_dict(state)
    clips, words = two_sequences()
    found = block(*pair(clips, words))
    for place, (x, mask) in ((slice(0, 5), clips), (slice(7, None), words)):
        expected = plain(x, src_key_padding_mask=~mask)
        torch.testing.assert_close(found[:, place][mask], expected[mask])
    # With the other sequence to look at, the rest is the same
    (cross,) = interaction_block("co_trm", 8, 2, 0.0, "input", ffn).double()
    cross.load_state_dict(block.state_dict())
    plain_attention = plain.self_attn
    x, y = plain.norm1(clips[0]), plain.norm1(words[0])
    seen, _ = plain_attention(x, y, y, key_padding_mask=~words[1])
    x = clips[0] + seen
    expected = x + plain.linear2(plain.linear1(plain.norm2(x)).relu())
    torch.testing.assert_close(cross(*pair(clips, words))[:, :5][clips[1]], expected[clips[1]])


@pytest.mark.parametrize("guide", ["input", "fused", "feed_forward"])
def test_pa_lacks_the_confidence_and_nothing_else(guide):
    sgpa = ParallelAttention(8, 2, 0.0, guide).double()
    pa = ParallelAttention(8, 2, 0.0, guide, guided=False).double()
    state = sgpa.state_dict()
    state["head.weight"], state["head.bias"] = (state[f"head.{n}"][:8] for n in ("weight", "bias"))
    pa.load_state_dict(state)
    with torch.no_grad():  # all is trusted
        sgpa.head.weight[8:], sgpa.head.bias[8:] = 0.0, 100.0
    clips, words = two_sequences()
    torch.testing.assert_close(pa(*pair(clips, words)), sgpa(*pair(clips, words)))


def test_self_guided_head_in_place_of_the_feed_forward_layer():
    """App. A.1: what is a feed-forward layer in a transformer block is eq. 4 here."""
    block = ParallelAttention(8, 2, 0.0, "feed_forward").double()
    assert not {name for name, _ in block.named_parameters() if name.startswith(("ffn", "out."))}
    x, real, split = pair(*two_sequences())
    own, other = block.contexts(block.norm_own(x), block.norm_other(x), real, split)
    gated = block.gate_other(other).sigmoid() * own + block.gate_own(own).sigmoid() * other
    residual = x + block.merge(gated)
    value, confidence = block.head(block.norm_ffn(residual)).chunk(2, dim=-1)
    expected = (residual + confidence.sigmoid() * value) * real[..., None]
    torch.testing.assert_close(block(x, real, split), expected)


def test_blocks_of_table_6_leave_the_rest_of_the_model_alone():
    sizes = {}
    for ablation in ("sgpa", "se_trm", "se_trm_ffn4x"):
        named = make_model("seqpan", f"interaction_{ablation}").named_parameters()
        sizes[ablation] = {n: p.shape for n, p in named if not n.startswith("blocks.")}
    assert sizes["se_trm"] == sizes["sgpa"] and sizes["se_trm_ffn4x"] == sizes["sgpa"]


def test_what_each_attention_looks_at():
    clips, words = two_sequences()
    changed = words[0] + 1.0, words[1]
    own = TransformerBlock(8, 2, 0.0, 1).double()
    cross = TransformerBlock(8, 2, 0.0, 1, cross=True).double()
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
        alone, wide = model(cut(row)), model(pad(cut(row), 6, 4))
        clips = alone["start"].shape[1]
        apart = (alone["start"] - wide["start"][:, :clips]).abs().max()
        assert (apart > 1e-6) == leaks, (ablation, float(apart))


@pytest.mark.parametrize(("ablation", "reads_padding"), [("full", False), ("unmasked", True)])
def test_forward_is_the_plain_one(ablation, reads_padding):
    """Against `seqpan_plain`, place by place: every row alone, with its padding only if read."""
    torch.manual_seed(1)
    batch, model = make_batch(size=3), make_model("seqpan", ablation)
    with torch.no_grad():  # at the start, biases are zero
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        outputs = model(batch)
        for row in range(3):
            clips, words = int(batch.v_mask[row].sum()), int(batch.q_mask[row].sum())
            cut_at = (None, None) if reads_padding else (clips, words)
            video, tokens = batch.video[row, : cut_at[0]], batch.tokens[row, : cut_at[1]]
            for name, expected in seqpan_plain.forward(model, video, tokens, clips, words).items():
                torch.testing.assert_close(outputs[name][row, :clips], expected, msg=name)


def test_dropout_stands_where_the_public_code_has_it():
    """How often each dropout is called in one training step of `official`, by module."""
    model, batch = make_model("seqpan", dropout=0.2, preset="official").train(), make_batch()
    convolutions, blocks = 2, 2  # layers of the small model, blocks as published
    calls = Counter()
    for name, module in model.named_modules():
        if isinstance(module, Dropout):
            assert module.p == 0.2, name
            module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    model(batch)
    expected = {
        "words.dropout": 1,  # word vectors
        "words.characters.dropout": 1,  # vectors of characters
        "clips.0": 1,  # clip features
        "convolutions.dropout": convolutions,  # after every layer; both modalities at once
        "clips_to_words.dropout": 2,  # both inputs of the similarity
        "words_to_clips.dropout": 2,
    }
    for block in range(blocks):
        # Weights of own and cross attention of two modalities; then what is added, the input of
        # the feed-forward layer, and what that adds.
        expected[f"blocks.{block}.attention.attention.dropout"] = 4
        expected[f"blocks.{block}.dropout"] = 3
    # Two passes; in each: after every layer; attention weights; input of the attention, what is
    # added, input of the feed-forward layer, what that adds.
    encoder = "localiser.encoders.0"
    expected[f"{encoder}.convolutions.dropout"] = 2 * convolutions
    expected[f"{encoder}.block.attention.dropout"] = 2 * 1
    expected[f"{encoder}.block.dropout"] = 2 * 4
    assert calls == expected


def test_dropout_drops_what_each_place_says():
    """Each of the added dropouts alone changes the output: none of them is without effect."""
    batch = make_batch()
    model = make_model("seqpan", vanilla=True)
    steady = model(batch)["start"]
    for name, module in model.named_modules():
        if isinstance(module, Dropout):
            owner = model.get_submodule(name.rpartition(".")[0])
            owner.training, module.training, module.p = True, True, 0.5
            assert not torch.equal(model(batch)["start"], steady), name
            owner.training, module.training, module.p = False, False, 0.0
    assert torch.equal(model(batch)["start"], steady)


# --- the start ----------------------------------------------------------------------------------


def test_glorot_start_is_tensorflows():
    """Limits by TensorFlow's rule on the public code's shapes: the last two axes are in and out."""
    model = charades_sized()
    fans = {
        "words.vectors.unknown": (1, 300),
        "words.characters.vectors": (40, 50),
        "words.characters.kernels.2": (3 * 50, 3 * 30),
        "words.project.0.weight": (400, 128),
        "clips.1.weight": (1024, 128),
        "positions.table": (64, 128),
        "convolutions.depthwise.0.weight": (7 * 128, 7),
        "convolutions.pointwise.3.weight": (128, 128),
        "blocks.0.own.weight": (128, 128),  # three maps
        "blocks.1.other.weight": (128, 128),
        "blocks.0.head.weight": (128, 128),  # four
        "blocks.0.merge.weight": (128, 128),
        "clips_to_words.weights": (1, 128),
        "clips_to_words.out.weight": (512, 128),
        "sentence_score.weight": (128, 1),
        "fuse.weight": (256, 128),
        "match_score.weight": (128, 4),
        "localiser.encoders.0.block.project.weight": (128, 128),
        "localiser.scores.0.0.weight": (256, 128),
        "localiser.scores.1.2.weight": (128, 1),
    }
    named = dict(model.named_parameters())
    for name, (inputs, outputs) in fans.items():
        limit, found = math.sqrt(6 / (inputs + outputs)), named[name].abs().max().item()
        assert 0.9 * limit < found <= limit, name
    for name, parameter in named.items():
        if "bias" in name:
            assert (parameter == 0).all(), name
    vectors = model.label_vectors
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(4))
    assert charades_sized(start="pytorch").fuse.bias.abs().max() > 0


def test_epsilon_of_every_normalisation_is_the_public_codes():
    for preset in ("official", "paper"):
        for module in make_model("seqpan", preset=preset).modules():
            assert not isinstance(module, torch.nn.LayerNorm) or module.eps == 1e-6


# --- words ---------------------------------------------------------------------------------------


def test_character_feature_is_a_convolution_over_characters():
    words = ["<pad>", "<unk>", "ab", "abcde", "c"]
    torch.manual_seed(0)
    layer = CharacterCNN(words, 6, 0.0).double()
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
    rows = layer.spelling[torch.tensor([3, 2, 4])]
    torch.testing.assert_close(layer.of_occurrences(rows, table), expected)


def test_every_occurrence_of_a_word_drops_other_characters():
    layer = CharacterCNN(["<pad>", "<unk>", "ab", "abcde"], 6, 0.5)
    first, second, padding = layer(torch.tensor([[3, 3, 0]]))[0]
    assert not torch.equal(first, second)
    assert torch.equal(padding, torch.cat(list(layer.biases)).relu())


def test_one_letter_words_have_room_for_the_widest_kernel():
    assert CharacterCNN(["<pad>", "<unk>", "a"], 4, 0.0)(torch.tensor([[2, 1]])).isfinite().all()


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
