"""A registered version that answers the rows of a table: by its scorecard, or by its own code if it has none."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines import columns, model_columns, raw_values
from pipelines.errors import PipelineError
from pipelines.evaluation.typed_columns import typed
from pipelines.marks import PLAIN, Marks
from pipelines.sources import Table
from pipelines.versions import RegisteredVersion
from registry.cli.text import listed
from registry.evidence import Evidence
from registry.evidence.document import Parity
from serving.models import mlmodel, native
from serving.models.model import carried
from serving.models.native import CLEANINGS, NativeModel, inside, reading
from serving.models.native.answering import Answers
from serving.models.native.messages import Layout
from serving.scorecard import Scorecard
from serving.scorecard.frames import Refusals
from serving.scorecard.inputs import CATEGORY, NUMBER, Cleaning, Input, InputError


class Unreadable(PipelineError):
    """A value of a table is not of the type that a version takes.

    Parameters
    ----------
    column : the version's input.
    row : where the value is among the rows that were read.
    """

    def __init__(self, message: str, column: str, row: int) -> None:
        super().__init__(message)
        self.column, self.row = column, row


@dataclass(frozen=True)
class Version:
    """A version that can be asked about the rows of a table.

    Parameters
    ----------
    inputs : the columns it takes, with the rules by which their raw values are read.
    optional : those that a table may lack.
    answer : table of the inputs -> answers.
    classes : its labels in order; empty for a regression, None if the model does not tell.
    estimator : the class of what predicts.
    scorecard : None if it has none; ``why`` says why.
    measure : table of the inputs -> the scorecard's parity; None if there is nothing to compare with.
    constant : the name of a column of ones that the model was fitted with; None without one.
    as_found : names of columns that are handed to its code as the table has them, or as dates and times.
    moments : those that are dates and times by its signature.
    by_table : names of columns whose type is that of the table's values, for the version tells none.
    notes : what a person should know, a sentence each.
    """

    registered: RegisteredVersion
    inputs: tuple[Input, ...]
    cleaning: Cleaning
    answer: Callable[[pd.DataFrame], Answers]
    classes: tuple[Any, ...] | None
    estimator: str
    scorecard: Scorecard | None
    optional: frozenset[str] = frozenset()
    why: str = ""
    measure: Callable[[pd.DataFrame], Parity] | None = None
    constant: str | None = None
    as_found: frozenset[str] = frozenset()
    moments: frozenset[str] = frozenset()
    by_table: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """``diabetes version 3``."""
        return self.registered.title

    @property
    def document(self) -> Evidence | None:
        """Its evidence; None if it has none."""
        return self.registered.document

    def read(self, table: Table, places: np.ndarray | None = None) -> pd.DataFrame:
        """The table's rows as this version's inputs; without optional ones that the table lacks.

        Parameters
        ----------
        places : of the rows in the table that messages speak of, shape (n_rows,); they are all of it by default.

        Raises
        ------
        Unreadable
            if a value is not of its input's type.
        PipelineError
            if a column is missing.
        """
        return pd.DataFrame({item.name: self.column(table, item, places) for item in self.inputs_in(table)}, copy=False)

    def inputs_in(self, table: Table) -> list[Input]:
        """This version's inputs without optional ones that a table lacks.

        Raises
        ------
        PipelineError
            if the table lacks another one.
        """
        there = [item for item in self.inputs if table.known_as(item.name) is not None]
        if missing := [item.name for item in self.inputs if item not in there and item.name not in self.optional]:
            ones = f"; {self.constant!r} is its constant: add a column of ones" if self.constant in missing else ""
            raise PipelineError(
                f"{self.title} takes columns that the table lacks: {listed(missing)}; "
                f"it has {listed(table.columns.column_names)}{ones}"
            )
        return there

    def column(self, table: Table, wanted: Input, places: np.ndarray | None = None) -> pd.Series:
        """A column of a table as one of this version's inputs, read by the version's own rules.

        A version that was logged without this platform has no rule for the marks of numbers, and without a scorecard
        none for the words for a missing value; those of the table apply.

        Parameters
        ----------
        places : see :meth:`read`.

        Raises
        ------
        Unreadable
            if a value is not of the input's type.
        """
        name = table.known_as(wanted.name) or wanted.name
        if wanted.type == NUMBER and not self.registered.trained_here:
            marks = table.marks_of(name)
            wanted = Input(wanted.name, NUMBER, wanted.integer, wanted.null, marks.decimal, marks.thousands)
        try:
            return self._converted(table, name, wanted)
        except InputError as error:
            row = error.row or 0
            told = error if places is None else error.at(int(places[row]))
            raise Unreadable(f"{told}; {self._expected(wanted)}", wanted.name, row) from None

    def _converted(self, table: Table, name: str, wanted: Input) -> pd.Series:
        raw = table.columns[name]
        if wanted.name in self.moments:
            return _moments(raw, wanted, table.cleaning)
        if wanted.name in self.as_found:
            return typed(table, name)
        if wanted.type == CATEGORY:
            raw = reading.as_text(raw)
        return columns.convert(raw, wanted, self.cleaning if self.scorecard else table.cleaning)

    def _expected(self, wanted: Input) -> str:
        """Why a value that is not of an input's type is refused."""
        if wanted.name in self.moments:
            return f"{self.title} takes no other"
        marks = Marks(wanted.decimal, wanted.thousands)
        how = f" (it reads numbers with {marks})" if marks != PLAIN else ""
        return f"{self.title} was not trained on such values{how}"


def _moments(raw: pa.ChunkedArray, wanted: Input, cleaning: Cleaning) -> pd.Series:
    """A column of dates and times; raises InputError if a value is none."""
    refusals = Refusals()
    found = reading.moments(wanted, raw_values.decoded(raw), cleaning, refusals)
    if error := refusals.first():
        raise error
    return found.to_pandas()


def judged(version: RegisteredVersion, table: Table, target: str, running: ExitStack) -> tuple[Version, Table]:
    """A version that is to be judged, with its own code at work; and the table with its columns under its names.

    A version without a scorecard of its own is compiled; if that fails, its own code answers.

    Parameters
    ----------
    running : ends its process.

    Raises
    ------
    ServingError, ScorecardError
        if it does not load.
    PipelineError
        if the table cannot be what it takes.
    RegistryError
        if its files cannot be fetched.
    """
    if card := carried(version.model):
        return replace(_by_scorecard(version, card), measure=_measuring_later(version, card)), table
    process = running.enter_context(_opened(version, "to ask it, and to compile a scorecard"))
    return _by_code(version, process, table, target)


def beside(version: RegisteredVersion, table: Table, target: str, running: ExitStack) -> tuple[Version, Table]:
    """A version that another one is judged beside, asked by its scorecard if it has one; raises as :func:`judged`."""
    if card := version.model.scorecard:
        return _by_scorecard(version, card), table
    process = running.enter_context(_opened(version, "to ask it"))
    return _by_code(version, process, table, target)


def _by_scorecard(version: RegisteredVersion, card: Scorecard) -> Version:
    def answer(frame: pd.DataFrame) -> Answers:
        likely = np.asarray(card.probabilities(frame)) if card.has_probabilities else None
        return Answers(np.asarray(card.predict(frame)), likely)

    return Version(
        registered=version,
        inputs=tuple(card.inputs),
        cleaning=card.cleaning,
        answer=answer,
        classes=tuple(card.classes or ()),
        estimator=card.kind,
        scorecard=card,
        optional=card.optional,
    )


def _by_code(version: RegisteredVersion, process: NativeModel, table: Table, target: str) -> tuple[Version, Table]:
    """A version by its own code: with a scorecard, if one can be compiled; else without."""
    found, table = model_columns.find(process, table, target, version.document)
    taken, notes = found.taken, found.notes
    loaded = process.loaded
    cleanings = tuple(dict.fromkeys((table.cleaning, *CLEANINGS)))
    card, why = process.compile(found.compiled, cleanings)
    if card and found.compiled is None:
        # Of a column that the pipeline drops only the table tells what is in it.
        card, why = process.compile(found.completed(card, table, target), cleanings)
    if card:
        ours = _by_scorecard(version, card)

        def measure(frame: pd.DataFrame) -> Parity:
            return _parity(process, card, frame, taken.beside_scorecard(list(frame)))

        ours = replace(ours, estimator=loaded.estimator, measure=measure)
        return replace(ours, constant=taken.constant, by_table=found.by_table, notes=notes), table

    def answer(frame: pd.DataFrame) -> Answers:
        return process.answer(frame, taken.layout_of(list(frame)))

    return Version(
        registered=version,
        inputs=found.inputs(table),
        cleaning=table.cleaning,
        answer=answer,
        classes=None if loaded.classes is None else tuple(loaded.classes),
        estimator=loaded.estimator,
        scorecard=None,
        optional=taken.optional,
        why=why,
        constant=taken.constant,
        as_found=taken.as_found,
        moments=taken.moments,
        by_table=found.by_table,
        notes=notes,
    ), table


def _opened(version: RegisteredVersion, why: str) -> AbstractContextManager[NativeModel]:
    return native.opened(version.model.files, version.title, why=why)


def _parity(process: NativeModel, card: Scorecard, frame: pd.DataFrame, layout: Layout) -> Parity:
    return msgspec.convert(process.parity(card, frame, layout), Parity)


def _measuring_later(version: RegisteredVersion, card: Scorecard) -> Callable[[pd.DataFrame], Parity] | None:
    """The parity of a scorecard that the model carries: its pipeline is loaded only when it is asked for."""
    if not inside.compilable(mlmodel.read(version.model.files, version.title).flavors):
        return None

    def measure(frame: pd.DataFrame) -> Parity:
        with _opened(version, "to compare its scorecard with it") as process:
            return _parity(process, card, frame, Layout())

    return measure
