"""The code digest changes with what code does, and with nothing else."""

import textwrap

import pytest

from tsgbench import code
from tsgbench.errors import UserError

CACHED = (code.code_digest, code._text, code._tree, code._imports, code._module_digest)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of its own in place of tsgbench; returns a function that (re)writes a module."""
    root = tmp_path / "tsgbench"
    root.mkdir()
    (root / "__init__.py").write_text("")

    def source(module):
        path = root.joinpath(*module.split(".")[1:])
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")

    monkeypatch.setattr(code, "_source", source)

    def write(name, text):
        (root / f"{name}.py").write_text(textwrap.dedent(text))
        for cached in CACHED:
            cached.cache_clear()

    yield write
    for cached in CACHED:
        cached.cache_clear()


BODY = '''
"""Docstring."""
from tsgbench.helper import double

def f(x):
    """Says what."""
    return double(x) + 1
'''


def digest_with(package, body, helper="def double(x):\n    return 2 * x\n"):
    package("main", body)
    package("helper", helper)
    return code.code_digest("tsgbench.main")


def test_comments_docstrings_and_layout_do_not_count(package):
    plain = digest_with(package, BODY)
    edited = BODY.replace("Docstring.", "Other.").replace('"""Says what."""', '"""Why."""')
    edited = edited.replace("return", "# a comment\n\n    return").replace("f(x)", "f( x )")
    assert digest_with(package, edited) == plain


def test_removing_the_only_docstring_of_a_function_does_not_count(package):
    assert digest_with(package, BODY.replace('    """Says what."""\n', "")) == digest_with(
        package, BODY
    )


@pytest.mark.parametrize(
    "change",
    [("+ 1", "+ 2"), ("+ 1", "- 1"), ("def f(x)", "def f(x=0)"), ("double(x)", "double(-x)")],
)
def test_every_change_of_behaviour_counts(package, change):
    assert digest_with(package, BODY.replace(*change)) != digest_with(package, BODY)


def test_imported_modules_count_also_from_inside_functions(package):
    late = "def f(x):\n    from tsgbench import helper\n    return helper.double(x)\n"
    assert digest_with(package, late) != digest_with(
        package, late, "def double(x):\n    return 3 * x\n"
    )


def test_other_modules_do_not_count(package):
    before = digest_with(package, BODY)
    package("stranger", "x = 1\n")
    assert digest_with(package, BODY) == before


def test_training_does_not_depend_on_models_tracking_or_reporting():
    closure = set()
    code._collect("tsgbench.phases.train", closure)
    assert "tsgbench.training" in closure and "tsgbench.models.base" in closure
    forbidden = (
        "tsgbench.models.seqpan",
        "tsgbench.tracking",
        "tsgbench.reporting",
        "tsgbench.cli",
    )
    assert not [name for name in closure if name.startswith(forbidden)]


def test_a_source_that_changes_while_a_job_starts_is_refused(package, monkeypatch):
    package("helper", "def double(x):\n    return 2 * x\n")
    package("phase", BODY)
    code.code_digest("tsgbench.phase")  # as the plan read it
    imported = []

    def import_module(name):
        """The editor saves while the job is importing."""
        imported.append(name)
        if len(imported) == 2:
            source = code._source("tsgbench.helper")
            source.write_text("def double(x):\n    return 3 * x\n")

    monkeypatch.setattr(code.importlib, "import_module", import_module)
    with pytest.raises(UserError, match="helper.py: changed while this job was starting"):
        code.import_as_digested("tsgbench.phase")
    assert imported == ["tsgbench.helper", "tsgbench.phase"]
    for cached in CACHED:
        cached.cache_clear()
    code.import_as_digested("tsgbench.phase")  # what it is now is what runs
