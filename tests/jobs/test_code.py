"""The code digest changes with what code does, and with nothing else."""

import ast
import textwrap
import tomllib

import pytest

from tsgbench.cli.main import PHASES
from tsgbench.errors import UserError
from tsgbench.jobs import code
from tsgbench.jobs.syntax import Syntax

CACHED = (
    code.code_digest,
    code._text,
    code._data,
    code._seen,
    code._key,
    code._syntax,
    code._imports,
    code._module_digest,
)


@pytest.fixture(autouse=True)
def notes(tmp_path, monkeypatch):
    """Where what is found out of a source is noted; this module's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/tsgbench/code"


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


def test_what_is_noted_is_of_this_very_text(package, notes):
    """Twice the same digest, from the notes the second time; another text has none of them."""
    plain = digest_with(package, BODY)
    read = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "Syntax", lambda *of: read.append(of) or Syntax(*of))
        assert digest_with(package, BODY) == plain and not read
        assert digest_with(package, BODY.replace("+ 1", "+ 2")) != plain and len(read) == 1


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1", b'{"digest": "0", "note": {}}'])
def test_damaged_notes_are_found_out_again(package, notes, damage):
    plain = digest_with(package, BODY)
    assert len(list(notes.iterdir())) == 2
    for file in notes.iterdir():
        file.write_bytes(damage)
    assert digest_with(package, BODY) == plain


def test_other_code_that_reads_has_notes_of_its_own(package, notes, monkeypatch):
    digest_with(package, BODY)
    monkeypatch.setattr(code, "_reader", lambda: b"edited")
    digest_with(package, BODY)
    assert len(list(notes.iterdir())) == 4


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


def test_what_lies_beside_a_package_counts_with_it(package, tmp_path):
    """Templates decide what is written, and are no modules; what an editor leaves does not."""
    folder = tmp_path / "tsgbench" / "pages"
    folder.mkdir()
    package("pages/__init__", "FILES = {}\n")

    def digest():
        for cached in CACHED:
            cached.cache_clear()
        return code.code_digest("tsgbench.main")

    package("main", "from tsgbench.pages import FILES\n\ndef f():\n    return FILES\n")
    before = digest()
    (folder / "page.html").write_text("<p>")
    written = digest()
    (folder / "page.html").write_text("<b>")
    edited = digest()
    (folder / "page.html").rename(folder / "other.html")
    assert len({before, written, edited, digest()}) == 4
    (folder / "other.html").rename(folder / "page.html")
    for leftover in (".page.html.swp", "page.html~"):
        (folder / leftover).write_text("x")
    assert digest() == edited
    package("main", "def f():\n    return 1\n")
    alone = digest()
    (folder / "page.html").write_text("<i>")
    assert digest() == alone  # nothing of it imports the package


def test_files_that_shape_a_result_lie_where_they_count():
    """Beside the `__init__.py` of a package, which alone reads them."""
    root = code._source("tsgbench.errors").parent
    beside = [path for init in root.rglob("__init__.py") for path in code.data_files(init)]
    others = [
        path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    assert {path for path in others if path.suffix != ".py"} == set(beside)
    # "start" is copied into new folders and "page" shown by a server: read by no job
    assert {path.parent.name for path in beside} == {"tsgbench", "templates", "start", "page"}
    assert [path.name for path in code.data_files(root / "__init__.py")] == ["py.typed"]
    readers = {path for path in root.rglob("*.py") if "data_files(" in path.read_text()}
    assert readers == {root / "jobs/code.py", root / "reporting/templates/__init__.py"}
    project = tomllib.loads((root.parents[1] / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"][TEMPLATES]
    installed = {
        path for pattern in patterns for path in (root / "reporting/templates").glob(pattern)
    }
    assert installed == set(code.data_files(root / "reporting/templates/__init__.py"))
    phases = REPORTING | {"pdf", "findings", "figure", "summary"}
    closures = {phase: code.closure(*JOBS[phase]) for phase in phases}
    written = {phase for phase, names in closures.items() if TEMPLATES in names}
    assert written == REPORTING | {"pdf"}


def test_other_modules_do_not_count(package):
    before = digest_with(package, BODY)
    package("stranger", "x = 1\n")
    assert digest_with(package, BODY) == before


TEMPLATES = "tsgbench.reporting.templates"

# --- real modules ---------------------------------------------------------------------------------

MODELS = ("baselines", "cma", "fian", "fsan", "ia_net", "seqpan")
EXTRACTORS = ("c3d", "efficientnet_lite0", "i3d", "thumbnail", "vgg16")
READERS = ("charades_sta", "didemo", "made", "tacos")
# Every kind of job, by the modules that its code starts from
JOBS = {phase: (f"tsgbench.phases.{phase}",) for phase in PHASES if phase != "download"}
for chosen, names in {
    "train": [f"tsgbench.models.{name}" for name in MODELS],
    "extract": [f"tsgbench.features.{name}" for name in EXTRACTORS],
    "annotations": [f"tsgbench.datasets.{name}" for name in READERS],
}.items():
    (phase,) = JOBS.pop(chosen)
    JOBS |= {f"{chosen} {name.rpartition('.')[2]}": (phase, name) for name in names}

TRAIN = {f"train {name}" for name in MODELS}
EXTRACT = {f"extract {name}" for name in EXTRACTORS}
LOADING = TRAIN | {"inspect", "measure"}  # what puts a cell together
REPORTING = {"table", "report"}
NAMING = REPORTING | {"findings"}  # settings beside numbers
# module, text, what it becomes
HARMLESS = {
    "error in the atomic writer": ("files", "free some space and run again", "make room"),
    "error in training": ("training.trainer", "; lower train.lr or", "; try a lower train.lr or"),
    "error in reading queries": (
        "datasets.queries",
        "field {name!r} is missing",
        "lacks {name!r} of {', '.join(FIELDS)}",
    ),
    "error in extraction": ("features.extract", "no video to extract features from", "no video"),
    "error in a model": ("models.base", "raise UserError(\n", "raise UserError('Sorry: '\n"),
    "error in evaluation": (
        "phases.evaluate",
        "answers no query of the test split",
        "answers none",
    ),
    "log line of training": (
        "training.trainer",
        "resuming after epoch %d",
        "going on after epoch %d",
    ),
    "log line that is new": (
        "training.trainer",
        "    order = torch.Generator()",
        "    log.info('training %d tensors', len(parameters))\n    order = torch.Generator()",
    ),
    "log line of devices": (
        "training.devices",
        "other jobs use the GPU, too",
        "somebody else uses it",
    ),
    "label of a progress bar": ("features.feeding", '"extracting"', '"reading videos"'),
    "type of an argument": ("training.trainer", "seed: int,", "seed: 'int | None',"),
    "type that is returned": ("datasets.queries", ") -> Queries:", ") -> 'Queries | None':"),
    "type of a setting": ("settings", "epochs: Count = 0", "epochs: 'int | float' = 0"),
    "import for a type": (
        "training.trainer",
        "from pathlib import Path\n",
        "from pathlib import Path\nfrom typing import Any\n",
    ),
    "comment": ("training.trainer", "    # Sums stay on the device", "    # Sums are kept there"),
    "docstring": (
        "training.trainer",
        "One pass over the training queries",
        "Once over the queries",
    ),
}
CHANGED = {
    "default of training": (
        "settings",
        "patience: Count = 0",
        "patience: Count = 1",
        LOADING | NAMING,
    ),
    "field that is new": (
        "settings",
        "    patience: Count = 0",
        "    momentum: float = 0.9\n    patience: Count = 0",
        LOADING | NAMING,
    ),
    "constant of prediction": (
        "training.trainer",
        "PREDICTED_AT_ONCE = 64",
        "PREDICTED_AT_ONCE = 65",
        LOADING,
    ),
    "precision": ("training.trainer", "allow_tf32 = True", "allow_tf32 = False", LOADING),
    "condition of an error": (
        "training.trainer",
        "if not math.isfinite(",
        "if math.isnan(",
        LOADING,
    ),
    "kind of an error": (
        "training.trainer",
        'raise UserError(\n                f"{name} became',
        'raise ValueError(\n                f"{name} became',
        LOADING,
    ),
    "operator of a model": (
        "models.seqpan",
        "self.match_lambda * mean",
        "self.match_lambda + mean",
        {"train seqpan"},
    ),
    "operator of shared layers": (
        "models.targets",
        "return ",
        "return 0 or ",
        {"train fian", "train ia_net", "train fsan", "train seqpan", "inspect"},
    ),
    "constant of an extractor": ("features.c3d", "nn.Conv3d(", "nn.Conv2d(", {"extract c3d"}),
    "operator of pooling": ("features.pooling", "return ", "return 0 or ", EXTRACT),
    "decoding": (
        "features.video",
        "ROUNDING_S = 6e-4",
        "ROUNDING_S = 5e-4",
        EXTRACT | {"inspect", "join", "gather"},
    ),
    "constant of evaluation": (
        "evaluation.metrics",
        "NMS_IOU = 0.5",
        "NMS_IOU = 0.6",
        LOADING | {"evaluate"},
    ),
    "convention": ("evaluation.conventions", "return ", "return 0 or ", {"evaluate"}),
    "another phase": ("phases.evaluate", "return ", "return 0 or ", {"evaluate"}),
}


def digests():
    return {name: code.code_digest(*roots) for name, roots in JOBS.items()}


@pytest.fixture(scope="module")
def before():
    return digests()


@pytest.fixture
def edit(monkeypatch, before):
    """Edits a copy of a real module, in memory; returns the jobs that are another's then."""
    known = code._text

    def edited(module, old, new):
        name = f"tsgbench.{module}"
        source = code._source(name).read_text()
        assert old in source, f"{name} has no {old!r}: choose another edit of this kind"
        text = source.replace(old, new).encode()
        monkeypatch.setattr(code, "_text", lambda other: text if other == name else known(other))
        clear()
        return {name for name, digest in digests().items() if digest != before[name]}

    def clear():
        for cached in CACHED:
            if cached is not known:
                cached.cache_clear()

    yield edited
    clear()


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_an_edit_that_shapes_no_result_reruns_nothing(edit, change):
    assert edit(*change) == set()


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_an_edit_that_may_shape_a_result_reruns_what_it_may_shape(edit, change):
    module, old, new, stale = change
    assert edit(module, old, new) == stale


def test_training_does_not_depend_on_models_tracking_or_reporting():
    closure = code.closure("tsgbench.phases.train")
    assert "tsgbench.training.trainer" in closure and "tsgbench.models.base" in closure
    forbidden = ("tsgbench.models.seqpan", "tsgbench.tracking", "tsgbench.reporting")
    assert not [name for name in closure if name.startswith(forbidden)]
    assert not {"tsgbench.cli", "tsgbench.config", *code.PLUMBING} & set(closure)


# --- plumbing -------------------------------------------------------------------------------------

# What plumbing may use of libraries that compute: to ask the machine, and to try what fits
ASKED = {
    "np.ndarray",
    "np.uint8",
    "np.zeros",
    "torch.Tensor",
    "torch.UntypedStorage",
    "torch.compile",
    "torch.compiler.reset",
    "torch.cuda.device_count",
    "torch.cuda.get_device_name",
    "torch.cuda.get_device_properties",
    "torch.cuda.is_available",
    "torch.cuda.max_memory_reserved",
    "torch.cuda.mem_get_info",
    "torch.device",
    "torch.empty",
    "torch.get_num_threads",
    "torch.inference_mode",
    "torch.set_num_threads",
    "torch.uint8",
    "torch.zeros",
}
COMPUTING = ("av", "h5py", "numpy", "pyarrow", "scipy", "sklearn", "torch")


@pytest.mark.parametrize("module", code.PLUMBING)
def test_plumbing_is_there_and_imports_nothing_that_counts(module):
    assert code._source(module).exists()
    assert set(code._imports(module)) <= set(code.PLUMBING)


@pytest.mark.parametrize("module", code.PLUMBING)
def test_plumbing_computes_no_number(module):
    tree = ast.parse(code._source(module).read_text())
    imported = {
        name
        for name in Syntax(tree).imports
        if name.partition(".")[0] in COMPUTING and not name.startswith("torch.utils._py")
    }
    assert imported <= {"numpy", "torch"}
    chains = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used = {name for name in chains if name.startswith(("np.", "torch."))}
    outermost = {name for name in used if not any(o.startswith(f"{name}.") for o in used)}
    assert {name.partition("(")[0] for name in outermost} <= ASKED


def test_no_package_does_anything_on_the_way_to_its_modules():
    """Importing a.b runs a/__init__.py, too, which counts only where it is imported by name."""
    root = code._source("tsgbench.errors").parent
    quiet = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    for path in root.rglob("__init__.py"):
        for statement in ast.parse(path.read_text()).body:
            is_docstring = isinstance(statement, ast.Expr) and isinstance(
                statement.value, ast.Constant
            )
            is_for_checkers = (
                isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
            )
            is_quiet = is_docstring or is_for_checkers or isinstance(statement, quiet)
            assert is_quiet, f"{path}: {ast.unparse(statement)}"


def test_nothing_is_decided_by_the_wording_of_an_error():
    """What is left out of the digest may be written down, but no code takes it for a fact."""
    root = code._source("tsgbench.errors").parent
    for path in root.rglob("*.py"):
        for handler in ast.walk(ast.parse(path.read_text())):
            if isinstance(handler, ast.ExceptHandler) and handler.name:
                texts = {f"str({handler.name})", f"{handler.name}.args"}
                for node in ast.walk(handler):
                    if isinstance(node, ast.Compare):
                        found = texts & {ast.unparse(part) for part in ast.walk(node)}
                        assert not found, f"{path}: {ast.unparse(node)}"


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


def test_a_template_that_changes_while_a_job_starts_is_refused(package, tmp_path, monkeypatch):
    folder = tmp_path / "tsgbench" / "pages"
    folder.mkdir()
    (folder / "page.html").write_text("<p>")
    package("pages/__init__", "FILES = {}\n")
    package("phase", "from tsgbench.pages import FILES\n")
    code.code_digest("tsgbench.phase")
    edit_late = (folder / "page.html").write_text
    monkeypatch.setattr(code.importlib, "import_module", lambda name: edit_late("<b>"))
    with pytest.raises(UserError, match="page.html: changed while this job was starting"):
        code.import_as_digested("tsgbench.phase")
