"""What of a module's text can shape a result: its syntax, without what is only said or only read.

Left out are comments, docstrings, the wording of errors, assertions, warnings and log lines, the
labels of progress bars, and types that nothing reads at run time. Where a piece of text is more
than text, it stays: a call in it that is not known to be harmless, and all of it if it assigns,
awaits or yields. Whatever is not known to be harmless counts: a needless rerun is the lesser evil.
"""

import ast
from collections.abc import Callable, Container, Iterable, Iterator

LOG_CALLS = frozenset(("critical", "debug", "error", "exception", "info", "log", "warning"))
PROGRESS_MODULES = ("rich.progress.", "tqdm.")
PROGRESS_METHODS = frozenset(("add_task", "set_description", "set_postfix_str"))
PROGRESS_LABELS = frozenset(("bar_format", "desc", "description", "title", "unit"))
# Modules whose import does nothing: one that is used in what is left out alone is left out, too
IDLE_IMPORTS = frozenset(
    ("__future__", "collections.abc", "logging", "pathlib", "types", "typing", "warnings")
)
# Calls in a text that change nothing outside of it
# fmt: off
HARMLESS_CALLS = {
    "abs", "bool", "bytes", "float", "format", "getattr", "hasattr", "hex", "int", "isinstance",
    "len", "ord", "range", "repr", "round", "str", "type",
}
HARMLESS_METHODS = {
    "as_posix", "capitalize", "casefold", "format", "isoformat", "items", "keys", "lower",
    "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rpartition", "rstrip",
    "split", "splitlines", "strip", "title", "upper", "values", "with_name", "with_suffix",
    "zfill",
}
# These may use up an iterator: of no consequence when the work ends there, with an error
CONSUMING_CALLS = {
    "all", "any", "dict", "enumerate", "filter", "frozenset", "join", "list", "map", "max", "min",
    "reversed", "set", "sorted", "sum", "tuple", "zip",
}
# fmt: on
# In the body of a dataclass these decide what a field is
FIELD_KINDS = ("ClassVar", "InitVar", "KW_ONLY")
# By these names code reads types at run time; by some only together with the attribute beside them
TYPE_READERS = {
    "__annotations__": None,
    "custom_op": None,
    "get_annotations": None,
    "get_type_hints": None,
    "infer_schema": None,
    "jit": None,
    "return_annotation": None,
    "singledispatch": None,
    "singledispatchmethod": None,
    "fields": ".type",
    "getfullargspec": ".annotations",
    "signature": ".annotation",
}
TYPE_READING_MODULES = frozenset(
    ("attr", "attrs", "beartype", "jaxtyping", "pydantic", "typeguard")
)

_NO_PART = frozenset(("ctx", "kind", "type_comment", "type_ignores"))
_SIDE_EFFECTS = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
_CONSUMING = (ast.DictComp, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.Starred)


class Syntax:
    """What counts of a parsed module.

    imports: every module that it may import, anywhere (`from a import b`: `a` and `a.b`), but for
    those under `if TYPE_CHECKING`. reads_types, reads_docstrings: whether it looks at these at run
    time; then those of whatever it may be handed count as well. is_idle: whether importing the
    named module does nothing that could shape a result.
    """

    def __init__(
        self, tree: ast.Module, is_idle: Callable[[str], bool] = IDLE_IMPORTS.__contains__
    ):
        self._tree, self._is_idle = tree, is_idle
        writer = _Writer(is_idle)
        self._text = writer.module(tree)
        self.imports = frozenset(writer.imports)
        named = writer.named
        self.reads_docstrings = "__doc__" in named
        self.reads_types = any(
            name in named and (other is None or other in named)
            for name, other in TYPE_READERS.items()
        ) or any(name.partition(".")[0] in TYPE_READING_MODULES for name in self.imports)

    def text(self, *, with_types: bool = False, with_docstrings: bool = False) -> str:
        """Canonical text, the same under every supported Python version."""
        if not (with_types or with_docstrings):
            return self._text
        writer = _Writer(self._is_idle, with_types, with_docstrings)
        return writer.module(self._tree)


class _Writer:
    """Writes a tree as text. A statement becomes any number of texts, an expression one."""

    def __init__(
        self, is_idle: Callable[[str], bool], with_types: bool = False, with_docs: bool = False
    ):
        self.is_idle, self.with_types, self.with_docs = is_idle, with_types, with_docs
        self.imports: set[str] = set()
        self.named: set[str] = set()  # identifiers that occur, and strings that name a reader
        self.used: set[str] = set()  # variables that are read or written
        self.origins: dict[str, str] = {}  # imported name -> where it is from
        self.loggers: set[str] = set()
        # Written only if their variable is used
        self.idle: list[tuple[str, str]] = []  # variable, text
        self.made_loggers: list[tuple[str, ast.expr]] = []

    def module(self, tree: ast.Module) -> str:
        self.loggers = _loggers(tree)
        body = self.block(tree.body)
        body += [self.node(value) for name, value in self.made_loggers if name in self.used]
        kept = {text for name, text in self.idle if name in self.used}
        return "\n".join([*sorted(kept), *body])

    # --- statements --------------------------------------------------------------------------

    def block(self, body: list[ast.stmt], in_class: ast.ClassDef | None = None) -> list[str]:
        texts = []
        for statement in body:
            if in_class and isinstance(statement, ast.AnnAssign):
                texts.append(self.annotated_field(statement, in_class))
                continue
            special = getattr(self, f"on_{type(statement).__name__}", None)
            texts += [self.node(statement)] if special is None else special(statement)
        return texts

    def on_Pass(self, _statement: ast.Pass) -> list[str]:
        return []

    def on_Expr(self, statement: ast.Expr) -> list[str]:
        value = statement.value
        if isinstance(value, ast.Constant):  # a docstring, or an ellipsis that stands for `pass`
            return [self.node(value)] if self.with_docs else []
        if isinstance(value, ast.Call):
            parts = [*value.args, *(keyword.value for keyword in value.keywords)]
            if self.is_log_call(value) and not any(map(_has_side_effect, parts)):
                return self.harmful(parts)
            if self.origin(value.func) == "warnings.warn":
                return [self.without_texts(value)]
        return [self.node(statement)]

    def on_Raise(self, statement: ast.Raise) -> list[str]:
        error = statement.exc
        if isinstance(error, ast.Call):
            said = self.without_texts(error, at_end=True)
        else:
            said = self.part(error)
        return [f"Raise({said},{self.part(statement.cause)})"]

    def on_Assert(self, statement: ast.Assert) -> list[str]:
        message = [] if statement.msg is None else [statement.msg]
        kept = [self.node(part) for part in message if _has_side_effect(part)]
        kept = kept or self.harmful(message, at_end=True)
        return [f"Assert({self.node(statement.test)},[{','.join(kept)}])"]

    def on_AnnAssign(self, statement: ast.AnnAssign) -> list[str]:
        types, target = self.type_of(statement.annotation), statement.target
        if statement.value is None and not types and _is_plain_attribute(target):
            return []
        if statement.value is None or types:
            # Without a value it still makes the name a local one
            return [
                f"Annotated({self.node(statement.target)},{types},{self.part(statement.value)})"
            ]
        plain = ast.Assign(targets=[statement.target], value=statement.value)
        return self.on_Assign(plain)

    def on_Assign(self, statement: ast.Assign) -> list[str]:
        target = statement.targets[0]
        makes_logger = self.origin(getattr(statement.value, "func", None)) == "logging.getLogger"
        if makes_logger and isinstance(target, ast.Name) and target.id in self.loggers:
            self.made_loggers.append((target.id, statement.value))
            return []
        return [self.node(statement)]

    def annotated_field(self, statement: ast.AnnAssign, owner: ast.ClassDef) -> str:
        """In a class an annotation makes a field, of whatever type it may be."""
        types = ""
        if not self.is_plain_dataclass(owner) or _mentions(statement.annotation, FIELD_KINDS):
            types = self.node(statement.annotation)
        types = types or self.type_of(statement.annotation)
        return f"Field({self.node(statement.target)},{types},{self.part(statement.value)})"

    def is_plain_dataclass(self, owner: ast.ClassDef) -> bool:
        """Whether nothing but the `dataclass` of the standard library can read its types."""
        if owner.bases or owner.keywords:
            return False
        calls = (getattr(decorator, "func", decorator) for decorator in owner.decorator_list)
        return all(self.origin(call) == "dataclasses.dataclass" for call in calls)

    def on_If(self, statement: ast.If) -> list[str]:
        if self.origin(statement.test) == "typing.TYPE_CHECKING":
            return self.block(statement.orelse)
        return [self.node(statement)]

    def on_ClassDef(self, statement: ast.ClassDef) -> list[str]:
        parts = self.fields(statement, without=("body",))
        parts.append(f"body=[{','.join(self.block(statement.body, statement))}]")
        return [f"ClassDef({','.join(parts)})"]

    def on_FunctionDef(self, statement: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
        parts = self.fields(statement, without=("returns",))
        parts += [self.type_of(statement.returns)] if statement.returns else []
        return [f"{type(statement).__name__}({','.join(filter(None, parts))})"]

    on_AsyncFunctionDef = on_FunctionDef

    def on_Import(self, statement: ast.Import) -> list[str]:
        for alias in statement.names:
            self.imports.add(alias.name)
        return self.imported(statement, [alias.name for alias in statement.names])

    def on_ImportFrom(self, statement: ast.ImportFrom) -> list[str]:
        module = "." * statement.level + (statement.module or "")
        self.imports.add(module)
        inside = f"{module}." if statement.module else module
        self.imports.update(f"{inside}{alias.name}" for alias in statement.names)
        return self.imported(statement, [f"{module}.{alias.name}" for alias in statement.names])

    def imported(self, statement: ast.Import | ast.ImportFrom, origins: list[str]) -> list[str]:
        """One text a name; those of idle modules wait until it is known whether they are used."""
        texts = []
        for alias, origin in zip(statement.names, origins, strict=True):
            bound = alias.asname or alias.name.partition(".")[0]
            self.origins[bound] = origin if alias.asname or "." not in alias.name else bound
            self.named.add(alias.name)
            text = f"{type(statement).__name__}({origin},{alias.asname or ''})"
            module = getattr(statement, "module", None) or alias.name
            if self.is_idle(module) or self.is_idle(origin):
                self.idle.append((bound, text))
            else:
                texts.append(text)
        return texts

    # --- expressions -------------------------------------------------------------------------

    def part(self, node: ast.AST | None) -> str:
        return "" if node is None else self.node(node)

    def node(self, node: ast.AST) -> str:
        """Any node. Empty and absent fields are left out: versions of Python differ in them."""
        if isinstance(node, ast.Name):
            self.used.add(node.id)
            self.named.add(node.id)
            return f"Name({node.id})"
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and node.value.isidentifier():
                self.named.add(node.value)
            return repr(node.value)
        if isinstance(node, ast.Attribute):
            self.named.add(node.attr)
            if isinstance(node.ctx, ast.Load):
                self.named.add(f".{node.attr}")
        elif isinstance(node, ast.Call) and self.is_progress(node.func):
            return self.without_texts(node, PROGRESS_LABELS)
        elif isinstance(node, ast.arg):
            types = self.type_of(node.annotation) if node.annotation else ""
            return f"arg({node.arg},{types})"
        return f"{type(node).__name__}({','.join(self.fields(node))})"

    def fields(self, node: ast.AST, without: tuple[str, ...] = ()) -> list[str]:
        parts = []
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == [] or name in _NO_PART or name in without:
                continue
            if isinstance(value, ast.AST):
                parts.append(f"{name}={self.node(value)}")
            elif not isinstance(value, list):
                parts.append(f"{name}={value!r}")
            elif isinstance(value[0], ast.stmt):
                block = self.block(value)
                parts += [f"{name}=[{','.join(block)}]"] if block else []
            else:
                items = (self.node(v) if isinstance(v, ast.AST) else repr(v) for v in value)
                parts.append(f"{name}=[{','.join(items)}]")
        return parts

    def type_of(self, annotation: ast.expr) -> str:
        """A type, if it counts: it is evaluated, so one that calls something always does."""
        acts = any(isinstance(part, (ast.Call, *_SIDE_EFFECTS)) for part in ast.walk(annotation))
        return self.node(annotation) if self.with_types or acts else ""

    def without_texts(
        self, call: ast.Call, labels: Container[str] = (), *, at_end: bool = False
    ) -> str:
        """A call without its arguments that are text; labels: keywords that hold text at any rate.
        at_end: whether the work ends there, with an error."""
        parts = [self.node(call.func)]
        arguments: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
        for argument in arguments:
            if isinstance(argument, ast.keyword):
                value, is_label = argument.value, argument.arg in labels
            else:
                value, is_label = argument, False
            if (is_label or _is_text(value)) and not _has_side_effect(value):
                parts += self.harmful([value], at_end=at_end)
            else:
                parts.append(self.node(argument))
        return f"Call({','.join(parts)})"

    def harmful(self, parts: list[ast.expr], *, at_end: bool = False) -> list[str]:
        """What in some expressions may do more than make a text of something."""
        return [self.node(statement) for part in parts for statement in _harmful(part, at_end)]

    # --- what a name stands for --------------------------------------------------------------

    def origin(self, node: ast.AST | None) -> str:
        """The dotted name of what an expression means, as imported; empty if it is not known."""
        if isinstance(node, ast.Name):
            return self.origins.get(node.id, "")
        if isinstance(node, ast.Attribute) and (owner := self.origin(node.value)):
            return f"{owner}.{node.attr}"
        return ""

    def is_log_call(self, call: ast.Call) -> bool:
        function = call.func
        if not (isinstance(function, ast.Attribute) and function.attr in LOG_CALLS):
            return False
        is_logger = isinstance(function.value, ast.Name) and function.value.id in self.loggers
        return is_logger or self.origin(function.value) == "logging"

    def is_progress(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Attribute) and function.attr in PROGRESS_METHODS:
            return True
        return self.origin(function).startswith(PROGRESS_MODULES)


def _loggers(tree: ast.Module) -> set[str]:
    """Variables of a module that are given a logger, and never anything else."""
    loggers = {
        statement.targets[0].id
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.Call)
        and ast.unparse(statement.value.func) == "logging.getLogger"
    }
    if loggers:
        stored = [
            getattr(node, "id", None) or getattr(node, "arg", None)
            for node in ast.walk(tree)
            if isinstance(node, ast.arg)
            or (isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load))
        ]
        loggers = {name for name in loggers if stored.count(name) == 1}
    return loggers


def _is_text(node: ast.AST | None) -> bool:
    """Whether an expression is text whatever its variables hold."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.BinOp):
        is_sum = isinstance(node.op, ast.Add) and (_is_text(node.left) or _is_text(node.right))
        return is_sum or (isinstance(node.op, ast.Mod) and _is_text(node.left))
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in ("format", "join") and _is_text(node.func.value)
    return isinstance(node, ast.JoinedStr)


def _has_side_effect(node: ast.AST) -> bool:
    return any(isinstance(part, _SIDE_EFFECTS) for part in ast.walk(node))


def _harmful(node: ast.AST, at_end: bool) -> Iterator[ast.AST]:
    """Calls within an expression, outermost first, that are not known to be harmless; and what may
    use up an iterator, unless the work ends there."""
    if isinstance(node, ast.Call):
        function = node.func
        name = getattr(function, "id", None)
        is_known = name in HARMLESS_CALLS or getattr(function, "attr", None) in HARMLESS_METHODS
        if at_end:
            is_known |= (name or getattr(function, "attr", None)) in CONSUMING_CALLS
        if not is_known:
            yield node
            return
    elif isinstance(node, _CONSUMING) and not at_end:
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _harmful(child, at_end)


def _is_plain_attribute(node: ast.expr) -> bool:
    """Whether it is `name.attribute`, a type of which nothing keeps (`self.x: int`)."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)


def _mentions(annotation: ast.expr, names: Iterable[str]) -> bool:
    text = ast.unparse(annotation)
    return any(name in text for name in names)
