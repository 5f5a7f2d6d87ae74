"""What somebody with all rights to a ledger's file can do: change rows, and compute chain and head anew."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from registry.ledger.entries import BEGINNING, COLUMNS, hash_of

Row = dict[str, Any]
#: A change of the rows, by ascending id.
Forgery = Callable[[list[Row]], list[Row]]


@contextlib.contextmanager
def unguarded(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that no trigger stops; they are put back afterwards."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.row_factory = sqlite3.Row
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, sql in triggers:
            connection.execute(sql)


def forge(path: Path, forgery: Forgery, *, pending: bool = False) -> list[Row]:
    """Write a ledger's rows anew, so that its chain and its head hold; the rows.

    Parameters
    ----------
    pending : whether closing rows that are new are said to wait for being named in the registry.
    """
    with unguarded(path) as connection:
        before = [dict(row) for row in connection.execute("SELECT * FROM lifecycle_ledger ORDER BY id")]
        rows, previous, renumbered = [], BEGINNING, {}
        for number, row in enumerate(forgery([dict(row) for row in before]), 1):
            renumbered.setdefault(row["id"], number)
            intent = row["intent"] and renumbered.get(row["intent"], row["intent"])
            row = {**row, "id": number, "intent": intent, "previous": previous}
            row["hash"] = previous = hash_of(row)
            rows.append(row)
        connection.execute("DELETE FROM lifecycle_ledger")
        places = ", ".join("?" * len(COLUMNS))
        connection.executemany(
            f"INSERT INTO lifecycle_ledger ({', '.join(COLUMNS)}) VALUES ({places})",
            [[row[name] for name in COLUMNS] for row in rows],
        )
        connection.execute("UPDATE lifecycle_ledger_head SET last = ?, hash = ?", (len(rows), previous))
        if pending:
            ids = [row["id"] for row in rows if row["state"] in ("done", "undone") and row not in before]
            connection.executemany("INSERT OR IGNORE INTO lifecycle_ledger_unanchored VALUES (?)", [[id] for id in ids])
    return rows


def appended(rows: list[Row], state: str, **changes: Any) -> list[Row]:
    """Rows with another transition behind them: a copy of the last one, as it is or changed."""
    last = len(rows) + 101
    intent = next(row for row in reversed(rows) if row["state"] == "intent")
    opened = {**intent, **changes, "id": last}
    return [*rows, opened, {**opened, "id": last + 1, "state": state, "intent": last}]
