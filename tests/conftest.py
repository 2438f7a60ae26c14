"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder of real public data files, named by TSGBENCH_MIRROR; skipped where there is none."""
    folder = os.environ.get("TSGBENCH_MIRROR", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("TSGBENCH_MIRROR names no folder: the real data files are not here")
    return Path(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole-pipeline tests first: of files run side by side, the longest must not come last."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
