"""What every model of the bench promises, as checks: for `tsgbench check-model` and for the tests.

A check is told how to build a model and tries it on invented batches. `Broken` says what it found.
"""

import ast
import copy
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from tsgbench.models.base import Batch, Grounder
from tsgbench.models.samples import cut, make_batch, pad, pick
from tsgbench.outside import line_beside

CLOSE = 1e-9  # in fp64
MORE_CLIPS, MORE_WORDS = 5, 3  # of padding
STEPS = 30


class Broken(Exception):
    """A promise that a model does not keep, in a sentence."""


@dataclass(frozen=True)
class Subject:
    """A model to check.

    build: a seed -> the model in fp64 and evaluation mode, fitted; the same seed, the same weights.
    clips, words: the most that its batches may have, padding included. draws: whether an answer is
    a draw, which depends on the position in the batch. is_trained: whether it has a loss. is_weak:
    whether that does without moments. is_blind: whether the video is to make no difference. source:
    its file, to say where it fails.
    """

    build: Callable[[int], Grounder]
    clips: int = 14
    words: int = 9
    draws: bool = False
    is_trained: bool = True
    is_weak: bool = False
    is_blind: bool = False
    source: Path | None = None

    def batch(self, size: int = 4, seed: int = 0) -> Batch:
        """Leaves room for padding."""
        return make_batch(size, self.clips - MORE_CLIPS, self.words - MORE_WORDS, seed)


Check = Callable[[Subject], None]
CHECKS: dict[str, tuple[Check, Callable[[Subject], bool]]] = {}
STEADY = "the same batch has the same answers again"
DEVICE = "computes where its batch is"
# Promises that say nothing of their own where answers change by themselves
COMPARING: set[str] = set()


def promise(
    sentence: str,
    holds_for: Callable[[Subject], bool] = lambda _: True,
    *,
    compares: bool = False,
) -> Callable[[Check], Check]:
    """Decorator of a check. holds_for: which models promise it. compares: answers with answers."""

    def add(check: Check) -> Check:
        CHECKS[sentence] = (check, holds_for)
        if compares:
            COMPARING.add(sentence)
        return check

    return add


def check_all(subject: Subject) -> Iterator[tuple[str, str | None]]:
    """Each promise that the model makes, and what is wrong with it, if anything."""
    said: dict[str, str] = {}  # what was wrong -> with which promise
    is_steady = True
    for sentence, (check, holds_for) in CHECKS.items():
        if not holds_for(subject) or (sentence in COMPARING and not is_steady):
            continue
        problem = None
        try:
            check(subject)
        except Broken as broken:
            problem = str(broken)
            is_steady = is_steady and sentence != STEADY
        except Exception as error:  # whatever a model that is being written may raise
            problem = _describe(error, subject.source)
        if problem:
            first = said.setdefault(problem, sentence)
            problem = problem if first == sentence else f"as above ({first})"
        yield sentence, problem


def _describe(error: Exception, source: Path | None) -> str:
    """An error that a model raised, with the line of its file, in one line."""
    if isinstance(error, NotImplementedError) and not error.args:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{last.name} is not written; tsgbench.models.base says what it gives"
    line = line_beside(error, source) if source is not None else None
    where = f"{line}: " if line else ""
    lacking = " (no such key)" if isinstance(error, KeyError) else ""
    return f"{where}{type(error).__name__}: {' '.join(str(error).split())}{lacking}"


def answer(model: Grounder, batch: Batch, k: int = 3) -> tuple[dict[str, Tensor], Tensor]:
    """Raw outputs, and (B, at most k, 3) moments with scores."""
    with torch.inference_mode():
        outputs = model(batch)
        _need(
            isinstance(outputs, dict) and all(isinstance(one, Tensor) for one in outputs.values()),
            f"forward gave {type(outputs).__name__}; it is to give a dict of tensors by name",
        )
        return outputs, model.decode(outputs, batch, k)


@promise("answers are ranked moments inside the video, with scores from 0 to 1")
def answers_are_moments(subject: Subject) -> None:
    """For one, some and more answers than there can be."""
    batch = subject.batch(size=5)
    for k in (1, 4, 100):
        outputs, answers = answer(subject.build(0), batch, k)
        for name, value in outputs.items():
            _need(not value.isnan().any(), f"forward gave NaN in {name!r}; look for 0/0 and log(0)")
        wanted = f"a tensor (5, at most {k}, 3) of start, end and score for 5 queries"
        found = tuple(answers.shape) if isinstance(answers, Tensor) else type(answers).__name__
        _need(
            isinstance(answers, Tensor)
            and answers.ndim == 3
            and (len(answers), answers.shape[2]) == (5, 3)
            and answers.shape[1] <= k,
            f"decode with k={k} gave {found}; it is to give {wanted}",
        )
        gone = answers.isnan()
        _need((gone.any(-1) == gone.all(-1)).all(), "an absent candidate is NaN in all three")
        absent = gone[..., 0]
        _need((absent.int().diff(dim=1) >= 0).all(), "absent candidates come last")
        _need(not absent[:, 0].any(), "a query has no answer at all")
        start, end, score = answers.unbind(-1)
        inside = (start >= 0) & (start < end) & (end <= batch.dur[:, None])
        _need((inside | absent).all(), "a moment is reversed, empty or outside its video")
        _need(((score.diff(dim=1) <= 0) | absent[:, 1:]).all(), "scores do not fall")
        _need(((score >= 0) & (score <= 1) | absent).all(), "a score is not between 0 and 1")


@promise(DEVICE, lambda subject: subject.is_trained)  # baselines compute on the CPU
def computes_where_its_batch_is(subject: Subject) -> None:
    """No device is named in its file, and no tensor is made without one.

    The second is tried where a tensor that is made without a device lies on none at all (meta), so
    that it meets the batch's as a CPU's would meet a GPU's.
    """
    if subject.source is not None and (line := _named_device(subject.source)):
        raise Broken(
            f"{subject.source}, line {line}: names a device; leave that to the trainer, and give"
            " new tensors device=batch.video.device"
        )
    batch, model = subject.batch(), subject.build(0)
    answer(model, batch)  # what fails here fails without a device, too
    try:
        with torch.device("meta"):
            outputs, answers = answer(model, batch)
        is_apart = answers.is_meta or any(value.is_meta for value in outputs.values())
    except Exception as error:
        raise Broken(f"{_describe(error, subject.source)}; {ELSEWHERE}") from None
    _need(not is_apart, ELSEWHERE)


ELSEWHERE = (
    "a tensor is made without a device, and would not be where the batch is on a GPU; give it"
    " device=batch.video.device"
)


def _named_device(source: Path) -> int | None:
    """The first line of a file that names a GPU or calls `cuda`, if there is one."""
    for node in ast.walk(ast.parse(source.read_bytes())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "cuda":
            return node.lineno
        if isinstance(node, ast.Constant) and str(node.value).partition(":")[0] == "cuda":
            return node.lineno
    return None


@promise(STEADY)
def answers_are_steady(subject: Subject) -> None:
    """In evaluation mode, whatever was drawn at random in between."""
    answers = []
    for seed in (1, 2):
        model, batch = subject.build(0), subject.batch()
        torch.manual_seed(seed)
        answers.append(answer(model, batch)[1])
    _same(
        answers[1],
        answers[0],
        "answers change by themselves; draw nothing outside training (self.training, nn.Dropout)",
        close=0.0,
    )


@promise("padding changes no answer", compares=True)
def padding_changes_nothing(subject: Subject) -> None:
    """More padded clips and words than a batch needs."""
    batch = subject.batch()
    _, answers = answer(subject.build(0), batch)
    _, padded = answer(subject.build(0), pad(batch, MORE_CLIPS, MORE_WORDS))
    _same(padded, answers, "answers differ where the batch has more padding; read the masks")


@promise("neighbours in a batch change no answer", lambda subject: not subject.draws, compares=True)
def neighbours_change_nothing(subject: Subject) -> None:
    """Each query alone, without padding."""
    batch, model = subject.batch(), subject.build(0)
    _, answers = answer(model, batch)
    for row in range(len(batch.dur)):
        _, alone = answer(model, cut(pick(batch, torch.tensor([row]))))
        _same(
            alone, answers[row : row + 1], f"query {row} has another answer in a batch of its own"
        )


@promise("the order of a batch changes no answer", lambda subject: not subject.draws, compares=True)
def order_changes_nothing(subject: Subject) -> None:
    """The same queries, shuffled."""
    batch, order, model = subject.batch(), torch.tensor([2, 0, 3, 1]), subject.build(0)
    _, answers = answer(model, batch)
    _, mixed = answer(model, pick(batch, order))
    _same(mixed, answers[order], "answers differ in another order")


@promise("a blind model never sees the video", lambda subject: subject.is_blind, compares=True)
def video_is_not_seen(subject: Subject) -> None:
    """Another one in its place."""
    batch = subject.batch()
    answers = [
        answer(subject.build(0), replace(batch, video=video))[1]
        for video in (batch.video, batch.video.flip(0).roll(1, 1) * batch.v_mask[..., None])
    ]
    _same(
        answers[1],
        answers[0],
        "answers depend on the video; give the ablation inputs: {video: zero}",
        close=0.0,
    )


@promise("forward and decode never see the moments", compares=True)
def moments_are_not_seen(subject: Subject) -> None:
    """Hidden, and replaced by nonsense."""
    batch = subject.batch()
    hidden = replace(batch, gt=None, windows=None)
    assert batch.gt is not None and batch.windows is not None
    nonsense = replace(
        batch,
        gt=torch.full_like(batch.gt, torch.nan),
        windows=torch.full_like(batch.windows, 10**6),
    )
    answers = []
    for given in (batch, hidden, nonsense):
        model = subject.build(0)
        torch.manual_seed(3)
        answers.append(answer(model, given)[1])
    for other in answers[1:]:
        _same(other, answers[0], "answers depend on the annotated moments", close=0.0)


@promise("the same seed gives the same model, and a saved one answers alike", compares=True)
def state_round_trips(subject: Subject) -> None:
    """Weights of one are loaded into another of other weights."""
    batch, first, again, other = subject.batch(), *(subject.build(seed) for seed in (1, 1, 2))
    other.load_state_dict(copy.deepcopy(first.state_dict()))
    if isinstance(drawn := getattr(first, "generator", None), torch.Generator):
        other.generator.manual_seed(drawn.initial_seed())  # type: ignore[union-attr, operator]
    answers = []
    for model in (first, again, other.eval()):
        torch.manual_seed(5)
        answers.append(answer(model, batch)[1])
    _same(answers[1], answers[0], "two models of one seed answer differently", close=0.0)
    _same(
        answers[2], answers[0], "a model with the weights of another answers differently", close=0.0
    )


@promise("losses are finite scalars", lambda subject: subject.is_trained)
def losses_are_scalars(subject: Subject) -> None:
    """On real moments."""
    batch, model = subject.batch(size=6), subject.build(0).train()
    losses = model.loss(model(batch), batch)
    _need(
        isinstance(losses, dict) and all(isinstance(loss, Tensor) for loss in losses.values()),
        f"loss gave {type(losses).__name__}; it is to give a dict of scalar tensors by name",
    )
    _need(bool(losses), "there is no loss")
    for name, loss in losses.items():
        _need(loss.ndim == 0, f"{name} is of shape {tuple(loss.shape)}, not a scalar")
        _need(bool(loss.isfinite()), f"{name} is {loss.item()}")


@promise("finite gradients reach every parameter", lambda subject: subject.is_trained)
def gradients_reach_all(subject: Subject) -> None:
    """A parameter without one is never trained."""
    batch, model = subject.batch(size=6), subject.build(0).train()
    torch.stack(list(model.loss(model(batch), batch).values())).sum().backward()
    lacking = [name for name, value in model.named_parameters() if value.grad is None]
    _need(not lacking, f"{', '.join(lacking)}: without a gradient; use it or leave it out")
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        _need(bool(parameter.grad.isfinite().all()), f"{name} has a gradient that is not finite")


@promise("training without moments is refused", lambda subject: subject.is_trained)
def moments_are_needed(subject: Subject) -> None:
    """But of a weakly supervised model, which does without them."""
    if subject.is_weak:
        return
    model, hidden = subject.build(0), replace(subject.batch(), gt=None, windows=None)
    try:
        model.loss(model(hidden), hidden)
    except ValueError:
        return
    raise Broken("loss takes a batch without moments; raise a ValueError there")


@promise("some steps on a batch lower its loss", lambda subject: subject.is_trained)
def learns(subject: Subject) -> None:
    """By Adam; measured without dropout."""
    batch, model = subject.batch(size=8, seed=4).to(torch.float32), subject.build(0).float()
    before = _loss(model, batch)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    torch.manual_seed(0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.stack(list(model.train().loss(model(batch), batch).values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    after = _loss(model, batch)
    _need(after < before, f"{STEPS} steps of Adam took the loss from {before:.4f} to {after:.4f}")


def _loss(model: Grounder, batch: Batch) -> float:
    with torch.no_grad():
        torch.manual_seed(0)
        return float(sum(model.eval().loss(model(batch), batch).values()))


def _need(condition: bool | Tensor, sentence: str) -> None:
    if not condition:
        raise Broken(sentence)


def _same(found: Tensor, expected: Tensor, sentence: str, close: float = CLOSE) -> None:
    if found.shape != expected.shape:
        raise Broken(f"{sentence} ({tuple(found.shape)} instead of {tuple(expected.shape)})")
    if not torch.allclose(found, expected, atol=close, rtol=0.0, equal_nan=True):
        most = (found - expected).abs().nan_to_num(torch.inf).max()
        raise Broken(f"{sentence} (by up to {float(most):.3g})")
