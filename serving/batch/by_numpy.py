"""The answers of a scorecard to a batch of rows, with NumPy: for models and outputs that SQL cannot express."""

import json
from typing import TYPE_CHECKING, Any

from serving.batch.answers import PREDICTION, REASONS, AnswerPlan
from serving.scorecard import Scorecard
from serving.scorecard.inputs import InputError

if TYPE_CHECKING:
    import pyarrow as pa

#: Reasons of a row at most.
_REASONS = 3


def read(plan: AnswerPlan, table: "pa.Table") -> dict[str, Any]:
    """The columns of a table as a model reads them: those that may hold lists or objects as Python has them."""
    found: dict[str, Any] = {name: table[name] for name in table.column_names}
    for name in plan.loose:
        values = table[name].to_pylist()
        found[name] = [json.loads(one) if isinstance(one, str) and one else one for one in values]
    return found


def answers(card: Scorecard, plan: AnswerPlan, table: "pa.Table") -> "tuple[pa.Table, dict[int, InputError]]":
    """The answers to the rows of a table that have one, and the errors of the others by row."""
    import numpy as np
    import pyarrow as pa

    scores, refusals = card.tables.scores(read(plan, table))
    errors = refusals.by_row()
    good = np.ones(len(table), dtype=bool)
    good[list(errors)] = False
    scores = np.ascontiguousarray(scores[:, good])
    kept = table.filter(pa.array(good))
    columns: dict[str, Any] = {name: kept[name] for name in plan.keep}
    if card.classes is None:
        columns[PREDICTION] = pa.array(card.tables.predicted(scores))
    else:
        columns[PREDICTION] = pa.array(card.tables.labels(scores).tolist(), kind(card))
    if plan.probabilities:
        likely = card.tables.likelihoods(scores)
        columns |= {name: pa.array(likely[:, place]) for place, name in enumerate(plan.probabilities)}
    if plan.reasons:
        columns[REASONS] = pa.array([_reasons(card, row) for row in kept.to_pylist()], pa.string())
    count = int(good.sum())
    return pa.table(columns | plan.constants(count)), errors


def kind(card: Scorecard) -> "pa.DataType":
    """The type of predictions: of a classifier's labels, or numbers."""
    import pyarrow as pa

    return pa.float64() if card.classes is None else label_type(card.classes[0])


def label_type(label: bool | int | float | str) -> "pa.DataType":
    """The type of a column of labels such as this one."""
    import pyarrow as pa

    return {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}[type(label)]


def _reasons(card: Scorecard, row: dict[str, Any]) -> str:
    return "; ".join(reason["text"] for reason in card.explain_row(row, reasons=_REASONS)["reasons"])
