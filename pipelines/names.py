"""The name of a registered model: what it may hold, and how one is made of a file's or folder's name."""

import re

from pipelines.errors import PipelineError

# What MLflow's names do not take (/ : . % " '), and what ends a name in a URI ``models:/NAME/1``.
_NOT_IN_NAMES = r"/:.%\"'@?#"
# The width of MLflow's column.
_LONGEST = 256


def as_model_name(text: str) -> str:
    """A name made of any text: what a name cannot hold is replaced by "-"; empty if nothing is left."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text)
    name = re.sub(rf"[{_NOT_IN_NAMES}\s]+", "-", shown)
    return name.strip("-")[:_LONGEST].strip("-")


def model_name(asked: str | None, table: str) -> str:
    """The model's name: the one asked for, else one made of the table's.

    Raises
    ------
    PipelineError
        if the name asked for cannot be written in ``models:/NAME/1``, or nothing of the table's name is left.
    """
    name = as_model_name(table) if asked is None else asked
    if not name or name != name.strip() or not name.isprintable() or re.search(f"[{_NOT_IN_NAMES}]", name):
        given = f"found {asked!r}" if asked is not None else f"and the table's, {table!r}, leaves none"
        raise PipelineError(
            "--name: expected a name for the model, without any of / : . % \" ' @ ? #, without control characters, "
            f"and without blanks around it, {given}"
        )
    if len(name) > _LONGEST:
        raise PipelineError(f"--name: expected at most {_LONGEST} characters, found {len(name)}")
    return name
