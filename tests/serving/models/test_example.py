"""The row to try a model with: the logged example, and without one what the scorecard tells is usual."""

import json
import math
from pathlib import Path

import pytest

from serving.models import example
from serving.models.files import Folder
from tests.serving.server import cards, servers

PEOPLE = cards.people()


def logged(folder: Path, content: object, path: str = "input_example.json") -> dict:
    servers.model(folder / "m", PEOPLE, cards.PERSON)
    (folder / "m" / path).write_text(content if isinstance(content, str) else json.dumps(content))
    return example.row(PEOPLE, Folder(folder / "m"))


def test_the_first_row_of_the_logged_example(tmp_path: Path) -> None:
    names, values = list(cards.PERSON), list(cards.PERSON.values())
    other = [60.0, 1, False, "dark blue"]
    assert logged(tmp_path, {"columns": names, "data": [values, other]}) == cards.PERSON


def test_a_missing_value_stays_missing(tmp_path: Path) -> None:
    content = {"columns": list(cards.PERSON), "data": [[math.nan, 3, True, "red"]]}
    assert logged(tmp_path, content) == {**cards.PERSON, "age": None}


@pytest.mark.parametrize(
    "content",
    ["{", "[]", {"columns": ["age"], "data": []}, {"columns": ["age"], "data": [["x"]]}, {"data": [[1]]}],
    ids=["torn", "a list", "no rows", "another type", "no names"],
)
def test_an_example_that_cannot_be_read_is_made_anew(tmp_path: Path, content: object) -> None:
    row = logged(tmp_path, content)
    assert list(row) == list(cards.PERSON)
    assert PEOPLE.predict_row(row) in ("yes", "no")


def test_a_made_row_is_usual() -> None:
    row = example.complete(PEOPLE, {})
    assert row["age"] == pytest.approx(40, abs=3), "the mean that a missing age becomes"
    assert row["number of rooms"] in range(3, 7)
    assert isinstance(row["number of rooms"], int)
    flowers = example.complete(cards.flowers(), {})
    assert list(flowers.values()) == pytest.approx([5.8, 3.1, 3.8, 1.2], abs=0.4), "the means that are subtracted"


def test_what_is_given_is_kept() -> None:
    row = example.complete(PEOPLE, {"age": 71, "été": "red", "another": 1})
    assert (row["age"], row["été"]) == (71, "red")
    assert "another" not in row
