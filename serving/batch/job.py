"""A batch job: which version, which files, where the answers go, and what came of it."""

import contextlib
import functools
import hashlib
import shutil
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from registry import logs, redaction
from serving import models
from serving.batch import (
    answers,
    by_batches,
    by_sql,
    column_types,
    duckdb_session,
    engines,
    inputs,
    matching,
    record,
    targets,
    texts,
)
from serving.batch.errors import JobStopped
from serving.batch.manifest import Manifest
from serving.batch.outputs import Output, undoing
from serving.batch.queries import Bar
from serving.batch.rejects import Rejects, stopped
from serving.batch.request import DATABASE, DUCKDB, ENGINES, FAIL, SPARK, Scored, ScoredFile, ScoreRequest
from serving.batch.row_log import Inputs, RowLog
from serving.batch.spark import job as spark_job
from serving.errors import EXPECTED, ServingError
from serving.prediction_log import choice, destinations
from serving.scorecard import Scorecard

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from serving.batch.answers import AnswerPlan
    from serving.batch.by_pyfunc import OwnCodeModel
    from serving.batch.row_log import FileRows
    from serving.batch.sources import InputFile, SourceFiles
    from serving.batch.texts import ReadableFile

_log = logs.get_logger(__name__)


def score(request: ScoreRequest) -> Scored:
    """Score a table: each file of it becomes one of answers, whole or not at all.

    Raises
    ------
    ServingError, ScorecardError
        if model and table do not fit, or a file cannot be read or written; nothing is half written then.
    RegistryError
        if the model cannot be fetched.
    """
    if request.engine not in ENGINES:
        raise ServingError(f"--engine: expected {', '.join(ENGINES)}, found {request.engine!r}")
    if request.memory < duckdb_session.LEAST_MEMORY:
        raise ServingError(f"--memory: expected at least 64MiB, found {request.memory:,} bytes")
    choice.check(request)
    if request.record is not None:
        destinations.check_whole(request.record, option="--record", what="the rows of a job")
    if request.record is not None and request.engine in (DUCKDB, DATABASE, SPARK):
        raise ServingError(
            f"--record: the rows of --engine {request.engine} do not pass through this process; leave --engine out, or "
            "leave --record out"
        )
    if request.engine == SPARK:
        return spark_job.score(request)
    if not request.spark.is_default:
        raise ServingError("--spark-conf and --spark-remote are for --engine spark")
    with contextlib.ExitStack() as running:
        return _score(request, running)


def _score(request: ScoreRequest, running: contextlib.ExitStack) -> Scored:
    began, now = time.monotonic(), datetime.now(UTC)
    source = inputs.find(request.input, request.query)
    outputs = targets.find(source, request)
    resolved = models.find(request.uri)
    model = engines.opened(resolved, request, running)
    version = record.version(resolved, model.digest)
    request = replace(request, ids=() if request.keep else record.ids(resolved))
    rejected = targets.rejects_of(outputs[0], source.files[0], request, single=True) if source.single else None
    job = _Job(
        request,
        model,
        engines.choose(model, request, source, outputs),
        version,
        now,
        single=source.single,
        recorded=record.is_recorded(resolved),
        row_log=RowLog(request, resolved, model, now) if request.record is not None else None,
        rejected=rejected,
    )
    manifest = Manifest(None if source.single else request.output, job.settings)
    targets.check(source, outputs, rejected, request, manifest)
    done, failures = _all_files(job, source, outputs, manifest)
    scored = Scored(
        version, job.engine, time.monotonic() - began, tuple(done), None,
        failed=len(failures), former=manifest.former(source.files),
    )  # fmt: skip
    scored = replace(scored, run_id=record.log(resolved, request, scored))
    if failures:
        raise ServingError(
            f"{len(failures)} of {len(outputs)} files could not be scored, the first: {failures[0]}; the answers to "
            "the others are written, and the same command continues"
        )
    return scored


def _all_files(
    job: "_Job", source: "SourceFiles", outputs: list[Output], manifest: Manifest
) -> tuple[list[ScoredFile], list[str]]:
    """What came of each file that could be scored, and why the others could not.

    Raises
    ------
    ServingError
        if none could be scored, or whatever stopped the job would stop it at each file.
    """
    done: list[ScoredFile] = []
    failures: list[str] = []
    pairs = list(zip(source.files, outputs, strict=True))
    with duckdb_session.connected(job.request.memory) as connection:
        for file, output in pairs if source.single else logs.counted(_log, "files", pairs):
            try:
                found = manifest.done(file, output)
                if found is None:
                    manifest.begin(file, output, overwrite=job.request.overwrite)
                    found = job.score(connection, file, output)
                    manifest.add(file, output, found)
                done.append(found)
            except JobStopped:
                raise
            except EXPECTED as error:
                if source.single:
                    raise
                failures.append(str(error))
                _log.warning("not scored: %s", error)
    if failures and not done:
        raise ServingError(f"none of {len(failures)} files could be scored, the first: {failures[0]}")
    return done, failures


@dataclass(frozen=True)
class _Job:
    """What is the same for all files of a job.

    Parameters
    ----------
    engine : that scores.
    version : that answers, such as ``diabetes/3``.
    now : when the job began, in UTC.
    single : whether there is one file.
    recorded : whether the digests of the files are wanted.
    row_log : where rows are recorded; None if they are not.
    rejected : where the rejected rows of a single file go; None if they stop the job.
    """

    request: ScoreRequest
    model: "Scorecard | OwnCodeModel"
    engine: str
    version: str
    now: datetime
    single: bool
    recorded: bool
    row_log: RowLog | None
    rejected: Output | None
    bar: Bar = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bar", Bar(is_shown=self.single))

    @property
    def settings(self) -> str:
        """A digest of what decides the answers, but the input and the time."""
        asked = self.request
        given = (self.version, self.model.digest, asked.kept, asked.outputs, asked.rejects, asked.reading)
        if asked.record is not None:  # what was scored without it is not in the log
            given += (redaction.url(asked.record),)  # type: ignore[assignment]
        return hashlib.sha256(repr(given).encode()).hexdigest()

    def score(self, connection: "DuckDBPyConnection", file: "InputFile", output: Output) -> ScoredFile:
        """Score one file."""
        if self.engine == DATABASE:
            from serving.batch import by_database

            assert isinstance(self.model, Scorecard)
            with duckdb_session.speaking(file.address):
                return by_database.score(
                    connection, self.model, file, output, self.rejected, self.request,
                    version=self.version, scored_at=self.now,
                )  # fmt: skip
        try:
            return self._score(connection, file, output)
        except texts.NeedsRewriting:
            return self._score(connection, file, output, rewritten=True)

    def _score(
        self, connection: "DuckDBPyConnection", file: "InputFile", output: Output, *, rewritten: bool = False
    ) -> ScoredFile:
        names = [item.name for item in self.model.inputs]
        place, placed = self._rejects_of(file, output), list[Output]()
        with contextlib.ExitStack() as recording:
            log: FileRows | None = None
            with (
                undoing(placed),
                duckdb_session.speaking(file.address, output.address),
                output.writing() as path,
                file.fetched() as local,
                texts.readable(local, file.address, self.request.reading, names, rewritten=rewritten) as source,
            ):
                beside = path.with_name(f"{path.name}.rejects")
                rejects = Rejects(beside)
                try:
                    content = record.digest(local.path) if self.recorded or self.row_log else None
                    plan = self._prepare(connection, source, names)
                    if self.row_log:
                        log = self._open_log(recording, connection, plan, content or "", output)
                    answered = self._answered(connection, plan, path, source, csv=output.csv, rejects=rejects, log=log)
                    rejects.close()
                    rows = answered + rejects.count
                    reason = column_types.why_rejected(connection, rejects, self.model.inputs, is_all=not answered)
                    if rejects.count and self.request.rejects == FAIL:
                        raise stopped(file.address, rejects, rows, output.address)
                    told = self._keep_rejects(connection, plan, place, beside if rejects.count else None)
                    placed += [place] if told and place else []
                    target = record.digest(path) if self.recorded else None
                finally:
                    rejects.close()
                    beside.unlink(missing_ok=True)
            if log is not None:
                log.finish(output.address)
        return ScoredFile(
            file.address,
            output.address,
            rows,
            answered,
            rejects.count,
            told,
            content if self.recorded and not file.version else None,
            target,
            input_version=file.version,
            request_id=log.id if log else None,
            reason=reason,
        )

    def _open_log(
        self,
        recording: contextlib.ExitStack,
        connection: "DuckDBPyConnection",
        plan: "AnswerPlan",
        content: str,
        output: Output,
    ) -> "FileRows":
        """The rows of a file for the prediction log; what is not finished is dropped when ``recording`` ends."""
        assert self.row_log is not None
        inputs = None if isinstance(self.model, Scorecard) else Inputs(*self.model.inputs_in(connection))
        return recording.enter_context(self.row_log.opened(plan, content, output.key, inputs))

    def _prepare(self, connection: "DuckDBPyConnection", file: "ReadableFile", names: list[str]) -> "AnswerPlan":
        """Make the view of the raw rows, after checking that the model can read them."""
        relation = duckdb_session.reader(connection, file, names)
        there = list(duckdb_session.columns(connection, relation))
        ones = None if isinstance(self.model, Scorecard) else self.model.constant
        meant = matching.meant(file.address, there, names, optional=self.model.optional, constant=ones)
        duckdb_session.view(connection, relation, meant, names)
        kinds = duckdb_session.columns(connection, duckdb_session.RAW)
        if isinstance(self.model, Scorecard):  # a model's own code may read dates
            matching.check_types(file.address, kinds, self.model.inputs)
        loose = frozenset(name for name in names if duckdb_session.is_loose(kinds.get(name, "")))
        kept = [meant.get(name, name) for name in there if name not in file.partitions]
        return answers.plan(self.model, kept, self.request, version=self.version, scored_at=self.now, loose=loose)

    def _answered(
        self,
        connection: "DuckDBPyConnection",
        plan: "AnswerPlan",
        path: Path,
        file: "ReadableFile",
        *,
        csv: bool,
        rejects: Rejects,
        log: "FileRows | None",
    ) -> int:
        """Score the raw rows into a file; the number of rows that were answered."""
        seen = log.add if log else None
        if not isinstance(self.model, Scorecard):
            from serving.batch import by_pyfunc

            return by_pyfunc.score(
                connection, self.model, plan, path, csv=csv, rejects=rejects, seen=seen, called=file.address
            )
        if self.engine == DUCKDB and not plan.loose:
            return by_sql.score(connection, self.model, plan, path, csv=csv, rejects=rejects, bar=self.bar)
        from serving.batch import by_numpy

        answer = functools.partial(by_numpy.answers, self.model, plan)
        return by_batches.score(connection, answer, plan, path, csv=csv, rejects=rejects, seen=seen, bar=self.bar)

    def _rejects_of(self, file: "InputFile", output: Output) -> Output | None:
        """Where the rejected rows of a file go; None if they stop the job."""
        if self.single:
            return self.rejected
        place = targets.rejects_of(output, file, self.request, single=False)
        if place is not None and not self.request.overwrite:
            place.guard()
        return place

    def _keep_rejects(
        self, connection: "DuckDBPyConnection", plan: "AnswerPlan", place: Output | None, rejects: Path | None
    ) -> str | None:
        """Put the rejects into their place, of which this is the address; None if there are none."""
        if place is None:
            return None
        if rejects is None:
            place.remove()
            return None
        with place.writing() as path:
            if place.csv:
                shutil.move(rejects, path)
            else:
                from serving.batch import table_rejects

                table_rejects.write(connection, plan, rejects, path)
        return place.address
