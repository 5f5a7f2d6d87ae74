"""The image that the target ``docker`` built, as a target that runs it is told of it."""

import re
from typing import Any

from serving.errors import ServingError

from .docker import TAGGED
from .options import matching, option

OPTION = "image"


def image(where: str, example: str, *, needed: str = "required", pattern: str = TAGGED) -> Any:
    """Declare the option that names the image.

    Parameters
    ----------
    where : the registry that it has to be in, in words.
    example : an image there.
    needed : when it has to be given, in words.
    pattern : what the target takes, as a regular expression.
    """
    help = f"image that the target docker built, in {where} ({needed})"
    return option("", help, matching(pattern, f"an image such as {example}"))


def notes(target: str, given: str) -> tuple[str, ...]:
    """Return what to know of an image.

    Raises
    ------
    ServingError
        if none is given.
    """
    if not given:
        raise ServingError(
            f"{target}: option {OPTION}: expected the image of this version; build it with --target docker"
        )
    if not re.search(r"@sha256:|:[^/]+$", given) or given.endswith(":latest"):
        return ("the image has no fixed tag, so instances may run different ones; give it with a tag or digest",)
    return ()
