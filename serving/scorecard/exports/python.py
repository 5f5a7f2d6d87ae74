"""The scorecard as one Python file that imports nothing but ``math``: for places where nothing can be installed.

Every name and text of the model goes into the file through ``ascii``, as a literal, so that none can become code.
"""

from ..inputs import ABSENT, BOOLEAN, CATEGORY, FRACTION, INFINITE, REQUIRED
from ..plan import Op, Plan
from ..rows import OVERFLOW, UNPREDICTABLE
from ..scorecard import Scorecard
from ..steps import UNKNOWN, UNUSABLE
from . import pythontext as text

_ARITHMETIC = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


def write(scorecard: Scorecard) -> str:
    """The source of a module with ``predict(row)``, ``probabilities(row)``, ``decision(row)`` and ``InputError``.

    ``row`` is a mapping of input name to raw value. A question the model has no answer to has no function.
    """
    return _File(scorecard).source()


def literal(value) -> str:
    """A Python expression for plain data: the same value, and nothing but that value."""
    if isinstance(value, float):
        if value != value:
            return "math.nan"
        return repr(value) if value - value == 0.0 else "math.inf" if value > 0 else "-math.inf"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(map(literal, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
    return ascii(value)


class _File:
    """Collects the parts of the file: the helpers it needs, its constants, and the lines of ``scores``."""

    def __init__(self, scorecard: Scorecard):
        self.scorecard, self.plan = scorecard, scorecard.plan
        self.model, self.decision = scorecard.document["model"], scorecard.document["decision"]
        self.helpers: set[str] = set()
        self.constants: list[str] = []
        self.lines: list[str] = []
        self.blames = ""

    def source(self) -> str:
        plan = self.plan
        for place in plan.reads:
            self.lines.append(f"    {_slot(place)} = {self._read(place)}")
        for op in plan.ops:
            self._operation(op, "    ")
        self._checks(plan)
        self._scores(plan)
        answers = self._answers()
        known = text.needed(self.helpers | {"InputError"})
        reasons = {"ABSENT": ABSENT, "FRACTION": FRACTION, "INFINITE": INFINITE, "REQUIRED": REQUIRED}
        reasons |= {"OVERFLOW": OVERFLOW, "UNKNOWN": UNKNOWN, "UNPREDICTABLE": UNPREDICTABLE, "UNUSABLE": UNUSABLE}
        cleaning = self.scorecard.cleaning
        parts = [
            text.HEAD.format(digest=self.scorecard.digest, task=self.scorecard.task),
            "import math\n",
            f"DIGEST = {literal(self.scorecard.digest)}\n"
            f"INPUTS = {literal([item.to_dict() for item in self.scorecard.inputs])}\n"
            + (f"CLASSES = {literal(self.decision['classes'])}\n" if self.decision else "")
            + f"TRIM = {cleaning.trim}\nMISSING = frozenset({literal(sorted(cleaning.missing))})\n"
            + "".join(f"{name} = {literal(reason)}\n" for name, reason in reasons.items())
            + "".join(self.constants),
            *known,
            "def _scores(row):\n" + "\n".join(self.lines) + "\n",
            'def scores(row):\n    """The scores of a row before any link; raises InputError."""\n'
            "    return _scores(row)[1]\n",
            *answers,
        ]
        return "\n\n".join(parts)

    def _helper(self, name: str) -> str:
        self.helpers.add(name)
        return name

    def _constant(self, value) -> str:
        name = f"_T{len(self.constants)}"
        self.constants.append(f"{name} = {literal(value)}\n")
        return name

    def _read(self, place: int) -> str:
        item = self.plan.inputs[place]
        function = {CATEGORY: "_category", BOOLEAN: "_boolean"}.get(item.type, "_number")
        return f"{self._helper(function)}(row, {literal(item.name)}, {item.integer}, {item.null})"

    def _operation(self, op: Op, indent: str) -> None:
        put = self.lines.append
        if op.kind == "product":
            put(f"{indent}{_slot(op.slot)} = {' * '.join(['1.0', *map(_slot, op.sources)])}")
            return
        (source,) = op.sources
        if op.kind == "hot":
            put(f"{indent}{_slot(op.slot)} = 1.0 if {_slot(source)} == {op.place} else 0.0")
            return
        current = self._steps(op.steps, _slot(source), op.blame, indent)
        if op.kind == "code":
            table: dict = {}
            for place, group in enumerate(op.item["one_hot"]):
                table.update(dict.fromkeys(_keys(group["of"]), place))
            table.update(dict.fromkeys(_keys(op.item["zero"]), -1))
            otherwise = op.item["otherwise"]
            other = None if otherwise.get("do") == "refuse" else -1
            if "is" in otherwise:
                other = next(p for p, group in enumerate(op.item["one_hot"]) if group["name"] == otherwise["is"])
            name = self._constant(table)
            current = f"{self._helper('_find')}({name}, {current}, {other}, {literal(op.blame)})"
        put(f"{indent}{_slot(op.slot)} = {current}")

    def _steps(self, steps: list, current: str, blame: str, indent: str) -> str:
        """Writes lines that leave the value in ``x``; the expression of the result."""
        pending = current
        for step in steps:
            ((name, value),) = step.items()
            if name in _ARITHMETIC:
                pending = f"({pending} {_ARITHMETIC[name]} {literal(float(value))})"
                continue
            if pending != "x":
                self.lines.append(f"{indent}x = {pending}")
            pending = self._step(name, value, blame)
        return pending

    def _step(self, name: str, value, blame: str) -> str:
        if name == "impute":
            return f"({literal(_plain(value))} if {'x is None' if isinstance(value, str) else 'x != x'} else x)"
        if name == "replace":
            return f"({literal(_plain(value['by']))} if x == {literal(_plain(value['value']))} else x)"
        if name == "is":
            asked = None if value is None else _plain(value)
            return f"{self._helper('_is')}(x, {literal(asked)}, {literal(blame)})"
        if name == "clip":
            low, high = map(float, value)
            return f"{self._helper('_clip')}(x, {literal(low)}, {literal(high)}, {literal(blame)})"
        if name == "function":
            return f"{self._helper('_' + value)}(x)"
        if name == "bin":
            return f"{self._helper('_bin')}({self._constant(list(map(float, value)))}, x, {literal(blame)})"
        if name == "lookup":
            values = [float("nan") if item is None else float(item) for item in value["values"]]
            table = self._constant(dict(zip(_keys(value["keys"]), values, strict=True)))
            other = value["otherwise"]
            other = None if other == "refuse" else float("nan") if other is None else float(other)
            return f"{self._helper('_find')}({table}, x, {literal(other)}, {literal(blame)})"
        return f"{self._helper('_' + name)}(x, {literal(float(value))})"

    def _checks(self, plan: Plan) -> None:
        for check in plan.checks:
            indent = "    "
            if check.places:
                given = " and ".join(f"{literal(plan.inputs[place].name)} in row" for place in check.places)
                self.lines.append(f"    if {given}:  # no weight hangs on it, and it has to be usable")
                indent += "    "
            self.lines += [f"{indent}{_slot(place)} = {self._read(place)}" for place in check.places]
            for op in check.ops:
                self._operation(op, indent)
            self.lines.append(f"{indent}{self._helper('_usable')}({_slot(check.slot)}, {literal(check.blame)})")

    def _scores(self, plan: Plan) -> None:
        pairs = [(plan.blame(name), most) for (name, _), most in zip(plan.columns, plan.magnitudes(), strict=True)]
        blames = self._constant(pairs or [(plan.inputs[0].name if plan.inputs else "the model", 0.0)])
        self.blames = blames
        values = ", ".join(_slot(slot) for _, slot in plan.columns)
        self.lines.append(f"    values = [{values}]")
        if self.model["kind"] == "mlp":
            layers = [
                ([list(map(float, row)) for row in layer["weights"]], list(map(float, layer["intercepts"])))
                for layer in self.model["layers"]
            ]
            self.helpers.add(f"_{self.model['activation']}")
            activation = f"_{self.model['activation']}"
            arguments = f"values, {self._constant(layers)}, {activation}, {blames}"
            self.lines.append(f"    return values, {self._helper('_forward')}({arguments})")
            return
        found = []
        groups = [(slot, self._constant(list(table))) for slot, table, _ in plan.groups]
        for k, intercept in enumerate(self.model["intercepts"]):
            terms = [literal(float(intercept))]
            terms += [
                f"{literal(weights[k])} * {_slot(slot)}"
                for (_, slot), weights in zip(plan.columns, plan.weights, strict=True)
            ]
            terms += [f"{table}[{_slot(slot)}][{k}]" for slot, table in groups]
            inner = ",\n            ".join(terms)
            found.append(f"        {self._helper('_sum')}([\n            {inner},\n        ], values, {blames}),\n")
        self.lines.append("    return values, [\n" + "".join(found) + "    ]")

    def _answers(self) -> list[str]:
        if self.decision is None:
            lines = ["    values, (x,) = _scores(row)"]
            if self.model["link"] == "log":
                lines.append(f"    x = {self._helper('_exp')}(x)")
            final: list[str] = []
            self.lines, kept = final, self.lines
            result = self._steps(self.model["target"], "x", "target", "    ")
            self.lines = kept
            lines += [
                *final,
                f"    x = {result}" if result != "x" else "",
                "    if x - x != 0.0:",
                f"        raise InputError({self._helper('_largest')}(values, {self.blames}), UNPREDICTABLE)",
                "    return x\n",
            ]
            body = "\n".join(line for line in lines if line)
            return [f'def predict(row):\n    """The prediction for a row; raises InputError."""\n{body}']
        calibration = self.model["calibration"]
        margins = "scores(row)"
        if calibration is not None:
            pairs = self._constant([(float(item["slope"]), float(item["offset"])) for item in calibration])
            margins = f"[a * z + b for (a, b), z in zip({pairs}, scores(row))]"
        answers = [f"def _margins(row):\n    return {margins}\n"]
        if self.scorecard.has_probabilities:
            link = self._helper({"logistic": "_binary", "softmax": "_softmax"}.get(self.model["link"], "_normalised"))
            answers.append(
                'def probabilities(row):\n    """One probability a class, as in CLASSES; raises InputError."""\n'
                f"    return {link}(_margins(row))\n"
            )
        if self.scorecard.has_decision:
            several = len(self.model["intercepts"]) > 1
            answers.append(
                'def decision(row):\n    """The score before any link, or one a class; raises InputError."""\n'
                f"    return scores(row){'' if several else '[0]'}\n"
            )
        answers.append(
            f'def predict(row):\n    """The label for a row; raises InputError."""\n{self._label(calibration)}\n'
        )
        return answers

    def _label(self, calibration) -> str:
        threshold, classes = self.decision["threshold"], self.decision["classes"]
        if threshold is not None:
            second = threshold["positive"] == classes[1]
            if threshold["on"] == "probability":
                value = f"probabilities(row)[{int(second)}]"
            else:
                value = "scores(row)[0]" if second else "-scores(row)[0]"
            first, other = (1, 0) if second else (0, 1)
            return f"    return CLASSES[{first} if {value} >= {literal(float(threshold['value']))} else {other}]"
        outputs = (
            len(self.model["layers"][-1]["intercepts"]) if "layers" in self.model else len(self.model["intercepts"])
        )
        if outputs == 1:
            return "    return CLASSES[1 if _margins(row)[0] > 0.0 else 0]"
        source = "_margins(row)" if calibration is None else "probabilities(row)"
        return f"    found = {source}\n    return CLASSES[found.index(max(found))]"


def _slot(number: int) -> str:
    return f"v{number}"


def _plain(value):
    return value if isinstance(value, str) else float(value)


def _keys(values) -> list:
    return [key if key is None or isinstance(key, str) else float(key) for key in values]
