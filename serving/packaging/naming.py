"""Name a version in the cloud: as the user says, else after the model, in the characters that the target accepts."""

import re

from serving.errors import ServingError

from .model import PackagedModel


def named(
    model: PackagedModel, given: str, *, pattern: str, expected: str, target: str, most: int = 60, kept: str = "a-z0-9"
) -> tuple[str, tuple[str, ...]]:
    """Return the name, and a note if it is not the model's.

    Parameters
    ----------
    given : by the user; empty for a name made of the model's.
    pattern, expected : what the target accepts, as a regular expression and in words.
    most : characters of a name that is made of the model's.
    kept : characters that such a name keeps, as a regular expression's set; each run of others becomes ``-``.

    Raises
    ------
    ServingError
        if the target does not accept the name.
    """
    title = model.title if "A-Z" in kept else model.title.lower()
    made = given or re.sub(f"[^{kept}]+", "-", title).strip("-")[:most].strip("-")
    if not re.fullmatch(pattern, made):
        raise ServingError(f"{target}: option name: {expected}, found {made!r}; give -C name=")
    return made, () if given or made == model.title else (f"it is called {made}: {target} takes no {model.title!r}",)
