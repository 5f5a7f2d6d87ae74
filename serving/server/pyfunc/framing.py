"""Messages between workers and lanes: a header in JSON, then bytes.

A lane may run in an environment of the model's own, so that only the standard library is needed here.
"""

import json
import struct
from typing import Any

from serving.functions.columns import Column
from serving.functions.signature import PyfuncInput

try:
    import msgspec

    _encode, _decode = msgspec.json.encode, msgspec.json.decode
except ImportError:  # in a model's own environment
    _encode, _decode = None, json.loads  # type: ignore[assignment]

_SIZES = struct.Struct("<II")

#: Kinds of replies: an answer; the request does not fit the signature; the model raised; it needs too much memory;
#: the answer is too large.
FOUND, INVALID, FAILED, MEMORY, TOO_LARGE = "found", "invalid", "failed", "memory", "too-large"


def frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    """A message: the sizes of its two parts in four bytes each, then the parts."""
    head = _dumped(header)
    return b"".join((_SIZES.pack(len(head), len(body)), head, body))


class FrameReader:
    """Takes messages out of a stream of bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[dict[str, Any], bytes]]:
        """Add bytes, and return the messages that are complete."""
        buffer, found, start = self._buffer, [], 0
        buffer += data
        while len(buffer) - start >= _SIZES.size:
            head, body = _SIZES.unpack_from(buffer, start)
            end = start + _SIZES.size + head + body
            if len(buffer) < end:
                break
            middle = start + _SIZES.size + head
            found.append((_decode(bytes(buffer[start + _SIZES.size : middle])), bytes(buffer[middle:end])))
            start = end
        del buffer[:start]
        return found


def request(asked: PyfuncInput, **more: Any) -> bytes:
    """A request as a message.

    Parameters
    ----------
    more : further fields of the header: ``id``, ``until``, ``most``, ``low``.
    """
    header: dict[str, Any] = {"count": asked.count, "params": asked.params, **more}
    if asked.columns_ is None:
        return frame({**header, "value": asked.value})
    described: list[list[Any]] = []
    parts: list[bytes] = []
    for column in asked.columns_:
        if isinstance(column.data, bytes):
            described.append([column.name, column.type, len(column.data)])
            parts.append(column.data)
        else:
            described.append([column.name, column.type, column.data])
    return frame({**header, "columns": described}, b"".join(parts))


def asked(header: dict[str, Any], body: bytes) -> PyfuncInput:
    """The request in a message."""
    if "columns" not in header:
        return PyfuncInput(header["count"], value=header["value"], params=header["params"])
    columns, start = [], 0
    for name, type, data in header["columns"]:
        if isinstance(data, int):
            size = data
            data, start = body[start : start + size], start + size
        columns.append(Column(name, type, data))
    return PyfuncInput(header["count"], columns=columns, params=header["params"])


def _dumped(value: Any) -> bytes:
    if _encode is not None:
        try:
            return _encode(value)
        except (OverflowError, UnicodeEncodeError):  # whole numbers of any size, which JSON has
            pass
    return json.dumps(value).encode()
