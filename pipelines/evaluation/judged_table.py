"""The table that versions are judged on: in memory as one part, or read in parts and typed by a sample of its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from pipelines import engines
from pipelines.engines import ReadingSettings
from pipelines.evaluation import typed_columns
from pipelines.sources import Origin, Table, read
from pipelines.streaming.planning import SAMPLE
from pipelines.streaming.raw import RawTable, joined
from pipelines.streaming.typed import Contradiction
from registry import logs
from registry.logs import Progress

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class JudgedTable:
    """A table whose rows are judged.

    Parameters
    ----------
    sample : by which columns are typed: of a table in memory all rows.
    raw : what is read in parts; None of a table in memory.
    """

    sample: Table
    raw: RawTable | None = None

    @classmethod
    def opened(cls, settings: ReadingSettings, folder: Path) -> "JudgedTable":
        """The table of the settings, in memory or to be read in parts.

        Parameters
        ----------
        folder : for files that are made of it, which are needed as long as the table is.

        Raises
        ------
        PipelineError
            if there is nothing to read, or it cannot be read as a table.
        """
        if engines.choose(settings) == engines.MEMORY:
            return cls(read(settings.data, query=settings.query, options=settings.options))
        raw = engines.opened(settings, folder)
        return cls(raw.table(raw.sample(SAMPLE)), raw)

    @property
    def origin(self) -> Origin:
        """Where it came from."""
        return self.sample.origin

    @property
    def source(self) -> str:
        """What messages call it."""
        return self.sample.source

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.sample.height

    @property
    def in_parts(self) -> bool:
        """Whether there may be rows that the sample lacks."""
        return self.raw is not None

    def typed_by_sample(self, names: Sequence[str]) -> "JudgedTable":
        """The table, some columns of which have the type that they have in the sample.

        Raises
        ------
        PipelineError
            if the values of one are of no one type.
        """
        if self.raw is None:
            return self
        types = {name: item for name in names if (item := typed_columns.sampled(self.sample, name)) is not None}
        return replace(self, sample=replace(self.sample, types=types))

    def with_rows(self, rows: pa.Table) -> "JudgedTable":
        """The table as it was opened, with further rows in its sample; a column that these lack is missing in them."""
        assert self.raw is not None
        here = self.sample.columns.select(list(self.raw.names))
        lacking = {field.name: pa.nulls(rows.num_rows, field.type) for field in here.schema}
        given = {name: rows[name] for name in self.raw.names if name in rows.column_names}
        return JudgedTable(self.raw.table(joined([here, pa.table({**lacking, **given})])), self.raw)

    def parts(self, names: Sequence[str], label: str) -> Iterator[Table]:
        """The rows in order, part by part.

        Parameters
        ----------
        names : of the columns that are wanted.
        label : what is done with them, for the progress bar.
        """
        wanted = list(dict.fromkeys(names))
        if self.raw is None:
            yield self.sample.of(self.sample.columns.select(wanted))
            return
        own = list(dict.fromkeys(self.sample.aliases.get(name, name) for name in wanted))
        done = 0
        for part in self.raw.parts(own):
            progress = Progress(f"{label}, rows", done, self.rows)
            _log.debug("%s: %d of %d rows", label, done, self.rows, extra=progress.extra())
            yield self.sample.of(part)
            done += part.num_rows
        _log.debug("%s: all %d rows", label, done, extra=Progress(f"{label}, rows", done, done).extra())

    def disagreement(self, rows: pa.Table, error: Exception) -> Exception:
        """What is raised where rows are not of the types found so far: of a table in memory the error itself."""
        if self.raw is None:
            return error
        found = Contradiction(rows)
        found.__cause__ = error
        return found
