"""What of a module's text counts, rule by rule; real modules are in tests/jobs/test_code.py."""

import ast
import textwrap

import pytest

from tsgbench.jobs.syntax import Syntax


def text(source, **how):
    return Syntax(ast.parse(textwrap.dedent(source))).text(**how)


LOGGER = "import logging\nlog = logging.getLogger(__name__)\n"
SAME = {
    "error": ("raise E(f'{x} is wrong')", "raise E('no ' + x + ', ' + ', '.join(sorted(y)))"),
    "error with facts": ("raise E(f'{len(x)} failed', x)", "raise E('too many failed', x)"),
    "error by keyword": ("raise E(message='a')", "raise E(message='b %s' % x)"),
    "assertion": ("assert x, 'is zero'", "assert x"),
    "warning": (
        "import warnings\nwarnings.warn('old', DeprecationWarning)",
        "import warnings\nwarnings.warn(f'{x} is old', DeprecationWarning)",
    ),
    "log line": (
        f"{LOGGER}def f(x):\n    log.info('%d of them', x)\n    return x",
        f"{LOGGER}def f(x):\n    log.warning(f'{{len(x):.1f}} of them')\n    return x",
    ),
    "first log line": (
        "def f(x):\n    return x",
        f"{LOGGER}def f(x):\n    log.info(x)\n    return x",
    ),
    "log line in a branch of its own": (
        f"{LOGGER}if x:\n    f()",
        f"{LOGGER}if x:\n    f()\nelse:\n    log.info('not')",
    ),
    "progress label": (
        "from rich.progress import track\nfor x in track(y, 'reading'): f(x)",
        "from rich.progress import track\nfor x in track(y, f'reading {y!r}'): f(x)",
    ),
    "progress keyword": (
        "from tqdm import tqdm\nfor x in tqdm(y, desc=name, unit='clips'): f(x)",
        "from tqdm import tqdm\nfor x in tqdm(y, desc='videos'): f(x)",
    ),
    "argument's type": ("def f(x: int, *y: str) -> int: return x", "def f(x, *y): return x"),
    "variable's type": ("x: int = 3", "x = 3"),
    "attribute's type": ("def f(s): s.x: int = 3", "def f(s): s.x = 3"),
    "attribute's type alone": ("def f(s):\n    s.x: int\n    return s", "def f(s): return s"),
    "field's type": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 3\n    y: str",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: 'Any' = 3\n    y: int",
    ),
    "import for a type": (
        "from collections.abc import Iterator\ndef f() -> Iterator: yield 1",
        "def f(): yield 1",
    ),
    "import under TYPE_CHECKING": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\nx = 1",
        "x = 1",
    ),
    "docstring": ('class A:\n    """Is."""\n    x = 1', "class A:\n    x = 1"),
    "names imported on one line": ("from a import b, c", "from a import b\nfrom a import c"),
    "pass": ("class A(B):\n    pass", 'class A(B):\n    """Is."""'),
}
OTHER = {
    "condition": ("if x > 1: raise E('x')", "if x >= 1: raise E('x')"),
    "kind of error": ("raise E('x')", "raise F('x')"),
    "error's facts": ("raise E('x', a)", "raise E('x', b)"),
    "error's flag": ("raise E('x', final=True)", "raise E('x', final=False)"),
    "error that assigns": ("raise E(f'{(n := 1)}')", "raise E(f'{(n := 2)}')"),
    "error that calls": ("raise E(f'{f(1)}')", "raise E(f'{f(2)}')"),
    "assertion": ("assert x > 1, 'is'", "assert x > 2, 'is'"),
    "warning's kind": (
        "import warnings\nwarnings.warn('old', DeprecationWarning)",
        "import warnings\nwarnings.warn('old', UserWarning)",
    ),
    "log line that draws": (
        f"{LOGGER}log.info('%f', draw())",
        f"{LOGGER}log.info('%f', 0)",
    ),
    "log line that uses up": (
        f"{LOGGER}log.info('%s', list(found))",
        f"{LOGGER}log.info('found some')",
    ),
    "log line that assigns": (f"{LOGGER}log.info((n := 1))", f"{LOGGER}log.info((n := 2))"),
    "not a logger": ("log = make()\nlog.info('a')", "log = make()\nlog.info('b')"),
    "no longer a logger": (
        f"{LOGGER}def f(log):\n    log.info('a')",
        f"{LOGGER}def f(log):\n    log.info('b')",
    ),
    "a value that a log call gives": (f"{LOGGER}x = log.info('a')", f"{LOGGER}x = log.info('b')"),
    "progress of something else": (
        "from rich.progress import track\nfor x in track(y, 'a'): f(x)",
        "from rich.progress import track\nfor x in track(z, 'a'): f(x)",
    ),
    "a function that is called track": ("track(y, 'a')", "track(y, 'b')"),
    "text that is a result": ("x = f'{y} is'", "x = f'{y} was'"),
    "text that is returned": ("def f(): return 'a'", "def f(): return 'b'"),
    "field": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\n    y: int",
    ),
    "field's default": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 3",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 4",
    ),
    "field or variable": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 3",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x = 3",
    ),
    "field or class variable": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 3",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: ClassVar[int] = 3",
    ),
    "types of a checked model": (
        "class A(BaseModel):\n    x: int = 3",
        "class A(BaseModel):\n    x: float = 3",
    ),
    "types of a dataclass that checks": (
        "from pydantic.dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 3",
        "from pydantic.dataclasses import dataclass\n@dataclass\nclass A:\n    x: float = 3",
    ),
    "a type that calls": ("def f(x: g(1)): pass", "def f(x: g(2)): pass"),
    "a name that becomes local": ("def f():\n    return x", "def f():\n    x: int\n    return x"),
    "import for more than a type": (
        "from collections.abc import Sequence as S\ny = isinstance(x, S)",
        "from collections.abc import Mapping as S\ny = isinstance(x, S)",
    ),
    "default": ("def f(x: int = 1): pass", "def f(x: int = 2): pass"),
    "decorator": ("@a\ndef f(): pass", "@b\ndef f(): pass"),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_what_is_said_or_read_alone_does_not_count(pair):
    assert text(pair[0]) == text(pair[1])


@pytest.mark.parametrize("pair", OTHER.values(), ids=OTHER)
def test_what_is_done_counts(pair):
    assert text(pair[0]) != text(pair[1])


@pytest.mark.parametrize(
    "source",
    [
        "from typing import get_type_hints\nget_type_hints(f)",
        "x = getattr(f, '__annotations__')",
        "import inspect\nfor p in inspect.signature(f).parameters: p.annotation",
        "from dataclasses import fields\n[item.type for item in fields(A)]",
        "from functools import singledispatch\n@singledispatch\ndef f(x): pass",
        "import pydantic",
    ],
)
def test_code_that_reads_types_is_known(source):
    assert Syntax(ast.parse(source)).reads_types


def test_ordinary_uses_of_such_names_read_no_types():
    source = """
        import inspect
        from dataclasses import fields
        names = [item.name for item in fields(A)] + inspect.getfullargspec(f).kwonlyargs
        self.annotations = type(device)
    """
    assert not Syntax(ast.parse(textwrap.dedent(source))).reads_types


def test_types_and_docstrings_are_there_for_what_reads_them():
    plain, typed = 'def f(x):\n    """Is."""', 'def f(x: int):\n    """Was."""'
    assert text(plain) == text(typed)
    assert text(plain, with_types=True) != text(typed, with_types=True)
    assert text(plain, with_docstrings=True) != text(typed, with_docstrings=True)
    assert Syntax(ast.parse("print(f.__doc__)")).reads_docstrings


def test_imports_are_found_anywhere_but_under_type_checking():
    source = """
        import a.b
        from c import d
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            import never
        def f():
            from e import g
    """
    found = Syntax(ast.parse(textwrap.dedent(source))).imports
    assert {"a.b", "c", "c.d", "e", "e.g"} <= found
    assert "never" not in found
