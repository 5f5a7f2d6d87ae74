"""Bodies of other types than tables (images, arrays), passed to a SageMaker endpoint and back as they are."""

from collections.abc import Callable
from typing import Any

from ..contract.errors import TOO_LARGE, RequestError
from .answer_cache import AnswerCache

#: What one call of Lambda takes and gives at most, in bytes: an event holds a body as base64.
MOST = 4_500_000
#: A longer answer is not kept.
_KEPT = 65_536


class PassThrough:
    """Passes bodies of some types on, and keeps answers by a digest of what was asked.

    Parameters
    ----------
    types : the media types that are passed on.
    call : asks the endpoint: ``call(body, content_type, accept)`` gives the answer's bytes and type, or raises
        RequestError.
    answers, seconds : how many answers are kept, and for how long.
    """

    def __init__(
        self,
        types: frozenset[str],
        call: Callable[[bytes, str, str], tuple[bytes, str]],
        *,
        answers: int,
        seconds: float,
    ) -> None:
        self._types, self._call = types, call
        self._kept = AnswerCache(answers, seconds)

    def takes(self, content_type: str | None) -> bool:
        """Whether a body of this type is passed on."""
        return content_type is not None and content_type.partition(";")[0].strip().lower() in self._types

    def answer(self, body: bytes, content_type: str, accept: str | None) -> tuple[bytes, str]:
        """The endpoint's answer, and its type.

        Raises
        ------
        RequestError
            if the body is empty or too large, or the endpoint is away (503), refuses (400) or fails (502).
        """
        if not body:
            raise RequestError(f"the body is empty: expected {content_type.partition(';')[0].strip()}")
        if len(body) > MOST:
            raise RequestError(f"the body is larger than {MOST:,} bytes", status=413, code=TOO_LARGE)
        accept = accept or "*/*"
        key = _digest(body, content_type, accept)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        found = self._call(body, content_type, accept)
        if len(found[0]) > MOST:
            raise RequestError(f"the answer is larger than {MOST:,} bytes", status=413, code=TOO_LARGE)
        if len(found[0]) <= _KEPT:
            self._kept.keep(key, found)
        return found


def _digest(body: bytes, *words: str) -> str:
    from hashlib import sha256

    total: Any = sha256("\0".join(words).encode("utf-8", "surrogatepass") + b"\0")
    total.update(body)
    return total.hexdigest()
