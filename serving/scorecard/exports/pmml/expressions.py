"""PMML's expressions as XML elements by short calls, and fields that hold their values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement

#: The largest finite float64.
LARGEST = 1.7976931348623157e308
_OPTYPES = {"double": "continuous", "integer": "continuous"}


@dataclass(frozen=True)
class Value:
    """What an expression gives for a row.

    Parameters
    ----------
    element : the expression; put into one place only.
    present : whether it is never missing.
    bounded : whether it is never infinite.
    """

    element: Element
    present: bool
    bounded: bool


class FieldList:
    """Makes fields, ``DerivedField`` or ``OutputField``, each with a name of its own.

    Parameters
    ----------
    names : the names taken so far; shared by those that make fields of one document.
    output : whether the fields are of a model's ``Output``.
    """

    def __init__(self, names: set[str], *, output: bool = False) -> None:
        self.elements: list[Element] = []
        self._names, self._output = names, output

    def add(self, expression: Element, hint: str, *, kind: str = "double", final: bool = False) -> str:
        """A field of an expression; its name is the hint, or as near to it as is free."""
        name = unique(hint, self._names)
        facts = {"name": name, "optype": _OPTYPES.get(kind, "categorical"), "dataType": kind}
        if self._output:
            facts |= {"feature": "transformedValue", "isFinalResult": "true" if final else "false"}
        element = Element("OutputField" if self._output else "DerivedField", facts)
        element.append(expression)
        self.elements.append(element)
        return name

    def held(self, value: Value, hint: str) -> str:
        """The name of a field that holds a value; its own where it is one already."""
        if value.element.tag == "FieldRef":
            return value.element.attrib["field"]
        return self.add(value.element, hint)


def unique(name: str, names: set[str]) -> str:
    """The name, with a number behind it where it is taken; taken from now on."""
    found, number = name or "value", 1
    while found in names:
        number += 1
        found = f"{name} ({number})"
    names.add(found)
    return found


def number(value: float) -> str:
    """A number as XML Schema writes it: the shortest text that is read as the same float64."""
    value = float(value)
    if math.isinf(value):
        return "INF" if value > 0 else "-INF"
    return repr(value)


def reference(name: str) -> Element:
    """The value of a field."""
    return Element("FieldRef", {"field": name})


def constant(value: float | str | bool) -> Element:
    """A constant number, text or truth."""
    kind = {bool: "boolean", str: "string"}.get(type(value), "double")
    element = Element("Constant", {"dataType": kind})
    element.text = str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else number(value)
    return element


def apply(function: str, *arguments: Any, **attributes: str) -> Element:
    """A function of expressions, names of fields not among them; plain numbers and texts are constants."""
    element = Element("Apply", {"function": function, **attributes})
    element.extend(item if isinstance(item, Element) else constant(item) for item in arguments)
    return element


def total(terms: list[Element]) -> Element:
    """The sum of terms, as a tree that is no deeper than need be."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return apply("+", total(terms[:half]), total(terms[half:]))


def both(conditions: list[Element]) -> Element:
    """The condition that all of the conditions hold."""
    return conditions[0] if len(conditions) == 1 else apply("and", *conditions)


def within(name: str, limit: float = LARGEST) -> Element:
    """Whether a field holds a number between -limit and limit: none that is infinite, and no NaN."""
    return apply("lessOrEqual", apply("abs", reference(name)), limit)


def given(name: str, expression: Element) -> Element:
    """The expression, where a field is not missing; else missing.

    By the standard a function of a missing value is missing; engines raise.
    """
    return apply("if", apply("isNotMissing", reference(name)), expression)


def table(name: str, rows: Sequence[tuple[Any, Any]], *, kind: str, missing: Any = None, other: Any = None) -> Element:
    """A look into a table: (from, to) pairs; missing where nothing is said for a missing value, or for another one."""
    facts = {"outputColumn": "to", "dataType": kind}
    if other is not None:
        facts["defaultValue"] = _text(other)
    if missing is not None:
        facts["mapMissingTo"] = _text(missing)
    element = Element("MapValues", facts)
    SubElement(element, "FieldColumnPair", {"field": name, "column": "from"})
    inline = SubElement(element, "InlineTable")
    for key, value in rows:
        row = SubElement(inline, "row")
        SubElement(row, "from").text = _text(key)
        SubElement(row, "to").text = _text(value)
    return element


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else number(value)
