"""Large pages, in which a CPU's activations cost less."""

import os

LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"  # of PyTorch, which reads it once


def ask_for_large_pages() -> None:
    """Let PyTorch ask Linux for pages of 2 MB: activations are tens of megabytes a clip, allocated
    anew in every layer, and clearing them page by page took a tenth of the time. Must come before
    this process computes; a value that the environment already has stays."""
    os.environ.setdefault(LARGE_PAGES, "1")
