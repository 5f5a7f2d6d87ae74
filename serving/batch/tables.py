"""Delta and Iceberg tables as input: one state of a table, streamed into a temporary Parquet file."""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from registry import s3
from registry.client import said_by
from serving.batch import s3_files
from serving.batch.scratch import kept, scratch
from serving.batch.sources import PARQUET, SourceFile, form_of
from serving.errors import ServingError

if TYPE_CHECKING:
    import pyarrow as pa

    #: The schema of a table, and its rows.
    Stream = tuple[pa.Schema, Iterator[pa.RecordBatch]]

_DELTA, _ICEBERG = "delta:", "iceberg:"
_LOG, _METADATA = "_delta_log", ".metadata.json"


@dataclass(frozen=True)
class TableSnapshot:
    """One state of a table.

    Parameters
    ----------
    address : what messages call the table.
    version : which state it is, such as ``delta version 3``.
    rows : opens the stream of its rows.
    """

    address: str
    version: str
    rows: "Callable[[], Stream]"

    @property
    def key(self) -> str:
        """Its address, too: no output is a table."""
        return self.address

    @property
    def relative(self) -> PurePath:
        """A name such as its rows would have in a file."""
        return PurePath(f"{PurePath(self.address).name}.parquet")

    @property
    def form(self) -> str:
        """``PARQUET``."""
        return PARQUET

    @property
    def identity(self) -> tuple[int | str, ...]:
        """Its version."""
        return (self.version,)

    @contextlib.contextmanager
    def fetched(self) -> Iterator[SourceFile]:
        """Its rows in a Parquet file."""
        import pyarrow.parquet as pq

        with scratch() as folder:
            path = folder / "table.parquet"
            with kept(self.address, folder), _speaking(self.address, "cannot be read"):
                schema, batches = self.rows()
                plain = _plain(schema)
                with pq.ParquetWriter(path, plain) as writer:
                    for batch in batches:
                        writer.write_batch(batch.cast(plain))
            yield SourceFile(path, PurePath(path.name), PARQUET)


def find(given: str) -> TableSnapshot | None:
    """The table that an address means; None if it is none.

    It is ``delta:PATH``, ``iceberg:CATALOG.NAMESPACE.TABLE``, the path of an Iceberg metadata file, or the folder of a
    table of either kind; ``@VERSION`` (of Iceberg, the id of a snapshot) at its end means an earlier state.

    Raises
    ------
    ServingError
        if there is no such table, it cannot be read, or the package that reads it is not installed.
    """
    place, _, state = given.rpartition("@") if re.search(r"@\d+$", given) else (given, "", "")
    if place.startswith(_DELTA):
        return _delta(place.removeprefix(_DELTA), state)
    if place.startswith(_ICEBERG):
        return _iceberg(place.removeprefix(_ICEBERG), state)
    for folder, number in dict.fromkeys(((given, ""), (place, state))):
        if folder.endswith(_METADATA) or _has(folder, "metadata", f"*{_METADATA}"):
            return _iceberg(folder, number)
        if _has(folder, _LOG, "*.json"):
            return _delta(folder, number)
    return None


def _has(folder: str, name: str, pattern: str) -> bool:
    """Whether a folder has a folder with such files."""
    if s3.is_address(folder):
        return name == _LOG and form_of(PurePath(folder)) is None and s3_files.is_prefix(f"{folder.rstrip('/')}/{name}")
    try:
        return "://" not in folder and next(Path(folder, name).glob(pattern), None) is not None
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _speaking(address: str, what: str) -> Iterator[None]:
    """Whatever a reader of tables raises, as one line."""
    try:
        yield
    except (ServingError, OSError):
        raise
    except Exception as error:  # the readers have no base class of errors
        raise ServingError(f"{address} {what}: {said_by(error)}") from None


def _missing(kind: str, package: str, extra: str) -> ServingError:
    return ServingError(
        f"--input: {kind} tables need the package {package}, found none; install it: "
        f"pip install 'model-lifecycle[{extra}]'"
    )


def _delta(path: str, state: str) -> TableSnapshot:
    try:
        from deltalake import DeltaTable, QueryBuilder
    except ImportError:
        raise _missing("Delta", "deltalake", "delta") from None
    if "://" not in path and not Path(path, _LOG).is_dir():
        raise ServingError(f"--input {_DELTA}{path}: expected a folder with {_LOG}, found none")
    options = _delta_options() if s3.is_address(path) else None
    with _speaking(f"--input {path}", "is no Delta table that can be read"):
        table = DeltaTable(path, version=int(state) if state else None, storage_options=options)
        version = table.version()

    def rows() -> "Stream":
        import pyarrow as pa

        # Its query engine knows deletion vectors and renamed columns, and refuses what it does not know.
        reader = pa.RecordBatchReader.from_stream(QueryBuilder().register("t", table).execute("SELECT * FROM t"))
        return reader.schema, iter(reader)

    return TableSnapshot(path, f"delta version {version}", rows)


def _iceberg(place: str, state: str) -> TableSnapshot:
    try:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.table import StaticTable
    except ImportError:
        raise _missing("Iceberg", "pyiceberg", "iceberg") from None
    with _speaking(f"--input {place}", "is no Iceberg table that can be read"):
        if place.endswith(_METADATA) or "/" in place or Path(place, "metadata").is_dir():
            metadata = place if place.endswith(_METADATA) else _newest_metadata(Path(place))
            table: Any = StaticTable.from_metadata(metadata, _iceberg_options() if s3.is_address(metadata) else {})
        else:
            catalog, _, name = place.partition(".")
            if "." not in name:
                raise ServingError(
                    f"--input {_ICEBERG}{place}: expected CATALOG.NAMESPACE.TABLE, or the path of a {_METADATA} file"
                )
            table = load_catalog(catalog).load_table(name)
        current = table.current_snapshot()
        snapshot = int(state) if state else current.snapshot_id if current else None
        # Of the newest state the names of columns are the table's, which may have changed since the snapshot.
        scan = table.scan(snapshot_id=snapshot if state else None)
        scan.projection()  # raises if there is no such snapshot

    def rows() -> "Stream":
        from pyiceberg.expressions import AlwaysTrue
        from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow

        schema = schema_to_pyarrow(scan.projection(), include_field_ids=False)

        def batches() -> Iterator[Any]:
            # A file at a time: a scan of them all reads them all at once.
            for task in scan.plan_files():
                reader = ArrowScan(table.metadata, table.io, scan.projection(), AlwaysTrue())
                yield from (batch.cast(schema) for batch in reader.to_record_batches([task]))

        return schema, batches()

    return TableSnapshot(place, f"iceberg snapshot {snapshot}", rows)


def _newest_metadata(folder: Path) -> str:
    """The newest metadata file of a table: by its hint, else by the number in its name.

    Raises
    ------
    ServingError
        if two have that number: a catalog alone knows which one is the table's.
    """
    metadata = folder / "metadata"
    with contextlib.suppress(OSError):
        hint = (metadata / "version-hint.text").read_text(encoding="utf-8").strip()
        return str(metadata / (hint if hint.endswith(_METADATA) else f"v{hint}{_METADATA}"))
    numbered: dict[int, list[Path]] = {}
    for path in metadata.glob(f"*{_METADATA}"):
        if match := re.match(r"v?(\d+)[.-]", path.name):
            numbered.setdefault(int(match[1]), []).append(path)
    newest = numbered[max(numbered)] if numbered else []
    if len(newest) != 1:
        raise ServingError(
            f"--input {folder}: expected one newest metadata file in {metadata}, found {len(newest)}; name the file, "
            "or the table by its catalog"
        )
    return str(newest[0])


def _credentials() -> tuple[Any, str]:
    """The credentials and the region of boto3."""
    import boto3

    session = boto3.Session()
    found = session.get_credentials()
    return found.get_frozen_credentials() if found else None, session.region_name or "us-east-1"


def _delta_options() -> dict[str, str]:
    known, region = _credentials()
    options = {"AWS_REGION": region}
    if known is not None:
        options |= {"AWS_ACCESS_KEY_ID": known.access_key, "AWS_SECRET_ACCESS_KEY": known.secret_key}
        if known.token:
            options["AWS_SESSION_TOKEN"] = known.token
    if endpoint := s3.endpoint():
        options |= {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}
    return options


def _iceberg_options() -> dict[str, str]:
    known, region = _credentials()
    options = {"s3.region": region}
    if known is not None:
        options |= {"s3.access-key-id": known.access_key, "s3.secret-access-key": known.secret_key}
        if known.token:
            options["s3.session-token"] = known.token
    if endpoint := s3.endpoint():
        options["s3.endpoint"] = endpoint
    return options


def _plain(schema: "pa.Schema") -> "pa.Schema":
    """A schema without the views that Parquet files have none of."""
    import pyarrow as pa

    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    return pa.schema([field.with_type(plain.get(field.type, field.type)) for field in schema])
