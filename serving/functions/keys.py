"""API keys of a function: it knows their SHA-256 digests alone."""

import hashlib
import hmac

from ..contract.errors import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

UNAUTHENTICATED = "UNAUTHENTICATED"


def authenticate(headers: "Mapping[str, str]", digests: "Collection[str]") -> None:
    """Compare the key of a request with those that are let in, in constant time.

    Parameters
    ----------
    headers : values by name in lower case.
    digests : SHA-256 in hexadecimal of each key that is let in.

    Raises
    ------
    RequestError
        with status 401, if it has none of them.
    """
    given = headers.get("x-api-key") or ""
    if not given:
        scheme, _, token = (headers.get("authorization") or "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()
    if not given or not sum(hmac.compare_digest(digest, key) for key in digests):
        raise RequestError(
            "expected a key in the header X-API-Key, or Authorization: Bearer", status=401, code=UNAUTHENTICATED
        )
