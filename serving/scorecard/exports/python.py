"""The scorecard as one Python file that imports nothing but ``math``: for places where nothing can be installed.

Every name and text of the model goes into the file through ``ascii``, as a literal, so that none can become code.
"""

from typing import Any

from ..scorecard import Scorecard
from . import module
from .about import About
from .helpers import Helpers
from .lowering import REASONS, Language, Lines, Lowering
from .wording import filled, shown

_TEMPLATES = {
    "head": '''r"""@title@ in one Python file, which imports nothing but math.

    import this_file
@usage@    print(this_file.predict(row))

INPUTS says which columns there are. Text is read as in training: trimmed, a number by its decimal and thousands marks.
A name may be padded; a number or a boolean among texts is its text. A row that cannot be scored raises InputError.
Made from the scorecard @digest@, and answers as it does.
"""
''',
    "columns": """# For each column of the model: the input to name where it cannot be used, its weight in each score.
COLUMNS = [
@columns@]
# The input to name where the model has no such columns.
ANYBODY = @anybody@
""",
    "compute": """def _columns(row):
    row = _named(row)
@lines@
    return @values@, @hot@
""",
    "scores": '''def scores(row):
    """The scores of a row before any link; raises InputError."""
    values, hot = _columns(row)
    return @scores@
''',
    "regression": '''def predict(row):
    """The prediction for a row; raises InputError."""
    values, hot = _columns(row)
    (score,) = @scores@
@lines@    result = @result@
    if result - result != 0.0:
        raise InputError(_largest(values), UNPREDICTABLE)
    return result
''',
    "probabilities": '''def probabilities(row):
    """One probability a class, as in CLASSES; raises InputError."""
    return @probabilities@
''',
    "decision": '''def decision(row):
    """The score before any link, or one a class; raises InputError."""
    return scores(row)@place@
''',
    "label": '''def predict(row):
    """The label for a row; raises InputError."""
    return CLASSES[@place@]
''',
}


def write(scorecard: Scorecard, about: About | None = None) -> str:
    """The source of a module; ``row`` is a mapping of input name to raw value."""
    return module.write(scorecard, about, Python())


class Python(Language):
    """Python 3; a model that takes a cube root needs 3.11."""

    helpers = Helpers("helpers.py")
    templates = _TEMPLATES
    unit = "    "
    gap = "\n\n"
    title = "Python"

    def usage(self, row: dict[str, Any]) -> str:
        if row:
            written = filled("row = {", [f"{name!a}: {value!a}" for name, value in row.items()], "}")
        else:
            written = 'row = {item["name"]: "text" if item["type"] == "category" else 0 for item in this_file.INPUTS}'
        written = written.replace('"""', r"\x22\x22\x22")
        return "".join(f"    {line}\n" for line in written.split("\n"))

    def literal(self, value: Any) -> str:
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
        return f"_{name}({x})", f"_{name}"

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

    def given(self, names: list[str], lines: Lines) -> Lines:
        if not names:
            return lines
        return [f"if {' and '.join(f'{self.literal(name)} in row' for name in names)}:", lines]

    def facts(self, lowering: Lowering) -> list[str]:
        scorecard, literal, constant = lowering.scorecard, self.literal, self.constant
        words = list(map(literal, sorted(scorecard.cleaning.missing)))
        found = [
            constant("DIGEST", literal(scorecard.digest)),
            constant("INPUTS", literal([item.to_dict() for item in scorecard.inputs])),
            constant("CLASSES", literal(scorecard.classes)) if scorecard.classes else "",
            constant("TRIM", literal(scorecard.cleaning.trim)),
            constant("MISSING", filled("frozenset([", words, "])")),
            *(constant(name, literal(reason)) for name, reason in REASONS.items()),
        ]
        lowering.helpers.add("InputError")
        return ["import math\n", "".join(found)]
