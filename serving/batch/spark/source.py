"""What Spark reads: files, folders and patterns of any file system that it knows, and tables of its catalog."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from registry.cli.text import listed
from registry.redaction import url
from serving.batch.sources import JSON_LINES, PARQUET, below_partitions, form_of
from serving.batch.spark.errors import speaking
from serving.batch.texts import ReadSettings
from serving.errors import ServingError
from serving.text_files.sniffer import Layout, sniff

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: What a table of the catalog is named by: ``table:sales.customers``.
TABLE = "table:"
DELTA, ICEBERG, CATALOG = "Delta", "Iceberg", "table"
_PATTERN = frozenset("*?[{")
#: Lines by which a delimiter is found out.
_LINES = 100


@dataclass(frozen=True)
class SparkTable:
    """A table as Spark reads it.

    Parameters
    ----------
    frame : its raw rows, in which text is text.
    address : what messages call it.
    form : of its files; ``CATALOG`` for a table.
    partitions : the columns that its folders tell.
    layout : how its lines are cut; None where it is no CSV.
    """

    frame: "DataFrame"
    address: str
    form: str
    partitions: tuple[str, ...] = ()
    layout: Layout | None = None


def table_name(address: str) -> str | None:
    """The name of a table of the catalog; None for an address of files."""
    return address.removeprefix(TABLE) if address.startswith(TABLE) else None


def files(session: "SparkSession", address: str) -> list[str]:
    """The URIs of all files at an address, without those whose name begins with a dot or an underscore.

    Raises
    ------
    pyspark.errors.AnalysisException
        if there is nothing.
    """
    # Only the names are asked for: no file is opened.
    reader = session.read.format("binaryFile").option("recursiveFileLookup", "true")
    return sorted(reader.load(address).inputFiles())


def read(session: "SparkSession", address: str, settings: ReadSettings) -> SparkTable:
    """The table at an address.

    Raises
    ------
    ServingError
        if there is none, or Spark cannot read it.
    """
    with speaking(url(address)):
        name = table_name(address)
        if name is not None:
            return SparkTable(session.table(name), address, CATALOG)
        found = files(session, address)
        form = _form(session, address, found)
        if form in (DELTA, ICEBERG):
            return SparkTable(session.read.format(form.lower()).load(address), url(address), form)
        folder = _folder(address, found)
        partitions = _partitions(folder, found)
        layout = None
        reader = session.read.option("mode", "FAILFAST")
        if partitions and folder != address:
            reader = reader.option("basePath", folder)
        elif not partitions:
            reader = reader.option("recursiveFileLookup", "true")
        if form == PARQUET:
            frame = reader.parquet(address)
        elif form == JSON_LINES:
            frame = reader.json(address, encoding=settings.encoding)
        else:
            layout = _layout(session, address, settings)
            # A cell may hold the end of a line. Without pruning, a line with too few cells is found out.
            frame = reader.options(
                multiLine=True,
                columnPruning=False,
                enforceSchema=False,
                escape='"',
                unescapedQuoteHandling="RAISE_ERROR",
            ).csv(address, sep=layout.delimiter, header=layout.named, encoding=settings.encoding)
            if not layout.named:  # as training names them
                names = [name for name in frame.columns if name not in partitions]
                frame = frame.withColumnsRenamed({name: str(place) for place, name in enumerate(names)})
        known = {column for column in frame.columns if column in partitions}
        return SparkTable(frame, url(address), form, tuple(one for one in partitions if one in known), layout)


def _form(session: "SparkSession", address: str, found: list[str]) -> str:
    """The form of files, by their names."""
    if not found:
        raise ServingError(f"{url(address)}: there are no files in it")
    if not _PATTERN.intersection(address):
        if _is_there(session, f"{address.rstrip('/')}/_delta_log"):
            return DELTA
        if any(file.endswith(".metadata.json") and "/metadata/" in file for file in found):
            return ICEBERG
    forms = {form_of(PurePosixPath(unquote(PurePosixPath(file).name))): file for file in found}
    if len(forms) == 1 and (form := next(iter(forms))) is not None:
        return form
    names = listed(sorted(unquote(PurePosixPath(file).name) for file in forms.values()))
    raise ServingError(
        f"{url(address)}: expected Parquet, CSV (.csv, .tsv, .txt) or JSON lines (.jsonl, .ndjson), all of one "
        f"form; found {names}; name those to score by a pattern such as 'folder/*.csv'"
    )


def _is_there(session: "SparkSession", address: str) -> bool:
    from pyspark.errors import AnalysisException

    try:
        return bool(files(session, address))
    except AnalysisException:
        return False


def _fixed(address: str) -> str:
    """The folder above the first part that is a pattern."""
    parts: list[str] = []
    for part in address.split("/")[:-1]:
        if _PATTERN.intersection(part):
            break
        parts.append(part)
    return "/".join(parts) or ("/" if address.startswith("/") else ".")


def _folder(address: str, found: list[str]) -> str:
    """The folder below which others tell columns: above the pattern, or above those that a single file is in."""
    if _PATTERN.intersection(address):
        return _fixed(address)
    place = address if "://" in address else str(Path(address).resolve())
    if [unquote(urlsplit(file).path) for file in found] != [unquote(urlsplit(place).path)]:
        return address
    parts = place.split("/")
    return "/".join(parts[: -len(below_partitions(PurePosixPath(place)).parts)])


def _partitions(folder: str, found: Iterable[str]) -> tuple[str, ...]:
    """The names in folders such as ``day=2026-11-30`` below a folder."""
    names: dict[str, None] = {}
    is_local = "://" not in folder
    folder = unquote(urlsplit(folder).path)
    if is_local:
        folder = str(Path(folder).resolve())
    for file in found:
        path = unquote(urlsplit(file).path)
        below = path.removeprefix(folder) if path.startswith(folder) else ""
        names |= {unquote(part.partition("=")[0]): None for part in below.split("/")[:-1] if "=" in part}
    return tuple(names)


def _layout(session: "SparkSession", address: str, settings: ReadSettings) -> Layout:
    """How the lines of CSV files are cut, as training finds it out by the first ones."""
    if settings.encoding and settings.encoding.lower().startswith("utf-16") and settings.sep is None:
        raise ServingError(f"{url(address)}: the delimiter of a file in utf-16 is not detected for Spark; give --sep")
    lines = [row[0] for row in session.read.option("recursiveFileLookup", "true").text(address).limit(_LINES).collect()]
    if not any(lines):
        raise ServingError(f"{url(address)} is empty")
    head = "\n".join(lines).removeprefix("\ufeff") + "\n"
    try:
        layout = sniff(
            head, len(lines) < _LINES, sep=settings.sep, named=settings.header, skip_rows=settings.skip_rows, usual=None
        )
    except ValueError as error:
        raise ServingError(f"{url(address)}: {error}") from None
    if layout.above or len(layout.delimiter) > 1:
        raise ServingError(
            f"{url(address)}: Spark reads neither lines above the header nor columns between blanks; leave --engine "
            "spark out, or convert the files"
        )
    return layout
