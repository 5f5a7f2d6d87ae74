"""A table of a database to score: its rows are streamed into a file, which is scored as any other."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from registry import redaction
from serving import databases
from serving.batch.scratch import kept, scratch
from serving.batch.sources import PARQUET, SourceFile, SourceFiles
from serving.databases import DatabaseAddress, Query, parquet


@dataclass(frozen=True)
class DatabaseInput:
    """What a query reads.

    Parameters
    ----------
    database : where it is.
    query : a table, a view or a SELECT.
    """

    database: DatabaseAddress
    query: Query

    @property
    def address(self) -> str:
        """The database and the query, without secrets."""
        return f"{self.database.safe}#{redaction.redacted(self.query.text)}"

    @property
    def key(self) -> str:
        """Of a table that of the output that would be the same table."""
        return table_key(self.database, self.query.schema, self.query.table or self.query.text)

    def may_read(self, table: str) -> bool:
        """Whether its query is a SELECT in which a table's name stands."""
        return self.query.table is None and bool(re.search(rf"(?<!\w){re.escape(table)}(?!\w)", self.query.text, re.I))

    @property
    def relative(self) -> PurePath:
        """The table's name."""
        return PurePath(self.query.name(self.database))

    @property
    def form(self) -> str:
        """That of the file of its rows."""
        return PARQUET

    @property
    def identity(self) -> tuple[int | str, ...]:
        """Nothing tells whether a table has changed."""
        return ()

    @property
    def version(self) -> None:
        """A database does not tell."""
        return

    @contextlib.contextmanager
    def fetched(self) -> Iterator[SourceFile]:
        """The rows in a file of a temporary folder.

        Raises
        ------
        DatabaseError
            if the database cannot be reached, or refuses.
        """
        with scratch() as folder:
            path = folder / "rows.parquet"
            with kept(self.address, folder), self.database.connected() as connection:
                parquet.write(self.query.run(connection), path)
            yield SourceFile(path, Path(path.name), PARQUET)


def table_key(database: DatabaseAddress, schema: str | None, table: str) -> str:
    """What is equal for two names of one table."""
    url = database.url
    if url.get_backend_name() == "postgresql":
        return f"{url.render_as_string(hide_password=True)}#{schema or ''}.{table}"
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=os.path.realpath(url.database))
    return f"{url.render_as_string(hide_password=True)}#{schema or ''}.{table}".casefold()


def find(given: str, query: str | None) -> SourceFiles:
    """What a query reads in the database of a URL.

    Raises
    ------
    DatabaseError
        if the database cannot be reached, or has no such table.
    """
    database = databases.find(given, "--input")
    with database.connected() as connection:
        found = databases.resolve(connection, query)
    return SourceFiles((DatabaseInput(database, found),), single=True)
