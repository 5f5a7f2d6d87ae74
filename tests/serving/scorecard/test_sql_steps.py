"""Each step of a scorecard as SQL, on real databases: the same number, and NULL exactly where the scorecard refuses."""

import contextlib
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.scorecard import InputError, Scorecard, document, steps
from tests.effort import times
from tests.serving.scorecard import databases

DIALECTS = ("duckdb", "postgres", "sqlite")
VALUES = (
    *(None, math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 3.25, -7.0, 1e-9, -1e-9, 1e-16),
    *(3e-17, 5e-324, -5e-324, 1e-310, 1e-300, -1e-300, 1e-160, 1e-150, 1e-20, 0.1, 10.0, 50.0, 700.0, 709.0, 709.7),
    *(709.9, 710.0, -700.0, -745.0, -745.2, -746.0, -1000.0, 1e5, 1e8, 1e9, 1e16, 1e17, 1e18, 1e30, -1e30, 1.3e154),
    *(1.4e154, -1.4e154, 1e160, 1e200, -1e200, 1e300, -1e300, 1e308, -1e308),
    *(1.7976931348623157e308, -1.7976931348623157e308),
)  # fmt: skip


def card(columns: list[dict], weights: list, *, target=(), link="identity", kind="number", **facts) -> Scorecard:
    """A linear regression over columns of the input ``x``."""
    model = {"kind": "linear", "link": link, "calibration": None, "target": list(target), "intercepts": [0.0]}
    model["terms"] = [{"column": name, "weights": [weight]} for name, weight in weights]
    inputs = [{"name": "x", "type": kind, "integer": False, "null": True} | facts]
    cleaning = {"trim": True, "missing": ["", "NA"]}
    body = {"task": "regression", "inputs": inputs, "cleaning": cleaning, "columns": columns, "model": model}
    return Scorecard(document.seal({**body, "decision": None}))


def chain(*steps: dict, **facts) -> Scorecard:
    return card([{"name": "c", "input": "x", "steps": list(steps)}], [("c", 1.0)], **facts)


def compare(found: Scorecard, database: databases.Database, values=VALUES, *, relative: float = 1e-12) -> None:
    """Whether the SQL answers values as the scorecard does."""
    agree(found, database, [{"x": value} for value in values], relative=relative)


def agree(found: Scorecard, database: databases.Database, rows: list[dict], *, relative: float = 1e-12) -> None:
    for row, answer in zip(rows, databases.answers(found, database, rows), strict=True):
        try:
            expected = found.predict_row(row)
        except InputError:
            expected = None
        if expected is None or isinstance(answer, InputError):
            assert expected is None, row
            assert isinstance(answer, InputError), (row, answer)
            continue
        assert answer["predict"] == pytest.approx(expected, rel=relative, abs=1e-290), row


FUNCTIONS = steps.FUNCTIONS
POWERS = [{name: lmbda} for name in ("box_cox", "yeo_johnson") for lmbda in (-2.0, -0.5, 0.0, 1e-3, 0.5, 1.0, 2.0, 3.0)]
STEPS = (
    *({"function": name} for name in FUNCTIONS),
    *POWERS,
    *({"add": 1.5}, {"add": 1e300}, {"subtract": 1e6}, {"multiply": 0.0}, {"multiply": -3.0}, {"multiply": 1e-200}),
    *({"multiply": 1e200}, {"divide": 7.0}, {"divide": 1e-9}, {"divide": -1e250}, {"clip": [-1.0, 2.5]}),
    *({"clip": [3.0, 3.0]}, {"is": None}, {"is": 3.25}, {"bin": [-1.0, 0.0, 0.1, 700.0]}, {"bin": []}),
    {"replace": {"value": -7.0, "by": 0.1}},
    {"lookup": {"keys": [1.0, None, 0.1], "values": [5.0, 6.0, None], "otherwise": "refuse"}},
    {"lookup": {"keys": [0.5, 2.0], "values": [1.0, -1.0], "otherwise": None}},
    {"lookup": {"keys": [-1.0, 3.25], "values": [0.25, 0.5], "otherwise": 9.0}},
)  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step(step: dict, dialect: str, opened) -> None:
    compare(chain(step), opened(dialect))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step_whose_missing_values_are_filled(step: dict, dialect: str, opened) -> None:
    """What is too large is not missing: it is refused though there is a value for what is missing."""
    compare(chain(step, {"impute": 4.0}), opened(dialect))
    compare(chain(step, {"is": None}), opened(dialect))
    compare(chain({"impute": 0.5}, step), opened(dialect))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("step", [{"function": name} for name in ("tanh", "sign", "exp", "negative")], ids=str)
def test_a_function_that_takes_infinity_for_a_number(step: dict, dialect: str, opened) -> None:
    """An infinity that is computed goes on, and one that was given is refused."""
    for before in ({"function": "log"}, {"divide": 1e-9}, {"function": "negative"}, {"function": "exp"}):
        compare(chain(before, step), opened(dialect))
        compare(chain(before, step, {"impute": 1.0}), opened(dialect))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("step", POWERS, ids=str)
def test_a_target_that_was_transformed(step: dict, dialect: str, opened) -> None:
    ((name, lmbda),) = step.items()
    inverse = {f"inverse_{name}": lmbda}
    compare(chain(target=[inverse]), opened(dialect))
    compare(chain(target=[{"multiply": 0.5}, {"add": 1.0}, inverse, {"subtract": 2.0}]), opened(dialect))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_link_and_functions_of_the_target(dialect: str, opened) -> None:
    compare(chain(link="log"), opened(dialect))
    for name in FUNCTIONS:
        compare(chain(target=[{"function": name}]), opened(dialect))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_products_neither_overflow_nor_vanish_into_an_error(dialect: str, opened) -> None:
    columns = [
        {"name": "a", "input": "x", "steps": [{"impute": 3.0}]},
        {"name": "b", "input": "y", "steps": [{"impute": -2.0}]},
        {"name": "ab", "product": ["a", "b"]},
        {"name": "aab", "product": ["a", "a", "b"]},
        {"name": "scaled", "column": "ab", "steps": [{"divide": 3.0}, {"impute": 5.0}]},
    ]
    inputs = [{"name": name, "type": "number", "integer": False, "null": True} for name in "xy"]
    for name in ("ab", "aab", "scaled"):
        body = card(columns[:1], [("a", 1.0)]).document.content
        model = {**body["model"], "terms": [{"column": name, "weights": [2.0]}]}
        found = Scorecard(document.seal({**body, "inputs": inputs, "columns": columns, "model": model}))
        sizes = (0.0, 1.0, 5e-324, 1e-160, 1.4e154, 1e300, math.inf)
        hard = [value for value in VALUES if value is None or abs(value) in sizes]
        rows = [{"x": one, "y": other} for one, other in itertools.product(hard, hard)]
        agree(found, opened(dialect), rows)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_sums_overflow_where_the_scorecard_says(dialect: str, opened) -> None:
    """PostgreSQL fails a query whose sum overflows on the way: a score may be as large as float64 goes."""
    columns = [{"name": name, "input": "x", "steps": []} for name in "abcde"]
    tiny = ((1e-300, 1.0, 2.0, 3.0, 4.0), (0.9, 1e-320, 0.0, 1e-5, 0.05))
    smallest = ((5e-324, 1.0, 2.0, 3.0, 4.0), (5e-324, 1e-323, 0.5, 0.25, 0.0))
    for weights in ((0.2,) * 5, (1.0, 0.5, 0.5, 1.0, 1.0), *tiny, *smallest):
        compare(card(columns, list(zip("abcde", weights, strict=True))), opened(dialect))


def steps_of_numbers() -> st.SearchStrategy:
    number = st.sampled_from((-3.0, -1.0, -0.5, 0.25, 1.0, 2.0, 1e-6, 1e6))
    smooth = [{"function": name} for name in FUNCTIONS if name not in ("sign", "sin", "cos")]
    return st.one_of(
        st.sampled_from(smooth),
        st.builds(lambda value: {"add": value}, number),
        st.builds(lambda value: {"divide": value}, number),
        st.builds(lambda value: {"multiply": value}, number),
        st.builds(lambda value: {"impute": value}, number),
        st.builds(lambda value: {"yeo_johnson": value}, number.filter(lambda value: abs(value) < 5)),
        st.just({"clip": [-2.0, 3.0]}),
    )


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=times(40))
@given(st.lists(steps_of_numbers(), min_size=2, max_size=4), st.lists(st.sampled_from(VALUES), min_size=9, max_size=9))
def test_steps_one_after_another(dialect: str, opened, steps: list, values: list) -> None:
    """Functions may be rounded differently: where that is magnified, only refusals have to agree."""
    found = chain(*steps)
    rows = [{"x": value} for value in values]
    for row, answer in zip(rows, databases.answers(found, opened(dialect), rows), strict=True):
        refused = isinstance(answer, InputError)
        expected = None
        with contextlib.suppress(InputError):
            expected = found.predict_row(row)
        if expected is None:
            assert refused, row
            continue
        nearby = []
        for factor in (1.0 - 1e-14, 1.0 + 1e-14):
            with contextlib.suppress(InputError):
                value = row["x"]
                moved = value if value is None or not math.isfinite(value * factor) else value * factor
                nearby.append(found.predict_row({"x": moved}))
        if len(nearby) < 2 or abs(expected) > 1e290:
            continue  # at the edge of a refusal
        assert not refused, (row, expected)
        spread = max(abs(one - expected) for one in nearby)
        assert abs(answer["predict"] - expected) <= 100.0 * spread + 1e-11 * abs(expected) + 1e-13, (row, expected)
