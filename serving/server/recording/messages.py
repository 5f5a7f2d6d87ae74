"""What workers tell the recorder over a socket: the versions that answer, and requests with their answers.

A message is its kind in a byte, the sizes of its content and of a body in four bytes each, the content in MessagePack,
and the body. A large request has a message of its own, whose body is sent as it is, without a copy.
"""

import struct
from typing import Any

import msgspec

from serving.prediction_log.schema import CHALLENGER, CHAMPION
from serving.server.pyfunc.model import PyfuncModel
from serving.server.state import ServedVersion

#: Kinds of messages.
VERSION, REQUESTS = 0, 1
#: The number of messages that were taken, as the recorder answers it.
ACKNOWLEDGED = struct.Struct("<I")

_HEAD = struct.Struct("<BII")
_ENCODER = msgspec.msgpack.Encoder()
_STAGING = "Staging"


class Introduction(msgspec.Struct, array_like=True, frozen=True):
    """A version that answers.

    Parameters
    ----------
    number : by which requests name it, unique for a connection.
    role : ``champion``, ``challenger`` or ``shadow``.
    digest : of its content.
    card : its scorecard's document; empty if it has none.
    pyfunc : what ``CachedPyfunc`` has, for a version without a scorecard.
    """

    number: int
    model: str
    version: str
    role: str
    digest: str
    card: str = ""
    pyfunc: dict[str, Any] | None = None


class Handover(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A request that was answered, or failed.

    Parameters
    ----------
    version : number of the version.
    time : of the answer, in microseconds since 1970.
    latency : in milliseconds.
    rows : number of answered rows; 0 for a failed request.
    protocol : class of its wire format.
    kind, encoding, header_length : headers that affect how the body is read.
    found : the predictions; None if the request asked for something else.
    body : as the client sent it; None if it follows the message, or the request failed.
    """

    version: int
    id: str
    time: int
    status: int
    latency: float
    rows: int
    protocol: str
    kind: str | None
    encoding: str | None
    header_length: str | None
    found: Any
    body: bytes | None


def introduced(number: int, version: ServedVersion, role: str | None = None) -> Introduction:
    """What the recorder needs to know of a version; without a role, the one that its stage gives it."""
    role = role or (CHALLENGER if version.stage == _STAGING else CHAMPION)
    card = version.card
    if isinstance(card, PyfuncModel):
        cached = {"digest": card.cached.digest, "about": dict(card.cached.about), "python": card.cached.python}
        return Introduction(number, version.model, version.version, role, card.digest, pyfunc=cached)
    return Introduction(number, version.model, version.version, role, card.digest, card=card.dumps())


def head(kind: int, content: Any, body: int = 0) -> bytes:
    """A message, but for its body of this many bytes.

    Raises
    ------
    TypeError, ValueError
        if an answer holds what MessagePack cannot have.
    """
    packed = _ENCODER.encode(content)
    return _HEAD.pack(kind, len(packed), body) + packed


class MessageReader:
    """Takes a stream apart."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._versions = msgspec.msgpack.Decoder(Introduction)
        self._requests = msgspec.msgpack.Decoder(list[Handover])

    def feed(self, data: bytes) -> list[tuple[Introduction | list[Handover], bytes]]:
        """The messages that are complete, each with its body."""
        rest, found, start = self._rest, [], 0
        rest += data
        while len(rest) - start >= _HEAD.size:
            kind, size, body = _HEAD.unpack_from(rest, start)
            middle = start + _HEAD.size + size
            if len(rest) < middle + body:
                break
            content = bytes(rest[start + _HEAD.size : middle])
            decoder: msgspec.msgpack.Decoder = self._versions if kind == VERSION else self._requests
            found.append((decoder.decode(content), bytes(rest[middle : middle + body])))
            start = middle + body
        del rest[:start]
        return found
