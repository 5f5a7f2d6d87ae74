"""Stand-in names for columns whose names differ only in letter case: Great Expectations would take one for the other.

It looks a column up regardless of case, and where a table has both ``x`` and ``X`` judges the first for both.
"""

import copy
from typing import TYPE_CHECKING

from pipelines.validation.suites import Suite

if TYPE_CHECKING:
    import pandas as pd

_ONE = ("column", "column_A", "column_B")
_SEVERAL = ("column_list", "column_set")


def aliases(frame: "pd.DataFrame", suite: Suite) -> dict[str, str]:
    """A stand-in for every name, of the table or of the suite, that another is equal to but for case."""
    names = dict.fromkeys(frame.columns)
    for expectation in suite.expectations:
        names |= dict.fromkeys(_named(expectation["kwargs"]))
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(name.casefold(), []).append(name)
    twins = [name for group in alike.values() if len(group) > 1 for name in group]
    made = {}
    for i, name in enumerate(twins):
        alias = f"{name.casefold()} {i}"
        while alias in alike:
            alias += "_"
        alike[alias] = []
        made[name] = alias
    return made


def aliased(suite: Suite, names: dict[str, str]) -> Suite:
    """The suite about columns under their stand-in names."""
    expectations = copy.deepcopy(suite.expectations)
    for expectation in expectations:
        kwargs = expectation["kwargs"]
        for key in _ONE:
            if isinstance(kwargs.get(key), str):
                kwargs[key] = names.get(kwargs[key], kwargs[key])
        for key in _SEVERAL:
            if isinstance(kwargs.get(key), list):
                kwargs[key] = [names.get(name, name) for name in kwargs[key]]
        _alias_condition(kwargs.get("row_condition"), names)
    return Suite(suite.name, expectations, suite.meta)


def restored(value, names: dict[str, str]):
    """A JSON value with the real names in place of stand-ins."""
    back = {alias: name for name, alias in names.items()}

    def restore(value):
        if isinstance(value, str):
            return back.get(value, value)
        if isinstance(value, list):
            return [restore(inner) for inner in value]
        if isinstance(value, dict):
            return {back.get(key, key): restore(inner) for key, inner in value.items()}
        return value

    return restore(value) if back else value


def _named(kwargs: dict) -> list[str]:
    found = [kwargs.get(key) for key in _ONE]
    for key in _SEVERAL:
        found += kwargs.get(key) or []
    return [name for name in found if isinstance(name, str)]


def _alias_condition(condition: object, names: dict[str, str]) -> None:
    if not isinstance(condition, dict):
        return
    column = condition.get("column")
    if isinstance(column, dict) and column.get("name") in names:
        column["name"] = names[column["name"]]
    for inner in condition.get("conditions") or ():
        _alias_condition(inner, names)
