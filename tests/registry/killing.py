"""Processes that die just before a statement that changes a database."""

import os
import re
import signal
from collections.abc import Callable

import sqlalchemy
from sqlalchemy import event

from tests import forked

#: How long a process may take, in seconds.
PATIENCE = 300


def dying(place: int) -> None:
    """Kill this process just before the statement of that number that changes a table or its rows."""
    seen = 0

    def count(connection, cursor, statement: str, *_) -> None:
        nonlocal seen
        if re.match(r"\s*(CREATE|ALTER|DROP|INSERT|UPDATE|DELETE)", statement):
            seen += 1
            if seen == place:
                os.kill(os.getpid(), signal.SIGKILL)

    event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", count)


def killed(work: Callable[[str, int], None], uri: str, place: int) -> bool:
    """Run a function that dies at a place in a process of its own; whether it came so far."""
    process = forked.context().Process(target=work, args=(uri, place))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0
