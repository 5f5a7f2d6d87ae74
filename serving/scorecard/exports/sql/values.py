"""The values of a model's columns as SQL, and what is known of them before the query runs."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...inputs import InputError
from ...steps import Step, chain
from .engine import MAX, Engine
from .layers import Layers, Sql, joined, sql

SMALLEST = 5e-324
#: Below this, float64 has fewer digits.
NORMAL = 2.2250738585072014e-308


@dataclass(frozen=True)
class Number:
    """A float64.

    Parameters
    ----------
    sql : the expression. NULL is a missing number; a row is refused where a number the model uses is not finite.
    missing : whether it can be missing.
    nan : whether it can be NaN, which is a missing number, too.
    infinite : whether it can be infinite.
    reads : the inputs that it is infinite for because they are refused.
    low, high : bounds of its magnitude where it is finite and not 0.
    """

    sql: Sql
    missing: bool = True
    nan: bool = False
    infinite: bool = True
    reads: frozenset[int] = frozenset()
    low: float = SMALLEST
    high: float = MAX


@dataclass(frozen=True)
class Text:
    """A text; NULL where it is missing."""

    sql: Sql


class Partition:
    """What a column is asked: conditions, of which the first that holds chooses, and one more outcome where none does.

    Parameters
    ----------
    disjoint : whether no two conditions hold at once, so that one can be left out without changing another's meaning.
    """

    def __init__(self, conditions: list[Sql], *, disjoint: bool) -> None:
        self.conditions, self.disjoint = conditions, disjoint
        self.place: Sql | None = None

    def number(self, layers: Layers) -> Sql:
        """A column with the number of the condition that chooses, so that it is asked once for many columns."""
        if self.place is None:
            whens = [sql("WHEN {} THEN " + str(place), one) for place, one in enumerate(self.conditions)]
            chosen = sql("CASE {} ELSE " + str(len(whens)) + " END", joined(" ", whens))
            self.place = layers.let(chosen)
        return self.place


class Positions(Partition):
    """What a text is: one of several words, by its position from 1, then missing, then unknown.

    Parameters
    ----------
    known : the position of a text that is such a word as it stands; NULL of any other.
    other : that of any other, which is computed for those rows only.
    few : whether the words are so few that what is looked up by them may be written twice.
    """

    def __init__(self, known: Sql, other: Sql, *, few: bool) -> None:
        super().__init__([], disjoint=True)
        self.known, self.other, self.few = known, other, few

    def number(self, layers: Layers) -> Sql:
        if self.place is None:
            self.place = layers.let(sql("COALESCE({}, {})", self.known, self.other))
        return self.place


@dataclass(frozen=True)
class Cases:
    """One of a few numbers, computed here and now; None where the row is refused, NaN where it is missing."""

    partition: Partition
    outcomes: tuple[float | None, ...]

    def through(self, items: Sequence[Step], blame: str) -> "Cases":
        """After steps, done in Python as the scorecard does them."""
        run = chain(items, blame)
        if run is None:
            return self

        def done(value: float | None) -> float | None:
            try:
                return None if value is None else run(value)
            except InputError:
                return None

        return Cases(self.partition, tuple(map(done, self.outcomes)))

    def times(self, weight: float) -> "Cases":
        """Each outcome times a weight."""
        return Cases(self.partition, tuple(None if one is None else one * weight for one in self.outcomes))

    @property
    def certain(self) -> bool:
        """Whether every outcome is a finite number."""
        return all(usable(value) for value in self.outcomes)


Value = Number | Text | Cases


def usable(value: float | None) -> bool:
    """Whether a number is there, and finite."""
    return value is not None and math.isfinite(value)


class Writer:
    """Writes values of one engine, each operand no more often than it costs nothing."""

    def __init__(self, engine: Engine, layers: Layers) -> None:
        self.engine, self.layers = engine, layers
        #: Zeros for the score to add: NULL, or not finite, where the row is refused.
        self.guards: list[Sql] = []

    def literal(self, value: float) -> Sql:
        """A float64; NULL where it is not finite."""
        return Sql(self.engine.literal(value) if math.isfinite(value) else "NULL")

    def exact(self, value: float) -> Sql:
        """A float64 to compare with, or to put in, to the last bit."""
        return Sql(self.engine.exact(value))

    def infinity(self, sign: float = 1.0) -> Sql:
        """An infinity, NULL where the engine has none."""
        found = self.engine.infinity
        return Sql(f"(-{found})" if found and sign < 0 else found or "NULL")

    def beyond(self, condition: Sql, sign: float = 1.0) -> Sql:
        """An infinity where a condition holds; an engine that has none refuses the row for it, and has NULL there."""
        if not self.engine.infinity:
            self.guard(condition)
        return self.infinity(sign)

    def let(self, number: Number) -> Number:
        """The same number as a column of its own."""
        return replace(number, sql=self.layers.let(number.sql))

    def finite(self, value: Sql) -> Sql:
        """Whether a number is finite; not true for NULL."""
        return Sql(self.engine.finite(value.text), value.names, value.level)

    def infinite(self, value: Sql) -> Sql:
        """Whether a number that is not NaN is infinite."""
        return Sql(self.engine.infinite(value.text), value.names, value.level)

    def guard(self, condition: Sql) -> None:
        """Refuse rows for which a condition is true."""
        self.guards.append(self.layers.let(sql("CASE WHEN {} THEN NULL ELSE {} END", condition, self.literal(0.0))))

    def needs(self, value: Sql) -> None:
        """Refuse rows for which a number is not finite, or missing."""
        self.guards.append(self.layers.let(Sql(self.engine.zero(value.text), value.names, value.level)))

    def without_nan(self, number: Number) -> Number:
        """A number of which NULL is the only way to be missing."""
        if not number.nan:
            return number
        number = self.let(number)
        value = number.sql
        return replace(number, sql=Sql(self.engine.without_nan(value.text), value.names, value.level), nan=False)

    def bounded(self, number: Number, low: float, high: float) -> Number:
        """A number that is infinite above ``high``, and 0 below ``low``: what arithmetic that raises can take."""
        if number.low >= low and number.high <= high:
            return number
        number = self.let(number)
        value, whens = number.sql, []
        if number.high > high:
            above = sql("ABS({}) > {}", value, self.literal(high))
            infinity = self.beyond(above)
            whens.append(
                sql(
                    "WHEN {} THEN {} * {}" if self.engine.infinity else "WHEN {} THEN {}",
                    *((above, value, infinity) if self.engine.infinity else (above, infinity)),
                )
            )
        if number.low < low:
            whens.append(sql("WHEN ABS({}) < {} THEN {}", value, self.literal(low), self.literal(0.0)))
        return replace(
            number,
            sql=sql("CASE {} ELSE {} END", joined(" ", whens), value),
            infinite=bool(self.engine.infinity) and (number.infinite or number.high > high),
            low=max(low, number.low),
            high=min(high, number.high),
        )

    def times(self, number: Number, factor: float, *, divide: bool = False) -> Number:
        """A number times, or divided by, a factor that is not 0."""
        if factor == 1.0:
            return number
        size = 1.0 / abs(factor) if divide else abs(factor)
        high = number.high / abs(factor) if divide else number.high * abs(factor)
        if self.engine.raises:
            number = self.bounded(number, *_range(abs(factor), divide))
        return replace(
            number,
            sql=sql("({} / {})" if divide else "({} * {})", number.sql, self.literal(factor)),
            infinite=number.infinite or math.isinf(high),
            low=min(MAX, max(SMALLEST, number.low * size * 0.5)),
            high=min(MAX, number.high * size * 2.0),
        )

    def plus(self, number: Number, summand: float) -> Number:
        """A number and a summand."""
        if summand == 0.0:
            return number
        high = number.high + abs(summand)
        if self.engine.raises and math.isinf(high):
            number = self.let(number)
            # NaN comes after all other numbers in PostgreSQL.
            beyond = "{} > {} AND {} <= {}" if summand > 0.0 else "{} < {} AND {} >= {}"
            limits = [self.literal(math.copysign(one, summand)) for one in (MAX - abs(summand), MAX)]
            above = sql(beyond, number.sql, limits[0], number.sql, limits[1])
            infinity = self.beyond(above, summand)
            number = replace(number, sql=sql("CASE WHEN {} THEN {} ELSE {} END", above, infinity, number.sql))
        sign = "-" if summand < 0.0 else "+"
        return replace(
            number,
            sql=sql("({} " + sign + " {})", number.sql, self.literal(abs(summand))),
            infinite=number.infinite or (math.isinf(high) and bool(self.engine.infinity)),
            # What does not cancel out is at least a last digit of the summand.
            low=max(SMALLEST, abs(summand) * 2.0**-55),
            high=min(MAX, high),
        )

    def product(self, first: Number, second: Number) -> Number:
        """Two numbers multiplied."""
        high, low = first.high * second.high, first.low * second.low
        missing, unsure = first.missing or second.missing, first.infinite or second.infinite
        reads = first.reads | second.reads
        first, second = self.let(first), self.let(second)
        found = sql("({} * {})", first.sql, second.sql)
        if self.engine.raises and (math.isinf(high) or low < SMALLEST):
            found = self._careful(first.sql, second.sql, found)
        infinite = unsure or math.isinf(high)
        return Number(found, missing, unsure, infinite, reads, max(SMALLEST, low * 0.5), min(MAX, high * 2.0))

    def square(self, number: Number) -> Number:
        """A number times itself."""
        high = number.high * number.high
        if self.engine.raises:
            number = self.bounded(number, 1.5e-154, 1.3407807929942596e154)
        number = self.let(number)
        return replace(
            number,
            sql=sql("({} * {})", number.sql, number.sql),
            infinite=number.infinite or math.isinf(high),
            low=max(SMALLEST, number.low * number.low * 0.5),
            high=min(MAX, high),
        )

    def number(self, cases: Cases, *, absorbed: bool = False) -> Number:
        """Cases as a number; ``absorbed`` says that something is still to take its missing values' place."""
        if absorbed and any(value is None or math.isinf(value) for value in cases.outcomes):
            self.refuse_with(cases)
        sizes = [abs(value) for value in cases.outcomes if usable(value) and value]
        return Number(
            self.chosen(cases),
            missing=not cases.certain,
            infinite=False,
            low=min(sizes, default=1.0),
            high=max(sizes, default=1.0),
        )

    def refuse_with(self, cases: Cases) -> None:
        """Refuse the rows that cases refuse, or give an infinity for."""
        zeros = (None if value is None or math.isinf(value) else 0.0 for value in cases.outcomes)
        self.guards.append(self.layers.let(self.chosen(Cases(cases.partition, tuple(zeros)))))

    def chosen(self, cases: Cases) -> Sql:
        """The outcome that a row has."""
        partition, outcomes = cases.partition, cases.outcomes
        keys = [value if usable(value) else None for value in outcomes]
        if len(set(keys)) == 1:
            return self.literal(keys[0]) if keys[0] is not None else Sql("NULL")
        if isinstance(partition, Positions):
            return self._looked_up(partition, keys)
        whens = []
        for place, condition in enumerate(partition.conditions):
            if keys[place] == keys[-1] and (partition.disjoint or partition.place is not None):
                continue
            if partition.place is not None:
                condition = sql("{} = " + str(place), partition.place)
            whens.append(sql("WHEN {} THEN {}", condition, self._outcome(keys[place])))
        return sql("CASE {} ELSE {} END", joined(" ", whens), self._outcome(keys[-1]))

    def _looked_up(self, partition: Positions, keys: Sequence[float | None]) -> Sql:
        """The outcome that a row has by the position of its text."""
        listed = f"[{', '.join(self._outcome(key).text for key in keys)}]"
        if partition.few:
            template = "CASE WHEN {0} > 0 THEN {2}[{0}] ELSE {2}[{1}] END"
            return self.layers.let(sql(template, partition.known, partition.other, listed))
        place = partition.number(self.layers)
        ((usual, _),) = Counter(keys).most_common(1)
        others = [position for position, key in enumerate(keys) if key != usual]
        if len(others) > 2:
            return sql("{}[{}]", listed, place)
        whens = [sql(f"WHEN {{}} = {one + 1} THEN {{}}", place, self._outcome(keys[one])) for one in others]
        return sql("CASE {} ELSE {} END", joined(" ", whens), self._outcome(usual))

    def _outcome(self, value: float | None) -> Sql:
        return Sql("NULL") if value is None else self.literal(value)

    def _careful(self, first: Sql, second: Sql, product: Sql) -> Sql:
        """A product that is infinite, or 0, where float64 cannot hold it; NaN and infinities multiply as they do."""
        one, largest = self.literal(1.0), self.literal(MAX)
        infinity = self.beyond(sql("ABS({0}) > {2} AND ABS({1}) > {3} / ABS({0})", first, second, one, largest))
        if self.engine.infinity:
            infinity = sql("SIGN({}) * SIGN({}) * {}", first, second, infinity)
        return sql(
            "CASE WHEN ABS({0}) > {2} THEN CASE WHEN ABS({1}) > {3} / ABS({0}) THEN {4} ELSE {5} END "
            "WHEN {0} = {6} THEN {5} WHEN ABS({1}) < {7} / ABS({0}) THEN {6} ELSE {5} END",
            first,
            second,
            one,
            largest,
            infinity,
            product,
            self.literal(0.0),
            self.literal(2.0 * SMALLEST),
        )


def _range(size: float, divide: bool) -> tuple[float, float]:
    """The magnitudes that can be multiplied with, or divided by, a size without overflow and without vanishing."""
    high = min(MAX, MAX * size if divide else MAX / size) if (size < 1.0) == divide else MAX
    while math.isinf(high / size if divide else high * size):
        high = math.nextafter(high, 0.0)
    low = SMALLEST
    if (size > 1.0) == divide:
        low = NORMAL * size if divide else NORMAL / size
    return (min(low, MAX), high)
