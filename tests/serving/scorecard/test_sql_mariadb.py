"""The exported SELECT in MariaDB: it has no infinity and no NaN, and its texts compare without case unless asked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.scorecard import InputError, Scorecard
from tests.effort import times
from tests.serving.scorecard import databases, portable
from tests.serving.scorecard.test_sql_names import ANYTHING, HOSTILE, card, rows_of
from tests.serving.scorecard.test_sql_names import agree as agree_on_names
from tests.serving.scorecard.test_sql_raw import CLEANINGS, MORE, WORDS, WRITTEN, category, number
from tests.serving.scorecard.test_sql_raw import agree as agree_on
from tests.serving.scorecard.test_sql_steps import POWERS, STEPS, VALUES, chain, compare

#: float64's largest number stands for infinity: nothing is asked of numbers as large as it.
LARGEST = 1.7976931348623157e308
#: Numbers that MariaDB can hold.
HELD = [value for value in VALUES if value is None or abs(value) < LARGEST]


@pytest.fixture(scope="module")
def mariadb_database(opened) -> databases.Database:
    return opened("mariadb")


def assert_answers_are_right(found: Scorecard, database: databases.Database, values: list) -> None:
    """Each answer is the scorecard's, and what it refuses is refused. For want of an infinity more may be refused."""
    rows = [{"x": value} for value in values]
    answered = 0
    for row, answer in zip(rows, databases.answers(found, database, rows), strict=True):
        if isinstance(answer, InputError):
            continue
        answered += 1
        assert answer["predict"] == pytest.approx(found.predict_row(row), rel=1e-12, abs=1e-290), row
    assert answered


@pytest.mark.parametrize("name", portable.MODELS)
def test_hard_rows_of_every_kind_of_model(name: str, mariadb_database: databases.Database) -> None:
    rows = [
        row
        for row in portable.RAW
        if "\0" not in str(row["town"]) and not any(isinstance(one, float) and abs(one) > 1e20 for one in row.values())
    ]
    found = portable.scorecard(name)
    assert portable.agree(found, rows, databases.answers(found, mariadb_database, rows)) >= 8


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step(step: dict, mariadb_database: databases.Database) -> None:
    """Alone, and where something takes the place of a missing value before or after it."""
    for steps in ([step], [step, {"impute": 4.0}], [{"impute": 0.5}, step]):
        assert_answers_are_right(chain(*steps), mariadb_database, HELD)
        compare(chain(*steps), mariadb_database, [value for value in HELD if value is None or 1e-9 < abs(value) < 600])


@pytest.mark.parametrize("step", POWERS[::3], ids=str)
def test_a_target_that_was_transformed(step: dict, mariadb_database: databases.Database) -> None:
    ((name, lmbda),) = step.items()
    assert_answers_are_right(chain(target=[{f"inverse_{name}": lmbda}]), mariadb_database, HELD)


@pytest.mark.parametrize("cleaning", CLEANINGS, ids=range(len(CLEANINGS)))
@pytest.mark.parametrize("facts", [{}, {"integer": True}, {"null": False}, {"filled": False}], ids=str)
def test_numbers_written_as_text(facts: dict, cleaning, mariadb_database: databases.Database) -> None:
    written = [None, *(word for word in WRITTEN if not word.startswith("1.79769313486231"))]
    refused = agree_on(number(cleaning, **facts), mariadb_database, written, "TEXT")
    assert {"12abc", "+-5", "1e309", "inf"} <= set(refused)


@settings(max_examples=times(30))
@given(st.lists(st.floats(allow_nan=False, max_value=1e308, min_value=-1e308), min_size=20, max_size=20))
def test_every_number_arrives_to_the_last_bit(mariadb_database: databases.Database, values: list[float]) -> None:
    agree_on(number(CLEANINGS[0]), mariadb_database, values, "DOUBLE")
    agree_on(number(CLEANINGS[0]), mariadb_database, [repr(value) for value in values], "TEXT")


@pytest.mark.parametrize("declared", ["TEXT", "VARCHAR(50) COLLATE utf8mb4_general_ci"])
@pytest.mark.parametrize("otherwise", ["zero", "refuse"])
@pytest.mark.parametrize("cleaning", CLEANINGS[:2], ids=["clean", "as it is"])
def test_categories_are_compared_letter_by_letter(
    cleaning, otherwise: str, declared: str, mariadb_database: databases.Database
) -> None:
    known = [word for word in (*WORDS[:7:2], *WORDS[7:], *MORE[:9]) if cleaning.text(word) == word]
    found = category(cleaning, {1.5: known[::3], 2.5: known[1::3], -4.0: known[2::3]}, otherwise=otherwise)
    agree_on(found, mariadb_database, [None, *WORDS, *MORE], declared)


def test_hostile_names(mariadb_database: databases.Database) -> None:
    names = [name for name in HOSTILE if not name.endswith(" ") and name not in ("ß", "İ", "😀")]
    found = card(names, words=HOSTILE, classes=("it's", 'no "x"', "\\", "日本\n"))
    rows = rows_of(names, HOSTILE)
    for row, answer in zip(rows, databases.answers(found, mariadb_database, rows), strict=True):
        assert answer["predict"] == found.predict_row(row)
        assert answer["predict_proba"] == pytest.approx(found.probabilities_row(row), abs=1e-12)


@settings(max_examples=times(25))
@given(st.lists(ANYTHING, min_size=1, max_size=4, unique=True))
def test_texts_of_any_characters(mariadb_database: databases.Database, words: list[str]) -> None:
    agree_on_names(card(["n", "the text"], words=words), mariadb_database, rows_of(["n", "the text"], words))


@pytest.mark.parametrize("declared", ["INT", "BIGINT", "TINYINT(1)", "DECIMAL(9, 3)", "FLOAT"])
def test_columns_of_all_types_of_numbers(declared: str, mariadb_database: databases.Database) -> None:
    values = [1, 0, None] if "INT" in declared else [1.5, -2.125, None]
    for cleaning in CLEANINGS[:2]:
        agree_on(number(cleaning), mariadb_database, values, declared)
        agree_on(number(cleaning, integer=True), mariadb_database, values, declared)
