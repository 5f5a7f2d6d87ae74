"""Expressions of SQL that know which columns they use, and the subqueries, one on another, that define those columns.

A column that is used more than once is computed in a subquery below, so that no expression is written, or computed,
twice. The subqueries stand one after another in a WITH, where nested ones would overflow SQLite's parser. Texts and
names of the model reach an expression through ``engines`` and ``names``, already quoted.
"""

import re
from collections.abc import Iterable

#: What stands between names of columns of layers: quoted names and texts, in which nothing else is one.
_TOKENS = re.compile(r"""("(?:[^"]|"")*"|'(?:[^']|'')*'|\bv[0-9]+\b)""")


class Sql:
    """An expression that can stand anywhere an operand can: a name, a literal, a call, or something in parentheses.

    Parameters
    ----------
    text : the expression.
    names : the columns of layers below that it uses.
    level : the highest layer that defines one of them; 0 where it uses the table's own columns, or none.
    """

    __slots__ = ("level", "names", "text")

    def __init__(self, text: str, names: frozenset[str] = frozenset(), level: int = 0) -> None:
        self.text, self.names, self.level = text, names, level

    @property
    def plain(self) -> bool:
        """Whether it is the name of a column, which costs nothing to repeat."""
        return self.text in self.names


def sql(template: str, *parts: Sql | str) -> Sql:
    """An expression with others in the places that ``{}`` marks."""
    names: frozenset[str] = frozenset()
    level = 0
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        texts.append(part.text)
        names = names | part.names if part.names else names
        level = max(level, part.level)
    return Sql(template.format(*texts), names, level)


def joined(separator: str, parts: Iterable[Sql]) -> Sql:
    """Expressions one after another, as in a list of arguments; not an operand by itself."""
    listed = list(parts)
    names = frozenset().union(*(part.names for part in listed))
    return Sql(separator.join(part.text for part in listed), names, max((part.level for part in listed), default=0))


def total(terms: list[Sql]) -> Sql:
    """The sum of terms as a balanced tree: its depth is the logarithm of their number, as parsers need it."""
    found = list(terms)
    while len(found) > 1:
        found = [
            sql("({} + {})" if len(found) == len(terms) else "({}\n    + {})", *found[place : place + 2])
            if place + 1 < len(found)
            else found[place]
            for place in range(0, len(found), 2)
        ]
    return found[0]


class Layers:
    """The subqueries of a SELECT, from the table up."""

    def __init__(self, source: str, *, prefix: str, fence: str, limit: int) -> None:
        """What stands on a table.

        Parameters
        ----------
        source : what comes after the lowest FROM.
        prefix : how names of layers begin.
        fence : ends every subquery, and keeps an engine from merging it into the next.
        limit : how many columns a SELECT may have.
        """
        self._source, self._prefix, self._fence, self._limit = source, prefix, fence, limit
        self._defined: dict[str, tuple[int, Sql]] = {}
        self._known: dict[str, Sql] = {}

    def let(self, expression: Sql) -> Sql:
        """The name of a column that holds an expression; the same expression gets the same one."""
        if expression.plain:
            return expression
        if expression.text not in self._known:
            name, level = f"v{len(self._defined)}", expression.level + 1
            self._defined[name] = (level, expression)
            self._known[expression.text] = Sql(name, frozenset((name,)), level)
        return self._known[expression.text]

    def inlined(self, expression: Sql, beside: Sql, most: int) -> Sql | None:
        """An expression without columns of layers but those that another computes as well.

        So it can stand in a branch of a CASE, and costs nothing in rows that do not take it. Only for an engine that
        quotes as the SQL standard has it.

        Parameters
        ----------
        most : None is given where the expression would be longer than this, in characters.
        """
        there: set[str] = set()
        above = list(beside.names)
        while above:
            name = above.pop()
            if name not in there:
                there.add(name)
                above.extend(self._defined[name][1].names)
        known: dict[str, Sql] = {}

        def written(found: Sql) -> Sql:
            names: frozenset[str] = frozenset()
            level, size, texts = 0, 0, []
            for part in _TOKENS.split(found.text):
                one = Sql(part)
                if part in found.names:
                    if part in there:
                        one = Sql(part, frozenset((part,)), self._defined[part][0])
                    else:
                        one = known[part] = known.get(part) or written(self._defined[part][1])
                size += len(one.text)
                if size > most:
                    raise OverflowError
                names, level = names | one.names, max(level, one.level)
                texts.append(one.text)
            return Sql("".join(texts), names, level)

        try:
            return written(expression)
        except OverflowError:
            return None

    def select(self, outputs: list[tuple[Sql, str]]) -> str:
        """The whole SELECT: expressions, each with its quoted name.

        Raises
        ------
        OverflowError
            where a layer has more columns than the engine takes.
        """
        levels = self._levels([expression for expression, _ in outputs])
        source, layers = self._source, []
        fence = f"\n{self._fence}" if self._fence else ""
        for level, names in enumerate(levels, start=1):
            if len(names) > self._limit:
                raise OverflowError(f"a SELECT of {len(names):,} columns, and {self._limit:,} are the most")
            items = [
                f"{self._defined[name][1].text} AS {name}" if self._defined[name][0] == level else name
                for name in names
            ]
            layers.append(f"{self._prefix}{level} AS (\nSELECT\n  {_lines(items)}\nFROM {source}{fence}\n)")
            source = f"{self._prefix}{level}"
        items = [f"{expression.text} AS {name}" for expression, name in outputs]
        start = f"WITH {', '.join(layers)}\n" if layers else ""
        return f"{start}SELECT\n  {_lines(items)}\nFROM {source}\n"

    def _levels(self, outputs: list[Sql]) -> list[list[str]]:
        """The columns of each layer, from the lowest up: those it defines, and those that a layer above uses."""
        top = max((expression.level for expression in outputs), default=0)
        needed = frozenset().union(*(expression.names for expression in outputs))
        found = []
        for level in range(top, 0, -1):
            names = sorted(needed, key=lambda name: int(name[1:]))
            found.append(names)
            below: set[str] = set()
            for name in names:
                if self._defined[name][0] == level:
                    below |= self._defined[name][1].names
                else:
                    below.add(name)
            needed = frozenset(below)
        return found[::-1]


def _lines(items: list[str]) -> str:
    return ",\n  ".join(items)
