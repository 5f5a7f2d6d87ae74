"""The stable holdout and the folds: laws of a row's place, and the tables that cannot be split."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import columns, row_keys, splitting
from pipelines.dataset import Dataset, Roles, prepare
from pipelines.errors import PipelineError
from pipelines.folds import make_folds
from pipelines.holdout_share import HoldoutShare
from pipelines.sources import ReadOptions, Table
from registry import holdout
from serving.scorecard.inputs import Cleaning

ROWS = 400


def dataset(columns: dict, roles: Roles = Roles()) -> Dataset:  # noqa: B008  # frozen
    return prepare(Table(pa.table(columns), "t", "t", "d"), roles)


def made(rows: int = ROWS, seed: int = 0, **columns) -> dict:
    draw = np.random.default_rng(seed)
    return {
        "a": draw.standard_normal(rows),
        "b": draw.choice(["u", "v", None], rows).tolist(),
        "y": draw.standard_normal(rows),
    } | columns


def split(columns: dict, *, test_size: float = 0.25, **roles) -> splitting.Split:
    given = Roles(**roles)
    return splitting.split(dataset(columns, given), given, test_size=test_size)


def again(rule: holdout.HoldoutRule) -> holdout.HoldoutRule:
    """A rule as a version's tag gives it back."""
    return holdout.HoldoutRule.from_tag(rule.to_tag() or "")


def reordered(columns: dict, rows: np.ndarray) -> dict:
    return {name: [values[row] for row in rows] for name, values in columns.items()}


# --- the key

cells = st.one_of(st.floats(allow_infinity=False), st.sampled_from([0.0, -0.0, 1.0]))
words = st.none() | st.text(max_size=5) | st.sampled_from(["1", " 1.0", "-0", "TRUE", "2020-01-01", "9007199254740993"])
frames = st.lists(st.tuples(cells, cells, words), min_size=1, max_size=20).map(
    lambda rows: pd.DataFrame(
        {
            "p": pd.Series([row[0] for row in rows], dtype="float64"),
            "q": pd.Series([row[1] for row in rows], dtype="float64"),
            "r": pd.Series([row[2] for row in rows], dtype="str"),
        }
    )
)


@given(frames, st.randoms(use_true_random=False))
def test_the_hash_is_of_the_row_alone(frame, random):
    keys = row_keys.hash_rows(frame)
    assert keys.dtype == "uint64"
    order = random.sample(range(len(frame)), len(frame))
    np.testing.assert_array_equal(row_keys.hash_rows(frame.iloc[order]), keys[order])
    one_by_one = [row_keys.hash_rows(frame.iloc[[row]])[0] for row in range(len(frame))]
    np.testing.assert_array_equal(one_by_one, keys)
    columns = random.sample(list(frame), 3)
    np.testing.assert_array_equal(row_keys.hash_rows(frame[columns]), keys)


@given(frames)
def test_rows_have_one_hash_where_they_are_equal_and_several_where_not(frame):
    keys = row_keys.hash_rows(frame)
    by_row = {}
    for row, key in zip(frame.itertuples(index=False), keys.tolist(), strict=True):
        assert by_row.setdefault(tuple(map(meant, row)), key) == key
    assert len(set(by_row.values())) == len(by_row)


def meant(value):
    """What a value is, whatever the type of its column: a number, a text, or missing."""
    if value != value:
        return ""
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in ("true", "false"):
            return float(text.lower() == "true")
        try:
            read = float(text) if text.isascii() and "_" not in text else text
        except ValueError:
            return text or " "
        return text if read != read or text == "9007199254740993" else read + 0.0 if isinstance(read, float) else read
    return value + 0.0


def test_zeros_and_missing_values_are_alike_and_names_count():
    payload = np.array([0x7FF8000000000001], dtype="uint64").view("float64")[0]
    keys = row_keys.hash_rows(pd.DataFrame({"a": [0.0, -0.0, np.nan, -np.nan, payload]}))
    assert keys[0] == keys[1]
    assert len(set(keys[2:].tolist())) == 1
    two = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]})
    assert len(set(row_keys.hash_rows(two).tolist())) == 2
    assert row_keys.hash_rows(two.rename(columns={"a": "c"}))[0] != row_keys.hash_rows(two)[0]


def test_the_hash_never_changes():
    """A version's held-out rows are found again by this hash, by a later release too: else SCHEME is raised."""
    frame = pd.DataFrame({"a": [1.5, np.nan], "größe": pd.Series(["x", None], dtype="str")})
    assert [f"{key:016x}" for key in row_keys.hash_rows(frame).tolist()] == ["ffe45c32488b1a95", "f0c12b1969b9f061"]
    assert holdout.SCHEME == 2


def moments(*texts):
    return pd.to_datetime([*texts], format="ISO8601")


KEYS = [
    ([1, 2, -3], ["1", " 2.0 ", "-3e0"]),
    ([0.1, 1e300, -0.0], ["0.1", "1E300", "0"]),
    ([True, False, True], ["true", "False", " TRUE"]),
    ([True, False, True], [1, 0, 1]),
    ([None, 1, 2], ["NA", "1", "2"]),
    (["x", None, "y"], [" x", "?", "y "]),
    ([2**60 + 1, 2**60 + 2, 5], [str(2**60 + 1), f" {2**60 + 2}", "5"]),
    (moments("2020-01-01", "2020-02-01", "2020-03-01"), ["2020-01-01", "2020-02-01 00:00", "2020-03-01T00:00:00"]),
    (moments("2020-01-01 10:00", "2020-02-01 10:00:00.5", "2020-03-01"),
     ["2020-01-01 10:00:00", "2020-02-01T10:00:00.500", "2020-03-01"]),
    ([Decimal("1.10"), Decimal("2"), Decimal("-3.5")], [1.1, 2.0, -3.5]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "others"), KEYS)
def test_a_value_is_one_key_in_every_format_and_beside_any_other(values, others):
    """Of Parquet, of a database or of a file; also where a later row makes the column one of texts."""

    def keys(column, *more):
        column = [*column, *more]
        raw = pa.chunked_array([pa.array(column)]) if not more else pa.chunked_array([pa.array([*map(text, column)])])
        return row_keys.hash_rows(columns.infer_key("k", raw, Cleaning()).values.to_frame("k"))

    def text(value):
        return None if value is None else str(value)

    straight = keys(values)
    np.testing.assert_array_equal(keys(others), straight)
    np.testing.assert_array_equal(keys(values, "odd")[:3], straight)
    np.testing.assert_array_equal(keys(others, "odd")[:3], straight)
    assert len(set(straight.tolist())) == len({str(value) for value in values})


# --- the holdout


def test_a_row_keeps_its_place_in_any_order_and_when_the_table_grows():
    columns = made()
    first = split(columns)
    order = np.random.default_rng(1).permutation(ROWS)
    shuffled = split(reordered(columns, order))
    np.testing.assert_array_equal(np.sort(order[shuffled.holdout]), first.holdout)
    more = made(300, seed=2)
    grown = split({name: [*columns[name], *more[name]] for name in columns})
    np.testing.assert_array_equal(grown.holdout[grown.holdout < ROWS], first.holdout)
    swapped = split({name: columns[name] for name in ("y", "b", "a")})
    np.testing.assert_array_equal(swapped.holdout, first.holdout)
    np.testing.assert_array_equal(np.sort(np.concatenate([first.training, first.holdout])), np.arange(ROWS))


def test_a_smaller_holdout_is_within_a_larger_one():
    assert set(split(made(), test_size=0.1).holdout) < set(split(made(), test_size=0.3).holdout)


def test_the_target_has_no_part_in_it():
    columns = made()
    other = split(columns | {"y": np.arange(ROWS) / 7})
    np.testing.assert_array_equal(other.holdout, split(columns).holdout)


def test_numbers_are_one_key_however_they_are_written_and_text_is_trimmed():
    draw = np.random.default_rng(0)
    values = draw.integers(0, 1000, ROWS)
    texts = draw.choice(["u", "v"], ROWS)
    y = draw.standard_normal(ROWS)
    typed = split({"a": values, "b": texts.tolist(), "y": y})
    written = split({"a": [f" {value}.0 " for value in values], "b": [f"{text} " for text in texts], "y": y})
    np.testing.assert_array_equal(typed.keys, written.keys)


def test_duplicates_stay_on_one_side():
    columns = made(100)
    twice = split({name: [*values, *values] for name, values in columns.items()})
    held = set(twice.holdout.tolist())
    assert held
    assert all((row + 100 in held) == (row in held) for row in range(100))


@pytest.mark.parametrize("test_size", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("key", ["row", "id"])
def test_the_share_is_about_the_one_asked_for(test_size, key):
    rows = 20_000
    columns = {"a": np.arange(rows) / 3, "k": np.arange(rows), "y": np.arange(rows) / 7}
    found = split(columns, test_size=test_size, **({"id": ("k",)} if key == "id" else {"drop": ("k",)}))
    assert found.rule.by == key
    # Within five standard deviations of a binomial share.
    assert abs(len(found.holdout) / rows - test_size) < 5 * np.sqrt(test_size * (1 - test_size) / rows)


def test_by_id_rows_of_one_id_stay_together_whatever_else_they_hold():
    ids = np.repeat(np.arange(100), 4)
    found = split(made(k=ids), id=("k",))
    assert (found.rule.by, found.rule.columns, found.rule.key_columns) == ("id", ("k",), ("k",))
    assert not set(ids[found.holdout]) & set(ids[found.training])
    other = split(made(seed=9, k=ids), id=("k",))
    np.testing.assert_array_equal(other.holdout, found.holdout)


def test_ids_beyond_float64_are_told_apart():
    ids = [2**60 + row for row in range(ROWS)]
    assert len(set(split(made(k=ids), id=("k",)).keys.tolist())) == ROWS


def test_by_group_the_keys_are_the_rows():
    groups = [f"g{row % 40}" for row in range(ROWS)]
    found = split(made(g=groups), group="g")
    assert (found.rule.by, found.rule.columns, found.rule.key_columns) == ("group", ("g",), ("a", "b"))
    sides = [{groups[row] for row in side} for side in (found.training, found.holdout)]
    assert not sides[0] & sides[1]
    assert len(set(found.keys.tolist())) == ROWS


@pytest.mark.parametrize(
    ("times", "cut"),
    [
        (np.arange(ROWS).tolist(), "299"),
        ([row + 0.5 for row in range(ROWS)], "299.5"),
        (pd.date_range("2020-01-01", periods=ROWS).tolist(), "2020-10-26"),
        (pd.date_range("2020-01-01", periods=ROWS, freq="h", tz="Europe/Vienna").tolist(), "2020-01-13T10:00:00"),
        (pd.date_range("2020-01-01", periods=ROWS).strftime("%d.%m.%Y").tolist(), "2020-10-26"),
        (pd.date_range("2020-01-01", periods=ROWS).strftime("%m/%d/%Y").tolist(), "2020-10-26"),
        (pd.date_range("2020-01-01", periods=ROWS).strftime("%Y-%m-%dT00:30:00+01:00").tolist(), "2020-10-25T23:30:00"),
        (pd.date_range("2020-01-01", periods=ROWS).strftime("%d %b %Y").tolist(), "2020-10-26"),
    ],
)
def test_by_time_the_latest_rows_are_held_out(times, cut):
    order = np.random.default_rng(0).permutation(ROWS)
    given = Roles(time="t")
    table = dataset(reordered(made(t=times), order), given)
    found = splitting.split(table, given, test_size=0.25)
    assert (found.rule.by, found.rule.columns, found.rule.cut) == ("time", ("t",), cut)
    np.testing.assert_array_equal(np.sort(order[found.holdout]), np.arange(300, 400))
    keys, held = splitting.held_out_as(again(found.rule), table.column)
    np.testing.assert_array_equal(np.flatnonzero(held), found.holdout)
    np.testing.assert_array_equal(keys, found.keys)


def test_rows_of_one_moment_stay_together():
    found = split(made(t=[row // 100 for row in range(ROWS)]), time="t", test_size=0.1)
    np.testing.assert_array_equal(found.holdout, np.arange(300, 400))
    assert found.rule.cut == "2"


@pytest.mark.parametrize("by", ["row", "id", "group"])
def test_an_earlier_split_is_found_again(by):
    columns = made(k=np.arange(ROWS) // 2)
    roles = {"row": Roles(drop=("k",)), "id": Roles(id=("k",)), "group": Roles(group="k")}[by]
    table = dataset(columns, roles)
    found = splitting.split(table, roles, test_size=0.25)
    keys, held = splitting.held_out_as(again(found.rule), table.column)
    np.testing.assert_array_equal(np.flatnonzero(held), found.holdout)
    np.testing.assert_array_equal(keys, found.keys)


# --- what cannot be split


@pytest.mark.parametrize(
    ("columns", "roles", "line"),
    [
        (made(8), {}, r"at least 10 training and 2 held-out rows, found \d+ and \d+ of 8 \(held out by row\)"),
        (made(g=["one"] * ROWS), {"group": "g"},
         r"found (0 and 400|400 and 0) of 400 \(held out by group\); the table's 400 rows have 1 group \(by 'g'\)"),
        (made(t=["2020-01-01"] * ROWS), {"time": "t"},
         r"found 400 and 0 of 400 \(held out by time\); the table's 400 rows have 1 time \(by 't'\)"),
        ({"x": ["b", "f", "h", "b"] * 100, "y": made()["y"]}, {},
         r"found 400 and 0 of 400 \(held out by row\); the table's 400 rows are 3 different \(by 'x'\), .* with --id"),
        (made(t=[None, 1.0] * 200), {"time": "t"}, "--time t: 200 rows have no time"),
        (made(t=["a", "b"] * 200), {"time": "t"}, "--time t: expected dates or numbers, found text"),
        (made(t=["12:30", "13:30"] * 200), {"time": "t"}, "--time t: expected dates or numbers, found text"),
        (made(t=["01/02/2020", "03/04/2020"] * 200), {"time": "t"}, "dates like 01/02/2020 can be read in two ways"),
        (made(t=["13/02/2020", "02/13/2020"] * 200), {"time": "t"}, "can be read in two ways"),
        (made(t=[f"2020-01-{1 + row // 300:02}" for row in range(ROWS)], y=["a"] * 300 + ["b"] * 100), {"time": "t"},
         r"class 'b' is absent from the training rows \(held out by time\)"),
        (made(t=[row // 300 for row in range(ROWS)], y=[1.5] * 300 + [2.5] * 100), {"time": "t"},
         "the target is constant in the training rows"),
        (made(y=["rare"] * 2 + ["a", "b"] * 199), {"test_size": 0.01}, "class .* is absent from the held-out rows"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_split_is_one_line(columns, roles, line):
    with pytest.raises(PipelineError, match=line) as caught:
        split(columns, **roles)
    assert "\n" not in str(caught.value)


# --- folds


def folds(columns: dict, *, count: int = 5, seed: int = 0, **roles):
    given = Roles(**roles)
    table = dataset(columns, given)
    found = splitting.split(table, given, test_size=0.25)
    kind, pairs = make_folds(table, found, count=count, seed=seed)
    for beside, within in pairs:
        assert len(within)
        assert not set(beside) & set(within)
    return kind, pairs, found, table


LABELS = ["a", "a", "a", "b"] * 100


@pytest.mark.parametrize(("target", "kind"), [({}, "k-fold"), ({"y": LABELS}, "stratified")])
def test_shuffled_folds_take_every_row_once_and_hang_on_the_seed(target, kind):
    found, pairs, made_split, table = folds(made(**target))
    assert (found, len(pairs)) == (kind, 5)
    within = np.concatenate([one for _, one in pairs])
    np.testing.assert_array_equal(np.sort(within), np.arange(len(made_split.training)))
    again = folds(made(**target))[1]
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(pairs, again, strict=True))
    other = folds(made(**target), seed=1)[1]
    assert not all(np.array_equal(one, other) for (_, one), (_, other) in zip(pairs, other, strict=True))
    if kind == "stratified":
        labels = table.target.iloc[made_split.training].to_numpy()
        shares = [np.mean(labels[one] == "b") for _, one in pairs]
        assert max(shares) - min(shares) < 0.03


@pytest.mark.parametrize("target", [{}, {"y": LABELS}])
@pytest.mark.parametrize("role", ["group", "id"])
def test_groups_and_repeated_ids_stay_together_in_folds(target, role):
    groups = np.array([f"g{row % 30}" for row in range(ROWS)])
    roles = {"group": "k"} if role == "group" else {"id": ("k",)}
    kind, pairs, made_split, _ = folds(made(k=groups.tolist(), **target), **roles)
    assert kind == "group"
    groups = groups[made_split.training]
    for beside, within in pairs:
        assert not set(groups[beside]) & set(groups[within])
    np.testing.assert_array_equal(np.sort(np.concatenate([one for _, one in pairs])), np.arange(len(groups)))


def test_ids_that_do_not_repeat_are_as_rows():
    assert folds(made(k=np.arange(ROWS)), id=("k",))[0] == "k-fold"


def test_folds_by_time_are_later_than_what_is_beside_them():
    order = np.random.default_rng(0).permutation(ROWS)
    times = np.arange(ROWS)[order] // 3
    kind, pairs, made_split, _ = folds(reordered(made(t=(np.arange(ROWS) // 3).tolist()), order), time="t", count=4)
    assert (kind, len(pairs)) == ("time", 4)
    times = times[made_split.training]
    for beside, within in pairs:
        assert times[beside].max() < times[within].min()
    assert {times[one].max() for _, one in pairs[-1:]} == {times.max()}


def test_fewer_folds_where_there_is_less_to_tell_apart():
    sides = split(made())
    for few, count in ((1, 2), (3, 3), (9, 5)):
        labels = np.array(["a", "b"] * 200, dtype=object)
        labels[sides.training[:few]] = labels[sides.holdout[0]] = "rare"
        assert len(folds(made(y=labels.tolist()))[1]) == count
    assert len(folds(made(t=[row // 100 for row in range(ROWS)]), time="t")[1]) == 2
    groups = [f"g{row % 12}" for row in range(ROWS)]
    assert 2 <= len(folds(made(g=groups), group="g", count=50)[1]) < 12
    assert len(folds(made(40), count=100)[1]) < 41


def test_what_cannot_be_folded_is_one_line():
    with pytest.raises(PipelineError, match=r"at least 2 folds, found room for 0 .*give --folds 0"):
        folds(made(t=[row // 200 for row in range(ROWS)]), time="t")
    late = ["a"] * 250 + ["a", "b"] * 75
    with pytest.raises(PipelineError, match=r"the rows beside a fold \(time\) hold one class only; give --folds 0"):
        folds(made(t=np.arange(ROWS), y=late), time="t")


# --- few different rows

#: Of six different rows some are held out by this share, and some are not.
SHARE = 0.4


def few_different(different: int, rows: int, **columns) -> dict:
    draw = np.random.default_rng(3)
    codes = draw.integers(0, different, rows)
    return {"x": [code * 0.5 for code in codes], "y": draw.standard_normal(rows), **columns}


def test_few_different_rows_are_told_with_what_to_do():
    (note,) = split(few_different(6, 900), test_size=SHARE).notes
    assert "the table's 900 rows are 6 different (by 'x'), and equal rows stay on one side: " in note
    assert "where 40 % was asked for; " in note
    assert "name it with --id" in note
    numbered = few_different(6, 900, PassengerId=list(range(1, 901)), code=["a"] * 900)
    (note,) = split(numbered, test_size=SHARE).notes
    assert note.endswith("; --id PassengerId holds rows out one by one")
    assert split(numbered, test_size=SHARE, id=("PassengerId",)).notes == ()


def test_few_groups_and_a_coarse_time_are_told():
    grouped = few_different(900, 900, house=[f"h{row % 5}" for row in range(900)])
    (note,) = split(grouped, test_size=0.2, group="house").notes
    assert "have 5 groups (by 'house'), and rows of one group stay on one side" in note
    assert "--group" in note
    yearly = few_different(900, 900, year=[2020.0 + row % 2 for row in range(900)])
    (note,) = split(yearly, test_size=0.2, time="year").notes
    assert "1 of the 2, 50 % of the rows, are held out" in note
    assert "--time" in note


def test_a_share_that_equal_rows_put_off_is_told():
    # Half of the table is one row, the rest differs: enough different rows, but one of them decides.
    columns = few_different(10**9, 2000)
    columns["x"][:1000] = [-1.5] * 1000
    parts = split(columns, test_size=0.2)
    share = len(parts.holdout) / 2000
    assert bool(parts.notes)
    assert abs(share - 0.2) > 0.05


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=300),
    st.floats(0.05, 0.6),
    st.integers(0, 2**32 - 1),
)
def test_a_share_is_doubted_only_if_rows_that_are_alike_are_to_blame(sizes, test_size, seed):
    rule = holdout.HoldoutRule(holdout.ROW, ("x",), columns=("x",), test_size=test_size)
    units = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    held = np.random.default_rng(seed).random(len(sizes)) < test_size
    share = HoldoutShare.of(rule, units, held[units])
    assert share.share == pytest.approx(held[units].mean())
    # Rows that all differ are split as well as so many rows can be.
    assert not HoldoutShare.of(rule, np.arange(len(units)), held[units]).doubtful
    if len(sizes) < 10 and len(units) >= 2 * len(sizes):
        assert share.doubtful
    if share.doubtful:
        assert len(set(sizes)) > 1 or sizes[0] > 1


def test_words_for_a_missing_value_move_no_row():
    draw = np.random.default_rng(0)
    texts = [("-", "none", "1.5", "2", "x")[place] for place in draw.integers(0, 5, ROWS)]
    amounts = [("-", "7", "8.25")[place] for place in draw.integers(0, 3, ROWS)]
    columns = {"a": texts, "n": amounts, "b": [f"v{place}" for place in draw.integers(0, 90, ROWS)]}
    table = Table(pa.table(columns | {"y": draw.standard_normal(ROWS)}), "t", "t", "d")
    plain = prepare(table, Roles(target="y"))
    cleaned = prepare(replace(table, cleaning=ReadOptions(missing=("-", "none")).cleaning), Roles(target="y"))
    assert plain.features["n"].dtype != cleaned.features["n"].dtype == np.float64
    before, after = (splitting.split(each, Roles(), test_size=0.25) for each in (plain, cleaned))
    assert np.array_equal(before.keys, after.keys)
    assert np.array_equal(before.holdout, after.holdout)
    assert splitting.held_out_as(before.rule, cleaned.key_column)[1].nonzero()[0].tolist() == before.holdout.tolist()
