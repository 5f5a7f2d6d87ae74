"""The ledger: the append-only record of who moved which version, when and why, and the lock that moves are made under.

``open()`` gives the one that ``LEDGER_URI`` names, or the one beside a local tracking store. A ledger that is not there
yet reads as empty, and is made by the first that is written.
"""

from registry.ledger.entries import (
    CLOSED,
    DONE,
    FAILED,
    FOLLOW,
    FOLLOWED,
    INTENT,
    NOTED,
    UNDONE,
    Anchor,
    Broken,
    LedgerEntry,
)
from registry.ledger.places import place
from registry.ledger.store import Ledger

__all__ = [
    "CLOSED",
    "DONE",
    "FAILED",
    "FOLLOW",
    "FOLLOWED",
    "INTENT",
    "NOTED",
    "UNDONE",
    "Anchor",
    "Broken",
    "LedgerEntry",
    "Ledger",
    "open",
]


def open(uri: str | None = None) -> Ledger:
    """Open the ledger of a database.

    Parameters
    ----------
    uri : ``sqlite:///path`` or ``postgresql://user:password@host/database``; by default ``LEDGER_URI``, else
        ``ledger.db`` beside an SQLite tracking store, else the PostgreSQL database of the tracking store.

    Raises
    ------
    RegistryError
        if none is named and the tracking store is a server, or if the database cannot hold a ledger.
    """
    return Ledger(place(uri))
