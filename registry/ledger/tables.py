"""The ledger's tables: their making, the version of their shape, and what keeps their rows as they were written."""

from sqlalchemy import (
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    inspect,
    select,
)
from sqlalchemy.exc import DatabaseError

from registry.errors import RegistryError
from registry.ledger.entries import BEGINNING, CLOSED

#: The version of the tables' shape. This release reads and writes no other.
SCHEMA_VERSION = 1

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

# The last row's id and hash: without them rows missing at the end would not be seen.
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

_APPEND_ONLY = "the ledger is append-only"
_TRIGGERS = {
    "sqlite": [
        f"CREATE TRIGGER lifecycle_ledger_{verb.lower()} BEFORE {verb} ON lifecycle_ledger "
        f"BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION lifecycle_ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_APPEND_ONLY}'; END $$",
        "CREATE TRIGGER lifecycle_ledger_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON lifecycle_ledger "
        "FOR EACH STATEMENT EXECUTE FUNCTION lifecycle_ledger_refuse()",
    ],
}


def present(connection: Connection, title: str) -> bool:
    """Whether a database holds a ledger that this release reads.

    Raises
    ------
    RegistryError
        where it holds one of another release, or tables of these names that are none of ours.
    """
    names = set(inspect(connection).get_table_names())
    if connection.dialect.name == "sqlite" and "registered_models" in names:
        # MLflow could not write while a transition appends to the ledger.
        raise RegistryError(f"{title} is MLflow's own file; the ledger wants one of its own, set LEDGER_URI to another")
    found = names & metadata.tables.keys()
    if not found:
        return False
    try:
        versions = list(connection.execute(select(head.c.schema_version)).scalars()) if head.name in found else []
    except DatabaseError:
        versions = []
    if len(versions) == 1 and versions[0] != SCHEMA_VERSION:
        maker = "a newer release made it, upgrade" if versions[0] > SCHEMA_VERSION else "an older release made it"
        raise RegistryError(
            f"{title} is of schema {versions[0]}, this release reads {SCHEMA_VERSION}; {maker}, or name another ledger"
        )
    try:
        for table in metadata.tables.values():
            connection.execute(select(table).limit(1)).all()
    except DatabaseError:
        versions = []
    if len(versions) != 1:
        raise RegistryError(
            f"{title} has tables {', '.join(sorted(found))} that are no ledger's; set LEDGER_URI to another database"
        )
    return True


def make(connection: Connection) -> None:
    """Make the tables, in the transaction that the connection is in."""
    metadata.create_all(connection)
    for statement in _TRIGGERS[connection.dialect.name]:
        connection.exec_driver_sql(statement)
    connection.execute(head.insert().values(schema_version=SCHEMA_VERSION, last=0, hash=BEGINNING))
