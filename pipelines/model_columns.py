"""Which columns of a table are those that a model takes which was logged without this platform."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from pipelines import columns
from pipelines.errors import PipelineError
from pipelines.sources import Table
from registry.cli.text import listed
from registry.evidence import Evidence
from serving.models.native import NativeModel
from serving.models.native import columns as model_columns
from serving.models.native.columns import ModelColumns
from serving.scorecard import Scorecard
from serving.scorecard.inputs import CATEGORY, TYPES, Input


@dataclass(frozen=True)
class TableColumns:
    """The columns of a model in a table.

    Parameters
    ----------
    taken : by the model.
    compiled : the inputs of a scorecard; None for those that the pipeline itself tells.
    before : the inputs of an earlier evaluation, by name.
    notes : what a person should know, a sentence each.
    """

    taken: ModelColumns
    compiled: tuple[Input, ...] | None = None
    before: Mapping[str, Input] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def by_table(self) -> frozenset[str]:
        """The columns whose type the table's values tell, for the model has none, or none of a scorecard's."""
        return self.taken.as_found if self.taken.kinds else frozenset(self.taken.names)

    def completed(self, card: Scorecard, table: Table, target: str) -> tuple[Input, ...]:
        """The inputs of a scorecard without the target.

        Those that it never reads are as they were before, else as the table has them.
        """
        found = {**{one.name: one for one in self.inputs(table)}, **self.before}
        never = card.optional
        return tuple(
            found[one.name] if one.name in never else one
            for one in card.inputs
            if one.name != target or one.name not in never
        )

    def inputs(self, table: Table) -> tuple[Input, ...]:
        """The columns as inputs: by the signature, else by the values of the table."""
        return tuple(_input(table, name, self.taken) for name in self.taken.names)


def find(native: NativeModel, table: Table, target: str, known: Evidence | None) -> tuple[TableColumns, Table]:
    """The columns of a loaded model, and the table with them under the model's names.

    They are those of its signature, else those that its pipeline was fitted on; a model that knows no names takes the
    table's columns without the target, by their position, and keeps these names from then on.

    Parameters
    ----------
    known : the evidence of an earlier evaluation; None if there is none.

    Raises
    ------
    PipelineError
        if the table has not as many columns as the model takes.
    ServingError
        if the model's signature lacks its constant.
    """
    logged, taken = native.logged, model_columns.named(native)
    if taken is not None and taken.kinds:
        notes: tuple[str, ...] = ()
        names = taken.names
        if taken.layout.whole_names and not any(map(table.known_as, names)) and names == _numbers(len(names)):
            places = _places(native, table, target, len(names), "numbers its columns and takes")
            table = table.also_named(dict(zip(names, places, strict=True)))
            notes = (_numbered(native, places),)
        return TableColumns(taken, tuple(logged.inputs or ()), notes=notes), table
    if taken is not None:
        before = {one.name: Input(**msgspec.to_builtins(one)) for one in known.schema.inputs} if known else {}
        return TableColumns(taken, before=before), table
    width = logged.width or native.loaded.width
    names, notes = tuple(column.name for column in known.schema.inputs) if known else (), ()
    if not names or not all(map(table.known_as, names)):
        names = tuple(_places(native, table, target, width))
        notes = (_by_position(native, names, width),)
    found = TableColumns(model_columns.by_position(native, names), notes=notes)
    return replace(found, compiled=found.inputs(table)), table


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _places(
    native: NativeModel, table: Table, target: str, width: int | None, how: str = "names no columns and takes"
) -> Sequence[str]:
    """The columns of a table without the target: those that a model takes by their position."""
    places = [name for name in table.columns.column_names if name != target and name not in table.aliases]
    if width is not None and len(places) != width:
        constant = native.loaded.constant
        ones = "" if constant is None else f"; column {constant + 1} of them is its constant, a column of ones"
        raise PipelineError(
            f"{native.called} {how} {width} by their position; the table has {len(places)} "
            f"beside the target {target!r}: {listed(places)}; give a table of those that it takes, in its order{ones}"
        )
    return places


def _by_position(native: NativeModel, places: Sequence[str], width: int | None) -> str:
    if width is not None:
        return f"{native.called} names no columns: it takes those of the table by position: {listed(places)}"
    # Its code may well take them by name.
    return f"{native.called} does not tell its columns: it gets those of the table without the target: {listed(places)}"


def _numbered(native: NativeModel, places: Sequence[str]) -> str:
    return (
        f"the columns of {native.called} are numbered, from 0 to {len(places) - 1}: these of the table, by position: "
        f"{listed(places)}; requests name them '0', '1', ..."
    )


def _input(table: Table, name: str, taken: ModelColumns) -> Input:
    """A column as an input: by the signature, else by the values of the table."""
    own = table.known_as(name)
    if taken.kinds or own is None:
        return taken.as_input(name, **table.marks_of(own or name)._asdict())
    found = columns.infer(name, table.columns[own], table.cleaning, table.marks_of(own))
    return found.as_input() if found.type in TYPES else Input(name, CATEGORY)
