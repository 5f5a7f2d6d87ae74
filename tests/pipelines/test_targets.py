"""Classes by the words of a user: exact before another case, in double quotes or not, and their weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import targets
from pipelines.errors import PipelineError

CASES = ["A", "a"]
COMMAS = ["<=5,0", ">5,0"]
QUOTES = ['a "b"', "a=b"]


@pytest.mark.parametrize(
    ("text", "classes", "found"),
    [
        ("a", CASES, "a"),
        ("A", CASES, "A"),
        ("Yes", ["no", "yes"], "yes"),
        ("YES", ["Yes", "no"], "Yes"),
        ("<=5,0", COMMAS, "<=5,0"),
        ('"<=5,0"', COMMAS, "<=5,0"),
        ('a "b"', QUOTES, 'a "b"'),
        ('"a ""b"""', QUOTES, 'a "b"'),
        ('"a"', ['"a"', "b"], '"a"'),
        ("1", [0, 1], 1),
        ("true", [False, True], True),
    ],
)
def test_a_class_is_found(text: str, classes: list, found: object):
    assert targets.label(text, classes, "--positive") is found


@pytest.mark.parametrize(
    ("text", "classes", "line"),
    [
        ("b", CASES, "--positive: no class 'b'; the classes are 'A', 'a'"),
        ("YES", ["Yes", "yes"], "--positive: 'YES' could be 'Yes', 'yes'; write one of them exactly"),
        ("", CASES, "--positive: no class ''"),
    ],
)
def test_a_class_that_is_not_there_or_not_one_is_refused(text: str, classes: list, line: str):
    with pytest.raises(PipelineError) as caught:
        targets.label(text, classes, "--positive")
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("text", "classes", "found"),
    [
        ("A=5,a=1", CASES, {"A": 5, "a": 1}),
        (" A = 5 , a=1e-3", CASES, {"A": 5, "a": 1e-3}),
        ("a=2", CASES, {"a": 2}),
        ('"<=5,0"=2,">5,0"=1', COMMAS, {"<=5,0": 2, ">5,0": 1}),
        ('a=b=2,"a ""b"""=3', QUOTES, {"a=b": 2, 'a "b"': 3}),
        ('a "b"=3', QUOTES, {'a "b"': 3}),
        ("0=1,1=20", [0, 1], {0: 1, 1: 20}),
        ("TRUE=2", [False, True], {True: 2}),
    ],
)
def test_weights(text: str, classes: list, found: dict):
    assert targets.weights(text, classes, "--class-weight") == found


@given(
    st.dictionaries(
        st.text().map(str.strip).filter(bool), st.floats(0, exclude_min=True, allow_infinity=False), min_size=1
    )
)
def test_law_every_class_can_be_written(given_weights: dict[str, float]):
    written = ",".join('"' + name.replace('"', '""') + f'"={weight!r}' for name, weight in given_weights.items())
    assert targets.weights(written, list(given_weights), "--class-weight") == given_weights


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=0", "expected a weight above 0, and finite, found 0 for 'A'"),
        ("A=-1", "expected a weight above 0, and finite, found -1 for 'A'"),
        ("A=inf", "expected a weight above 0, and finite, found inf for 'A'"),
        ("A=1e999", "expected a weight above 0, and finite, found 1e999 for 'A'"),
        ("A=nan,a=1", "expected a weight above 0, and finite, found nan for 'A'"),
        ("A=1,A=2", "the class 'A' is weighed twice"),
        ("b=1", "no class 'b'; the classes are 'A', 'a'"),
        ("A", "expected balanced, or weights: bad=5,good=1"),
        ("A=much", "expected balanced, or weights: bad=5,good=1"),
        ("=5", "no class ''"),
        (",", "expected balanced, or weights: bad=5,good=1"),
        ('"A=5', "a double quote is not closed"),
        ("Balanced", "expected balanced, or weights: bad=5,good=1"),
    ],
)
def test_weights_that_are_refused(text: str, line: str):
    with pytest.raises(PipelineError) as caught:
        targets.weights(text, CASES, "--class-weight")
    assert str(caught.value).startswith("--class-weight: ")
    assert line in str(caught.value)


def test_a_weight_for_a_name_that_differs_in_case_alone_is_of_one_class():
    with pytest.raises(PipelineError, match="the class 'yes' is weighed twice"):
        targets.weights("yes=1,YES=2", ["no", "yes"], "--class-weight")


def test_the_usual_name_of_a_target_in_lower_case_goes_first():
    assert targets.usual_name(["Target", "target"]) == "target"
    assert targets.usual_name(["Y", "Class"]) == "Class"
    assert targets.usual_name(["x"]) is None
