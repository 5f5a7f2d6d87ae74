"""A column of a table by its type: by that of its rows, or by that of a sample of the table."""

import pandas as pd
import pyarrow as pa

from pipelines import columns
from pipelines.columns import DATE
from pipelines.sources import Table
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Input


def sampled(sample: Table, name: str) -> Input | None:
    """The type by which any rows of a column are read; None where each value has its own type anyway."""
    found = columns.infer(name, sample.columns[name], sample.cleaning, sample.marks_of(name))
    if found.type in (NUMBER, BOOLEAN):
        return Input(name, found.type, decimal=found.marks.decimal, thousands=found.marks.thousands)
    if found.type == CATEGORY or (found.type == DATE and columns.is_text(sample.columns[name])):
        return Input(name, CATEGORY)
    return None


def typed(table: Table, name: str) -> pd.Series:
    """A column of a table, or of a part of one, by its type.

    Raises
    ------
    InputError
        if a value is not of the type that the column has in the sample of a table.
    PipelineError
        if the values are of no one type.
    """
    raw, wanted = table.columns[name], table.types.get(name)
    if wanted is None:
        return columns.infer(name, raw, table.cleaning, table.marks_of(name)).values
    if wanted.type == CATEGORY:
        return columns.text(name, raw, table.cleaning).values
    if columns.is_text(raw) or pa.types.is_null(raw.type):
        return columns.convert(raw, wanted, table.cleaning)
    return columns.infer(name, raw, table.cleaning).values
