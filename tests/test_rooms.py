"""The shape of the source: rooms that do not import in a circle, functions that fit on a page."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import tsgbench

SOURCE = Path(tsgbench.__file__).parent
LONGEST = 60  # lines of a function, its signature and docstring among them


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """Modules of this package, also those that a function imports when it runs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == SOURCE.name:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            package, _, rest = node.module.partition(".")
            if package == SOURCE.name:
                yield rest


def test_no_room_imports_one_that_imports_it():
    rooms: dict[str, set[str]] = defaultdict(set)
    for path, tree in modules():
        room = path.with_suffix("").parts[0]
        rooms[room] |= {name.partition(".")[0] for name in imported(tree)} - {room}
    assert len(rooms) > 20 and rooms["cli"] and "cli" not in rooms["planning"]
    list(TopologicalSorter(rooms).static_order())  # a CycleError names the rooms


def test_functions_fit_on_a_page():
    lengths = {
        f"{path}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    assert len(lengths) > 1000
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}
