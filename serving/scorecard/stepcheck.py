"""Checks of the steps in a document, beyond what the types of their fields say."""

from . import fields
from .errors import ScorecardError
from .fields import NUMBER, TEXT
from .steps import STEPS, Bin, Clip, Divide, Lookup, Piecewise, Step, read_step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def steps(value: "Any", at: str, kind: str) -> str:
    """Checks steps that start from a number or a text; what they end with."""
    for place, item in enumerate(fields.listed(value, at)):
        where = f"{at}[{place}]"
        if not isinstance(item, dict) or len(item) != 1:
            fields.fail(where, "an object with one key, the name of the step", item)
        ((name, argument),) = item.items()
        if name not in STEPS:
            raise ScorecardError(f"{where}: expected one of the steps {', '.join(STEPS)}, found another")
        where, cls = f"{where}.{name}", STEPS[name]
        if kind == TEXT and not cls.takes_text:
            raise ScorecardError(f"{where}: the step wants a number, its column is text")
        if len(cls.fields) == 1:
            fields.check(cls, cls.fields[0])(argument, where, kind)
        else:
            fields.node(argument, where, cls, kind)
        if cls in _CONSTRAINED:
            _constraints(read_step(name, argument), where)
        kind = kind if cls.keeps_kind else NUMBER
    return kind


_CONSTRAINED = (Divide, Clip, Bin, Lookup, Piecewise)


def _constraints(step: Step, at: str) -> None:
    """Refuses what the types of a step's fields allow, and it does not."""
    if isinstance(step, Divide) and step.operand == 0:
        fields.fail(at, "a number other than zero", step.operand)
    if isinstance(step, Clip):
        if len(step.limits) != 2:
            fields.fail(at, "2 numbers", step.limits)
        if step.limits[0] > step.limits[1]:
            raise ScorecardError(f"{at}: expected the lower limit first")
    if isinstance(step, (Bin, Piecewise)) and step.edges != sorted(step.edges):
        raise ScorecardError(f"{at}: expected rising edges")
    if isinstance(step, Piecewise):
        pieces = len(step.edges) + 1
        fields.length(step.origins, f"{at}.origins", pieces)
        if len(step.coefficients) != pieces:
            fields.fail(f"{at}.coefficients", f"{pieces} lists, one an interval", step.coefficients)
    if isinstance(step, Lookup):
        if len(set(step.keys)) != len(step.keys):
            raise ScorecardError(f"{at}.keys: a key is there twice")
        if len(step.values) != len(step.keys):
            fields.fail(f"{at}.values", f"{len(step.keys)} values", step.values)
