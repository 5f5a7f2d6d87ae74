"""The exact pins of a new project: this package, and what is installed of all that it needs."""

import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.errors import PipelineError

#: This package, as it is installed.
PACKAGE = "model-lifecycle"


def package(source: str | None = None) -> str:
    """The requirement that installs this package: what was asked for, else what is installed here.

    Parameters
    ----------
    source : a version, a path (a checkout, a wheel), or a URL as pip takes it; None for what is installed.

    Raises
    ------
    PipelineError
        if the path does not exist, or the package is not installed and nothing was asked for.
    """
    if source is None:
        return _installed()
    if "://" in source:
        return f"{PACKAGE} @ {source}"
    if source[0].isdigit():
        return f"{PACKAGE}=={source}"
    path = Path(source).expanduser().resolve()
    if not path.exists():
        raise PipelineError(f"--from: expected a version, a URL, a checkout or a wheel, found no {source!r}")
    return f"{PACKAGE} @ {path.as_uri()}"


def is_local(requirement: str) -> bool:
    """Whether only this machine can install a requirement."""
    return "file://" in requirement


def _installed() -> str:
    try:
        found = distribution(PACKAGE)
    except PackageNotFoundError:
        raise PipelineError(
            f"{PACKAGE} is not installed here; say with --from what the project is to install"
        ) from None
    direct = json.loads(found.read_text("direct_url.json") or "{}")
    if not direct:
        return f"{PACKAGE}=={found.version}"
    if vcs := direct.get("vcs_info"):
        return f"{PACKAGE} @ {vcs['vcs']}+{direct['url']}@{vcs['commit_id']}"
    return f"{PACKAGE} @ {direct['url']}"


def needed() -> list[str]:
    """Exact pins of all packages that this one needs, directly or through another, in alphabetical order.

    A package that only some platforms need keeps the condition with which it is asked for.
    """
    found: dict[str, str] = {}
    due = [*_requirements(PACKAGE, set())]
    while due:
        wanted = due.pop()
        name = canonicalize_name(wanted.name)
        try:
            pin = f"{name}=={distribution(name).version}"
        except PackageNotFoundError:
            continue
        condition = f" ; {wanted.marker}" if wanted.marker and "extra" not in str(wanted.marker) else ""
        # Asked for without a condition by anybody, it has none.
        if name not in found or (not condition and ";" in found[name]):
            first = name not in found
            found[name] = pin + condition
            if first:
                due += _requirements(name, wanted.extras)
    return [found[name] for name in sorted(found)]


def _requirements(name: str, extras: set[str]) -> Iterator[Requirement]:
    """What a package asks for on this machine."""
    for line in distribution(name).requires or []:
        wanted = Requirement(line)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield wanted
