"""The scorecard as one Python file that imports nothing but ``math``: for places where nothing can be installed.

Every name and text of the model goes into the file through ``ascii``, as a literal, so that none can become code.
"""

from ..scorecard import Scorecard
from . import module, pythontext
from .straight import REASONS, Language, Straight
from .wording import filled, shown


def write(scorecard: Scorecard, about=None) -> str:
    """The source of a module; ``row`` is a mapping of input name to raw value."""
    return module.write(scorecard, about, Python())


class Python(Language):
    """Python 3; a model that takes a cube root needs 3.11."""

    text = pythontext
    unit = "    "
    gap = "\n\n"

    def usage(self, row: dict) -> str:
        if row:
            written = filled("row = {", [f"{name!a}: {value!a}" for name, value in row.items()], "}")
        else:
            written = 'row = {item["name"]: "text" if item["type"] == "category" else 0 for item in this_file.INPUTS}'
        written = written.replace('"""', r"\x22\x22\x22")
        return "".join(f"    {line}\n" for line in written.split("\n"))

    def literal(self, value) -> str:
        if isinstance(value, float):
            if value != value:
                return "math.nan"
            return repr(value) if value - value == 0.0 else "math.inf" if value > 0 else "-math.inf"
        if isinstance(value, list):
            return filled("[", list(map(self.literal, value)), "]")
        if isinstance(value, dict):
            pairs = [f"{self.literal(key)}: {self.literal(item)}" for key, item in value.items()]
            return filled("{", pairs, "}")
        return ascii(value)

    def pair(self, first: str, second: str) -> str:
        return f"({first}, {second})"

    def helper(self, name: str) -> str:
        return "_" + name

    def function(self, name: str, x: str) -> tuple[str, str | None]:
        return f"_{name}({x})", name

    def choose(self, condition: str, yes: str, no: str) -> str:
        return f"{yes} if {condition} else {no}"

    def missing(self, x: str, *, text: bool) -> str:
        return f"{x} is None" if text else f"{x} != {x}"

    def equal(self, x: str, y: str) -> str:
        return f"{x} == {y}"

    def remark(self, note: str) -> str:
        return f"  # {shown(note)}" if note else ""

    def put(self, name: str, value: str, note: str = "") -> str:
        return f"{name} = {value}{self.remark(note)}"

    def constant(self, name: str, value: str, note: str = "") -> str:
        return f"{'# ' + shown(note) + chr(10) if note else ''}{name} = {value}\n"

    def call(self, helper: str, *arguments: str) -> str:
        return f"{helper}({', '.join(arguments)})"

    def given(self, names: list[str], lines: list) -> list:
        if not names:
            return lines
        return [f"if {' and '.join(f'{self.literal(name)} in row' for name in names)}:", lines]

    def facts(self, straight: Straight) -> list[str]:
        scorecard, literal, constant = straight.scorecard, self.literal, self.constant
        words = list(map(literal, sorted(scorecard.cleaning.missing)))
        found = [
            constant("DIGEST", literal(scorecard.digest)),
            constant("INPUTS", literal([item.to_dict() for item in scorecard.inputs])),
            constant("CLASSES", literal(scorecard.classes)) if scorecard.classes else "",
            constant("TRIM", literal(scorecard.cleaning.trim)),
            constant("MISSING", filled("frozenset([", words, "])")),
            *(constant(name, literal(reason)) for name, reason in REASONS.items()),
        ]
        straight.helpers.add("InputError")
        return ["import math\n", "".join(found)]
