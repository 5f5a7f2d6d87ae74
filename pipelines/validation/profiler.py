"""The profiler: an expectation suite drafted from training rows, for a person to edit.

What would make a model nonsense is critical and stops a run; what only shows that the data drifts is a warning:

=====================================================  ===========  ==========================================
the table                                              severity     drafted where
=====================================================  ===========  ==========================================
has the columns, in any order                          critical     always
has at least a twentieth of the rows                   warning      always
has them as numbers, as text or as booleans            critical     the column has values
has values: at least a quarter of the rows             critical     at least 80 % seen, 30 rows
has values: about as many as seen                      warning      any seen
numbers: half of them near the range that was seen     critical     30 values
numbers: most of them in it, a tenth of it to spare    warning      some seen
0 and 1 only, or few categories: half of them known    critical     30 values, unseen ones rare
0 and 1 only, or few categories: most of them known    warning      at most 50 different
identifiers twice                                      warning      named, or text that is never there twice
target: a value in every row                           critical     always
target: no class that was not seen                     critical     classification
=====================================================  ===========  ==========================================

Every expectation holds on the rows it was drafted from, and the critical ones are wide enough for other rows of the
same table not to fail them by chance.
"""

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.errors import PipelineError
from pipelines.validation.suites import CRITICAL, WARNING, Suite, meant
from pipelines.validation.validator import check_frame

if TYPE_CHECKING:
    import pandas as pd

#: With fewer values than this nothing critical is said about how they are distributed.
ENOUGH = 30
#: A column with at most so many different texts is one of categories, and a target with so many one of classes.
CATEGORIES = 50
CLASSES = 1000
#: What is left beside the range seen, in widths of it: for a warning, and for what is critical. Half a width lets a
#: trend (a year) go on for a while, and still sees a change of unit.
SLACK = 0.1
WIDE = 0.5

NUMBERS = ["float64", "int64"]


def draft(
    frame: "pd.DataFrame",
    name: str,
    *,
    target: str | None = None,
    task: str | None = None,
    identifiers: Sequence[str] = (),
) -> Suite:
    """Draft a suite from training rows.

    Parameters
    ----------
    frame : a typed table: numbers and booleans as float64, categories as ``str``. Draft it from what will be
        validated: the columns of the frame are the columns expected.
    name : the suite's name.
    target : the target's column, whose expectations are stricter.
    task : ``"regression"`` or ``"classification"``; without it a target of float64 is a regression's.
    identifiers : columns known to name a row; expected to be unique where they are here, whatever their values.

    Raises
    ------
    PipelineError
        where the table is empty, or a column named is not in it.
    """
    check_frame(frame)
    if not name.strip():
        raise PipelineError("a suite needs a name, found none; name it after the dataset")
    if task not in (None, "regression", "classification"):
        raise PipelineError(f"the task is regression or classification, found {task!r}")
    for column in (*identifiers, *([target] if target is not None else [])):
        if column not in frame.columns:
            raise PipelineError(f"no column {column!r} in the table{meant(column, frame.columns)}")
    expectations = [
        _expect(CRITICAL, "expect_table_columns_to_match_set", column_set=list(frame.columns), exact_match=False),
        _expect(WARNING, "expect_table_row_count_to_be_between", min_value=max(1, len(frame) // 20)),
    ]
    for column in frame.columns:
        # Great Expectations takes no empty column name; the set of columns still holds it.
        if column and column != target:
            expectations += _feature(frame[column], known=column in identifiers)
    if target:
        expectations += _target(frame[target], task)
    meta = {"drafted_from_rows": len(frame)} | ({"target": target} if target else {})
    return Suite(name, tuple(expectations), meta)


def _expect(severity: str, kind: str, **kwargs) -> dict:
    return {"type": kind, "severity": severity, "kwargs": kwargs, "meta": {}}


def _feature(column: "pd.Series", *, known: bool) -> list[dict]:
    values = column.dropna()
    if not len(values):
        return []
    expectations = _type(column) + _presence(column)
    if _numeric(column) and not known:
        expectations += _numbers(column.name, values)
    elif _textual(values) and not known:
        expectations += _categories(column.name, values)
    if (known or (len(values) >= ENOUGH and _textual(values))) and values.is_unique:
        expectations.append(_expect(WARNING, "expect_column_values_to_be_unique", column=column.name))
    return expectations


def _target(column: "pd.Series", task: str | None) -> list[dict]:
    values = column.dropna()
    expectations = []
    seen = len(values) / len(column)
    if seen:
        # Rows without a target are dropped before a model is trained; a table drafted with them has a share to hold.
        mostly = {} if seen == 1 else {"mostly": _floor(seen)}
        expectations.append(_expect(CRITICAL, "expect_column_values_to_not_be_null", column=column.name, **mostly))
    if not len(values):
        return expectations
    if task == "regression" or (task is None and column.dtype == "float64"):
        if _numeric(column):
            expectations += _type(column) + _numbers(column.name, values)
    elif (classes := _distinct(values)) and len(classes) <= CLASSES:
        expectations.append(
            _expect(CRITICAL, "expect_column_values_to_be_in_set", column=column.name, value_set=classes)
        )
    return expectations


def _type(column: "pd.Series") -> list[dict]:
    """What makes a number column a number column. Objects and extension types stay open."""
    import pandas as pd

    kind = "expect_column_values_to_be_of_type"
    if str(column.dtype) in NUMBERS:
        kind = "expect_column_values_to_be_in_type_list"
        return [_expect(CRITICAL, kind, column=column.name, type_list=list(NUMBERS))]
    if column.dtype == "bool":
        return [_expect(CRITICAL, kind, column=column.name, type_="bool")]
    # Of the two text types of pandas only the one read from files, ``str``, is known by that name.
    if isinstance(column.dtype, pd.StringDtype) and str(column.dtype) == "str":
        return [_expect(CRITICAL, kind, column=column.name, type_="str")]
    return []


def _presence(column: "pd.Series") -> list[dict]:
    kind = "expect_column_values_to_not_be_null"
    rows, seen = len(column), float(column.notna().mean())
    expectations = []
    if seen >= 0.8 and rows >= ENOUGH:
        expectations.append(_expect(CRITICAL, kind, column=column.name, mostly=0.25))
    if (mostly := _share(seen, rows)) is not None:
        expectations.append(_expect(WARNING, kind, column=column.name, mostly=mostly))
    return expectations


def _numbers(name: str, values: "pd.Series") -> list[dict]:
    import numpy as np

    numbers = values.to_numpy(dtype="float64")
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return []
    low, high = float(numbers.min()), float(numbers.max())
    if values.dtype == "bool":
        return _known(name, [False, True], len(numbers), unseen=0.0)
    if low == 0 and high == 1 and bool(np.isin(numbers, (0.0, 1.0)).all()):
        return _known(name, [0, 1], len(numbers), unseen=0.0)
    kind = "expect_column_values_to_be_between"
    expectations = []
    # Infinite values were left out of the range: with many of them the share of values in it is smaller.
    share = len(numbers) / len(values)
    if len(numbers) >= ENOUGH and share > 0.9:
        near = _range(low, high, WIDE)
        expectations.append(_expect(CRITICAL, kind, column=name, min_value=near[0], max_value=near[1], mostly=0.5))
    usual = _range(low, high, SLACK)
    if (mostly := _share(share, len(values))) is not None:
        expectations.append(_expect(WARNING, kind, column=name, min_value=usual[0], max_value=usual[1], mostly=mostly))
    return expectations


def _categories(name: str, values: "pd.Series") -> list[dict]:
    counts = values.value_counts()
    if len(counts) > CATEGORIES:
        return []
    # Good and Turing: the share of values yet unseen is about the share of those seen once (Biometrika 40, 1953).
    unseen = float((counts == 1).sum() / len(values))
    return _known(name, sorted(map(str, counts.index)), len(values), unseen=unseen)


def _known(name: str, value_set: list, count: int, *, unseen: float) -> list[dict]:
    kind = "expect_column_values_to_be_in_set"
    expectations = []
    if count >= ENOUGH and unseen < 0.1:
        expectations.append(_expect(CRITICAL, kind, column=name, value_set=value_set, mostly=0.5))
    if (mostly := _share(1 - unseen, count)) is not None:
        expectations.append(_expect(WARNING, kind, column=name, value_set=value_set, mostly=mostly))
    return expectations


def _share(seen: float, count: int) -> float | None:
    """The least share to expect of another sample, a quarter as large; None where it would say nothing.

    Three standard errors of a proportion, 3/n for what never happened in n values, and one percent of drift.
    """
    least = seen - 3 * math.sqrt(seen * (1 - seen) / max(count / 4, 1)) - 3 / count - 0.01
    return _floor(least) if least >= 0.01 else None


def _floor(share: float) -> float:
    return math.floor(share * 100) / 100


def _range(low: float, high: float, slack: float) -> tuple[float, float]:
    """A range with ``slack`` widths of it to spare on both sides, rounded outward to two digits of that.

    What was never negative is not expected to be.
    """
    # Halves, since the width of -1e308 .. 1e308 is no float64.
    width = 2 * min(high / 2 - low / 2, 8e307)
    if width == 0:
        width = abs(high) or 1.0
    spare = max(slack * width, 1e-300)
    step = 10.0 ** (math.floor(math.log10(spare)) - 1)
    below, above = _outward(low - spare, step, math.floor), _outward(high + spare, step, math.ceil)
    if low >= 0 and below < 0:
        below = 0.0
    return min(below, low), max(above, high)


def _outward(value: float, step: float, towards) -> float:
    limit = sys.float_info.max
    value = min(max(value, -limit), limit)
    # Beyond 2**53 steps there are no digits to round.
    if step == 0 or not abs(value / step) < 2**53:
        return value
    # step times a whole number has digits of its own in binary (15.500000000000002); twelve are enough of a limit.
    rounded = float(f"{towards(value / step) * step:.12g}")
    return rounded if math.isfinite(rounded) else value


def _distinct(values: "pd.Series") -> list:
    """The different values in order, as JSON has them."""
    distinct = [value.item() if hasattr(value, "item") else value for value in values.unique()]
    if not all(isinstance(value, (bool, int, float, str)) for value in distinct):
        return []
    return sorted(distinct, key=lambda value: (isinstance(value, str), value))


def _numeric(column: "pd.Series") -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype)


def _textual(values: "pd.Series") -> bool:
    import pandas as pd

    if isinstance(values.dtype, pd.StringDtype):
        return True
    return not _numeric(values) and all(isinstance(value, str) for value in values)
