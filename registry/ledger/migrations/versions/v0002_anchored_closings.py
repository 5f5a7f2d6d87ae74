"""Closings are anchored in the registry; triggers guard the head too, and let rows only be appended to the chain."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_REFUSE = "the ledger is append-only"
# What an insert, and an update of the head, must not be.
_NO_NEXT_ROW = """NEW.id {other} (SELECT last + 1 FROM lifecycle_ledger_head)
    OR NEW.previous {other} (SELECT hash FROM lifecycle_ledger_head)
    OR (NEW.state IN ('done', 'undone') AND EXISTS (
        SELECT 1 FROM lifecycle_ledger WHERE intent = NEW.intent AND state IN ('done', 'undone')))"""
_NO_NEXT_HEAD = """NEW.schema_version {other} OLD.schema_version OR NEW.last {other} OLD.last + 1
    OR NOT EXISTS (
        SELECT 1 FROM lifecycle_ledger WHERE id = NEW.last AND hash = NEW.hash AND previous = OLD.hash)"""


def upgrade() -> None:
    unanchored = op.create_table(
        "lifecycle_ledger_unanchored", sa.Column("id", sa.Integer, primary_key=True, autoincrement=False)
    )
    # The first release named no closing row in the registry. The last one of each version is anchored by the next
    # command; the chain anchors what is before it.
    last = "SELECT max(id) FROM lifecycle_ledger WHERE state IN ('done', 'undone') GROUP BY model, version"
    op.execute(sa.insert(unanchored).from_select(["id"], sa.text(last).columns(sa.column("id", sa.Integer))))
    # Only the first release reads it: it says that a newer one made the ledger. Alembic's table has the version.
    op.execute("UPDATE lifecycle_ledger_head SET schema_version = 2 WHERE schema_version = 1")
    if op.get_bind().dialect.name == "sqlite":
        _sqlite()
    else:
        _postgresql()


def _sqlite() -> None:
    for name, verb, table, condition in (
        ("lifecycle_ledger_insert", "INSERT", "lifecycle_ledger", _NO_NEXT_ROW),
        ("lifecycle_ledger_head_update", "UPDATE", "lifecycle_ledger_head", _NO_NEXT_HEAD),
        ("lifecycle_ledger_head_insert", "INSERT", "lifecycle_ledger_head", ""),
        ("lifecycle_ledger_head_delete", "DELETE", "lifecycle_ledger_head", ""),
    ):
        when = f"WHEN {condition.format(other='IS NOT')} " if condition else ""
        op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} {when}BEGIN SELECT RAISE(ABORT, '{_REFUSE}'); END")


def _postgresql() -> None:
    for name, condition in (("row", _NO_NEXT_ROW), ("head", _NO_NEXT_HEAD)):
        op.execute(
            f"CREATE FUNCTION lifecycle_ledger_check_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF {condition.format(other='IS DISTINCT FROM')} THEN "
            f"RAISE EXCEPTION '{_REFUSE}' USING ERRCODE = 'integrity_constraint_violation'; END IF; "
            "RETURN NEW; END $$"
        )
    for name, verbs, table, each, function in (
        ("lifecycle_ledger_insert", "INSERT", "lifecycle_ledger", "ROW", "check_row"),
        ("lifecycle_ledger_head_update", "UPDATE", "lifecycle_ledger_head", "ROW", "check_head"),
        ("lifecycle_ledger_head_keep", "INSERT OR DELETE OR TRUNCATE", "lifecycle_ledger_head", "STATEMENT", "refuse"),
    ):
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {verbs} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION lifecycle_ledger_{function}()"
        )
