"""Estimates of memory: never much less than parsing takes, and of ordinary tables not much more."""

import gc
import json
import tracemalloc

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serving.contract import Limits, RequestError, costs, loads, read
from tests.effort import times

PARSERS = {"msgspec": msgspec.json.Decoder().decode, "json": json.loads}

#: Beside the values themselves: what a parser keeps while it reads.
ASIDE = 16 * 1024

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=40), inner, max_size=12),
    max_leaves=20,
)


def peak(parse, body: bytes) -> int:
    """Bytes that parsing takes at its worst, as Python's allocators are asked for them."""
    gc.collect()
    tracemalloc.start()
    try:
        parse(body)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@settings(deadline=None, max_examples=times(60))
@given(VALUES, st.sampled_from(["msgspec", "json"]), st.booleans(), st.booleans())
@example({}, "msgspec", False, False)
@example([], "msgspec", False, False)
@example([1.5], "json", False, False)
@example("ab", "msgspec", False, False)
@example("\U0001f600", "msgspec", True, False)
@example("a" * 500 + "\U0001f600", "msgspec", True, True)
@example("a" * 500 + "\u20ac", "json", True, True)
@example({"a": {"b": {}}}, "msgspec", False, True)
@example([[[[]]]], "json", False, True)
def test_json_takes_no_more_than_its_estimate(value, parser: str, ascii_only: bool, compact: bool) -> None:
    separators = (",", ":") if compact else None
    body = json.dumps([value] * 500, ensure_ascii=ascii_only, separators=separators).encode("utf-8", "replace")
    # json reads text, which `parsed` asks for as well.
    estimate = costs.json(body) + (costs.decoded(body) if parser == "json" else 0)
    assert peak(PARSERS[parser], body) < estimate + ASIDE


@settings(deadline=None, max_examples=times(30))
@given(st.lists(st.lists(st.text(max_size=20), min_size=3, max_size=3), min_size=1, max_size=5), st.integers(1, 400))
def test_csv_takes_no_more_than_its_estimate(rows, times: int) -> None:
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    body = ("a,b,c\n" + "\n".join(lines * times)).encode("utf-8", "replace")
    limits = Limits()
    assert (
        peak(lambda content: read(content, "text/csv", limits=limits), body) < costs.csv(body, limits.rows) + 64 * 1024
    )


@pytest.mark.parametrize(
    "row",
    [
        {f"column {place}": 12.5 for place in range(10)},
        {"age": 51.5, "rooms": 3, "owner": True, "colour": "red", "since": "2024-01-05 12:30:00"},
        [12.5] * 20,
        {"a": 1},
    ],
)
def test_ordinary_tables_are_not_overestimated(row) -> None:
    body = json.dumps([row] * 5000).encode()
    assert costs.json(body, 8 * len(body)) < 2.5 * peak(PARSERS["msgspec"], body)


def test_keys_count_where_they_differ() -> None:
    again = json.dumps([{"some column": 1}] * 2000).encode()
    differ = json.dumps([{f"col {place:07}": 1} for place in range(2000)]).encode()
    assert len(again) == len(differ)
    most = 2 * costs.json(again) - 1  # so that the cheap estimate will not do
    assert costs.json(again, most) < costs.json(differ, most) - 2000 * costs.KEY // 2
    assert peak(PARSERS["msgspec"], differ) < costs.json(differ, most)


@pytest.mark.parametrize("kind", ["application/json", "text/csv", "application/jsonlines"])
def test_what_needs_more_is_refused_before_it_is_parsed(kind: str) -> None:
    body = b"[1.5, 2.5]\n" * 50_000 if kind != "application/json" else json.dumps([[1.5, 2.5]] * 50_000).encode()

    def parse(body: bytes):
        raise AssertionError("it was parsed")

    with pytest.raises(RequestError) as refused:
        read(body, kind, limits=Limits(memory=2**20), parse=parse)
    assert refused.value.status == 413
    assert "1 MiB" in refused.value.message


def test_without_a_limit_nothing_is_refused() -> None:
    assert len(read(json.dumps([[1.5]] * 50_000).encode(), "application/json", parse=loads)) == 50_000
