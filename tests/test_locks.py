"""The environment: what is asked for is locked, by version and checksum, and in one version."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
ENVS = ROOT / "envs"
NAME = re.compile(r"[A-Za-z0-9._-]+")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def blocks() -> list[str]:
    """Requirements of the lock, each with its checksums."""
    text = (ENVS / "requirements.lock").read_text()
    return re.split(r"\n(?=[a-z])", text.removesuffix("\n"))


def locked() -> dict[str, set[str]]:
    """Name -> versions; some have one for each Python."""
    found: dict[str, set[str]] = {}
    for line in [*blocks(), *(ENVS / "torch.lock").read_text().splitlines()]:
        name, version = re.match(r"([a-z0-9._-]+)==(\S+)", line).groups()
        found.setdefault(normal(name), set()).add(version)
    return found


def asked() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *(line for extra in extras for line in extra)]


@pytest.mark.parametrize("requirement", asked())
def test_what_the_project_asks_for_is_locked(requirement):
    assert normal(NAME.match(requirement)[0]) in locked()


def test_every_package_is_known_by_its_checksums():
    """But torch, whose builds with and without CUDA are different files."""
    assert len(blocks()) > 100
    for block in blocks():
        first, *rest = (line.removesuffix(" \\") for line in block.splitlines())
        assert rest and all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}", line) for line in rest)
        assert not first.startswith("torch==")


def test_the_conda_environment_has_the_locked_versions():
    (pip,) = (
        part["pip"]
        for part in yaml.safe_load((ENVS / "tsgbench.yaml").read_text())["dependencies"]
        if isinstance(part, dict)
    )
    for line in pip:
        name, version = line.split("==")
        assert version in locked()[normal(name)], line
