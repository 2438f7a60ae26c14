"""Public validators of what `tsgbench bundle` writes; a test is skipped where one is not here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workflow.conftest import ROOT

VALIDATORS = Path(sys.prefix) / "validators" / "bin" / "python"
PROFILE = "workflow-run-crate-0.5"


def validate_crate(crate: Path, severity: str = "REQUIRED") -> dict:
    """What roc-validator says of a crate: `passed`, and `issues` of this severity and above."""
    if not VALIDATORS.exists():
        pytest.skip("roc-validator is not here: make validators")
    script = ROOT / "tests" / "bundling" / "validate_crate.py"
    done = subprocess.run(
        [VALIDATORS, script, crate, PROFILE, severity], capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def read_sheet(path: Path):
    """A Croissant file as mlcroissant reads it, which refuses one with errors."""
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not here: make env")
    sheet = mlcroissant.Dataset(jsonld=str(path))
    assert not sheet.metadata.ctx.issues.errors
    return sheet
