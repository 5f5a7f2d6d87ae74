"""Steps as lines of C on one double ``x``, with the numbers they take left open, so that many columns share a loop."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...handlers import unknown
from ...steps import Arithmetic, Bin, Category, Clip, Impute, Is, Lookup, NumpyFunction, Piecewise, Power, Replace, Step
from ..lowering import OPERATORS
from .names import number

_FUNCTIONS = {
    **{name: f"{name}(x)" for name in ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "cbrt")},
    **{"sin": "sin(x)", "cos": "cos(x)", "tanh": "tanh(x)", "arcsinh": "asinh(x)", "abs": "fabs(x)"},
    **{"square": "x * x", "negative": "-x", "sign": "sign(x)", "reciprocal": "1.0 / x"},
}
_NOTE = "note(&fault, {{turn}}, {{input}}, {reason});"


@dataclass
class Pools:
    """Numbers that steps of any length take from tables of the whole file.

    Parameters
    ----------
    edges : of all bins, one column after another.
    keys, results : of all lookups; the keys of one rise.
    pieces : of all polynomials: each an origin and as many coefficients as the longest of its column has.
    """

    edges: list[float] = field(default_factory=list)
    keys: list[float] = field(default_factory=list)
    results: list[float] = field(default_factory=list)
    pieces: list[float] = field(default_factory=list)


@dataclass
class Calculation:
    """Lines of C, and what is left open in them.

    Parameters
    ----------
    lines : statements on ``x``, with ``{0}``, ``{1}``, ... for the numbers and ``{turn}``, ``{input}`` for a refusal.
    fields : the name and the type of each number, to be given once a column.
    numbers : the literals of this column.
    helpers : functions of the file that the lines call.
    refuses : whether there is a refusal in them.
    steps : their names.
    """

    lines: list[str] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    helpers: set[str] = field(default_factory=set)
    refuses: bool = False
    steps: list[str] = field(default_factory=list)

    def key(self) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        """The same for calculations that differ by their numbers only."""
        return tuple(self.lines), tuple(self.fields)

    def take(self, name: str, literal: str, kind: str = "double") -> str:
        """A place for a number."""
        used = sum(other.rstrip("_0123456789") == name for other, _ in self.fields)
        self.fields.append((f"{name}_{used + 1}" if used else name, kind))
        self.numbers.append(literal)
        return f"{{{len(self.numbers) - 1}}}"

    def refuse(self, condition: str, reason: str = "UNUSABLE") -> None:
        """A line that notes a refusal."""
        self.refuses = True
        self.helpers.add("note")
        self.lines.append(f"if ({condition}) " + _NOTE.format(reason=reason))


def calculation(steps: Sequence[Step], pools: Pools, *, given: bool) -> tuple[Calculation, bool]:
    """The steps of a column, and whether what they leave is known not to be infinite.

    Parameters
    ----------
    pools : takes the edges and keys.
    given : x is known not to be infinite: an input that was read.
    """
    found = Calculation()
    for step in steps:
        found.steps.append(step.function if isinstance(step, NumpyFunction) else step.name)
        given = _step(found, step, pools, given)
    return found, given


def look_up(
    found: Calculation,
    table: Mapping[Category, float],
    otherwise: float | None,
    pools: Pools,
    *,
    given: bool,
    spare: float,
) -> None:
    """Adds a search for x among the keys of a table, where None is a missing one.

    Parameters
    ----------
    otherwise : for x that is no key; None refuses it, and gives ``spare``.
    """
    if not given:
        found.refuse("isinf(x)")
    keys = sorted(key for key in table if isinstance(key, float))
    start = found.take("start", str(len(pools.keys)), "int")
    count = found.take("count", str(len(keys)), "int")
    pools.keys += keys
    pools.results += [table[key] for key in keys]
    other = spare if otherwise is None else otherwise
    missing = found.take("missing", number(table.get(None, other)))
    others = found.take("otherwise", number(other))
    if otherwise is None:
        known = f"known(KEYS + {start}, {count}, x)"
        found.helpers.add("known")
        found.refuse(f"!isnan(x) && !{known}" if None in table else f"isnan(x) || !{known}", "UNKNOWN")
    found.helpers.add("look_up")
    found.lines.append(f"x = isnan(x) ? {missing} : look_up({start}, {count}, x, {others});")


def _piecewise(found: Calculation, step: Piecewise, pools: Pools, *, given: bool) -> None:
    """Adds polynomials; the coefficients of those that refuse x are NaN."""
    if not given:
        found.refuse("isinf(x)")
    width = max(1, *map(len, step.coefficients))
    start = found.take("start", str(len(pools.edges)), "int")
    count = found.take("count", str(len(step.edges)), "int")
    pieces = found.take("pieces", str(len(pools.pieces)), "int")
    size = found.take("width", str(width + 1), "int")
    call = f"piecewise(EDGES + {start}, {count}, PIECES + {pieces}, {size}, x)"
    pools.edges += step.edges
    for origin, row in zip(step.origins, step.coefficients, strict=True):
        rest = [0.0] * (width - len(row)) if row else [math.nan] * width
        pools.pieces += [origin, *row, *rest]
    found.helpers.add("piecewise")
    if all(step.coefficients):
        found.lines.append(f"x = isnan(x) ? x : {call};")
        return
    found.lines.append(f"const double y = isnan(x) ? x : {call};")
    found.refuse("isnan(y) && !isnan(x)")
    found.lines.append("x = y;")


def _step(found: Calculation, step: Step, pools: Pools, given: bool) -> bool:
    """Adds one step; whether the value is known not to be infinite after it."""
    match step:
        case Arithmetic(operand=operand):
            found.lines.append(f"x = x {OPERATORS[type(step)]} {found.take(step.name, number(operand))};")
            return False
        case NumpyFunction(function=function):
            found.lines.append(f"x = {_FUNCTIONS[function]};")
            found.helpers |= {"sign"} if function == "sign" else set()
            return False
        case Power(name=name, lmbda=lmbda):
            found.helpers.add(name)
            found.lines.append(f"x = {name}(x, {found.take('lambda', number(lmbda))});")
            return False
        case Impute(fill=float(fill)):
            found.lines.append(f"x = isnan(x) ? {found.take(step.name, number(fill))} : x;")
            return given
        case Replace(value=float(value), by=float(by)):
            old, new = found.take("value", number(value)), found.take("by", number(by))
            found.lines.append(f"x = x == {old} ? {new} : x;")
            return given
        case Lookup():
            look_up(found, step.table(), step.other(), pools, given=given, spare=float("nan"))
            return True
        case Bin(edges=edges):
            found.refuse("!isfinite(x)")
            found.helpers.add("bin")
            start, count = (
                found.take("start", str(len(pools.edges)), "int"),
                found.take("count", str(len(edges)), "int"),
            )
            pools.edges += edges
            found.lines.append(f"x = bin(EDGES + {start}, {count}, x);")
            return True
        case Piecewise():
            _piecewise(found, step, pools, given=given)
            return all(len(row) < 2 for row in step.coefficients)
        case Clip(limits=[low, high]):
            if not given:
                found.refuse("isinf(x)")
            least, most = found.take("low", number(low)), found.take("high", number(high))
            found.lines.append(f"x = x < {least} ? {least} : x > {most} ? {most} : x;")
            return True
        case Is(value=value):
            if not given:
                found.refuse("isinf(x)")
            asked = f"x == {found.take('is', number(value))}" if isinstance(value, float) else "isnan(x)"
            found.lines.append(f"x = {asked} ? 1.0 : 0.0;")
            return True
    raise unknown(step, "C")
