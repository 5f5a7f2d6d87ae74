"""The rows of a table as one version's training would have split them, told of any row by its own values."""

import contextlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines import columns, row_keys, splitting
from pipelines.errors import PipelineError
from pipelines.evaluation.asking import Version
from pipelines.evaluation.judged_table import JudgedTable
from pipelines.sources import Table
from pipelines.sources.table import USUAL
from pipelines.streaming.times import Times
from registry.holdout import GIVEN, TIME, HoldoutRule

_NO_KEYS = np.zeros(0, dtype="uint64")
_CHUNK = 1 << 16


class VersionSplit:
    """The rows of a table as one version's training would have split them.

    Parameters
    ----------
    bit : by which it is noted of a row that it held it out.
    times : of a rule by time, the moments of its column.

    Attributes
    ----------
    tells : whether it can be told which rows it would have held out.
    here : whether it was trained on rows of this table.
    """

    def __init__(
        self, version: Version, bit: int, rule: HoldoutRule, *, tells: bool, here: bool, times: Times | None = None
    ) -> None:
        self.version, self.bit, self.rule, self.tells, self.here = version, bit, rule, tells, here
        self._times = times
        self._held_out = np.sort(_key_numbers(version.registered.held_out)) if tells and not here else _NO_KEYS

    @classmethod
    def of(cls, table: JudgedTable, version: Version, bit: int) -> "VersionSplit":
        """The split that a version's rule makes; of one without a rule that applies, its inputs name the rows."""
        registered, sample = version.registered, table.sample
        lineage = registered.document.lineage if registered.document and registered.trained_here else None
        same = lineage is not None and lineage.data.digest == table.origin.digest
        rule = registered.rule
        if rule is not None and rule.applies and all(map(sample.known_as, rule.needed)):
            # Rows of which the column of times tells nothing that can be compared with the cut are as any other rows.
            with contextlib.suppress(PipelineError):
                times = _times(table, rule) if rule.by == TIME else None
                return cls(version, bit, rule, tells=True, here=same, times=times)
        inputs = tuple(item.name for item in version.inputs_in(sample))
        return cls(version, bit, HoldoutRule(GIVEN, inputs), tells=False, here=same)

    @property
    def title(self) -> str:
        """The version's."""
        return self.version.title

    def needed(self, sample: Table) -> list[str]:
        """The columns of the table that tell how its rows are split."""
        return [sample.known_as(name) or name for name in self.rule.needed]

    def held_out(self, part: Table, column: Callable[[str], pd.Series]) -> tuple[np.ndarray, np.ndarray | None]:
        """The keys of some rows, and which it would have held out; None if that cannot be told.

        Parameters
        ----------
        column : name -> that column of the part, typed as one that names rows.
        """
        if not self.tells:
            return row_keys.hash_columns(column, self.rule.key_columns), None
        if self._times is None:
            keys, held = splitting.held_out_as(self.rule, column)
        else:
            keys = row_keys.hash_columns(column, self.rule.key_columns)
            name = self.rule.columns[0]
            held = splitting.after_cut(self.rule, self._times.of(part.columns[part.known_as(name) or name]))
        # Of the rows it knew a share is held out: where none of those is here, the others are not either.
        if not self.here and len(self._held_out):
            places = np.minimum(np.searchsorted(self._held_out, keys), len(self._held_out) - 1)
            self.here = bool((self._held_out[places] == keys).any())
        return keys, held


def _key_numbers(keys: pa.Array) -> np.ndarray:
    """Keys of 16 hex digits as numbers, shape (n_keys,); some at a time, for there may be millions."""
    found = np.empty(len(keys), dtype="uint64")
    for start in range(0, len(keys), _CHUNK):
        some = keys.slice(start, _CHUNK).to_pylist()
        found[start : start + len(some)] = [int(key, 16) for key in some]
    return found


def _times(table: JudgedTable, rule: HoldoutRule) -> Times:
    """The moments of a rule's column; raises PipelineError if they cannot be compared with its cut."""
    name = rule.columns[0]
    own = table.sample.known_as(name) or name
    times = Times(own, (part.columns[own] for part in table.parts([own], "looking at times")), table.sample)
    splitting.after_cut(rule, times.moments)
    return times


def key_columns(part: Table) -> Callable[[str], pd.Series]:
    """Name -> the column of a part, typed as one that names rows."""

    @cache
    def column(name: str) -> pd.Series:
        own = part.known_as(name) or name
        return columns.infer_key(name, part.columns[own], USUAL, part.marks_of(own)).values

    return column
