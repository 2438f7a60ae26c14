"""How `tsgbench bundle` says what it wrote."""

from tsgbench.bundling.anonymous import Hidden
from tsgbench.bundling.bundle import Bundled
from tsgbench.cli.sources import as_size

SHOWN = 4  # files of a kind that are named


def as_text(done: Bundled) -> str:
    """What is in the archive, what is not, and where to look."""
    lines = [
        f"wrote {done.path}: {done.results} results; {done.packed} files packed"
        f" ({as_size(done.packed_bytes)})"
    ]
    if done.referenced:
        lines.append(
            f"{done.referenced} files ({as_size(done.referenced_bytes)}) are referenced by SHA-256"
            " and size, not packed: data, features, checkpoints (--with-data packs them)"
        )
    lines.append(
        f"checklist: {done.items - done.unanswered} of {done.items} items answered from facts; open"
        " ro-crate-preview.html"
    )
    if done.hidden:
        return "\n".join([*lines, *_of_hidden(done.hidden)])
    lines.append(
        "its records name machines and folders: see docs/bundling.md before you pass it on, or say"
        " --anonymous"
    )
    return "\n".join(lines)


def _of_hidden(hidden: Hidden) -> list[str]:
    """What an anonymous bundle no longer tells, and what to look through."""
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(hidden.replaced.items()))
    lines = [f"replaced: {counts or 'nothing'}; machines and user names in records in any case"]
    if hidden.left_out:
        lines.append(f"left out: {', '.join(hidden.left_out)}")
    lines.append("look through what people wrote, which no program can judge:")
    lines += [f"  {text}" for text in hidden.free]
    for name, files in hidden.suspected.items():
        where = f"stands in {_some(files)}" if files else "is a word of the code, and left there"
        lines.append(f"  {name!r} {where}")
    if hidden.unread:
        kinds = ", ".join(f"{count} {ending}" for ending, count in sorted(hidden.unread.items()))
        lines.append(f"  not looked into, since they are compressed or binary: {kinds}")
    if hidden.code:
        lines.append(
            f"  code and configuration that changed with it: {_some(hidden.code)};"
            " `tsgbench verify` in the archive may call results stale that it made"
        )
    return lines


def _some(files: list[str]) -> str:
    return ", ".join(files[:SHOWN]) + (
        f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    )
