"""The time that a large request may take."""

import time

from serving.contract import RequestError

LATE = "DEADLINE_EXCEEDED"


class Timed:
    """A table whose iteration fails with 504 once the time limit is over."""

    def __init__(self, table, limit: float):
        self._table, self._until, self._limit = table, time.monotonic() + limit, limit
        self.count, self.uniform = table.count, table.uniform

    def rows(self):
        for row in self._table.rows():
            self._check()
            yield row

    def columns(self, inputs):
        self._check()
        return self._table.columns(inputs)

    def foreign(self, inputs):
        return self._table.foreign(inputs)

    def _check(self) -> None:
        if time.monotonic() > self._until:
            raise late(self._limit)


def late(limit: float) -> RequestError:
    """The error of a request that takes too long."""
    return RequestError(
        f"the request took longer than {limit:g} s; ask for fewer rows at a time", status=504, code=LATE
    )
