"""The largest request that is answered."""

from .errors import TOO_LARGE, RequestError


class Limits:
    """The largest request that is answered.

    Parameters
    ----------
    body : maximum size of a body after decompression, in bytes.
    rows : maximum number of rows.
    memory : maximum memory that answering one request may take, in bytes, as ``costs`` estimates it; None for no limit.
    """

    __slots__ = ("body", "memory", "rows")

    def __init__(self, body: int = 16 * 1024 * 1024, rows: int = 100_000, memory: int | None = None) -> None:
        self.body, self.rows, self.memory = body, rows, memory

    def claim(self, size: int) -> None:
        """Claim memory before it is used.

        Raises
        ------
        RequestError
            with status 413, if it exceeds the limit of a request.
        """
        if self.memory is not None and size > self.memory:
            raise RequestError(
                f"the request needs more than the {self.memory / 2**20:,.0f} MiB of memory that one may take; "
                "ask in several requests",
                status=413,
                code=TOO_LARGE,
            )

    def check_rows(self, count: int, *, more: bool = False) -> None:
        """Refuse too many rows.

        Parameters
        ----------
        more : whether there may be more rows than were counted.

        Raises
        ------
        RequestError
            with status 413.
        """
        if count > self.rows:
            raise RequestError(
                f"expected at most {self.rows:,} rows, found {'more' if more else f'{count:,}'}; "
                "ask in several requests",
                status=413,
                code=TOO_LARGE,
            )


LIMITS = Limits()


def too_large(limits: Limits) -> RequestError:
    """The error of a body that is too large."""
    return RequestError(
        f"the body is larger than {limits.body:,} bytes; ask in several requests", status=413, code=TOO_LARGE
    )
