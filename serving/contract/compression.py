"""Decompress the body of a request, within limits."""

import zlib

from .errors import UNREADABLE, RequestError
from .limits import Limits, too_large

# Bytes decompressed at a time: what follows the end of a gzip member is copied.
_PIECE = 4096
# Memory claimed at first while decompressing, in bytes; then it doubles.
_STEP = 256 * 1024


def decompressed(body: bytes, encoding: str, limits: Limits) -> bytes:
    """Decompress a body, up to one byte more than the limit.

    Raises
    ------
    RequestError
        with status 400, 413 or 415.
    """
    name = encoding.strip().lower()
    if name in ("identity", ""):
        return body
    if name not in ("gzip", "x-gzip", "deflate"):
        raise RequestError(
            "Content-Encoding: expected gzip, deflate or none, found another", status=415, code=UNREADABLE
        )
    reader, parts, place, left = None, [], 0, limits.body + 1
    claimed = 0
    try:
        while place < len(body) and left > 0:
            if reader is None or reader.eof:  # gzip members may follow one another
                reader = zlib.decompressobj(47 if name != "deflate" else zlib.MAX_WBITS)
            piece = body[place : place + _PIECE]
            part = reader.decompress(piece, left)
            parts.append(part)
            left -= len(part)
            place += len(piece) - len(reader.unused_data)
            unpacked = limits.body + 1 - left
            if unpacked > claimed:  # the parts, and what they are joined to
                step = min(max(_STEP, claimed), limits.body + 1 - claimed)
                limits.claim(2 * step)
                claimed += step
    except zlib.error:
        raise RequestError(f"Content-Encoding: the body is not {name}") from None
    if left <= 0:
        raise too_large(limits)
    if reader is not None and not reader.eof:
        raise RequestError(f"Content-Encoding: the body is {name} that is cut short")
    return b"".join(parts)
