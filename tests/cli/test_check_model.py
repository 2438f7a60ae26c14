"""`tsgbench check-model`: a line per promise, and a status that says whether all are kept."""

import pytest

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
    assert found[PADDING] == "RuntimeError: no such layer"


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
