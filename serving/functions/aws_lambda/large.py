"""Large answers: compressed if the client accepts gzip, refused if Lambda cannot send them."""

import binascii
import json
import zlib

from ...contract import RequestError
from ...contract.errors import TOO_LARGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: The largest response of Lambda, and of a load balancer; in bytes of the JSON that holds it.
_MOST = 6 * 1024 * 1024 - 4096
_MOST_BALANCED = 1024 * 1024 - 4096


def packed(text: str, *, balanced: bool, gzip: bool) -> "tuple[str, bool]":
    """Return a body that goes through, and whether it is gzip in base64.

    Parameters
    ----------
    text : a body in ASCII.
    balanced : whether a load balancer sends it.
    gzip : whether it may be compressed.

    Raises
    ------
    RequestError
        with status 413, if it is too large all the same.
    """
    most = _MOST_BALANCED if balanced else _MOST
    size = len(text) + text.count('"') + text.count("\\")  # as text within JSON
    if gzip:
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        text = binascii.b2a_base64(packer.compress(text.encode()) + packer.flush(), newline=False).decode()
        size = len(text)
    if size > most:
        raise _too_large()
    return text, gzip


def check(payload: "Mapping[str, object]") -> None:
    """Refuse an answer to a direct request that Lambda's runtime cannot send; raises as ``packed`` does."""
    if len(json.dumps(payload)) > _MOST:
        raise _too_large()


def _too_large() -> RequestError:
    message = "the answer is larger than Lambda sends; ask in several requests, or accept gzip"
    return RequestError(message, status=413, code=TOO_LARGE)
