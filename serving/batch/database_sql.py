"""The statements that score a table inside a database."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.batch import readable
from serving.batch.answers import PREDICTION, SCORED_AT, VERSION, AnswerPlan
from serving.batch.database_input import DatabaseInput
from serving.databases.address import MARIADB, MYSQL, POSTGRESQL, SQLITE
from serving.databases.writing import Name, Writing
from serving.scorecard import Scorecard, exports
from serving.scorecard.exports.sql import names

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

#: The dialect of the exported SELECT by the database's kind.
DIALECTS = {POSTGRESQL: "postgres", SQLITE: "sqlite", MARIADB: "mariadb", MYSQL: "mysql"}
#: What the rows of the query are called, and their number in it, from 0.
ROWS, ROW = "input_rows", "row_number_of_query"


@dataclass(frozen=True)
class Statements:
    """Statements about one query.

    Parameters
    ----------
    columns : of the query, with their types.
    meant : the model's name of a column, where it is another.
    """

    job: Writing
    source: DatabaseInput
    card: Scorecard
    plan: AnswerPlan
    columns: "dict[str, TypeEngine]"
    meant: dict[str, str]

    def count(self) -> str:
        """The number of rows."""
        return f"WITH {self._rows()} SELECT count(*) FROM {ROWS}"

    def kept(self) -> str:
        """The columns that are kept, without any row."""
        kept = ", ".join(map(self.job.quoted, self.plan.keep)) or "1 AS nothing"
        return f"WITH {self._rows()} SELECT {kept} FROM {ROWS} LIMIT 0"

    def insert(self, into: Name) -> str:
        """Answer the rows that have an answer."""
        answers = [*self.plan.keep, PREDICTION, *self.plan.probabilities]
        target = ", ".join(map(self.job.quoted, (*answers, VERSION, SCORED_AT)))
        columns = ", ".join(map(self.job.quoted, answers))
        constants = f"{self._text(self.plan.version)}, {self._moment()}"
        insert = f"INSERT INTO {self.job.quoted(into)} ({target})\n"
        select = (
            f"SELECT {columns}, {constants} FROM (\n{self._answers(self.plan.keep)}\n) AS scored "
            f"WHERE {PREDICTION} IS NOT NULL"
        )
        return insert + select

    def rest(self) -> str:
        """The rows without an answer: what is kept and what the model reads, and the number of each."""
        there = {self.meant.get(name, name) for name in self.columns}
        wanted = [*self.plan.keep, *(item.name for item in self.card.inputs if item.name in there), ROW]
        wanted = list(dict.fromkeys(wanted))
        columns = ", ".join(map(self.job.quoted, wanted))
        return (
            f"SELECT {columns} FROM (\n{self._answers(tuple(wanted), numbered=True)}\n) AS scored "
            f"WHERE {PREDICTION} IS NULL ORDER BY {self.job.quoted(ROW)}"
        )

    def _answers(self, keep: tuple[str, ...], *, numbered: bool = False) -> str:
        """The exported SELECT over the rows: MariaDB has one WITH, and sees no table of another around it."""
        dialect = DIALECTS[self.job.dialect]
        found = exports.write(self.card, "sql", dialect=dialect, table=ROWS, keep=keep)
        assert isinstance(found, str)
        select = found
        while select.startswith("-- "):
            select = select.partition("\n")[2]
        rows = self._rows(numbered=numbered)
        return f"WITH {rows}, {select[5:]}" if select.startswith("WITH ") else f"WITH {rows} {select}"

    def _rows(self, *, numbered: bool = False) -> str:
        """A common table expression of the query's rows under the names of the model."""
        columns = []
        for name, kind in self.columns.items():
            quoted, found = self.job.quoted(name), self.job.quoted(self.meant.get(name, name))
            if readable.is_single(kind, self.job.dialect):
                quoted = f"CAST(CAST({quoted} AS TEXT) AS DOUBLE PRECISION)"
            elif numbered and self.job.dialect == POSTGRESQL and not readable.is_usual(kind):
                quoted = f"CAST({quoted} AS TEXT)"
            columns.append(f"{quoted} AS {found}")
        if numbered:
            columns.append(f"row_number() OVER () - 1 AS {self.job.quoted(ROW)}")
        relation = readable.relation(self.job.connection, self.source)
        return f"{ROWS} AS (SELECT {', '.join(columns)} FROM {relation})"

    def _text(self, value: str) -> str:
        return names.text(value, "mysql" if self.job.dialect in (MYSQL, MARIADB) else DIALECTS[self.job.dialect])

    def _moment(self) -> str:
        moment = self.plan.scored_at
        if self.job.dialect == POSTGRESQL:
            return f"TIMESTAMPTZ '{moment.isoformat()}'"
        return f"'{moment:%Y-%m-%d %H:%M:%S.%f}'"
