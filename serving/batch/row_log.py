"""Hands the rows of a batch job to the prediction log, with the features as the model read them."""

import contextlib
import datetime
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from registry.cli.text import listed
from serving.batch import by_numpy
from serving.batch.answers import PREDICTION, AnswerPlan
from serving.batch.errors import JobStopped
from serving.batch.request import ScoreRequest
from serving.batch.scratch import scratch
from serving.errors import ServingError
from serving.prediction_log import choice
from serving.prediction_log.schema import PROBABILITY, LogSchema, RecordedColumns, features
from serving.prediction_log.sink import LogError
from serving.scorecard import Scorecard
from serving.scorecard.inputs import Cleaning, Input, InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from serving.batch.by_pyfunc import OwnCodeModel
    from serving.models import ResolvedModel
    from serving.prediction_log.jobs import JobRows


@dataclass(frozen=True)
class RowLog:
    """What is recorded of a job, and where.

    Parameters
    ----------
    model : what answers.
    moment : when the job began, in UTC.
    """

    request: ScoreRequest
    resolved: "ResolvedModel"
    model: "Scorecard | OwnCodeModel"
    moment: datetime.datetime
    columns: RecordedColumns = field(init=False)

    def __post_init__(self) -> None:
        columns = choice.recorded_columns(self.request)
        inputs = [item.name for item in self.model.inputs]
        if unknown := columns.unknown(inputs):
            raise ServingError(
                f"--record-columns, --record-hash: the model has no column {unknown[0]!r}; it has {listed(inputs)}"
            )
        object.__setattr__(self, "columns", columns)

    @contextlib.contextmanager
    def opened(
        self, plan: AnswerPlan, content: str, output: str, inputs: "Inputs | None" = None
    ) -> Iterator["FileRows"]:
        """The rows of a file: in the log once ``finish`` was called in the block, else never.

        Parameters
        ----------
        content : the digest of the file.
        output : tells where its answers are.
        inputs : of a model without a scorecard, as the table has them.

        Raises
        ------
        JobStopped
            if the log cannot be written: no other file's rows could be.
        """
        from serving.prediction_log import jobs

        # The same for the same rows, version and place of the answers: that is the same job.
        known = "\n".join((*self._named, self.model.digest, content, output))
        request_id = hashlib.sha256(known.encode()).hexdigest()[:32]
        destination = self.request.record
        assert destination is not None
        with (
            speaking(),
            scratch() as folder,
            jobs.opened(
                destination, self._schema(plan, inputs), request_id, self.moment, self.columns.share, folder
            ) as rows,
        ):
            yield FileRows(self, plan, rows, inputs)

    @property
    def _named(self) -> tuple[str, str]:
        """The model and the version, as cloud functions name them, too."""
        return self.resolved.name or self.resolved.title or "model", self.resolved.version or self.model.digest[:19]

    def _schema(self, plan: AnswerPlan, inputs: "Inputs | None") -> LogSchema:
        from serving.prediction_log.rows import pyfunc_schema, scorecard_schema

        if isinstance(self.model, Scorecard):
            return scorecard_schema(*self._named, self.model, self.columns)
        assert inputs is not None
        found = pyfunc_schema(*self._named, self.resolved.about, self.columns)
        labels = tuple(map(str, self.model.classes or ())) if plan.probabilities else ()
        return replace(found, features=features(inputs.items, self.columns), labels=labels)


@dataclass(frozen=True)
class Inputs:
    """The columns of a model without a scorecard, and those of them that are dates and times."""

    items: tuple[Input, ...]
    dated: frozenset[str]


class FileRows:
    """The rows of one file, batch by batch."""

    def __init__(self, log: RowLog, plan: AnswerPlan, rows: "JobRows", inputs: Inputs | None):
        self._log, self._plan, self._rows, self._inputs = log, plan, rows, inputs
        self._start = 0

    @property
    def id(self) -> str:
        """Their request id."""
        return self._rows.request_id

    def add(self, table: "pa.Table", found: "pa.Table", errors: "dict[int, InputError]") -> None:
        """Record the answered rows of the next batch.

        Parameters
        ----------
        table : the raw rows.
        found : the answers to those that have one.
        errors : those that have none.
        """
        import numpy as np
        import pyarrow as pa

        from serving.models.native import reading
        from serving.prediction_log import rows

        start, self._start = self._start, self._start + len(table)
        good = np.ones(len(table), dtype=bool)
        good[list(errors)] = False
        if not len(found):
            return
        log, schema = self._log, self._rows.schema
        raw = by_numpy.read(self._plan, table.filter(pa.array(good)))
        predictions = found[PREDICTION].to_pylist()
        if isinstance(log.model, Scorecard):
            there = {item.name: raw.get(item.name, [None] * len(found)) for item in log.model.inputs}
            made = rows.scorecard_arrays(log.model, schema, log.columns, there, predictions)
        else:
            assert self._inputs is not None
            typed, _ = reading.columns(raw, self._inputs.items, self._inputs.dated, Cleaning())
            made = rows.typed_arrays(schema, log.columns, typed, predictions)
            for label, name in zip(schema.labels, self._plan.probabilities, strict=True):
                made[PROBABILITY + label] = found[name].combine_chunks()
        with speaking():
            self._rows.add(pa.array(start + np.flatnonzero(good)), made)

    def finish(self, output: str) -> None:
        """Let the log have the rows, once the answers are in their place.

        Raises
        ------
        JobStopped
        """
        with speaking(f"; the answers are in {output}, and a job that is run again records them"):
            self._rows.finish()


@contextlib.contextmanager
def speaking(more: str = "") -> Iterator[None]:
    """A log that cannot be written stops the job."""
    try:
        yield
    except LogError as error:
        raise JobStopped(f"--record: {error}{more}") from None
