"""Runs the ledger's migrations: Alembic executes this file, in the transaction that it is given."""

from alembic import context

from registry.ledger.tables import VERSIONS, metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSIONS.name
)
with context.begin_transaction():
    context.run_migrations()
