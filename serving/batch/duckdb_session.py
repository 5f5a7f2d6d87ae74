"""DuckDB as the reader and writer of files: bounded memory, raw columns under the model's names."""

import contextlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from serving.batch import csv_text, json_columns, matching
from serving.batch.errors import JobStopped
from serving.batch.queries import run
from serving.batch.quoting import identifier, path_of, text
from serving.batch.scratch import scratch
from serving.batch.sources import CSV, JSON_LINES, PARQUET
from serving.batch.texts import ReadableFile
from serving.errors import ServingError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Line ends as DuckDB's option spells them.
_LINE_ENDS = {"\n": r"\n", "\r\n": r"\r\n", "\r": r"\r"}
#: The view of the raw rows of a file.
RAW = "raw_rows"
#: In bytes.
LEAST_MEMORY = 2**26
# What DuckDB calls its temporary files, and what it says of a full disk, a quota or a limit of the size of files.
_SPILLED = "duckdb_temp_"
_FULL = ("No space left", "File too large", '"errno":"27"', '"errno":"28"')


@contextlib.contextmanager
def connected(memory: int) -> Iterator["DuckDBPyConnection"]:
    """A database in memory that keeps within a limit, in bytes, and spills to a temporary folder beyond it."""
    import duckdb

    with scratch() as folder:
        settings = {
            "memory_limit": f"{memory}B",
            "temp_directory": str(folder),
            "autoinstall_known_extensions": "false",
        }
        database = duckdb.connect(config=settings)  # type: ignore[arg-type]
        try:
            # How far a query is, is known but not printed.
            database.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
            # A moment has one text, wherever the machine is.
            database.execute("SET GLOBAL TimeZone = 'UTC'")
            yield database
        finally:
            database.close()


@contextlib.contextmanager
def speaking(file: str, output: str = "") -> Iterator[None]:
    """Errors of DuckDB as one line about a file, without its data.

    Parameters
    ----------
    file : that is read.
    output : what is written; empty if nothing is.

    Raises
    ------
    ServingError
    """
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException:
        raise ServingError(f"{file}: not enough memory; give more by --memory") from None
    except duckdb.IOException as error:
        if any(word in str(error) for word in _FULL):
            if output and _SPILLED not in str(error):
                raise JobStopped(
                    f"{output} cannot be written: no space left; free some, or name another folder"
                ) from None
            raise JobStopped(
                f"{file}: no space left in {tempfile.gettempdir()} for what memory does not hold; free some, give more "
                "by --memory, or name another folder by TMPDIR"
            ) from None
        raise ServingError(f"{file}: {_first(error)}") from None
    except duckdb.InvalidInputException as error:
        raise ServingError(f"{file} is no file that DuckDB reads: {_without_data(error)}") from None
    except duckdb.DataError as error:  # its words quote values
        raise ServingError(f"{file}: DuckDB could not read a value ({type(error).__name__})") from None
    except duckdb.Error as error:
        raise ServingError(f"{file}: DuckDB failed ({type(error).__name__}): {_first(error)}") from None


def _first(error: Exception) -> str:
    return str(error).splitlines()[0][:200]


def _without_data(error: Exception) -> str:
    """The first line of a message; of one about a CSV file, which quotes its lines further down, only what is wrong."""
    lines = [line.strip() for line in str(error).splitlines()]
    wrong = next((line for line in lines if re.match(r"(Expected|Value with|The delimiter|Maximum line)", line)), "")
    return (f"{lines[0]}: {wrong}" if wrong else lines[0])[:200]


def columns(database: "DuckDBPyConnection", relation: str) -> dict[str, str]:
    """The columns of a relation with their types, in order."""
    return {name: kind for name, kind, *_ in database.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}


def reader(database: "DuckDBPyConnection", file: ReadableFile, inputs: Sequence[str]) -> str:
    """What DuckDB reads a file by, in a FROM clause: text as text, for the model's own rules read it.

    Parameters
    ----------
    inputs : names of the model's columns.
    """
    partitions = f"hive_partitioning = {str(bool(file.partitions)).lower()}"
    if file.form == PARQUET:
        matching.check_names(file.address, _parquet_names(database, file))
        return f"read_parquet({path_of(file.path)}, {partitions})"
    if file.form == JSON_LINES:
        return json_columns.reader(database, file, partitions, inputs)
    assert file.form == CSV
    layout = file.layout
    assert layout is not None
    matching.check_names(file.address, layout.names)
    kinds = ", ".join(f"{text(name)}: 'VARCHAR'" for name in layout.names)
    options = [
        "auto_detect = false",
        f"delim = {text(layout.delimiter)}",
        """quote = '"', escape = '"'""",
        "comment = ''",
        f"header = {str(layout.named).lower()}",
        f"skip = {layout.above}",
        f"columns = {{{kinds}}}",
        f"compression = {text(file.compression)}",
        # Found out by the first line otherwise, whose cells may hold another one.
        f"new_line = {text(_LINE_ENDS[file.line_end])}",
        partitions,
    ]
    return f"read_csv({path_of(file.path)}, {', '.join(options)})"


def _parquet_names(database: "DuckDBPyConnection", file: ReadableFile) -> list[str]:
    """The names of a Parquet file's columns as the file has them: DuckDB gives those that are alike others."""
    query = f"SELECT name, coalesce(num_children, 0) FROM parquet_schema({path_of(file.path)})"
    names, inside = [], 0
    # The first is the root; each is followed by all that is inside it.
    for name, children in database.execute(query).fetchall()[1:]:
        if inside:
            inside -= 1
        else:
            names.append(name)
        inside += children
    return names


def is_loose(kind: str) -> bool:
    """Whether a type of DuckDB holds lists or objects, or whatever JSON has."""
    return kind == "JSON" or csv_text.is_nested(kind)


def view(database: "DuckDBPyConnection", relation: str, names: dict[str, str], inputs: Sequence[str]) -> None:
    """Make the view of the raw rows: all columns, those of the model under its names.

    Parameters
    ----------
    names : the model's name of a column by the one in the file, where they differ.
    inputs : names of the model's columns.
    """
    items = []
    for name, kind in columns(database, relation).items():
        # A model reads an id as text, which SQL would not.
        known = names.get(name, name)
        as_text = kind == "UUID" and known in inputs
        items.append(f"{identifier(name)}{'::VARCHAR' if as_text else ''} AS {identifier(known)}")
    database.execute(f"CREATE OR REPLACE VIEW {RAW} AS SELECT {', '.join(items)} FROM {relation}")


def count(database: "DuckDBPyConnection", relation: str) -> int:
    """The number of rows of a relation."""
    ((number,),) = run(database, f"SELECT count(*) FROM {relation}")
    return int(number)
