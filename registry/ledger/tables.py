"""The ledger's tables as this release reads them, and the migrations that make them so: ``migrations/versions/``.

Triggers refuse whatever is no next row of the chain, and no next head. They stop whoever may run SQL, not whoever may
drop a trigger; against those, rows are anchored in the registry (see ``Ledger.verify``).
"""

import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from sqlalchemy import Column, Connection, Float, Index, Integer, MetaData, String, Table, Text, inspect, select
from sqlalchemy.exc import DatabaseError

from registry.errors import RegistryError
from registry.ledger.entries import CLOSED

#: The migration that the tables are at. This release reads and writes no other.
REVISION = "0002"
#: What the head tells a release that knows no migrations.
HEAD_VERSION = 2

metadata = MetaData()

rows = Table(
    "lifecycle_ledger",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("time", String(40), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("state", String(40), nullable=False),
    Column("intent", Integer),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("source", String(40), nullable=False),
    Column("target", String(40), nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("digest", Text),
    Column("verdict", Text),
    Column("details", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
_closes = rows.c.state.in_(CLOSED)
# A transition ends once, whoever finishes it.
Index("lifecycle_ledger_closed", rows.c.intent, unique=True, sqlite_where=_closes, postgresql_where=_closes)
Index("lifecycle_ledger_model", rows.c.model)

# The last row's id and hash: without them rows missing at the end would not be seen. The schema's version here is for
# the first release, which had no migrations: it refuses what is not 1.
head = Table(
    "lifecycle_ledger_head",
    metadata,
    Column("schema_version", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)

leases = Table(
    "lifecycle_leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    # Seconds since 1970 by the clock of the database.
    Column("expires", Float, nullable=False),
)

#: Closing rows that no tag in the registry names yet; see ``Ledger.unanchored``.
unanchored = Table(
    "lifecycle_ledger_unanchored",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
)

#: Alembic's table, under a name of our own: MLflow's may be in the same database.
VERSIONS = Table(
    "lifecycle_ledger_version",
    metadata,
    Column("version_num", String(32), primary_key=True),
)

_MIGRATIONS = Path(__file__).with_name("migrations")
# What a release without migrations, the first, wrote into the head.
_FIRST = (1, "0001")


_GUARDS = {
    "sqlite": {
        *("lifecycle_ledger_insert", "lifecycle_ledger_update", "lifecycle_ledger_delete"),
        *("lifecycle_ledger_head_insert", "lifecycle_ledger_head_update", "lifecycle_ledger_head_delete"),
    },
    "postgresql": {
        *("lifecycle_ledger_insert", "lifecycle_ledger_keep"),
        *("lifecycle_ledger_head_update", "lifecycle_ledger_head_keep"),
    },
}


class Damaged(RegistryError):
    """The ledger's tables are not as any release leaves them."""


class Presence(Enum):
    """Whether a database holds a ledger, and of which release."""

    ABSENT, OLDER, CURRENT = range(3)


def presence(connection: Connection, title: str) -> Presence:
    """Whether a database holds a ledger.

    Raises
    ------
    Damaged
        where it does, and the record of its version is missing.
    RegistryError
        where a newer release made it, or tables of these names are none of ours.
    """
    names = set(inspect(connection).get_table_names())
    if connection.dialect.name == "sqlite" and "registered_models" in names:
        # MLflow could not write while a transition appends to the ledger.
        raise RegistryError(f"{title} is MLflow's own file; the ledger needs one of its own: set LEDGER_URI to another")
    found = names & metadata.tables.keys()
    if not found:
        return Presence.ABSENT
    version = _version(connection, names, title)
    if version is not None and version > REVISION:
        raise RegistryError(
            f"{title} is of schema {version}, this release reads {REVISION}; a newer release made it: upgrade, "
            "or name another ledger"
        )
    current = version == REVISION
    for table in metadata.tables.values() if current else (rows,):
        if table.name not in names:
            # A missing head is told by who needs it: the rows can be read without.
            if table is head:
                continue
            raise _foreign(title, found) if not current else _damaged(title, f"its table {table.name} is gone")
        try:
            connection.execute(select(table).limit(1)).all()
        except DatabaseError:
            raise _foreign(title, found) from None
    if version is None:
        raise _damaged(title, "the record of its version is missing")
    return Presence.CURRENT if current else Presence.OLDER


def _version(connection: Connection, names: set[str], title: str) -> str | None:
    """The revision of a ledger's tables; None where nothing tells it."""
    try:
        if VERSIONS.name in names:
            versions = list(connection.execute(select(VERSIONS.c.version_num)).scalars())
            if len(versions) != 1 or not re.fullmatch(r"\d{4}", str(versions[0])):
                raise _damaged(title, "no release wrote its version")
            return versions[0]
        written = list(connection.execute(select(head.c.schema_version)).scalars()) if head.name in names else []
        return _FIRST[1] if written == [_FIRST[0]] else None
    except DatabaseError:
        raise _foreign(title, names & metadata.tables.keys()) from None


def _damaged(title: str, what: str) -> Damaged:
    return Damaged(f"{title} was tampered with: {what}; restore a backup, or name another ledger")


def _foreign(title: str, found: Iterable[str]) -> RegistryError:
    return RegistryError(
        f"{title} has tables {', '.join(sorted(found))} that are no ledger's; set LEDGER_URI to another database"
    )


def load_migrations() -> None:
    """Import what :func:`migrate` needs."""
    import alembic.command  # noqa: F401


def migrate(connection: Connection, present: Presence) -> None:
    """Make the tables, or bring those of an older release to this one's, in the transaction of the connection."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    # The release that had no migrations has no table of versions either.
    if present is Presence.OLDER and VERSIONS.name not in inspect(connection).get_table_names():
        command.stamp(config, _FIRST[1])
    command.upgrade(config, "head")


def unguarded(connection: Connection) -> list[str]:
    """The names of triggers that refuse changes and are not there, or switched off."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = "SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND NOT tgisinternal"
    found = set(connection.exec_driver_sql(query).scalars())
    return sorted(_GUARDS[connection.dialect.name] - found)
