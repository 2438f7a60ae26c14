"""Models and readers from outside the package: in a project's folder, or in installed packages.

`models/NAME.py` of the folder is the module `study_models.NAME`, `datasets/NAME.py` the module
`study_datasets.NAME`; both are packages, so that one file of them may import another
(`from .parts import …`). An installed package names its modules by entry points of the groups
`tsgbench.models` and `tsgbench.datasets`. Config names a module of ours by its last name, and any
other by its dotted one.
"""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from importlib.util import find_spec, module_from_spec
from pathlib import Path

from tsgbench.errors import UserError

PACKAGE = "tsgbench"
HERE = Path(__file__).parent
CATALOGUE = ("datasets", "features", "sources", "conventions")  # files of config/
ROOMS = ("models", "datasets")
FOLDERS = {"study_models": "models", "study_datasets": "datasets"}


def shipped(root: Path = Path()) -> Path:
    """The folder whose `config` and `published` every project shares: `root` itself where it has
    them all, as a copy of the repository does; else that of the installed package."""
    if all((root / "config" / f"{name}.yaml").exists() for name in CATALOGUE):
        return root
    packed = HERE / "project"
    return packed if packed.is_dir() else HERE.parents[1]


def open_folder(root: Path = Path()) -> None:
    """Let the packages of `FOLDERS` be those of the project at `root`."""
    for package, folder in FOLDERS.items():
        path = str((root / folder).resolve())
        known = sys.modules.get(package)
        if known is not None and list(known.__path__) == [path]:
            continue
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]
        spec = ModuleSpec(package, None, is_package=True)
        spec.submodule_search_locations = [path]
        sys.modules[package] = module_from_spec(spec)


def module_of(room: str, name: str) -> str:
    """The dotted name of a module that config calls `name`. room: `models` or `datasets`."""
    return name if "." in name else f"{PACKAGE}.{room}.{name}"


def installed(room: str) -> dict[str, str]:
    """Name -> module of what installed packages add; `UserError` if two of them share a name."""
    module_by_name: dict[str, str] = {}
    for entry in sorted(entry_points(group=f"{PACKAGE}.{room}")):
        if module_by_name.setdefault(entry.name, entry.module) != entry.module:
            raise UserError(
                f"entry point {PACKAGE}.{room}: {entry.name}: {module_by_name[entry.name]} and"
                f" {entry.module} share the name; uninstall one of the packages, or rename it there"
            )
    return module_by_name


def package_of(module: str) -> str | None:
    """The installed package that a module belongs to, if an entry point of it is of our groups."""
    top = module.partition(".")[0]
    for room in ROOMS:
        for entry in entry_points(group=f"{PACKAGE}.{room}"):
            if entry.module.partition(".")[0] == top and entry.dist is not None:
                return entry.dist.name
    return None


def blame(module: str) -> tuple[str, str]:
    """How a refusal of something in a module begins and ends: the package and what to do with it;
    empty for a module of the project's folder."""
    if package := package_of(module):
        return f"package {package}: ", f", or: pip uninstall {package}"
    return "", ""


@contextmanager
def blaming(module: str) -> Iterator[None]:
    """Every `UserError` within names the installed package of a module, and what to do with it."""
    try:
        yield
    except UserError as error:
        first, last = blame(module) if "." in module else ("", "")
        raise UserError(f"{first}{error}{last}") from None


def load(module: str) -> None:
    """Import a module from outside; `UserError` with file and line for whatever that raises."""
    try:
        import_module(module)
    except UserError:
        raise
    except Exception as error:  # what somebody else's code may raise
        first, last = blame(module)
        raise UserError(
            f"{first}{_place(module, error)}: cannot be imported ({type(error).__name__}:"
            f" {error}); mend it{last}"
        ) from error


def load_named(module: str) -> None:
    """The same of a model or reader as entries and records name it: of the package's own, which
    have plain names, nothing is imported."""
    if "." in module:
        load(module)


def _place(module: str, error: Exception) -> str:
    """File and line at fault."""
    file = source_of(module)
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    return line_beside(error, file) or str(file)


def line_beside(error: Exception, file: Path) -> str | None:
    """`FILE, line 7`: the last of what was being run when an error was raised, of the files in the
    folder of `file`; None if it was none of them."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).parent == file.parent:
            return f"{frame.filename}, line {frame.lineno}"
    return None


def source_of(module: str) -> Path:
    """The file of a module, found without importing it or its parents."""
    top, *parts = module.split(".")
    if top in FOLDERS and top not in sys.modules:
        open_folder()
    spec = find_spec(top)
    if spec is None or not (spec.submodule_search_locations or spec.origin):
        raise UserError(f"{module}: no package {top!r} is installed; install it, or name another")
    if not spec.submodule_search_locations:  # a single file
        return Path(spec.origin or "")
    # Of a namespace, which several folders may share, the first that has it
    candidates = [Path(path).joinpath(*parts) for path in spec.submodule_search_locations]
    files = [
        path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")
        for path in candidates
    ]
    return next((path for path in files if path.exists()), files[0])
