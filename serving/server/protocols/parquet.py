"""Reads Parquet bodies: only the columns of the model, within the memory limits.

A few bytes of Parquet may repeat one long text in a million rows, or declare a list of a billion values: so
``parquetpages`` claims the memory before anything is decoded, and the texts of all rows together are checked against
the limit of a body.
"""

from collections.abc import Iterable

from serving.contract import Limits, RequestError
from serving.contract.columnlists import ColumnLists
from serving.contract.compression import decompressed
from serving.contract.errors import UNREADABLE, refusal
from serving.contract.json_text import JSON
from serving.contract.limits import too_large
from serving.contract.tables import shown
from serving.scorecard.inputs import InputError
from serving.scorecard.names import aliases
from serving.server.protocols import parquetpages

#: The media types, the registered one first.
PARQUET = ("application/vnd.apache.parquet", "application/parquet", "application/x-parquet")


def named(kind: str | None) -> bool:
    """Whether a ``Content-Type`` is Parquet."""
    return kind is not None and kind != JSON and kind.partition(";")[0].strip().lower() in PARQUET


def columns(body: bytes, encoding: str | None, inputs, limits: Limits) -> ColumnLists:
    """Read the columns of a Parquet file that a model uses.

    Raises
    ------
    RequestError
        with status 400 if it is invalid or has nested columns, 413 if it is too large, and 415 if PyArrow is not
        installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise RequestError(
            "Content-Type: this server reads no Parquet (it has no PyArrow); send JSON or CSV",
            status=415,
            code=UNREADABLE,
        ) from None

    if encoding:
        body = decompressed(body, encoding, limits)
    if len(body) > limits.body:
        raise too_large(limits)
    try:
        footer = parquetpages.Footer(body, limits)
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(body), pre_buffer=False)
        schema = file.schema_arrow
        known = {item.name for item in inputs}
        meant = {*known, *_aliases(schema.names, known)}
        wanted = [name for name in schema.names if name in meant]
        for name in wanted:
            _check_type(schema, name)
        texts = [name for name in wanted if _is_text(schema.field(name).type)]
        plain = footer.claim(wanted, texts)
        # In a dictionary, a repeated text is stored once; Arrow makes none from other encodings.
        texts = [name for name in texts if name in plain]
        file = pyarrow.parquet.ParquetFile(
            pa.BufferReader(body), metadata=file.metadata, read_dictionary=texts, pre_buffer=False
        )
        table = file.read(columns=wanted, use_threads=False)
        # A damaged file may refer to missing entries of its dictionary.
        table.validate(full=True)
        left = limits.body
        found = {}
        for name in wanted:
            found[name], size = _values(table.column(name))
            left -= size
            if left < 0:
                raise too_large(limits)
        return ColumnLists(found or {"": [None] * footer.rows})
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError, NotImplementedError, OverflowError):
        raise RequestError("the body is not Parquet that can be read") from None


def _aliases(names: list, known: set) -> Iterable[str]:
    """Names that are padded with blanks but mean a column of the model."""
    try:
        return aliases(names, known).values()
    except InputError as error:
        raise refusal(error) from None


def _check_type(schema, name: str) -> None:
    """Refuse a column of an unsupported type, before any of it is read."""
    import pyarrow as pa

    if len(schema.get_all_field_indices(name)) > 1:
        raise RequestError(f"column {shown(name)}: expected one column of this name, found several")
    kind = schema.field(name).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    if not _is_text(kind) and not any(is_one(kind) for is_one in known):
        raise RequestError(f"column {shown(name)}: expected numbers, text or booleans, found another type")


def _is_text(kind) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _values(column) -> tuple[list, int]:
    """Values as JSON would give them, sharing equal texts, and the total length of all texts."""
    found: list = []
    size = 0
    for chunk in column.chunks:
        if hasattr(chunk, "dictionary"):
            words = chunk.dictionary.to_pylist()
            places = chunk.indices.to_pylist()
            found += [None if place is None else words[place] for place in places]
            lengths = [len(word) if isinstance(word, str) else 0 for word in words]
            size += sum(lengths[place] for place in places if place is not None)
        else:
            values = chunk.to_pylist()
            size += sum(len(value) for value in values if isinstance(value, str))
            found += values
    return found, size
