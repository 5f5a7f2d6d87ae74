"""The tables as the first release made them: rows, head, leases, and triggers that refuse changes of rows."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_REFUSE = "the ledger is append-only"


def upgrade() -> None:
    op.create_table(
        "lifecycle_ledger",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("state", sa.String(40), nullable=False),
        sa.Column("intent", sa.Integer),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("target", sa.String(40), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("verdict", sa.Text),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    closes = sa.text("state IN ('done', 'undone')")
    op.create_index(
        "lifecycle_ledger_closed",
        "lifecycle_ledger",
        ["intent"],
        unique=True,
        sqlite_where=closes,
        postgresql_where=closes,
    )
    op.create_index("lifecycle_ledger_model", "lifecycle_ledger", ["model"])
    head = op.create_table(
        "lifecycle_ledger_head",
        sa.Column("schema_version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "lifecycle_leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
    )
    op.bulk_insert(head, [{"schema_version": 1, "last": 0, "hash": "0" * 64}])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER lifecycle_ledger_{verb.lower()} BEFORE {verb} ON lifecycle_ledger "
                f"BEGIN SELECT RAISE(ABORT, '{_REFUSE}'); END"
            )
    else:
        op.execute(
            "CREATE OR REPLACE FUNCTION lifecycle_ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_REFUSE}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER lifecycle_ledger_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON lifecycle_ledger "
            "FOR EACH STATEMENT EXECUTE FUNCTION lifecycle_ledger_refuse()"
        )
