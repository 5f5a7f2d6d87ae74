"""Estimates what a Parquet file will unpack to from its footer and page headers, without decoding any data.

A footer may state anything, so the sizes are taken from the page headers, which readers rely on as well: see
https://parquet.apache.org/docs/file-format. Both are encoded in Thrift's compact protocol:
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Iterable
from dataclasses import dataclass

from serving.contract import Limits, RequestError, costs
from serving.contract.errors import TOO_LARGE
from serving.contract.tables import shown

_MAGIC = b"PAR1"
_DICTIONARY_PAGE = 2
#: The encodings plain, and by a dictionary.
_PLAIN = (0, 2, 8)
#: Each value is stored as the length of the prefix it shares with the previous one, and the rest: a few bytes may
#: unpack to megabytes.
_DELTA_BYTE_ARRAY = 7
# Maximum number of values in a footer (that of a thousand columns has tens of thousands), and of nested structures.
_MOST_VALUES, _DEEPEST = 1_000_000, 16
# Bytes of memory that are claimed at a time while a footer is read.
_STEP = 256 * 1024
# Maximum bytes to which a page of that encoding may unpack.
_MOST_DELTA = 16 * 2**20


class Malformed(ValueError):
    """The bytes are no valid Parquet."""


@dataclass
class Pages:
    """The pages of one column in one row group.

    Attributes
    ----------
    values : number of values, as the page headers state.
    unpacked : size after decompression, in bytes.
    words : number of dictionary entries.
    plain : whether all pages are plain or dictionary-encoded.
    """

    values: int = 0
    unpacked: int = 0
    words: int = 0
    plain: bool = True


class Footer:
    """A file's footer.

    Attributes
    ----------
    rows : number of rows of the file.

    Raises
    ------
    Malformed
        if there is no footer.
    RequestError
        with status 413, if the file has too many rows, or its footer takes too much memory.
    """

    def __init__(self, body: bytes, limits: Limits):
        if len(body) < 12 or body[:4] != _MAGIC or body[-4:] != _MAGIC:
            raise Malformed("magic")
        self._body, self._limits = body, limits
        self._start = len(body) - 8 - int.from_bytes(body[-8:-4], "little")
        if self._start < len(_MAGIC):
            raise Malformed("footer")
        meta = _Compact(body, self._start, len(body) - 8, limits).struct()
        self.rows = _number(meta, 3)
        limits.check_rows(self.rows)
        self._groups = _structs(meta, 4)
        if sum(_number(group, 3) for group in self._groups) != self.rows:
            raise Malformed("row groups")

    def claim(self, wanted: Iterable[str], texts: Iterable[str]) -> set[str]:
        """Claim the memory for reading some columns; return those that are plain or dictionary-encoded.

        Parameters
        ----------
        wanted : names of columns that are neither lists nor structures.
        texts : those of them that are text.

        Raises
        ------
        Malformed
            if the footer and pages are inconsistent.
        RequestError
            with status 413, if the columns take too much.
        """
        names, texts = {name.encode(): name for name in wanted}, set(texts)
        plain = set(names.values())
        self._limits.claim(self.rows * len(names) * costs.PARQUET_CELL)
        for group in self._groups:
            for chunk in _structs(group, 1):
                about = _struct(chunk, 3)
                path = about.get(3)
                if not isinstance(path, list) or not path or not all(isinstance(part, bytes) for part in path):
                    raise Malformed("path")
                name = names.get(b".".join(path), names.get(path[0]))
                if name is None:
                    continue
                pages = _column(self._body, self._start, about, shown(name), self._limits)
                if not pages.values == _number(about, 5) == _number(group, 3):
                    raise Malformed("values")
                # Decompressed, and copied; text is a Python string, too.
                text = name in texts
                word = (costs.VALUE + costs.WIDE_TEXT) * text
                self._limits.claim(pages.unpacked * (6 if text else 2) + pages.words * word)
                if not pages.plain:
                    plain.discard(name)
        return plain


def _column(body: bytes, end: int, about: dict, name: str, limits: Limits) -> Pages:
    found, wanted = Pages(), _number(about, 5)
    place = _number(about, 9)
    dictionary = about.get(11)
    if isinstance(dictionary, int) and 0 < dictionary < place:
        place = dictionary
    while found.values < wanted:
        reader = _Compact(body, place, end, limits)
        header = reader.struct()
        packed, unpacked = _number(header, 3), _number(header, 2)
        place = reader.place + packed
        if place > end:
            raise Malformed("page")
        found.unpacked += unpacked
        if header.get(1) == _DICTIONARY_PAGE:
            words = _number(_struct(header, 7), 1)
            if words > 8 * unpacked + 8:
                raise Malformed("dictionary")
            found.words += words
            continue
        data = header.get(5, header.get(8))
        if not isinstance(data, dict):
            continue  # an index, which nobody reads
        values, encoding = _number(data, 1), data.get(2 if 5 in header else 4)
        found.values += values
        found.plain = found.plain and encoding in _PLAIN
        if encoding == _DELTA_BYTE_ARRAY:
            if values * unpacked > _MOST_DELTA:
                raise RequestError(
                    f"column {name}: its encoding, DELTA_BYTE_ARRAY, may unpack to more memory than a request may "
                    "take; write it with a dictionary, or plain",
                    status=413,
                    code=TOO_LARGE,
                )
            found.unpacked += values * unpacked
    return found


def _number(struct: dict, field: int) -> int:
    value = struct.get(field)
    if type(value) is not int or value < 0:
        raise Malformed(f"field {field}")
    return value


def _struct(struct: dict, field: int) -> dict:
    value = struct.get(field)
    if not isinstance(value, dict):
        raise Malformed(f"field {field}")
    return value


def _structs(struct: dict, field: int) -> list[dict]:
    value = struct.get(field, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Malformed(f"field {field}")
    return value


class _Compact:
    """Reads a structure as a dict from field number to value, and claims memory as it goes."""

    def __init__(self, body: bytes, start: int, end: int, limits: Limits):
        self._body, self.place, self._end, self._limits = body, start, end, limits
        self._values = self._unclaimed = 0

    def struct(self, depth: int = 0) -> dict:
        """Read the structure at the present position."""
        if depth > _DEEPEST:
            raise Malformed("depth")
        self._claim(costs.PARQUET_STRUCT)
        found: dict = {}
        field = 0
        while True:
            head = self._byte()
            if head == 0:
                return found
            kind, step = head & 15, head >> 4
            field = field + step if step else self._signed()
            found[field] = kind == 1 if kind in (1, 2) else self._value(kind, depth)

    def _claim(self, size: int) -> None:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise Malformed("footer of more than a million values")
        self._unclaimed += size
        if self._unclaimed >= _STEP:
            self._limits.claim(self._unclaimed)
            self._unclaimed = 0

    def _value(self, kind: int, depth: int):
        if kind != 12:
            self._claim(costs.PARQUET_VALUE)
        if kind in (4, 5, 6):
            return self._signed()
        if kind in (1, 2, 3):  # in a list, a boolean is a byte
            return self._byte()
        if kind == 7:
            return self._bytes(8)
        if kind == 8:
            return self._bytes(self._varint())
        if kind in (9, 10):
            head = self._byte()
            size = head >> 4
            if size == 15:
                size = self._varint()
            return [self._item(head & 15, depth) for _ in range(size)]
        if kind == 11:
            size = self._varint()
            if size:
                kinds = self._byte()
                for _ in range(size):
                    self._item(kinds >> 4, depth)
                    self._item(kinds & 15, depth)
            return None
        if kind == 12:
            return self.struct(depth + 1)
        raise Malformed("type")

    def _item(self, kind: int, depth: int):
        if depth > _DEEPEST:
            raise Malformed("depth")
        return self._value(kind, depth + 1)

    def _bytes(self, size: int) -> bytes:
        start, self.place = self.place, self.place + size
        if self.place > self._end:
            raise Malformed("end")
        return self._body[start : self.place]

    def _byte(self) -> int:
        if self.place >= self._end:
            raise Malformed("end")
        found = self._body[self.place]
        self.place += 1
        return found

    def _varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
            if shift > 63:
                raise Malformed("number")

    def _signed(self) -> int:
        found = self._varint()
        return found >> 1 ^ -(found & 1)
