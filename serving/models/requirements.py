"""A model's requirements beside the packages that are installed here."""

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

#: Packages that are imported by another name than they are installed by.
_INSTALLED_AS = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python", "yaml": "pyyaml"}
_LINE = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*([^;#]*)")


def missing(module: str, requirements: Iterable[str]) -> str:
    """What to say of a module that is not installed: the package, the release that the model wants, what to do.

    Parameters
    ----------
    module : its full name.
    requirements : the lines of the model's ``requirements.txt``.
    """
    top = module.partition(".")[0]
    wanted = {_key(name): f"{name}{release}" for name, release in _read(requirements)}
    line = wanted.get(_key(_INSTALLED_AS.get(top, top)))
    if line is None:
        return (
            f"it needs the module {module!r}, which is not here, and its requirements.txt names no package like that; "
            "install the package that has it, or log the model with `code_paths` if it is your own code"
        )
    return (
        f"it needs the package {top!r}, which is not installed here; its requirements.txt wants {line}: pip install it"
    )


def differing(requirements: Iterable[str]) -> list[str]:
    """The pinned packages that are here in another release, or not at all: ``numpy==1.26.0 (here: 2.4.1)``."""
    found = []
    for name, release in _read(requirements):
        if not release.startswith("=="):
            continue
        try:
            here = version(name)
        except PackageNotFoundError:
            here = "none"
        if here != release.removeprefix("=="):
            found.append(f"{name}{release} (here: {here})")
    return found


def _read(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each requirement as the package's name and its releases."""
    for line in lines:
        if known := _LINE.match(line):
            yield known[1], known[2].strip()


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
