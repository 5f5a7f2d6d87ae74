"""A raw table from a name, a file, a SQL database or S3, as an Arrow table with where it came from."""

import csv
import gzip
import hashlib
import io
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from pipelines.errors import PipelineError, listed, one_line

#: scikit-learn's bundled tables: name -> task. ``linnerud`` has three targets, of which the user chooses one.
BUNDLED = {
    "diabetes": "regression",
    "breast_cancer": "classification",
    "iris": "classification",
    "wine": "classification",
    "digits": "classification",
    "linnerud": "regression",
}

_DELIMITERS = {".csv": None, ".tsv": "\t", ".tab": "\t", ".txt": None, ".data": None}
_SUFFIXES = (*_DELIMITERS, ".parquet", ".pq", ".jsonl", ".ndjson")
_CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Table:
    """A table as it was read: nothing is typed, trimmed or left out yet.

    Parameters
    ----------
    columns : the Arrow table; every column of a text file is text.
    name : a short name, from which a model's name is made.
    source : where it came from, without credentials.
    digest : ``sha256:`` of the file's bytes; of the rows in Arrow's stream format where there is no file.
    target, task : known for bundled tables, None otherwise.
    """

    columns: pa.Table
    name: str
    source: str
    digest: str
    target: str | None = None
    task: str | None = None


def read(data: str, *, query: str | None = None) -> Table:
    """Read a table.

    Parameters
    ----------
    data : the name of a bundled table (``diabetes``), the path of a CSV, TSV, Parquet or JSON lines file (text
        also gzipped), a SQLAlchemy URL, or ``s3://bucket/key``.
    query : for a database, the name of a table or a SELECT.

    Raises
    ------
    PipelineError
        where there is nothing to read, or it cannot be read as a table.
    """
    scheme = data.split("://", 1)[0].lower() if "://" in data else ""
    if query and (not scheme or scheme in ("s3", "file")):
        raise PipelineError(f"--query goes with a database URL, found --data {data}; leave it out")
    if scheme == "s3":
        table = _from_s3(data)
    elif scheme in ("http", "https"):
        raise PipelineError(f"--data takes a file, a database URL or s3://, found {scheme}://; download the file first")
    elif scheme and scheme != "file":
        table = _from_sql(data, query)
    else:
        path = Path(data.removeprefix("file://")).expanduser()
        bundled = data.lower().replace("-", "_")
        table = _from_sklearn(bundled) if bundled in BUNDLED and not path.exists() else _from_file(path)
    return _checked(table)


def _checked(table: Table) -> Table:
    names = [name or f"Unnamed: {place}" for place, name in enumerate(table.columns.column_names)]
    seen: set[str] = set()
    if twice := sorted({name for name in names if name in seen or seen.add(name)}):
        raise PipelineError(f"column names must differ, found {listed(twice)} more than once in {table.source}")
    if not table.columns.num_rows:
        raise PipelineError(f"expected rows, found an empty table: {table.source}")
    columns = table.columns.rename_columns(names)
    return Table(columns, table.name, table.source, table.digest, table.target, table.task)


def _from_sklearn(name: str) -> Table:
    import sklearn.datasets

    load = getattr(sklearn.datasets, f"load_{name}")
    frame = load(as_frame=True, **({"scaled": False} if name == "diabetes" else {})).frame
    columns = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    target = "target" if "target" in columns.column_names else None
    return Table(columns, name, f"scikit-learn:{name}", _rows_digest(columns), target, BUNDLED[name])


def _from_file(path: Path) -> Table:
    if path.is_dir():
        raise PipelineError(f"--data takes a file, found the folder {path}; name the file in it")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise PipelineError(
            f"--data {path} is not there; give a file, a database URL, s3://bucket/key or one of {', '.join(BUNDLED)}"
        ) from None
    except OSError as error:
        raise PipelineError(f"--data {path} cannot be read: {error.strerror or error}") from None
    return parse(content, path.name, str(path))


def parse(content: bytes, filename: str, source: str) -> Table:
    """A table from the bytes of a file, in the format that its name or its first bytes tell.

    Raises
    ------
    PipelineError
        where the bytes are not of that format.
    """
    if not content:
        raise PipelineError(f"expected a table, found an empty file: {source}")
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    suffixes = [suffix.lower() for suffix in Path(filename).suffixes]
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as error:
            raise PipelineError(f"{source} is a damaged gzip file: {error}") from None
    suffix = next((suffix for suffix in reversed(suffixes) if suffix in _SUFFIXES), "")
    try:
        if content[:4] == b"PAR1" or suffix in (".parquet", ".pq"):
            columns = pa.parquet.read_table(pa.BufferReader(content))
        else:
            text = _utf8(content, source)
            columns = _json_lines(text) if suffix in (".jsonl", ".ndjson") else _csv(text, _DELIMITERS.get(suffix))
    except (pa.ArrowException, ValueError, OSError) as error:
        what = {".parquet": "Parquet", ".pq": "Parquet", ".jsonl": "JSON lines", ".ndjson": "JSON lines"}
        raise PipelineError(f"{source} cannot be read as {what.get(suffix, 'CSV')}: {one_line(error)}") from None
    name = filename[: len(filename) - len("".join(Path(filename).suffixes))] or filename
    return Table(columns.replace_schema_metadata(None), name, source, digest)


def _utf8(content: bytes, source: str) -> bytes:
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in content[:65536]:
        raise PipelineError(
            f"{source} is binary, neither text nor Parquet; give a CSV, TSV, Parquet or JSON lines file"
        )
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PipelineError(
            f"{source} is not UTF-8 text (byte {error.start}); convert it, for example with iconv -f LATIN1 -t UTF-8"
        ) from None
    return content


def _csv(content: bytes, delimiter: str | None) -> pa.Table:
    head = content[:65536].decode("utf-8", errors="ignore")
    header = next(iter(csv.reader(io.StringIO(head), delimiter=delimiter or _delimiter(head))), [])
    if not header:
        raise ValueError("the first line, which names the columns, is empty")
    if len(content.strip().splitlines()) < 2:
        return pa.table({name: pa.array([], pa.string()) for name in header})
    names = [str(place) for place in range(len(header))]
    columns = pa.csv.read_csv(
        pa.BufferReader(content),
        read_options=pa.csv.ReadOptions(column_names=names, skip_rows_after_names=1),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter or _delimiter(head), newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, quoted_strings_can_be_null=False
        ),
    )
    return columns.rename_columns(header)


def _delimiter(head: str) -> str:
    """The delimiter that cuts the header into most names, where no file name tells it."""
    header = head.split("\n", 1)[0]
    return max(",;\t|", key=lambda mark: (len(next(csv.reader([header], delimiter=mark), [])), mark == ","))


def _json_lines(content: bytes) -> pa.Table:
    try:
        return pa.json.read_json(pa.BufferReader(content))
    except pa.ArrowInvalid:
        return _mixed_json_lines(content)


def _mixed_json_lines(content: bytes) -> pa.Table:
    """JSON lines in which a column holds numbers and text: such a column becomes text, as in a CSV file."""
    records = []
    for place, line in enumerate(content.decode("utf-8").splitlines(), start=1):
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {place} is not JSON: {error}") from None
            if not isinstance(record, dict):
                raise ValueError(f"line {place} is not an object of column names and values")
            records.append(record)
    names = list(dict.fromkeys(name for record in records for name in record))
    return pa.table({name: _one_type([record.get(name) for record in records]) for name in names})


def _one_type(values: list) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        plain = (str, int, float, bool)
        if any(value is not None and not isinstance(value, plain) for value in values):
            return pa.array([None if value is None else json.dumps(value).encode() for value in values])
        return pa.array([value if value is None or isinstance(value, str) else json.dumps(value) for value in values])


def _from_sql(url: str, query: str | None) -> Table:
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    if not query:
        raise PipelineError("--query is needed with a database: the name of a table, or a SELECT")
    try:
        address = sqlalchemy.engine.make_url(url)
        safe = address.set(query={}).render_as_string(hide_password=True)
    except ArgumentError:
        raise PipelineError("--data is not a SQLAlchemy URL; expected dialect://user:password@host/database") from None
    lite = address.get_backend_name() == "sqlite"
    if lite and address.database and not Path(address.database).exists():
        raise PipelineError(f"--data {safe} is not there: no file {address.database}")
    timeout = {"connect_timeout": _CONNECT_SECONDS} if address.get_backend_name() in ("postgresql", "mysql") else {}
    try:
        engine = sqlalchemy.create_engine(address, connect_args=timeout)
    except (NoSuchModuleError, ModuleNotFoundError, SQLAlchemyError) as error:
        raise PipelineError(f"--data {safe}: no driver for {address.drivername}; pip install one ({error})") from None
    try:
        with engine.connect() as connection:
            statement = _statement(connection, query)
            result = connection.execute(statement)
            names, rows = list(result.keys()), result.fetchall()
    except SQLAlchemyError as error:
        reason = one_line(getattr(error, "orig", None) or error)
        raise PipelineError(f"{safe} refused: {reason}") from None
    finally:
        engine.dispose()
    columns = pa.Table.from_arrays(
        [_sql_column([row[place] for row in rows]) for place in range(len(names))], names=[str(name) for name in names]
    )
    name = query if re.fullmatch(r"[\w.]+", query) else Path(address.database or "query").stem
    return Table(columns, name, f"{safe}#{query}", _rows_digest(columns))


def _statement(connection, query: str):
    """A SELECT over a table where the query is a table's name (``name`` or ``schema.name``), else the query itself."""
    import sqlalchemy

    inspector = sqlalchemy.inspect(connection)
    schema, _, bare = query.rpartition(".")
    for candidate, name in ((None, query), (schema or None, bare)):
        if (candidate is None or candidate in inspector.get_schema_names()) and (
            inspector.has_table(name, schema=candidate) or name in inspector.get_view_names(schema=candidate)
        ):
            return sqlalchemy.select(sqlalchemy.text("*")).select_from(sqlalchemy.table(name, schema=candidate))
    if not re.search(r"\s", query):
        names = sorted(inspector.get_table_names())
        raise PipelineError(f"--query {query}: no such table; found {listed(names) if names else 'no table at all'}")
    return sqlalchemy.text(query.replace(":", r"\:"))


def _sql_column(values: list) -> pa.Array:
    from decimal import Decimal

    if any(isinstance(value, Decimal) for value in values):
        values = [float(value) if isinstance(value, Decimal) else value for value in values]
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        # SQLite's columns are typed by cell: what is not one type becomes text, as in a CSV file.
        return pa.array(
            [None if value is None else value if isinstance(value, str) else str(value) for value in values]
        )


def _from_s3(uri: str) -> Table:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise PipelineError(f"--data {uri}: expected s3://bucket/key")
    patience = Config(connect_timeout=4, read_timeout=60, retries={"total_max_attempts": 2})
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    try:
        client = boto3.client(
            "s3", endpoint_url=endpoint or os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None, config=patience
        )
        with tempfile.TemporaryFile() as file:
            client.download_fileobj(bucket, key, file)
            file.seek(0)
            content = file.read()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        reason = {"404": "no such bucket or key", "NoSuchBucket": "no such bucket", "NoSuchKey": "no such key"}
        reason |= {"403": "access refused; check the credentials and the bucket's policy"}
        raise PipelineError(f"--data {uri}: {reason.get(code) or one_line(error)}") from None
    except (BotoCoreError, ValueError) as error:
        raise PipelineError(f"--data {uri} cannot be fetched: {one_line(error)}") from None
    return parse(content, key.rsplit("/", 1)[-1], uri)


def _rows_digest(columns: pa.Table) -> str:
    total = hashlib.sha256()

    class Sink(io.RawIOBase):
        def writable(self):
            return True

        def write(self, chunk):
            total.update(chunk)
            return len(chunk)

    with pa.ipc.new_stream(pa.PythonFile(Sink(), mode="w"), columns.schema) as stream:
        stream.write_table(columns.combine_chunks())
    return f"sha256:{total.hexdigest()}"
