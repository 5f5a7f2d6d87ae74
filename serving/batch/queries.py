"""Long queries of DuckDB: they tell how far they are, and end when the process is told to stop."""

import threading
from typing import TYPE_CHECKING, Any

from registry import logs
from registry.cli import interrupts
from registry.logs import Progress

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_log = logs.get_logger(__name__)
# Seconds between two looks at a query: short queries must not wait for them, and bars move smoothly.
_LOOK = 0.1


class Bar:
    """Tells how many percent of a query are done.

    Parameters
    ----------
    is_shown : false where another bar counts the files.
    """

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown, self._before = is_shown, -1

    def look(self, database: "DuckDBPyConnection") -> None:
        """Tell how far the present query is."""
        if self._is_shown:
            self.tell(int(database.query_progress()))

    def tell(self, percent: int) -> None:
        """Log so many percent, if they are more than before."""
        if self._is_shown and percent > self._before:
            self._before = percent
            progress = Progress("scored, percent", percent, 100)
            _log.debug("scored: %d %%", percent, extra=progress.extra())


def run(database: "DuckDBPyConnection", query: str, bar: Bar | None = None) -> list[tuple[Any, ...]]:
    """Run a query, and give all rows of its result.

    Raises
    ------
    duckdb.Error
        if DuckDB fails.
    KeyboardInterrupt
        as soon as the process is told to stop: DuckDB itself would look for that now and then, and forget it.
    """
    rows: list[tuple[Any, ...]] = []
    errors: list[BaseException] = []
    # An interrupt in Thread.join makes Python 3.11 believe that the thread has ended.
    done = threading.Event()

    def work() -> None:
        try:
            rows.extend(database.execute(query).fetchall())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=work, name="query")
    try:
        with interrupts.held():  # an interrupt here would leave a query that nobody ends
            thread.start()
        while not done.wait(_LOOK):
            if bar is not None:
                bar.look(database)
    finally:
        # Again and again: a query that has yet to begin would not notice.
        while thread.is_alive() and not done.is_set():
            database.interrupt()
            done.wait(_LOOK)
        if thread.ident is not None:
            thread.join()
    if errors:
        raise errors[0]
    return rows
