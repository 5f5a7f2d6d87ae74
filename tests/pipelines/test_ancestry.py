"""Versions of one name, trained one after another: no row changes sides, and what is said of held-out rows is true."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipelines import ancestry, splitting
from pipelines.dataset import Roles, check, prepare
from pipelines.errors import PipelineError
from pipelines.sources import Table
from registry.cli.text import spans
from registry.earlier_versions import EarlierVersion
from registry.evidence.document import OtherVersions
from registry.holdout import HoldoutRule
from tests.effort import times

POOL = 240
FEWEST = 100
FEATURES = ("size", "colour", "rooms", "code", "sold")


def pool() -> pd.DataFrame:
    """Rows that all differ, of numbers, texts, missing values, an identifier, groups and moments."""
    draw = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "customer_id": draw.permutation(POOL) + 5000,
            "size": np.round(draw.normal(100, 30, POOL), 6),
            "colour": draw.choice(["red", " blue", "green ", None], POOL),
            "rooms": draw.integers(1, 9, POOL),
            "code": draw.choice(["1", "2.0", "A3", "?"], POOL),
            "sold": draw.choice([True, False], POOL),
            "ward": [f"w{place}" for place in draw.integers(0, 40, POOL)],
            "opened": pd.Series(pd.date_range("2020-01-01", periods=POOL, freq="D")).dt.strftime("%Y-%m-%d"),
            "y": np.round(draw.normal(0, 1, POOL), 6),
        }
    )


ROWS = pool()


@dataclass(frozen=True)
class Trained:
    """A version, and which rows of the pool it was trained on and held out."""

    version: EarlierVersion
    training: frozenset[int]
    holdout: frozenset[int]
    known: OtherVersions
    inheritance: ancestry.Inheritance
    rule: HoldoutRule


def train(
    frame: pd.DataFrame, roles: Roles, earlier: list[Trained], *, test_size: float = 0.2, written: bool = False
) -> Trained:
    """A training of rows of the pool, whose index says which they are, after earlier ones of the name, newest last."""
    columns = frame.astype("str").where(frame.notna(), None) if written else frame
    table = Table(pa.Table.from_pandas(columns, preserve_index=False), "t", "t", "d")
    roles = replace(roles, target="y", task="regression")
    versions = [one.version for one in reversed(earlier)]
    taken = ancestry.take_over(versions, roles, target=check(table, roles), columns=table.columns.column_names)
    dataset = prepare(table, taken.roles)
    split = splitting.split(dataset, taken.roles, test_size=test_size, key_columns=taken.key_columns, before=taken.rule)
    rule = HoldoutRule.from_tag(split.rule.to_tag() or "")
    assert rule == split.rule
    return Trained(
        EarlierVersion(str(len(earlier) + 1), rule),
        frozenset(frame.index[split.training]),
        frozenset(frame.index[split.holdout]),
        ancestry.known(versions, dataset, split),
        taken,
        rule,
    )


@st.composite
def tables(draw, *, lose: bool = False) -> dict:
    """A table of rows of the pool in some order, some of them twice, and what its user leaves out or keeps."""
    rows = draw(st.integers(FEWEST, POOL))
    again = draw(st.lists(st.integers(0, rows - 1), max_size=20))
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation([*range(rows), *again])
    frame = ROWS.iloc[order]
    frame = frame[draw(st.permutations(list(frame)))]
    if lose:
        frame = frame.drop(columns=draw(st.sets(st.sampled_from(("colour", "rooms", "ward")), max_size=1)))
    there = [name for name in FEATURES if name in frame]
    dropped = draw(st.sets(st.sampled_from(there), max_size=len(there) - 1))
    kept = draw(st.sets(st.sampled_from(["customer_id", "ward"]))) & set(frame)
    return {
        "frame": frame,
        "roles": Roles(drop=sorted(dropped), keep=sorted(kept)),
        "written": draw(st.booleans()),
    }


@settings(max_examples=times(40))
@given(st.lists(tables(), min_size=2, max_size=4))
def test_law_whatever_columns_are_dropped_or_kept_no_row_changes_sides(given_tables):
    versions: list[Trained] = []
    for one in given_tables:
        versions.append(train(one["frame"], one["roles"], versions, written=one["written"]))
    training = frozenset().union(*(one.training for one in versions))
    for one in versions:
        assert one.holdout
        assert not one.holdout & training
        assert one.rule == versions[0].rule
        before = [other.version.number for other in versions if int(other.version.number) < int(one.version.number)]
        assert one.known == OtherVersions(unseen=list(before))
        assert not ancestry.notes(one.known, len(one.holdout))
        assert not one.inheritance.notes


ROLES = st.sampled_from(
    [
        {},
        {},
        {"id": ("customer_id",)},
        {"id": ("customer_id", "ward")},
        {"group": "ward"},
        {"time": "opened"},
        {"id": ("customer_id",), "group": "ward"},
        {"id": ("customer_id",), "time": "opened"},
    ]
)


@settings(max_examples=times(60))
@given(st.lists(st.tuples(tables(lose=True), ROLES, st.sampled_from([0.1, 0.2, 0.4])), min_size=2, max_size=4))
def test_law_what_is_said_of_held_out_rows_is_true_whatever_changes(trainings):
    versions: list[Trained] = []
    for one, roles, test_size in trainings:
        assume(set(roles.get("id", ())) | {roles.get("group", "y")} <= set(one["frame"]))
        given_roles = replace(one["roles"], keep=[], **roles)
        versions.append(train(one["frame"], given_roles, versions, test_size=test_size, written=one["written"]))
    for place, one in enumerate(versions):
        assert not one.holdout & one.training
        told = {*one.known.unseen, *one.known.seen, *one.known.unknown}
        assert told == {other.version.number for other in versions[:place]}
        for other in versions[:place]:
            seen = len(one.holdout & other.training)
            if other.version.number in one.known.unseen:
                assert not seen
            elif other.version.number in one.known.seen:
                assert seen <= one.known.seen[other.version.number]
            else:
                assert not set(other.rule.needed) <= set(trainings[place][0]["frame"])


@settings(max_examples=times(20))
@given(st.sampled_from([0.1, 0.2, 0.3]), st.sampled_from([0.1, 0.2, 0.3]), ROLES)
def test_law_a_smaller_holdout_is_within_a_larger_one(first, second, roles):
    one = train(ROWS, Roles(**roles), [], test_size=first)
    other = train(ROWS, Roles(drop=["colour"]), [one], test_size=second)
    small, large = sorted([one.holdout, other.holdout], key=len)
    assert small <= large
    assert (len(other.holdout) > len(one.holdout)) == (second > first)
    if second <= first:
        assert other.known.unseen == ["1"]
    else:
        assert other.known.seen == {"1": len(other.holdout - one.holdout)}


# --- whose rule is taken over


def earlier(number: str, **rule) -> EarlierVersion:
    columns = rule.get("key_columns", ("size", "colour"))
    return EarlierVersion(
        number, HoldoutRule(**{"by": "row", "key_columns": columns, "columns": columns, "test_size": 0.2, **rule})
    )


BY_ID = earlier("1", by="id", key_columns=("customer_id",), named=True)
BY_GROUP = earlier("1", by="group", columns=("ward",))
BY_BOTH = earlier("1", by="group", key_columns=("customer_id",), named=True, columns=("ward",))
BY_TIME = earlier("1", by="time", columns=("opened",), cut="2020-06-01")


def taken(versions: list[EarlierVersion], columns=tuple(ROWS), target: str = "y", **roles) -> ancestry.Inheritance:
    return ancestry.take_over(versions, Roles(**roles), target=target, columns=columns)


@pytest.mark.parametrize(
    ("version", "roles"),
    [
        (BY_ID, {"id": ("customer_id",)}),
        (BY_GROUP, {"group": "ward"}),
        (BY_BOTH, {"id": ("customer_id",), "group": "ward"}),
        (BY_TIME, {"time": "opened"}),
    ],
)
def test_what_tells_rows_apart_is_taken_over_where_nothing_else_is_asked(version, roles):
    found = taken([version])
    assert found.roles == Roles(**roles)
    assert "as version 1's were; --id, --group or --time overrules, and a new --name begins anew" in found.notes[0]


@pytest.mark.parametrize("roles", [{"id": ("customer_id",)}, {"group": "ward"}, {"time": "opened"}])
@pytest.mark.parametrize("version", [BY_ID, BY_GROUP, BY_TIME])
def test_what_is_asked_for_goes_before_what_was(version, roles):
    found = taken([version], **roles)
    assert found.roles == Roles(**roles)
    assert (found.version, found.notes) == ("1", ())


def test_an_earlier_version_stands_in_where_the_table_lacks_a_column_and_it_is_said():
    versions = [earlier("3", key_columns=("size", "gone", "lost")), earlier("2", key_columns=("gone",)), BY_GROUP]
    found = taken(versions)
    assert (found.version, found.roles.group) == ("1", "ward")
    assert found.notes[0] == (
        "version 3 knows its rows by 'gone', 'lost', which the table lacks, and 1 other versions likewise: rows are "
        "held out as version 1's were, and only those that both versions held out are compared"
    )
    (note,) = taken(versions[:1]).notes
    assert note.endswith("rows are held out anew, and only those that both versions held out are compared")
    assert taken(versions[:1]).key_columns == ()


def test_a_group_that_is_the_target_now_is_not_taken_over():
    assert taken([BY_GROUP], target="ward") == ancestry.Inheritance(Roles())


def test_what_an_adopted_or_older_version_is_known_by_is_taken_over_though_its_training_is_unknown():
    for version in (earlier("1", by="given", columns=(), test_size=None), earlier("1", scheme=None)):
        found = taken([version])
        assert (found.key_columns, found.roles, found.notes) == (("size", "colour"), Roles(), ())
    later = train(ROWS, Roles(), [])
    dataset = prepare(Table(pa.Table.from_pandas(ROWS), "t", "t", "d"), Roles(target="y"))
    split = splitting.split(dataset, Roles(target="y"), test_size=0.2)
    versions = [earlier("2", by="given", columns=(), test_size=None), EarlierVersion("3", None), earlier("4", scheme=1)]
    found = ancestry.known([later.version, *versions], dataset, split)
    assert found == OtherVersions(unseen=["1"], unknown=["2", "3", "4"])
    assert ancestry.notes(found, 9) == ["whether versions 2 to 4 were trained on held-out rows cannot be told"]


def test_versions_that_saw_held_out_rows_are_told():
    one = OtherVersions(seen={"1": 3})
    assert ancestry.notes(one, 40) == [
        "version 1 may have been trained on 3 of the 40 held-out rows: it held out others"
    ]
    two = OtherVersions(seen={"1": 3, "2": 5})
    assert ancestry.notes(two, 40) == ["versions 1 and 2 may have been trained on up to 5 of the 40 held-out rows"]


# --- the cut in time


def test_a_cut_never_moves_back_behind_an_earlier_one():
    """Older rows that come late do not put rows among the held out that the first version was trained on."""
    first = train(ROWS.iloc[100:], Roles(time="opened"), [])
    late = train(ROWS.iloc[60:], Roles(), [first])
    assert late.rule.cut == first.rule.cut
    assert late.known.unseen == ["1"]
    grown = train(ROWS.iloc[:220], Roles(), [train(ROWS.iloc[:150], Roles(time="opened"), [])])
    assert grown.rule.cut > "2020-05"
    assert grown.known.unseen == ["1"]


def test_a_cut_moves_back_for_a_larger_share_or_where_too_few_rows_would_be_left():
    first = train(ROWS, Roles(time="opened"), [])
    larger = train(ROWS, Roles(), [first], test_size=0.4)
    assert larger.rule.cut < first.rule.cut
    assert larger.known.seen == {"1": len(larger.holdout - first.holdout)}
    older = train(ROWS.iloc[:150], Roles(), [first])
    assert older.rule.cut < first.rule.cut
    assert older.known.seen == {"1": len(older.holdout)}


def test_a_cut_of_dates_says_nothing_of_numbers():
    first = train(ROWS, Roles(time="opened"), [])
    numbered = train(ROWS.assign(opened=range(POOL)), Roles(), [first])
    assert numbered.known.unknown == ["1"]
    with pytest.raises(PipelineError, match=r"the cut 2020-07-10 and the column are not both dates or numbers"):
        splitting.held_out_as(first.rule, lambda name: pd.Series(np.arange(5.0)))


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        (["2"], "version 2"),
        (["10", "9"], "versions 9 and 10"),
        (["1", "2", "3", "7"], "versions 1 to 3 and 7"),
        (["1", "3", "4", "6", "7", "8"], "versions 1, 3, 4 and 6 to 8"),
    ],
)
def test_versions_in_words(numbers, told):
    assert spans(numbers) == told
