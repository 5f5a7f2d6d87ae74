"""How much a connection may send, and how long each side may wait."""

from dataclasses import dataclass

#: Maximum size of a request line and its headers, and of the framing around one chunk of a body, in bytes.
MAX_HEAD = 64 * 1024
#: Maximum size of a request target (path and query), in bytes.
MAX_TARGET = 8 * 1024
#: Maximum number of bytes read and discarded of a body that was refused.
MAX_DISCARDED = 64 * 1024 * 1024
#: Bytes parsed at a time, which bounds how many requests can queue on one connection.
CHUNK = 16 * 1024
#: Bytes of a body that wait to be taken before the connection stops reading.
READ_AHEAD = 64 * 1024


@dataclass(frozen=True)
class Timeouts:
    """Time limits of a connection, in seconds.

    Parameters
    ----------
    idle : between two requests.
    request : for a request to arrive completely.
    head : for its request line and headers, and for a TLS handshake.
    write : for the client to start reading an answer again.
    linger : for a refused client to read why, while what it still sends is discarded.
    """

    idle: float = 75.0
    request: float = 60.0
    head: float = 10.0
    write: float = 60.0
    linger: float = 2.0
