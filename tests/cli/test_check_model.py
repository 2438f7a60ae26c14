"""`tsgbench check-model`: a line per promise, and a status that says whether all are kept."""

import pytest

from guides import ROOT, block_of, forget
from tsgbench import outside
from tsgbench.cli.main import main
from tsgbench.models import properties

PADDING = "padding changes no answer"


def test_a_model_that_keeps_its_promises(capsys):
    assert main(["check-model", "prior"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "prior (full)" and f"  ok      {PADDING}" in lines
    assert not any("order of a batch" in line for line in lines)  # it draws
    assert not any("loss" in line for line in lines)  # and learns nothing


def test_a_broken_promise_is_named_with_what_was_found(capsys, monkeypatch):
    monkeypatch.setattr(properties, "CHECKS", {PADDING: properties.CHECKS[PADDING]})
    assert main(["check-model", "seqpan", "--ablation", "full", "--ablation", "unmasked"]) == 1
    whole, kept, unmasked, broken = capsys.readouterr().out.splitlines()
    assert (whole, kept) == ("seqpan (full)", f"  ok      {PADDING}")
    assert unmasked == "seqpan (unmasked)"
    assert broken.startswith(
        f"  BROKEN  {PADDING}: answers differ where the batch has more padding"
    )


def test_an_error_of_the_model_is_a_broken_promise(monkeypatch):
    def build(seed):
        raise RuntimeError("no such layer")

    found = dict(properties.check_all(properties.Subject(build)))
    assert found[ANSWERS] == "RuntimeError: no such layer"
    assert found[PADDING] == f"as above ({ANSWERS})"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seqpam"], "unknown model 'seqpam'; did you mean 'seqpan'?"),
        (["seqpan", "--ablation", "blnd"], "seqpan has no ablation 'blnd'; did you mean 'blind'?"),
    ],
)
def test_unknown_names_are_refused(words, said, capsys):
    assert main(["check-model", *words]) == 1
    assert said in capsys.readouterr().err


MODEL, ENTRY = block_of("add_a_model.md", "python"), block_of("add_a_model.md", "yaml")
ANSWERS = "answers are ranked moments inside the video, with scores from 0 to 1"
FORWARD = "        words = self.read("


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project with the guide's model, to be broken."""
    (tmp_path / "config/models").mkdir(parents=True)
    (tmp_path / "models").mkdir()
    (tmp_path / "Snakefile").touch()
    (tmp_path / "config/models/tiny.yaml").write_text(ENTRY)
    (tmp_path / "models/tiny.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    forget()
    yield tmp_path
    forget()
    outside.open_folder(ROOT)


def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


# What a first model gets wrong: an edit of models/tiny.py -> what is said of which promise
MISTAKES = {
    "a shape": (
        (
            "return span_moments(spans, scores, batch.dur, batch.v_mask.sum(1))",
            "return span_moments(spans, scores, batch.dur, batch.v_mask.sum(1))[:, 0]",
        ),
        {ANSWERS: "decode with k=1 gave (5, 3); it is to give a tensor (5, at most 1, 3)"},
    ),
    "no dict": (
        ('return {"start": start, "end": end}', "return start"),
        {ANSWERS: "forward gave Tensor; it is to give a dict of tensors by name"},
    ),
    "NaN": (
        (
            "start, end = scores.log_softmax(1).unbind(-1)",
            "start, end = (scores - scores).log_softmax(1).unbind(-1)",
        ),
        {ANSWERS: "forward gave NaN in 'start'; look for"},
    ),
    "chance": (
        (
            "self.dropout(torch.tanh(self.watch(batch.video)))",
            "nn.functional.dropout(torch.tanh(self.watch(batch.video)), 0.5)",
        ),
        {properties.STEADY: "answers change by themselves; draw nothing outside training"},
    ),
    "no mask": (
        ("scores = scores.masked_fill(~batch.v_mask[..., None], -torch.inf)\n", "\n"),
        {PADDING: "answers differ where the batch has more padding; read the masks"},
    ),
    "a GPU by name": (
        (FORWARD, "        weights = torch.ones(1, device='cuda')\n" + FORWARD),
        {properties.DEVICE: "models/tiny.py, line 28: names a device; leave that to the trainer"},
    ),
    "no device": (
        (
            "scores = precise(self.score(clips * sentence[:, None]))",
            "scores = precise(self.score(clips * sentence[:, None])) + torch.zeros(2).double()",
        ),
        {properties.DEVICE: "a tensor is made without a device, and would not be where"},
    ),
    "no such output": (
        ('return {"start": start, "end": end}', 'return {"start": start, "stop": end}'),
        {ANSWERS: "models/tiny.py, line 46: KeyError: 'end' (no such key)"},
    ),
    "a method that is lacking": (
        ("def loss(", "def losses("),
        {"losses are finite scalars": "loss is not written; tsgbench.models.base says"},
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_said_in_a_sentence_of_its_own(mistake, folder, capsys):
    change, expected = MISTAKES[mistake]
    edit(folder / "models/tiny.py", *change)
    assert main(["check-model", "tiny", "--ablation", "full"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "BROKEN" in line]
    told = dict(line.removeprefix("  BROKEN  ").split(": ", 1) for line in lines)
    for promise, problem in expected.items():
        assert problem in told[promise]
    # Said once: what breaks other promises, too, is told apart or not repeated
    fresh = [problem for problem in told.values() if not problem.startswith("as above")]
    assert len(fresh) == len(set(fresh))


def test_a_blind_ablation_that_sees_the_video_is_found_out(folder, capsys):
    assert main(["check-model", "tiny", "--ablation", "blind"]) == 0
    edit(folder / "config/models/tiny.yaml", ", inputs: {video: zero}", "")
    forget()
    capsys.readouterr()
    assert main(["check-model", "tiny"]) == 1
    (broken,) = (line for line in capsys.readouterr().out.splitlines() if "BROKEN" in line)
    assert "a blind model never sees the video: answers depend on the video; give the" in broken


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (
            "models/tiny.py",
            ("import torch\n", "import torch\nimport einopts\n"),
            "models/tiny.py, line 4: cannot be imported (ModuleNotFoundError: No",
        ),
        (
            "models/tiny.py",
            ("import torch\n", "import torch torch\n"),
            "models/tiny.py, line 3: not valid Python (invalid syntax)",
        ),
        (
            "models/tiny.py",
            ("width: Size", "width: Tensor"),
            "models/tiny.py, line 18: width: settings are annotated with int,",
        ),
        ("models/tiny.py", ("(Grounder)", "(nn.Module)"), "models/tiny.py, line 14: Tiny is no Gr"),
        (
            "config/models/tiny.yaml",
            ("    max_words: 32\n", ""),
            "tiny.yaml: settings.inputs: key 'max_words' is missing",
        ),
    ],
)
def test_what_cannot_be_tried_is_one_sentence(file, change, said, folder, capsys):
    edit(folder / file, *change)
    assert main(["check-model", "tiny"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("tsgbench: error: ") and said in error and error.count("\n") == 1
