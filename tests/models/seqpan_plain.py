"""SeqPAN's forward pass as its public code computes it, one query and one place at a time.

Both modalities go through their blocks one after the other, attention looks from one place at a
time, convolutions add one tap at a time: none of the shortcuts of the model under test. It reads
the model's weights, its defaults are preset `official` without noise.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def forward(model, video: Tensor, tokens: Tensor, clips: int, words: int) -> dict[str, Tensor]:
    """start, end: (clips,) logits; match: (clips, 4) label sample.

    video: (T, Dv), tokens: (L,), of which the first `clips` and `words` are real. What follows is
    padding, which the convolutions read.
    """
    heads = model.localiser.encoders[0]["block"].attention.heads
    v = linear(model.clips[1], video)
    v = convolutions(model.convolutions, model.positions.table[: len(v)] + norm(model.clips[2], v))
    q = linear(model.words.project[0], word_features(model.words, tokens))
    q = norm(model.words.project[1], q) + model.positions.table[: len(q)]
    q = convolutions(model.convolutions, q)
    for block in model.blocks:
        v, q = (
            parallel_attention(block, heads, v, q, clips, words),
            parallel_attention(block, heads, q, v, words, clips),
        )
    v, q = v[:clips], q[:words]
    for_clips = context_query(model.clips_to_words, v, q)
    for_words = context_query(model.words_to_clips, q, v)
    weights = (for_words @ model.sentence_score.weight[0]).softmax(0)
    sentence = sum(weight * row for weight, row in zip(weights, for_words, strict=True))
    fused = linear(model.fuse, torch.cat([for_clips, sentence.expand_as(for_clips)], -1))
    match = (linear(model.match_score, fused) / model.tau).softmax(-1)
    fused = fused + match @ model.label_vectors
    fused = F.pad(fused, (0, 0, 0, len(video) - clips))  # padding is zero here, and only here
    start, end = localise(model.localiser, fused, clips)
    return {"start": start[:clips], "end": end[:clips], "match": match}


def linear(layer, x: Tensor) -> Tensor:
    return x @ layer.weight.T + (0 if layer.bias is None else layer.bias)


def norm(layer, x: Tensor) -> Tensor:
    x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * layer.weight + layer.bias


def word_features(encoder, tokens: Tensor) -> Tensor:
    cnn, rows = encoder.characters, []
    vectors = torch.cat([torch.zeros_like(cnn.vectors[:1]), cnn.vectors])
    for token, vector in zip(tokens, encoder.vectors(tokens), strict=True):
        letters = vectors[cnn.spelling[token]]  # (C, E)
        features = [vector]
        for kernel, bias in zip(cnn.kernels, cnn.biases, strict=True):
            places = range(len(letters) - len(kernel) + 1)
            seen = [
                sum(letters[place + tap] @ kernel[tap] for tap in range(len(kernel))) + bias
                for place in places
            ]
            features.append(torch.stack(seen).clamp(min=0).max(0).values)
        rows.append(torch.cat(features))
    return torch.stack(rows)


def convolutions(block, x: Tensor) -> Tensor:
    for layer_norm, depthwise, pointwise in zip(
        block.norms, block.depthwise, block.pointwise, strict=True
    ):
        normed, seen = norm(layer_norm, x), torch.zeros_like(x)
        kernel = depthwise.weight[:, 0, 0].T  # (K, D)
        for place in range(len(x)):
            for tap in range(len(kernel)):
                other = place + tap - len(kernel) // 2
                if 0 <= other < len(x):
                    seen[place] = seen[place] + kernel[tap] * normed[other]
        x = x + linear(pointwise, seen).clamp(min=0)
    return x


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, looking: int, seen: int) -> Tensor:
    """The first `looking` queries see the first `seen` keys, the others all of them alike."""
    out, size = torch.zeros_like(q), q.shape[1] // heads
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for place in range(len(q)):
            if place < looking:
                weights = (k[:seen, part] @ q[place, part] / math.sqrt(size)).softmax(0)
                out[place, part] = weights @ v[:seen, part]
            else:
                out[place, part] = v[:, part].mean(0)
    return out


def parallel_attention(block, heads: int, own: Tensor, other: Tensor, real: int, seen: int):
    x, y = norm(block.norm_own, own), norm(block.norm_other, other)
    q, own_k, own_v = linear(block.own, x).chunk(3, -1)
    other_k, other_v = linear(block.other, y).chunk(2, -1)
    context = linear(block.out_own, attention(q, own_k, own_v, heads, real, real))
    cross = linear(block.out_other, attention(q, other_k, other_v, heads, real, seen))
    merged = linear(block.gate_own, context).sigmoid() * cross
    merged = linear(block.merge, merged + linear(block.gate_other, cross).sigmoid() * context)
    value, confidence = linear(block.head, torch.cat([x, merged], -1)).chunk(2, -1)
    x = own + linear(block.out, confidence.sigmoid() * value)
    return x + linear(block.ffn, norm(block.norm_ffn, x))


def context_query(layer, x: Tensor, y: Tensor) -> Tensor:
    of_x, of_y, of_both = layer.weights
    scores = torch.stack(
        [torch.stack([a @ of_x + b @ of_y + (a * b) @ of_both for b in y]) for a in x]
    )
    over_y, over_x = scores.softmax(1), scores.softmax(0)
    seen, echoed = over_y @ y, over_y @ over_x.T @ x
    return linear(layer.out, torch.cat([x, seen, x * seen, x * echoed], -1))


def localise(localiser, x: Tensor, clips: int) -> list[Tensor]:
    encoder, encoded, logits = localiser.encoders[0], x, []
    block = encoder["block"]
    for last_norm, score in zip(localiser.norms, localiser.scores, strict=True):
        encoded = encoded + encoder["positions"].table[: len(x)]
        encoded = convolutions(encoder["convolutions"], encoded)
        q, k, v = linear(block.project, norm(block.norm, encoded)).chunk(3, -1)
        encoded = encoded + attention(q, k, v, block.attention.heads, clips, clips)
        encoded = encoded + linear(block.ffn, norm(block.norm_ffn, encoded))
        hidden = linear(score[0], torch.cat([norm(last_norm, encoded), x], -1)).clamp(min=0)
        logits.append((hidden @ score[2].weight.T)[:, 0])
    return logits
