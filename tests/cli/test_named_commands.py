"""Every command that a message or a help text of ours names can be typed as it stands."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

from tsgbench.cli.main import command_parsers

ROOT = Path(__file__).resolve().parents[2]
VALUE = "VALUE"  # in place of what a message fills in
# Up to where a message goes on in prose
COMMAND = re.compile(r"(?<![\w./-])(tsgbench|snakemake|dvc|make) ([^`;()\n\"]*)")
FILLED_IN = re.compile(r"VALUE|\S*/\S*|phase_\w+|papers|everything|all")
DVC = {"pull", "push", "repro", "checkout", "status", "exp", "metrics", "plots", "diff"}


def literals() -> Iterator[tuple[str, str]]:
    """Where, and each string of the code that is no docstring."""
    for path in sorted((ROOT / "src/tsgbench").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        parts = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for part in node.values
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(
                    part.value if isinstance(part, ast.Constant) else VALUE for part in node.values
                )
            elif isinstance(node, ast.Constant) and id(node) not in docs | parts:
                text = node.value if isinstance(node.value, str) else ""
            else:
                continue
            yield f"{path.relative_to(ROOT)}:{node.lineno}", text


COMMANDS = [
    (where, match[1], match[2].split())
    for where, text in literals()
    for match in COMMAND.finditer(text)
]


def commands(program: str) -> list[tuple[str, list[str]]]:
    return [(where, words) for where, named, words in COMMANDS if named == program]


def options(words: list[str]) -> list[str]:
    return [word.rstrip(".,:").partition("=")[0] for word in words if re.match("--?[a-z]", word)]


def test_verbs_and_options_of_ours_exist():
    parsers = {prog.split(" ", 1)[1]: one for prog, one in command_parsers() if " " in prog}
    # What is filled in, or is a mark of punctuation, is none of our words
    ours = [one for one in commands("tsgbench") if re.match("[a-z]", " ".join(one[1]))]
    assert len(ours) > 20
    for where, words in ours:
        verb = words[0].rstrip(".,:")
        assert verb in parsers, (where, words)
        known = parsers[verb]._option_string_actions
        assert set(options(words)) <= known.keys(), (where, words)


@pytest.fixture(scope="module")
def known_to_snakemake() -> set[str]:
    return set(get_argument_parser()._option_string_actions)


def test_snakemake_is_named_with_cores_and_options_that_it_has(known_to_snakemake):
    rules = set(re.findall(r"^rule (\w+):", (ROOT / "Snakefile").read_text(), re.M))
    named = [(where, words) for where, words in commands("snakemake") if words]
    complete = [words for _, words in named if "--cores" in words]
    assert len(complete) > 5
    for where, words in named:
        assert set(options(words)) <= known_to_snakemake, (where, words)
        # With a target or an option it is a command, which Snakemake refuses without cores
        target = FILLED_IN.fullmatch(words[0].rstrip(".,:"))
        if target or words[0].startswith("-"):
            assert {"--cores", "-n"} & set(words), (where, words)
        for phase in (word.rstrip(".,:") for word in words if word.startswith("phase_")):
            assert phase in rules, (where, words)


def test_steps_that_messages_name_are_targets():
    """Such as "run the features step"."""
    steps = set(re.findall(r"run the (\w+) step", "\n".join(text for _, text in literals())))
    snakefile = (ROOT / "Snakefile").read_text()
    assert steps and all(f"rule phase_{step}:" in snakefile for step in steps)


def test_targets_of_make_exist():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    # What is not quoted, or all there is, is prose: "make it again"
    quoted = {
        match[1]
        for _, text in literals()
        for match in re.finditer(r"(?:^|`)make ([a-z0-9-]+)(?:$|`)", text)
    }
    assert quoted >= {"env", "table1"}
    assert quoted <= targets


def test_verbs_of_dvc_exist():
    named = commands("dvc")
    assert {words[0].rstrip(".,:") for _, words in named} <= DVC and len(named) > 1
