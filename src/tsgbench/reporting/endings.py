"""What a figure that a person asks for may be called; the workflow's have names of their own."""

from pathlib import Path

from tsgbench.errors import UserError

KINDS = ("pdf", "png", "svg")


def kind_of(path: str | Path, option: str = "figure") -> str:
    """What a figure is written as, by its file's ending; `UserError`, which names the option, for
    an ending that is none of `KINDS`."""
    kind = Path(path).suffix[1:].lower()
    if kind not in KINDS:
        raise UserError(f"{option}: {path}: name a file that ends in .{', .'.join(KINDS)}")
    return kind
