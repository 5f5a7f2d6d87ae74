"""From a program to lines of code that compute the columns of one row, for languages that throw what they refuse.

The order is the program's, so that the first thing wrong with a row is the one that is named. ``Lowering`` says what to
compute; a ``Language`` writes it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from .. import steps as kinds
from ..errors import SEVERAL
from ..handlers import unknown
from ..inputs import ABSENT, BOOLEAN, CATEGORY, FRACTION, INFINITE, REQUIRED
from ..program import ApplySteps, Check, CombineSources, Encode, Indicate, MultiplySources, Operation
from ..rows import OVERFLOW, UNPREDICTABLE
from ..scorecard import Scorecard
from .helpers import Helpers
from .wording import filled

#: Why a value is refused, by the name that a file calls it.
REASONS = {
    **{"ABSENT": ABSENT, "SEVERAL": SEVERAL, "REQUIRED": REQUIRED, "INFINITE": INFINITE, "FRACTION": FRACTION},
    **{"UNKNOWN": kinds.UNKNOWN, "UNUSABLE": kinds.UNUSABLE, "OVERFLOW": OVERFLOW, "UNPREDICTABLE": UNPREDICTABLE},
}
#: The operator of each step of arithmetic.
OPERATORS = {kinds.Add: "+", kinds.Subtract: "-", kinds.Multiply: "*", kinds.Divide: "/"}

#: Lines of code; a list among them is indented.
Lines = list[Any]


class Language(ABC):
    """How a language writes what a program can say. Values and names come as expressions of the language.

    Attributes
    ----------
    helpers : the functions that a file may need.
    templates : the parts of a file by name, with what belongs into them named between @s.
    unit : what lines are indented by.
    gap : what stands between the parts.
    title : what people call the language.
    """

    helpers: Helpers
    templates: dict[str, str]
    unit: str
    gap: str
    title: str

    @abstractmethod
    def usage(self, row: dict[str, Any]) -> str:
        """Lines for the comment at the top that put an example of a row into ``row``; some row where it is empty."""

    @abstractmethod
    def facts(self, lowering: "Lowering") -> list[str]:
        """The parts of a file before the model's own: names of inputs, labels, rules, reasons."""

    @abstractmethod
    def pair(self, first: str, second: str) -> str:
        """Two values as one."""

    @abstractmethod
    def remark(self, note: str) -> str:
        """A comment at the end of a line; nothing where the note is empty."""

    @abstractmethod
    def literal(self, value: Any) -> str:
        """Plain data: None, bool, int, float, text, a list, or a dict to look values up in."""

    @abstractmethod
    def helper(self, name: str) -> str:
        """The name in the file of a helper, called by its name in Python: ``yeo_johnson``, ``find``."""

    @abstractmethod
    def function(self, name: str, x: str) -> tuple[str, str | None]:
        """A function of ``steps.FUNCTIONS`` at x, and the helper that it needs."""

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
    def given(self, names: list[str], lines: Lines) -> Lines:
        """Lines, some of them lists to indent, that run where a row has these columns, which may be none."""


class Lowering:
    """The lines of a scorecard, and what they need.

    Attributes
    ----------
    lines : from reading a row to its columns; a list inside is indented.
    constants : lines for the top of the file.
    helpers : names in the file of the helpers that the lines call.
    values : for each column of the model the name that holds it.
    columns : for each of them (input to blame, its weight in each score, its own name); an MLP weighs each by 1.
    hot : for each one-hot group of a linear model the name that holds the weights of its chosen place.
    members : the constant of an ensemble's members, which stands behind the helpers that it names.
    """

    def __init__(self, scorecard: Scorecard, language: Language) -> None:
        self.scorecard, self.language, self.program = scorecard, language, scorecard.program
        self.helpers: set[str] = set()
        self.constants: list[str] = []
        self.lines: Lines = []
        self._fresh = 0
        self._names = {slot: name for name, slot in self.program.columns}
        weights = self.program.weights or [(1.0,)] * len(self.program.columns)
        self.columns = [
            (self.program.blame(name), list(found), name)
            for (name, _), found in zip(self.program.columns, weights, strict=True)
        ]
        self.values = [_slot(slot) for _, slot in self.program.columns]
        self.hot: list[str] = []
        self.members = ""
        self._compute()

    def need(self, name: str) -> str:
        """The name of a helper, which the file then has."""
        found = self.language.helper(name)
        self.helpers.add(found)
        return found

    def keep(self, value: str, note: str = "") -> str:
        """The name of a new constant of the file."""
        name = self.language.helper(f"T{len(self.constants)}")
        self.constants.append(self.language.constant(name, value, note))
        return name

    def steps(self, steps: Sequence[kinds.Step], x: str, blame: str, lines: Lines) -> str:
        """The expression of x after the steps; adds to the lines where a value is needed more than once."""
        compound = False
        for step in steps:
            if isinstance(step, kinds.Arithmetic):
                left = f"({x})" if compound else x
                x, compound = f"{left} {OPERATORS[type(step)]} {self.language.literal(step.operand)}", True
                continue
            if not x.isidentifier():
                fresh, self._fresh = f"x{self._fresh}", self._fresh + 1
                lines.append(self.language.put(fresh, x))
                x = fresh
            x, compound = self._step(step, x, blame), isinstance(step, (kinds.Impute, kinds.Replace))
        return x

    def _step(self, step: kinds.Step, x: str, blame: str) -> str:
        language, text = self.language, self.language.literal
        match step:
            case kinds.Impute(fill=fill):
                return language.choose(language.missing(x, text=isinstance(fill, str)), text(fill), x)
            case kinds.Replace(value=old, by=new):
                return language.choose(language.equal(x, text(old)), text(new), x)
            case kinds.NumpyFunction(function=function):
                found, needed = language.function(function, x)
                self.helpers |= {needed} if needed else set()
                return found
            case kinds.Is(value=value):
                return self._call("is", x, text(value), text(blame))
            case kinds.Clip(limits=[low, high]):
                return self._call("clip", x, text(low), text(high), text(blame))
            case kinds.Bin(edges=edges):
                return self._call("bin", self.keep(text(edges), blame), x, text(blame))
            case kinds.Piecewise(edges=edges, origins=origins, coefficients=coefficients):
                tables = [self.keep(text(table), blame) for table in (edges, origins, coefficients)]
                return self._call("piecewise", x, *tables, text(blame))
            case kinds.Lookup():
                return self._call("find", self.keep(text(step.table()), blame), x, text(step.other()), text(blame))
            case kinds.Power(lmbda=lmbda):
                return self._call(step.name, x, text(lmbda))
        raise unknown(step, self.language.title)

    def _call(self, helper: str, *arguments: str) -> str:
        return f"{self.need(helper)}({', '.join(arguments)})"

    def _compute(self) -> None:
        program = self.program
        merged = {group.slot: group.weights for group in program.groups}
        shared = {check.slot for check in program.checks}
        for operation in (*program.operations, *(one for check in program.checks for one in check.operations)):
            shared |= set(operation.sources)
        for place in program.reads:
            self.lines.append(self._read(place))
        for operation in program.operations:
            slot = operation.slot
            if slot in merged and isinstance(operation, Encode):
                weights = self._find(operation, [list(row) for row in merged[slot]], self.lines)
                self.hot.append(f"w{slot}")
                self.lines.append(self.language.put(self.hot[-1], weights))
            if slot not in merged or slot in shared:
                self._operation(operation, self.lines)
        for check in program.checks:
            self.lines += self._check(check)

    def _read(self, place: int) -> str:
        item = self.program.inputs[place]
        marked = "marked" if item.decimal != "." or item.thousands else "number"
        function = self.need({CATEGORY: "category", BOOLEAN: "boolean"}.get(item.type, marked))
        return self.language.put(_slot(place), f"{function}(row, INPUTS[{place}])", item.name)

    def _operation(self, operation: Operation, lines: Lines) -> None:
        language = self.language
        match operation:
            case MultiplySources(sources=sources):
                value = " * ".join(map(_slot, sources)) or "1.0"
            case CombineSources(sources=sources, weights=weights, offset=offset):
                value = self._call(
                    "combine",
                    filled("[", list(map(_slot, sources)), "]", indent=language.unit),
                    self.keep(language.literal(weights), operation.blame),
                    language.literal(offset),
                )
            case Indicate(place=place, sources=(source,)):
                value = language.choose(language.equal(_slot(source), str(place)), "1.0", "0.0")
            case Encode(one_hot=one_hot):
                places = [float(place) for place in range(len(one_hot.indicators) + 1)]
                value = self._find(operation, places, lines)
            case ApplySteps(sources=(source,)):
                value = self.steps(operation.steps, _slot(source), operation.blame, lines)
        lines.append(language.put(_slot(operation.slot), value, self._names.get(operation.slot, "")))

    def _find(self, operation: Encode, results: list, lines: Lines) -> str:
        """What a one-hot group says: one of ``results`` by the category's place, the last where all are zero."""
        literal, one_hot = self.language.literal, operation.one_hot
        table = {key: results[found] for key, found in one_hot.places().items()}
        other = None if one_hot.other is None else results[one_hot.other]
        x = self.steps(one_hot.steps, _slot(operation.sources[0]), operation.blame, lines)
        return self._call(
            "find", self.keep(literal(table), operation.blame), x, literal(other), literal(operation.blame)
        )

    def _check(self, check: Check) -> Lines:
        """Lines for a column that no weight hangs on: it has to be usable where its inputs are given."""
        lines = [self._read(place) for place in check.places]
        for operation in check.operations:
            self._operation(operation, lines)
        blame = self.language.literal(check.blame)
        lines.append(self.language.call(self.need("usable"), _slot(check.slot), blame))
        return self.language.given([self.program.inputs[place].name for place in check.places], lines)


def indented(lines: Lines, unit: str, depth: int = 1) -> str:
    """Lines as text; a list among them is indented one unit more."""
    found = []
    for line in lines:
        if isinstance(line, list):
            found.append(indented(line, unit, depth + 1))
        else:
            found += [unit * depth + part if part else "" for part in line.split("\n")]
    return "\n".join(found)


def _slot(number: int) -> str:
    return f"v{number}"
