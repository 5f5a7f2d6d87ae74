"""From a plan to lines of code that compute the columns of one row, for languages that throw what they refuse.

The order is the plan's, so that the first thing wrong with a row is the one that is named. What is said here is what
to compute; how it is written is up to a ``Language``.
"""

from abc import ABC, abstractmethod
from types import ModuleType

from ..inputs import ABSENT, BOOLEAN, CATEGORY, FRACTION, INFINITE, REQUIRED, SEVERAL
from ..plan import Check, Op
from ..rows import OVERFLOW, UNPREDICTABLE
from ..scorecard import Scorecard
from ..steps import UNKNOWN, UNUSABLE
from .groups import coded

#: Why a value is refused, by the name that a file calls it.
REASONS = {
    **{"ABSENT": ABSENT, "SEVERAL": SEVERAL, "REQUIRED": REQUIRED, "INFINITE": INFINITE, "FRACTION": FRACTION},
    **{"UNKNOWN": UNKNOWN, "UNUSABLE": UNUSABLE, "OVERFLOW": OVERFLOW, "UNPREDICTABLE": UNPREDICTABLE},
}
_ARITHMETIC = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


class Language(ABC):
    """How a language writes what a plan can say. Values and names come as expressions of the language.

    Attributes
    ----------
    text : the module with the fixed parts of a file.
    unit : what lines are indented by.
    gap : what stands between the parts.
    """

    text: ModuleType
    unit: str
    gap: str

    @abstractmethod
    def usage(self, row: dict) -> str:
        """Lines for the comment at the top that put an example of a row into ``row``; some row where it is empty."""

    @abstractmethod
    def facts(self, straight: "Straight") -> list[str]:
        """The parts of a file before the model's own: names of inputs, labels, rules, reasons."""

    @abstractmethod
    def pair(self, first: str, second: str) -> str:
        """Two values as one."""

    @abstractmethod
    def remark(self, note: str) -> str:
        """A comment at the end of a line; nothing where the note is empty."""

    @abstractmethod
    def literal(self, value) -> str:
        """Plain data: None, bool, int, float, text, a list, or a dict to look values up in."""

    @abstractmethod
    def helper(self, name: str) -> str:
        """The name in the file of a helper, called as in ``steps``: ``yeo_johnson``, ``find``."""

    @abstractmethod
    def function(self, name: str, x: str) -> tuple[str, str | None]:
        """A function of ``document.FUNCTIONS`` at x, and the helper that it needs."""

    @abstractmethod
    def choose(self, condition: str, yes: str, no: str) -> str:
        """One of two values."""

    @abstractmethod
    def missing(self, x: str, *, text: bool) -> str:
        """Whether x is missing."""

    @abstractmethod
    def equal(self, x: str, y: str) -> str:
        """Whether x is y."""

    @abstractmethod
    def put(self, name: str, value: str, note: str = "") -> str:
        """A line that gives a new name to a value; ``note`` is for a comment."""

    @abstractmethod
    def constant(self, name: str, value: str, note: str = "") -> str:
        """The same for a value of the whole file."""

    @abstractmethod
    def call(self, helper: str, *arguments: str) -> str:
        """A line that only calls."""

    @abstractmethod
    def given(self, names: list[str], lines: list) -> list:
        """Lines, some of them lists to indent, that run where a row has these columns, which may be none."""


class Straight:
    """The lines of a scorecard, and what they need.

    Attributes
    ----------
    lines : from reading a row to its columns; a list inside is indented.
    constants : lines for the top of the file.
    helpers : names of the helpers that the lines call.
    values : for each column of the model the name that holds it.
    columns : for each of them (input to blame, its weight in each score, its own name); an MLP weighs each by 1.
    hot : for each one-hot group of a linear model the name that holds the weights of its chosen place.
    """

    def __init__(self, scorecard: Scorecard, language: Language):
        self.scorecard, self.language, self.plan = scorecard, language, scorecard.plan
        self.helpers: set[str] = set()
        self.constants: list[str] = []
        self.lines: list = []
        self._fresh = 0
        self._names = {slot: name for name, slot in self.plan.columns}
        weights = self.plan.weights or [(1.0,)] * len(self.plan.columns)
        self.columns = [
            (self.plan.blame(name), list(found), name)
            for (name, _), found in zip(self.plan.columns, weights, strict=True)
        ]
        self.values = [_slot(slot) for _, slot in self.plan.columns]
        self.hot: list[str] = []
        self._compute()

    def need(self, name: str) -> str:
        """The name of a helper, which the file then has."""
        self.helpers.add(name)
        return self.language.helper(name)

    def keep(self, value: str, note: str = "") -> str:
        """The name of a new constant of the file."""
        name = self.language.helper(f"T{len(self.constants)}")
        self.constants.append(self.language.constant(name, value, note))
        return name

    def steps(self, steps: list, x: str, blame: str, lines: list) -> str:
        """The expression of x after the steps; adds to the lines where a value is needed more than once."""
        compound = False
        for step in steps:
            ((name, value),) = step.items()
            if name in _ARITHMETIC:
                left = f"({x})" if compound else x
                x, compound = f"{left} {_ARITHMETIC[name]} {self.language.literal(float(value))}", True
                continue
            if not x.isidentifier():
                fresh, self._fresh = f"x{self._fresh}", self._fresh + 1
                lines.append(self.language.put(fresh, x))
                x = fresh
            x, compound = self._step(name, value, x, blame), name in ("impute", "replace")
        return x

    def _compute(self) -> None:
        plan = self.plan
        merged = {slot: table for slot, table, _ in plan.groups}
        shared = {check.slot for check in plan.checks}
        for op in (*plan.ops, *(op for check in plan.checks for op in check.ops)):
            shared |= set(op.sources)
        for place in plan.reads:
            self.lines.append(self._read(place))
        for op in plan.ops:
            if op.slot in merged:
                weights = self._find(op, [list(row) for row in merged[op.slot]], self.lines)
                self.hot.append(f"w{op.slot}")
                self.lines.append(self.language.put(self.hot[-1], weights))
            if op.slot not in merged or op.slot in shared:
                self._operation(op, self.lines)
        for check in plan.checks:
            self.lines += self._check(check)

    def _read(self, place: int) -> str:
        item = self.plan.inputs[place]
        marked = "marked" if item.decimal != "." or item.thousands else "number"
        function = self.need({CATEGORY: "category", BOOLEAN: "boolean"}.get(item.type, marked))
        return self.language.put(_slot(place), f"{function}(row, INPUTS[{place}])", item.name)

    def _operation(self, op: Op, lines: list) -> None:
        language = self.language
        if op.kind == "product":
            value = " * ".join(map(_slot, op.sources)) or "1.0"
        elif op.kind == "hot":
            chosen = language.equal(_slot(op.sources[0]), str(op.place))
            value = language.choose(chosen, "1.0", "0.0")
        elif op.kind == "code":
            places = [float(place) for place in range(len(op.item["one_hot"]) + 1)]
            value = self._find(op, places, lines)
        else:
            value = self.steps(op.steps, _slot(op.sources[0]), op.blame, lines)
        lines.append(language.put(_slot(op.slot), value, self._names.get(op.slot, "")))

    def _find(self, op: Op, results: list, lines: list) -> str:
        """What a one-hot group says: one of ``results`` by the category's place, the last where all are zero."""
        language, (places, place) = self.language, coded(op.item)
        table = {key: results[found] for key, found in places.items()}
        other = None if place is None else results[place]
        x = self.steps(op.steps, _slot(op.sources[0]), op.blame, lines)
        name = self.keep(language.literal(table), op.blame)
        return f"{self.need('find')}({name}, {x}, {language.literal(other)}, {language.literal(op.blame)})"

    def _step(self, name: str, value, x: str, blame: str) -> str:
        language = self.language
        text = language.literal
        if name == "impute":
            missing = language.missing(x, text=isinstance(value, str))
            return language.choose(missing, text(_plain(value)), x)
        if name == "replace":
            return language.choose(language.equal(x, text(_plain(value["value"]))), text(_plain(value["by"])), x)
        if name == "function":
            found, needed = language.function(value, x)
            self.helpers |= {needed} if needed else set()
            return found
        if name == "is":
            arguments = [x, text(None if value is None else _plain(value)), text(blame)]
        elif name == "clip":
            arguments = [x, *(text(float(limit)) for limit in value), text(blame)]
        elif name == "bin":
            arguments = [self.keep(text([float(edge) for edge in value]), blame), x, text(blame)]
        elif name == "lookup":
            values = [float("nan") if item is None else float(item) for item in value["values"]]
            table = self.keep(text(dict(zip(_keys(value["keys"]), values, strict=True))), blame)
            other = value["otherwise"]
            other = None if other == "refuse" else float("nan") if other is None else float(other)
            arguments, name = [table, x, text(other), text(blame)], "find"
        else:
            arguments = [x, text(float(value))]
        return f"{self.need(name)}({', '.join(arguments)})"

    def _check(self, check: Check) -> list:
        """Lines for a column that no weight hangs on: it has to be usable where its inputs are given."""
        lines = [self._read(place) for place in check.places]
        for op in check.ops:
            self._operation(op, lines)
        blame = self.language.literal(check.blame)
        lines.append(self.language.call(self.need("usable"), _slot(check.slot), blame))
        return self.language.given([self.plan.inputs[place].name for place in check.places], lines)


def indented(lines: list, unit: str, depth: int = 1) -> str:
    """Lines as text; a list among them is indented one unit more."""
    found = []
    for line in lines:
        if isinstance(line, list):
            found.append(indented(line, unit, depth + 1))
        else:
            found += [unit * depth + part if part else "" for part in line.split("\n")]
    return "\n".join(found)


def parts(known: dict, names) -> list[str]:
    """The texts of these parts, and of all that they need before them, out of name -> (text, names of those)."""
    found: dict[str, str] = {}

    def add(name):
        if name not in found:
            text, before = known[name]
            for other in before:
                add(other)
            found[name] = text

    for name in sorted(names):
        add(name)
    return list(found.values())


def _slot(number: int) -> str:
    return f"v{number}"


def _plain(value):
    return value if isinstance(value, str) else float(value)


def _keys(values) -> list:
    return [key if key is None or isinstance(key, str) else float(key) for key in values]
