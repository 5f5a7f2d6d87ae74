"""Security headers: a browser may do nothing with an answer, except for the server's own pages."""

from collections.abc import Sequence

Headers = Sequence[tuple[bytes, bytes]]

_COMMON = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
#: Answers are predictions about people, which no cache may store.
_KEPT = (b"cache-control", b"no-store")
_BARE = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_SELF = "script-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'"
_ENDS = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PAGE = (b"content-security-policy", f"default-src 'none'; style-src 'self'; {_SELF}; {_ENDS}".encode())
#: Swagger UI sets styles on its elements.
_DOCS = (
    b"content-security-policy",
    f"default-src 'none'; style-src 'self' 'unsafe-inline'; {_SELF}; {_ENDS}".encode(),
)
#: A browser that has used TLS here keeps using it, for a year.
_TLS = (b"strict-transport-security", b"max-age=31536000")


def standing(*, tls: bool) -> dict[str, Headers]:
    """The headers of each kind of answer: ``api``, ``page``, ``docs``, and ``file``, which may be cached."""
    more = (_TLS,) if tls else ()
    return {
        "api": (*_COMMON, _KEPT, _BARE, *more),
        "page": (*_COMMON, (b"cache-control", b"no-store"), _PAGE, *more),
        "docs": (*_COMMON, (b"cache-control", b"no-cache"), _DOCS, *more),
        "file": (*_COMMON, (b"cache-control", b"no-cache"), _BARE, *more),
    }
