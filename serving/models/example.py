"""A row to try a model with: the first of its MLflow input example, completed by values that the model takes."""

import contextlib
import json
import math
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from serving.functions.columns import DATETIME
from serving.functions.signature import Signature
from serving.scorecard import Scorecard
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Input, InputError
from serving.scorecard.nodes import Chain, OneHot, Source
from serving.scorecard.steps import Impute, Subtract

from .files import Files, mlmodel

# What is tried for a number: the value that the scorecard shows to be usual (None), then others; 0 has no logarithm.
_NUMBERS = (None, 0, 1, 100)
# A request that MLflow writes beside the input example, and a value for each type of column.
_SERVING = "serving_input_example.json"
_DATE = "2000-01-01T00:00:00"
_MADE: dict[str, Any] = {NUMBER: 0, BOOLEAN: False, CATEGORY: "text"}


def row(card: Scorecard, files: Files) -> dict[str, Any]:
    """A row that the model takes, with values as JSON has them, in the order of the signature.

    Parameters
    ----------
    files : of the MLflow model.
    """
    return complete(card, _logged_row(card, files))


def complete(card: Scorecard, given: Mapping[str, Any]) -> dict[str, Any]:
    """A row that the model takes: the given values that it can read, and a usual value for every other column.

    A usual value is the one that the model puts in place of a missing one, else the one that it subtracts to centre the
    column, or a category that it knows.
    """
    missing = [item for item in card.inputs if not _usable(item, card, given)]
    for number, truth in product(_NUMBERS, (False, True)):
        found = {item.name: given.get(item.name) for item in card.inputs}
        found |= {item.name: _value(item, card, number=number, truth=truth) for item in missing}
        try:
            card.predict_row(found)
        except InputError:
            continue
        break
    return found


def request(files: Files, signature: Signature) -> dict[str, Any]:
    """What a model without a scorecard is tried with: a row; a whole request if it takes no named columns.

    It is the first row of its input example, with a made-up value for each column that the example lacks.
    """
    if signature.loose:
        try:
            file = files.get(_SERVING)
            found = json.loads(file.read_text(encoding="utf-8")) if file else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
    given = _first(files)
    row = {
        item.name: _DATE if signature.types[item.name] == DATETIME else _MADE[item.type] for item in signature.inputs
    }
    for item in signature.inputs:
        if item.name not in given:
            continue
        with contextlib.suppress(InputError):
            signature.read({name: [value] for name, value in {**row, item.name: given[item.name]}.items()})
            row[item.name] = given[item.name]
    return row


def levels(item: Input, card: object) -> list[str]:
    """The categories of a column that the model knows."""
    return categories(card).get(item.name, [])


def categories(card: object) -> dict[str, list[str]]:
    """The texts that the one-hot groups of each input know, in the order of the scorecard."""
    if not isinstance(card, Scorecard):
        return {}
    found: dict[str, list[str]] = {}
    for column in card.document.columns:
        if isinstance(column, OneHot) and column.source.kind == "input":
            known = found.setdefault(column.source.name, [])
            known += [key for key in column.places() if isinstance(key, str) and key not in known]
    return found


def logged(files: Files) -> tuple[dict[str, Any], Path] | None:
    """What MLflow's description of a model says of its input example, and the example's file; None if it has none."""
    try:
        about = mlmodel(files)["saved_input_example_info"]
        name = about["artifact_path"]
        file = files.get(name) if Path(name).name == name else None
    except (KeyError, TypeError):
        return None
    return (about, file) if file else None


def _logged_row(card: Scorecard, files: Files) -> dict[str, Any]:
    """The first row of the input example, if the model answers it; else empty."""
    names = {item.name for item in card.inputs}
    row = {name: value for name, value in _first(files).items() if name in names}
    try:
        card.predict_row(row)
    except InputError:
        return {}
    return row


def _first(files: Files) -> dict[str, Any]:
    """The first row of the input example, if it is a table; else empty."""
    found = logged(files)
    if found is None:
        return {}
    try:
        table = json.loads(found[1].read_text(encoding="utf-8"))
        given = dict(zip(table["columns"], table["data"][0], strict=True))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}
    return {name: _plain(value) for name, value in given.items()}


def _plain(value: Any) -> Any:
    """A value as JSON has it: a number that is not finite becomes a missing one."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _usable(item: Input, card: Scorecard, given: Mapping[str, Any]) -> bool:
    if item.name not in given:
        return False
    value = given[item.name]
    try:
        item.read(value, card.cleaning)
    except InputError:
        return False
    return value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))


def _value(item: Input, card: Scorecard, *, number: int | None, truth: bool) -> Any:
    if item.type == CATEGORY:
        known = levels(item, card)
        return known[0] if known else "text"
    usual = _centre(item, card) if number is None else None
    if item.type == BOOLEAN:
        return truth if usual is None else usual >= 0.5
    value = (number or 0) if usual is None else usual
    return round(value) if item.integer else float(value)


def _centre(item: Input, card: Scorecard) -> float | None:
    """The number that replaces a missing value, or that is subtracted first; None if there is neither."""
    for column in card.document.columns:
        if not isinstance(column, (Chain, OneHot)) or column.source != Source("input", item.name):
            continue
        match column.steps:
            case (Impute(fill=float(usual)), *_) | (Subtract(operand=usual), *_):
                return usual
    return None
