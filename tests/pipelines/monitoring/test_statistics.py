"""Tests of two samples: exact where they say so, calibrated, and with power; and the correction for many of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.monitoring import column_checks, statistics
from pipelines.monitoring.checks import ALERT, HARMLESS, OK, SMALL, TOO_FEW, WindowCheck, judged, persisting
from serving.scorecard.inputs import Cleaning
from tests.benchmarks import stationary
from tests.effort import times

counts = st.integers(0, 300)


@given(counts, counts, counts, counts)
def test_shares_are_compared_by_fishers_test(a: int, more: int, b: int, others: int) -> None:
    m, n = a + more, b + others
    found = statistics.shares((a, m), (b, n))
    if not m or not n or a + b in (0, m + n):
        assert found == 1.0
        return
    drawn = stats.hypergeom(m + n, a + b, n)
    assert found == pytest.approx(min(1.0, 2 * min(drawn.cdf(b), drawn.sf(b - 1))), rel=1e-6, abs=1e-300)


def test_large_samples_are_compared_as_fishers_test_would() -> None:
    before, now = (100_000, 500_000), (100_700, 500_000)
    drawn = stats.hypergeom(1_000_000, 200_700, 500_000)
    assert statistics.shares(before, now) == pytest.approx(2 * drawn.sf(100_699), rel=0.01)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=12), st.integers(2, 5))
def test_the_same_shares_are_no_difference(reference: list[int], factor: int) -> None:
    before = np.array(reference)
    assert statistics.psi(before * 1000, before * 1000 * factor) == pytest.approx(0, abs=1e-4)
    for ordered in (True, False):
        assert statistics.difference(before, before * factor, ordered=ordered) == 1.0


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=60).filter(any), st.booleans())
def test_the_bins_of_a_psi_hold_the_reference(reference: list[int], ordered: bool) -> None:
    counts = np.array(reference)
    places = statistics.bins(counts, ordered=ordered)
    assert sorted(set(places.tolist())) == list(range(places.max() + 1))
    if ordered and (counts > 0).sum() > 1:
        assert (np.diff(places) >= 0).all()


@pytest.mark.parametrize("live", [100, 2_000, 1_000_000])
@pytest.mark.parametrize("ordered", [True, False])
def test_rows_that_all_went_to_one_bin_are_a_difference(live: int, ordered: bool) -> None:
    """Also where the reference is small beside them."""
    reference, now = np.full(20, 17), np.zeros(20, dtype=int)
    now[0] = live
    assert statistics.difference(reference, now, ordered=ordered) < 1e-12


def test_psi_by_chance_is_what_samples_of_one_distribution_have() -> None:
    random = np.random.default_rng(0)
    drawn = [statistics.psi(*random.multinomial((5000, 2000), [0.1] * 10)) for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(statistics.psi_by_chance(5000, 2000, 10), rel=0.05)
    assert np.mean(np.array(drawn) > statistics.psi_within_chance(5000, 2000, 10, 0.05)) == pytest.approx(
        0.05, abs=0.02
    )


def test_means_are_compared_by_welchs_test() -> None:
    random = np.random.default_rng(0)
    before, now = random.normal(0, 1, 80), random.normal(0.3, 3, 50)
    found = statistics.means(statistics.Sample.of(before), statistics.Sample.of(now))
    assert found == pytest.approx(stats.ttest_ind(before, now, equal_var=False).pvalue)


def test_holms_procedure() -> None:
    assert statistics.holm([0.001, 0.02, 0.0049], 0.015) == [True, False, True]
    assert statistics.holm([0.01, 0.01], 0.015) == [False, False]
    assert statistics.holm([], 0.01) == []


def check(**facts: object) -> WindowCheck:
    given = {
        "window": "1", "kind": "distribution", "subject": "a", "reference": None, "live": None, "effect": 0.2,
        "least": 0.1, "probability": 1e-9, "rows": 500, "unit": "PSI",
    }  # fmt: skip
    return WindowCheck(**{**given, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({}, ALERT),
        ({"effect": 0.05}, SMALL),
        ({"probability": 0.2}, OK),
        ({"enough": False}, TOO_FEW),
        ({"moved": 0.5, "least_moved": 0.05}, ALERT),
        ({"moved": 0.01, "least_moved": 0.05}, HARMLESS),
        ({"moved": 0.01, "least_moved": 0.05, "either": True}, ALERT),
        ({"moved": 0.01, "least_moved": 0.05, "either": True, "effect": 0.05}, SMALL),
        ({"moved": 0.5, "least_moved": 0.05, "either": True, "effect": 0.05}, ALERT),
    ],
)
def test_an_alert_is_certain_and_large_and_moves_the_score(facts: dict, verdict: str) -> None:
    (found,) = judged([check(**facts)], 0.01)
    assert found.verdict == verdict


def test_an_alert_may_have_to_persist() -> None:
    windows = list("12345")
    found = judged([check(window=name) for name in "124"], 0.01)
    assert [one.window for one in persisting(found, windows, 1, 1)] == ["1", "2", "4"]
    assert [one.window for one in persisting(found, windows, 2, 2)] == ["2"]
    assert [one.window for one in persisting(found, windows, 2, 3)] == ["2", "4"]
    assert persisting(found[:1], windows[:1], 2, 3) == []
    assert persisting(found, windows, 4, 5) == []
    # A rule that failed, and what is of all windows together, need not.
    alone = [check(window="5", probability=None, verdict=ALERT), *judged([check(window="1 to 5", kind="gap")], 0.01)]
    assert persisting([*found, *alone], windows, 4, 5) == alone


def test_a_rule_is_no_test_and_takes_no_part_of_the_rate() -> None:
    rules = [check(probability=None, verdict=ALERT)] * 1000
    found = judged([*rules, check(probability=0.009)], 0.01)
    assert {one.verdict for one in found} == {ALERT}
    (few,) = judged([check(probability=None, verdict=ALERT, enough=False)], 0.01)
    assert few.verdict == TOO_FEW


def test_hardly_anything_alerts_where_nothing_has_changed() -> None:
    """A report in a hundred may; many of them are made by ``tests/benchmarks/bench_monitor.py``."""
    random, reports = np.random.default_rng(0), times(20) // 4
    found = [
        any(one.verdict == ALERT for one in stationary.report(rows, 2_000, random))
        for rows in (200, 1_000, 20_000, 1_000_000)
        for _ in range(reports)
    ]
    assert sum(found) <= 1 + 0.01 * len(found)


def test_a_shift_of_half_a_standard_deviation_is_found() -> None:
    random = np.random.default_rng(0)
    for _ in range(times(20) // 2):
        alerts = [one for one in stationary.report(1_000, 5_000, random, shift=0.5) if one.verdict == ALERT]
        assert [(one.kind, one.subject) for one in alerts] == [("distribution", "normal 0")]


@given(st.integers(2, 60), st.integers(1, 40), st.data())
def test_values_beyond_the_extremes_are_as_probable_as_counted(reference: int, live: int, data: st.DataObject) -> None:
    """As the beta-binomial distribution with a share of Beta(2, n - 1) says."""
    outside = data.draw(st.integers(0, live))
    known = stats.betabinom(live, 2, reference - 1)
    expected = sum(known.pmf(np.arange(outside, live + 1)))
    assert statistics.beyond(reference, live, outside) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["normal", "skewed", "heavy-tailed", "discrete"])
def test_values_beyond_the_extremes_are_rarely_certain_by_chance(kind: str) -> None:
    random = np.random.default_rng(0)
    for rows in (200, 1_000, 20_000):
        known = stationary.draw(kind, 400 * 200, random).reshape(400, 200)
        met = stationary.draw(kind, 400 * rows, random).reshape(400, rows)
        low, high = known.min(axis=1, keepdims=True), known.max(axis=1, keepdims=True)
        outside = ((met < low) | (met > high)).sum(axis=1)
        found = np.array([statistics.beyond(200, rows, count) for count in outside.tolist()])
        for level in (0.05, 0.01):
            assert np.mean(found <= level) <= level + 3 * np.sqrt(level / 400)


@pytest.mark.parametrize("kind", ["normal", "skewed"])
@pytest.mark.parametrize(
    ("wild", "moved", "verdict"), [(30, None, ALERT), (30, 0.01, ALERT), (10, 0.01, SMALL), (10, 3.0, ALERT)]
)
def test_a_wrong_unit_in_few_rows_is_an_alert_if_they_are_many_or_move_the_score(
    kind: str, wild: int, moved: float | None, verdict: str
) -> None:
    random = np.random.default_rng(0)
    column, values = stationary.reference(kind, "a", 5_000, random), stationary.draw(kind, 1_000, random)
    values[: wild + 2] *= 1000
    values[::31] = np.nan
    column.live.compare_with(column.reference)
    column.live.add(values, Cleaning())
    found = judged(list(column_checks.checks("now", column, stationary.RULES, moved=moved, alpha=1e-4)), 0.01)
    assert {one.kind: one.verdict for one in found} == {"missing": OK, "distribution": OK, "outside": verdict}
