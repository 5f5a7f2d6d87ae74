"""Steps as lines of C on one double ``x``, with the numbers they take left open, so that many columns share a loop."""

from dataclasses import dataclass, field

from .names import number

_FUNCTIONS = {
    **{name: f"{name}(x)" for name in ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "cbrt")},
    **{"sin": "sin(x)", "cos": "cos(x)", "tanh": "tanh(x)", "arcsinh": "asinh(x)", "abs": "fabs(x)"},
    **{"square": "x * x", "negative": "-x", "sign": "sign(x)"},
}
_ARITHMETIC = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
_NOTE = "note(&fault, {{turn}}, {{input}}, {reason});"


@dataclass
class Pools:
    """Numbers that steps of any length take from tables of the whole file.

    Parameters
    ----------
    edges : of all bins, one column after another.
    keys, results : of all lookups; the keys of one rise.
    """

    edges: list[float] = field(default_factory=list)
    keys: list[float] = field(default_factory=list)
    results: list[float] = field(default_factory=list)


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

    def key(self) -> tuple:
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


def calculation(steps: list, pools: Pools, *, given: bool) -> tuple[Calculation, bool]:
    """The steps of a column, and whether what they leave is known not to be infinite.

    Parameters
    ----------
    pools : takes the edges and keys.
    given : x is known not to be infinite: an input that was read.
    """
    found = Calculation()
    for step in steps:
        for name, value in step.items():
            given = _step(found, name, value, pools, given)
    return found, given


def look_up(
    found: Calculation, table: dict, otherwise: float | None, pools: Pools, *, given: bool, spare: float
) -> None:
    """Adds a search for x among the keys of a table, where None is a missing one.

    Parameters
    ----------
    otherwise : for x that is no key; None refuses it, and gives ``spare``.
    """
    if not given:
        found.refuse("isinf(x)")
    keys = sorted(key for key in table if key is not None)
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


def _step(found: Calculation, name: str, value, pools: Pools, given: bool) -> bool:
    """Adds one step; whether the value is known not to be infinite after it."""
    found.steps.append(value if name == "function" else name)
    if name in _ARITHMETIC:
        found.lines.append(f"x = x {_ARITHMETIC[name]} {found.take(name, number(float(value)))};")
        return False
    if name == "function":
        found.lines.append(f"x = {_FUNCTIONS[value]};")
        found.helpers |= {"sign"} if value == "sign" else set()
        return False
    if name == "impute":
        found.lines.append(f"x = isnan(x) ? {found.take(name, number(float(value)))} : x;")
        return given
    if name == "replace":
        old, new = (found.take(part, number(float(value[key]))) for part, key in (("value", "value"), ("by", "by")))
        found.lines.append(f"x = x == {old} ? {new} : x;")
        return given
    if name == "lookup":
        values = [float("nan") if item is None else float(item) for item in value["values"]]
        keys = [key if key is None else float(key) for key in value["keys"]]
        other = value["otherwise"]
        other = None if other == "refuse" else float("nan") if other is None else float(other)
        table = dict(zip(keys, values, strict=True))
        look_up(found, table, other, pools, given=given, spare=float("nan"))
        return True
    if name in ("is", "clip", "bin"):
        if name == "bin":
            found.refuse("!isfinite(x)")
        elif not given:
            found.refuse("isinf(x)")
        found.lines.append(_limited(found, name, value, pools))
        return True
    found.helpers.add(name)
    found.lines.append(f"x = {name}(x, {found.take('lambda', number(float(value)))});")
    return False


def _limited(found: Calculation, name: str, value, pools: Pools) -> str:
    """The line of a step that takes no infinite number."""
    if name == "clip":
        low, high = (found.take(part, number(float(limit))) for part, limit in zip(("low", "high"), value, strict=True))
        return f"x = x < {low} ? {low} : x > {high} ? {high} : x;"
    if name == "bin":
        found.helpers.add("bin")
        start, count = found.take("start", str(len(pools.edges)), "int"), found.take("count", str(len(value)), "int")
        pools.edges += map(float, value)
        return f"x = bin(EDGES + {start}, {count}, x);"
    if value is None:
        return "x = isnan(x) ? 1.0 : 0.0;"
    return f"x = x == {found.take('is', number(float(value)))} ? 1.0 : 0.0;"
