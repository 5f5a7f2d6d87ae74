"""What a model's MLmodel file says of it: flavors, columns and requirements. It is data, and runs no code."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.errors import ServingError
from serving.scorecard.inputs import CATEGORY, MLFLOW_TYPES, WHOLE_TYPES, Input

from .files import MLMODEL, Files

_REQUIREMENTS = "requirements.txt"


@dataclass(frozen=True)
class Column:
    """A column of a signature.

    Parameters
    ----------
    kind : its type as MLflow calls it: ``double``, ``string``, ``datetime``, ...
    whole_name : the name is a whole number, as in a DataFrame that was made of an array.
    """

    name: str
    kind: str
    required: bool
    whole_name: bool = False

    def as_input(self) -> Input:
        """The input of a scorecard; a column of a type that no scorecard has may only be carried along: a category."""
        return Input(self.name, MLFLOW_TYPES.get(self.kind, CATEGORY), integer=self.kind in WHOLE_TYPES)


@dataclass(frozen=True)
class LoggedModel:
    """A model as it was logged.

    Parameters
    ----------
    columns : of its signature, in order; empty if it has no signature, or one that names no columns.
    width : the number of columns of a signature of arrays; None if it has none, or it does not say.
    requirements : the lines of its ``requirements.txt``.
    """

    flavors: frozenset[str]
    columns: tuple[Column, ...] = ()
    width: int | None = None
    requirements: tuple[str, ...] = ()

    @property
    def inputs(self) -> list[Input] | None:
        """The inputs that a scorecard of the model has; None if the signature names none."""
        return [column.as_input() for column in self.columns] or None


def read(files: Files, called: str) -> LoggedModel:
    """Read the MLmodel file.

    Raises
    ------
    ServingError
        if it is missing or damaged.
    RegistryError
        if it cannot be fetched.
    """
    import yaml

    path = files.get(MLMODEL)
    if path is None:
        raise ServingError(f"{called} is no MLflow model: it has no {MLMODEL}")
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        flavors = told["flavors"]
        columns, width = _columns(json.loads((told.get("signature") or {}).get("inputs") or "[]"))
        lines = files.get(_REQUIREMENTS)
        text = lines.read_text(encoding="utf-8") if lines else ""
        requirements = tuple(line.strip() for line in text.splitlines() if re.match(r"\s*[A-Za-z0-9]", line))
        return LoggedModel(frozenset(flavors), columns, width, requirements)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ServingError(f"{called} cannot be loaded: its {MLMODEL} is damaged ({type(error).__name__})") from None


def _columns(schema: list[Mapping[str, Any]]) -> tuple[tuple[Column, ...], int | None]:
    """The columns of a signature by name; of one of arrays, how many there are."""
    if len(schema) == 1 and schema[0]["type"] == "tensor" and "name" not in schema[0]:
        shape = schema[0]["tensor-spec"]["shape"]
        return (), shape[1] if len(shape) == 2 and shape[1] > 0 else None
    if any("name" not in column for column in schema):
        return (), len(schema)
    return (
        tuple(
            Column(str(one["name"]), one["type"], one.get("required", True), isinstance(one["name"], int))
            for one in schema
        ),
        None,
    )
