"""What a user asks of a batch job, and what came of it."""

from dataclasses import dataclass, field

from serving.batch.spark.settings import SparkSettings
from serving.batch.texts import ReadSettings

AUTO, DUCKDB, NUMPY, DATABASE, SPARK, PYFUNC = ENGINES = ("auto", "duckdb", "numpy", "database", "spark", "pyfunc")
#: Rejects that stop the job.
FAIL = "fail"
#: The columns to keep, if all are.
ALL = ("all",)


@dataclass(frozen=True)
class ScoreRequest:
    """What a user asks for.

    Parameters
    ----------
    uri : of the model, as ``serving.models.find`` takes it.
    input : a file, a folder or a pattern, or the SQLAlchemy URL of a database; for Spark, a table of its catalog, too.
    output : a ``.parquet`` or ``.csv`` file; for several files of input, a folder; or the URL of a database.
    engine : one of ``ENGINES``; ``auto`` is ``pyfunc`` for a model without a scorecard, else the database where input
        and output are in one, else DuckDB where SQL can say the model and the outputs, else NumPy.
    keep : columns to keep; ``all`` for all; None for the id columns of the training, or all if it named none.
    outputs : of ``answers.OUTPUTS``; None for predictions, and probabilities if the model has them.
    rejects : the file of rejected rows, ``fail`` to stop instead; None for one beside the output.
    memory : in bytes.
    overwrite : whether an output that is there is replaced.
    reading : how text files are written.
    query : of a database: the name of a table or a view, or a SELECT.
    output_table : of a database: the table of answers, ``name`` or ``schema.name``.
    append : whether rows are added to a table that is there.
    spark : how Spark is reached.
    record : where the prediction log is that gets the answered rows, a folder or a SQLAlchemy URL; None for nowhere.
    record_share : share of the rows that is recorded, from 0 to 1.
    record_columns, record_hash, record_key : as ``serving.prediction_log.choice`` has them.
    ids : the id columns of the training; the job finds them out.
    """

    uri: str
    input: str
    output: str
    engine: str = AUTO
    keep: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None
    rejects: str | None = None
    memory: int = 2**30
    overwrite: bool = False
    reading: ReadSettings = field(default_factory=ReadSettings)
    query: str | None = None
    output_table: str | None = None
    append: bool = False
    spark: SparkSettings = field(default_factory=SparkSettings)
    record: str | None = None
    record_share: float = 1.0
    record_columns: tuple[str, ...] = ()
    record_hash: tuple[str, ...] = ()
    record_key: str | None = None
    ids: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[str, ...]:
        """The columns to keep, or ``ALL``."""
        return self.keep or self.ids or ALL


@dataclass(frozen=True)
class ScoredFile:
    """What came of a file.

    Parameters
    ----------
    input, output : what was scored, and where the answers are.
    rows, answered, rejected : numbers of rows; the first is the sum of the others.
    rejects : the file of the rejected rows; None if there are none.
    input_sha256, output_sha256 : of the files' content; None if the job is not recorded.
    done_before : whether an earlier run of the same job scored it.
    input_version : which state of a table was scored, such as ``delta version 3``; None of a file.
    request_id : of its rows in the prediction log; None if they are not recorded.
    reason : why most of the rejected rows were rejected; None if there are none.
    """

    input: str
    output: str
    rows: int
    answered: int
    rejected: int
    rejects: str | None
    input_sha256: str | None = None
    output_sha256: str | None = None
    done_before: bool = False
    input_version: str | None = None
    request_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Scored:
    """What came of a job.

    Parameters
    ----------
    version : that answered, such as ``diabetes/3``.
    engine : that scored.
    seconds : that it took.
    run_id : of the MLflow run that records it; None if the model is of no registry.
    failed : number of files that could not be scored.
    former : number of files that an earlier job scored into the folder of answers, and that are no part of the input.
    """

    version: str
    engine: str
    seconds: float
    files: tuple[ScoredFile, ...]
    run_id: str | None
    failed: int = 0
    former: int = 0

    @property
    def reason(self) -> str | None:
        """Why no row was answered; None if some were, or there is none."""
        if self.rejected < self.rows or not self.rows:
            return None
        return max(self.files, key=lambda file: file.rejected).reason

    @property
    def rows(self) -> int:
        """Rows of the input: those that were answered and those that were rejected."""
        return sum(file.rows for file in self.files)

    @property
    def rejected(self) -> int:
        """Rows that were rejected."""
        return sum(file.rejected for file in self.files)
