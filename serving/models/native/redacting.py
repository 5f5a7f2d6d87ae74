"""What a model's code says of an error, without the data of the rows that it was asked about."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from registry.cli.text import one_line
from registry.redaction import HIDDEN
from serving.errors import ServingError

#: Digits of whole numbers that a message may well have for another reason: a number of rows or of columns.
_DIGITS = 3
_QUOTED = re.compile(r"(?<!\w)(['\"`])(.*?)\1(?!\w)")
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w])")
# A table as MLflow shows it where it does not fit the signature.
_SHOWN = re.compile(r"(?<=schema of data )'.*'(?= with schema)", re.DOTALL)
_LONGEST = 4000


class CodeError(Exception):
    """An error of a model's code, in its words without data.

    Attributes
    ----------
    name : of the class of its exception.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@contextlib.contextmanager
def data_of(table: Any) -> Iterator[None]:
    """Whatever is raised in the block becomes a ``CodeError`` without the data of a table; a ServingError stays.

    Parameters
    ----------
    table : a DataFrame, or an array of values.
    """
    try:
        yield
    except ServingError:
        raise
    except BaseException as error:
        message = without_data(one_line(_SHOWN.sub(HIDDEN, str(error)), _LONGEST), pd.DataFrame(table))
        raise CodeError(type(error).__name__, message) from error


def without_data(message: str, table: pd.DataFrame) -> str:
    """A message in which ``***`` stands for the texts and the numbers of a table; names of columns stay.

    Hidden are a text of the table wherever it is, what is in quotes and a part of one, and a number of the table, but
    for short whole ones: those may be numbers of columns.
    """
    names = {str(name) for name in table.columns}
    texts = _texts(table) - names
    for value in sorted((one for one in texts if len(one) > 1 and one in message), key=len, reverse=True):
        message = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", HIDDEN, message)
    numbers = _numbers(table, [float(text) for text in _NUMBER.findall(message)])

    def quoted(match: re.Match[str]) -> str:
        text = match[2]
        partly = text not in names and bool(text.strip()) and any(text.lower() in one.lower() for one in texts)
        return f"{match[1]}{HIDDEN}{match[1]}" if partly else match[0]

    def number(match: re.Match[str]) -> str:
        short = match[0].isdecimal() and len(match[0]) <= _DIGITS
        return HIDDEN if float(match[0]) in numbers and not short else match[0]

    return _NUMBER.sub(number, _QUOTED.sub(quoted, message))


def _texts(table: pd.DataFrame) -> set[str]:
    """The different texts of a table."""
    found: set[str] = set()
    for place in range(table.shape[1]):
        column = table.iloc[:, place]
        if column.dtype.kind not in "fiubM":
            found |= {str(one) for one in column.dropna().unique()}
    return found


def _numbers(table: pd.DataFrame, wanted: Iterable[float]) -> set[float]:
    """Those of some numbers that a table has."""
    there = set(wanted)
    found: set[float] = set()
    for place in range(table.shape[1]):
        column = table.iloc[:, place]
        if there and column.dtype.kind in "fiu":
            values = column.to_numpy(dtype="float64", na_value=np.nan)
            found |= {one for one in there if (values == one).any()}
    return found
