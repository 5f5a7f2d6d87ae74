"""Which requests the prediction log has, and what it has in place of a sensitive value; the standard library alone."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPAN = 2.0**64
#: Hexadecimal digits of a hashed value.
DIGITS = 32


def sampled(request_id: str, share: float) -> bool:
    """Whether a request is recorded.

    The choice depends on the id alone, so that a champion and its shadow record the same requests, and a larger share
    records all that a smaller one does.

    Parameters
    ----------
    share : of the requests, from 0 to 1.
    """
    if share >= 1.0:
        return True
    from hashlib import blake2b

    digest = blake2b(request_id.encode("utf-8", "surrogatepass"), digest_size=8, person=b"prediction log")
    return int.from_bytes(digest.digest(), "big") < share * _SPAN


def hashed(key: bytes, text: str) -> str:
    """HMAC-SHA256 of a text by a key, its first 32 hexadecimal digits."""
    import hmac

    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:DIGITS]


def plain(value: "Any") -> str:
    """A value as the text that is hashed: whole numbers without a fraction, so that 3 and 3.0 have one hash."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)
