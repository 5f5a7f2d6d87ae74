"""Where a ledger is: which database, and what it may be."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from registry.client import BARE_AT
from registry.errors import RegistryError
from registry.redaction import url as shown
from registry.tracking_store import path_of

if TYPE_CHECKING:
    from sqlalchemy import URL

VARIABLE = "LEDGER_URI"
#: The ledger's file, beside a tracking store that is a file.
FILE = "ledger.db"

# MLflow's own where nothing is set.
_TRACKING = "sqlite:///mlflow.db"


def place(uri: str | None = None) -> "URL":
    """The address of the ledger's database: the one given, or ``LEDGER_URI``, or the one the tracking store leads to.

    Raises
    ------
    RegistryError
        where none is named and the tracking store is a server, or it is neither SQLite nor PostgreSQL.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    given = uri or os.environ.get(VARIABLE) or beside(_tracking())
    if given.startswith("postgres://"):
        given = given.replace("postgres", "postgresql", 1)
    try:
        url = make_url(given)
    except ArgumentError:
        raise RegistryError(f"{VARIABLE} is the address of a database, found {shown(given)!r}; {_ADVICE}") from None
    kind = url.get_backend_name()
    if kind == "postgresql":
        if "@" in (url.host or ""):
            raise RegistryError(f"{VARIABLE}: {BARE_AT}; {_ADVICE}")
        # psycopg 3, which SQLAlchemy takes by itself only from 2.1 on.
        return url.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise RegistryError(f"a ledger is in SQLite or PostgreSQL, found {shown(given)}; {_ADVICE}")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise RegistryError(f"a ledger in SQLite is a file, found {shown(given)}; {_ADVICE}")
    return url.set(drivername="sqlite", database=str(Path(url.database).expanduser().absolute()))


_ADVICE = f"set {VARIABLE} to sqlite:///ledger.db or postgresql://user:password@host/database"


def _tracking() -> str:
    return os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI") or _TRACKING


def beside(tracking: str) -> str:
    """The address of the ledger that goes with a tracking store where nobody names one.

    Raises
    ------
    RegistryError
        if the store is a server, whose clients may be on several machines.
    """
    scheme = tracking.partition(":")[0].partition("+")[0].lower()
    if scheme in ("postgresql", "postgres"):
        # All clients share it already, and the names of the ledger's tables are its own.
        return tracking
    if path := path_of(tracking):
        return f"sqlite:///{path.with_name(FILE)}"
    raise RegistryError(
        f"with {shown(tracking)} the ledger is a database that all its clients share; "
        f"set {VARIABLE} to postgresql://user:password@host/database, or to sqlite:////path/{FILE} for one machine"
    )
