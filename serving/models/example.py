"""A row to try a model with: the first of its MLflow input example, completed by values that the model takes."""

import json
import math
from collections.abc import Mapping
from itertools import product
from typing import Any

from serving.scorecard import Scorecard
from serving.scorecard.inputs import BOOLEAN, CATEGORY, Input, InputError
from serving.scorecard.nodes import OneHot, Product, Source
from serving.scorecard.steps import Impute, Subtract

from .files import MLMODEL, Files

# What is tried for a number: the value that the scorecard shows to be usual (None), then others; 0 has no logarithm.
_NUMBERS = (None, 0, 1, 100)


def row(card: Scorecard, files: Files) -> dict[str, Any]:
    """A row that the model takes, with values as JSON has them, in the order of the signature.

    Parameters
    ----------
    files : of the MLflow model.
    """
    return complete(card, _logged(card, files))


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


def levels(item: Input, card: Scorecard) -> list[str]:
    """The categories of a column that the model knows."""
    return categories(card).get(item.name, [])


def categories(card: Scorecard) -> dict[str, list[str]]:
    """The texts that the one-hot groups of each input know, in the order of the scorecard."""
    found: dict[str, list[str]] = {}
    for column in card.document.columns:
        if isinstance(column, OneHot) and column.source.kind == "input":
            known = found.setdefault(column.source.name, [])
            known += [key for key in column.places() if isinstance(key, str) and key not in known]
    return found


def _logged(card: Scorecard, files: Files) -> dict[str, Any]:
    """The first row of the input example, if the model answers it; else empty."""
    import yaml

    try:
        about = files.get(MLMODEL)
        told = yaml.safe_load(about.read_text(encoding="utf-8")) if about else {}
        file = files.get(told["saved_input_example_info"]["artifact_path"])
        table = json.loads(file.read_text(encoding="utf-8")) if file else None
        given = dict(zip(table["columns"], table["data"][0], strict=True)) if table else {}
    except (OSError, ValueError, KeyError, TypeError, IndexError, yaml.YAMLError):
        return {}
    names = {item.name for item in card.inputs}
    found = {name: _plain(value) for name, value in given.items() if name in names}
    try:
        card.predict_row(found)
    except InputError:
        return {}
    return found


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
        if isinstance(column, Product) or column.source != Source("input", item.name):
            continue
        match column.steps:
            case (Impute(fill=float(usual)), *_) | (Subtract(operand=usual), *_):
                return usual
    return None
