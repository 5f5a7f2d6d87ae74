"""A batch job on Spark: one table, one output, whole or not at all."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from registry import logs
from serving import models
from serving.batch import answers, outputs, record, targets
from serving.batch.answers import PREDICTION, AnswerPlan
from serving.batch.outputs import Output
from serving.batch.rejects import Rejects, stopped
from serving.batch.request import FAIL, Scored, ScoredFile, ScoreRequest
from serving.batch.spark import numbering, source
from serving.batch.spark.errors import speaking
from serving.batch.spark.expression import Expression, counted, quoted, unanswered
from serving.batch.spark.output import SparkOutput, output, rejects_address
from serving.batch.spark.session import connected
from serving.batch.spark.udf import Udf
from serving.errors import ServingError
from serving.models.files import digest

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from serving.models import ResolvedModel

_log = logs.get_logger(__name__)
ENGINE = "spark"


def score(request: ScoreRequest) -> Scored:
    """Score a table by Spark.

    Raises
    ------
    ServingError, ScorecardError
        if Spark cannot be reached or fails, or model and table do not fit; nothing is half written then.
    RegistryError
        if the model cannot be fetched.
    """
    began, now = time.monotonic(), datetime.now(UTC)
    resolved = models.find(request.uri)
    version = _version(resolved)
    request = replace(request, ids=() if request.keep else record.ids(resolved))
    rejects = _rejects_of(request)
    with connected(request.spark) as session:
        table = source.read(session, request.input, request.reading)
        target = output(session, request.output, table, remote=bool(request.spark.remote), overwrite=request.overwrite)
        _check_output(request, target, rejects)
        if resolved.scorecard is None:
            done = _by_udf(session, resolved, request, table, target, version, now)
        else:
            done = _by_expression(session, resolved, request, table, target, rejects, version, now)
    scored = Scored(version, ENGINE, time.monotonic() - began, (done,), None)
    return replace(scored, run_id=record.log(resolved, request, scored))


def _version(resolved: "ResolvedModel") -> str:
    """What the output calls the version that answers."""
    card = resolved.scorecard
    known = card.digest if card else "" if resolved.version else digest(resolved.files.folder())
    return record.version(resolved, known)


def _check_output(request: ScoreRequest, target: SparkOutput, rejects: "Output | None") -> None:
    """Refuse to write over the input, or what is not to be replaced."""
    here, there = _place(request.input), _place(request.output)
    if f"{here}/".startswith(f"{there}/") or f"{there}/".startswith(f"{here}/"):
        raise ServingError(f"{target.address} is the input itself, or within; name another --output")
    if rejects and rejects.key in (here, there):
        raise ServingError(f"{rejects.address} is the input or the output itself; name another --rejects")
    target.check()


def _place(address: str) -> str:
    """An address to compare with another."""
    if source.table_name(address) is None and "://" not in address:
        return str(Path(address.removeprefix("file:")).resolve())
    return address.rstrip("/").removeprefix("file://")


def _rejects_of(request: ScoreRequest) -> "Output | None":
    """Where the rejected rows go; None if they stop the job."""
    if request.rejects == FAIL:
        return None
    target = outputs.output(request.rejects or rejects_address(request.output))
    targets.check_rejects(target, request)
    return target


def _by_udf(
    session: "SparkSession", resolved: "ResolvedModel", request: ScoreRequest, table: source.SparkTable,
    target: SparkOutput, version: str, now: datetime,
) -> ScoredFile:  # fmt: skip
    """Score by MLflow's function: the model answers every row, or the job fails."""
    _log.info("%s has no scorecard: MLflow runs the model beside Spark", resolved)
    udf = Udf(session, resolved, table)
    plan = udf.plan(request, version=version, scored_at=now)
    with target.writing() as write, speaking(table.address):
        found = udf.answers((*plan.keep, *table.partitions))
        rows_of, counts = counted(found)
        write(_finished(rows_of, plan, table, csv=target.csv))
        rows, _ = counts()
    return ScoredFile(table.address, target.address, rows, rows, 0, None)


def _by_expression(
    session: "SparkSession", resolved: "ResolvedModel", request: ScoreRequest, table: source.SparkTable,
    target: SparkOutput, rejects: "Output | None", version: str, now: datetime,
) -> ScoredFile:  # fmt: skip
    """Score by the exported SELECT."""
    card = resolved.scorecard
    assert card is not None
    if request.outputs and answers.REASONS in request.outputs:
        raise ServingError("--engine spark gives no reasons; leave --engine out, and NumPy finds them")
    expression = Expression(session, card, table)
    kept = [name for name in expression.columns if name not in table.partitions]
    plan = answers.plan(card, kept, request, version=version, scored_at=now)
    with contextlib.closing(expression), speaking(table.address), _temporary() as path:
        is_numbered = numbering.is_numbered(table)
        leading = ("file",) if is_numbered else plan.keep
        rejected, placed = Rejects(path, leading, numbered=is_numbered), list[Output]()
        found = expression.answers((*plan.keep, *table.partitions))
        if rejects is None and not target.is_undoable:
            _refuse_any(found, table, target)
        with outputs.undoing(placed), target.writing() as write:
            scored, counts = counted(found)
            answers_of = scored.where(f"{PREDICTION} IS NOT NULL")
            if answers.has_whole_labels(card):
                answers_of = answers_of.withColumn(PREDICTION, answers_of[PREDICTION].cast("bigint"))
            write(_finished(answers_of, plan, table, csv=target.csv))
            rows, answered = counts()
            if answered < rows:
                expression.reject(rejected, plan.keep)
                rejected.close()
            _check_counts(table, target, rows, answered, rejected, fails=rejects is None)
            told = _keep(rejects, path, rejected)
            placed += [rejects] if rejects and told else []
    usual = rejected.usual
    reason = None if usual is None else str(usual)
    return ScoredFile(table.address, target.address, rows, answered, rejected.count, told, reason=reason)


def _check_counts(
    table: source.SparkTable, target: SparkOutput, rows: int, answered: int, rejected: Rejects, *, fails: bool
) -> None:
    if rows != answered + rejected.count:
        raise ServingError(f"{table.address} has changed while it was scored; run the command again")
    if rejected.count and fails:
        raise stopped(table.address, rejected, rows, target.address)


def _refuse_any(found: "DataFrame", table: source.SparkTable, target: SparkOutput) -> None:
    """Refuse a table of which a row cannot be scored, before anything is written."""
    if unanswered(found).limit(1).collect():
        raise ServingError(f"{table.address}: some rows cannot be scored; {target.address} is not written")


def _finished(found: "DataFrame", plan: AnswerPlan, table: source.SparkTable, *, csv: bool) -> "DataFrame":
    """The columns of the output, in order; those that become folders come last."""
    from pyspark.sql import functions as f

    moment = f.lit(plan.scored_at.isoformat())
    kinds = dict(found.dtypes)
    columns = [_as_text(name, kinds[name]) if csv else f.col(quoted(name)) for name in plan.keep]
    columns += [f.col(quoted(name)) for name in (PREDICTION, *plan.probabilities)]
    columns.append(f.lit(plan.version).alias(answers.VERSION))
    columns.append((moment if csv else moment.cast("timestamp")).alias(answers.SCORED_AT))
    return found.select(*columns, *(f.col(quoted(name)) for name in table.partitions))


def _as_text(name: str, kind: str) -> "Column":
    """A column that is kept as CSV has it: the text that ``csv_text`` gives it in other engines."""
    from pyspark.sql import functions as f

    column = f.col(quoted(name))
    if kind.startswith(("array", "map", "struct")):
        return f.to_json(column, {"ignoreNullFields": "false"}).alias(name)
    if kind == "timestamp":
        return f.concat(column.cast("string"), f.lit("+00")).alias(name)
    return column.cast("string").alias(name) if kind == "timestamp_ntz" else column


def _keep(target: "Output | None", path: Path, rejected: Rejects) -> str | None:
    """Put the rejects into their place, of which this is the address; None if there are none."""
    if target is None or not rejected.count:
        if target is not None:
            target.remove()
        return None
    with target.writing() as place:
        shutil.move(path, place)
    return target.address


@contextlib.contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        yield Path(folder, "rejects.csv")
