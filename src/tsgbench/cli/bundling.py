"""How `tsgbench bundle` says what it wrote."""

from tsgbench.bundling.bundle import Bundled
from tsgbench.cli.sources import as_size


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
    lines.append(
        "its records name machines and folders: see docs/bundling.md before you pass it on"
    )
    return "\n".join(lines)
