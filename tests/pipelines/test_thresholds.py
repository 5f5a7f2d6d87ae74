"""Decision thresholds: how they are asked for, and that none does better than the one chosen."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipelines import thresholds
from pipelines.errors import PipelineError

scored = st.lists(
    st.tuples(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 1.0, np.nextafter(0.5, 1)])), st.booleans()),
    min_size=1,
    max_size=30,
).map(lambda rows: (np.array([row[0] for row in rows]), np.array([row[1] for row in rows])))


def every_threshold(probabilities: np.ndarray) -> list[float]:
    """One for each way of calling rows positive."""
    return [2.0, *np.unique(probabilities)]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("0.3", thresholds.ThresholdRule("0.3", value=0.3)),
        (" 0.3 ", thresholds.ThresholdRule(" 0.3 ", value=0.3)),
        ("recall=0.9", thresholds.ThresholdRule("recall=0.9", recall=0.9)),
        ("recall = 1", thresholds.ThresholdRule("recall = 1", recall=1.0)),
        ("cost=1:20", thresholds.ThresholdRule("cost=1:20", cost=(1.0, 20.0))),
    ],
)
def test_rules(text, rule):
    assert thresholds.parse(text) == rule


@pytest.mark.parametrize(
    "text",
    ["", "0", "1", "-0.1", "nan", "x", "recall", "recall=", "recall=0", "recall=1.1", "recall=nan", "recall=0.5:0.6",
     "cost=1", "cost=1:0", "cost=1:inf", "cost=-1:2", "cost=1:2:3", "precision=0.5", "0.3:0.4"],
)  # fmt: skip
def test_what_is_no_rule_is_told(text):
    with pytest.raises(PipelineError, match=r"--threshold .*: expected a probability \(0.3\), recall=R .* or cost="):
        thresholds.parse(text)


def test_a_given_threshold_needs_no_rows():
    assert thresholds.choose(thresholds.parse("0.3"), np.array([]), np.array([], dtype=bool)) == 0.3


@given(scored, st.floats(0.01, 1))
def test_the_highest_threshold_that_reaches_a_recall(rows, recall):
    probabilities, positive = rows
    assume(positive.any())
    chosen = thresholds.choose(thresholds.ThresholdRule("", recall=recall), probabilities, positive)
    reached = [
        one for one in every_threshold(probabilities) if (probabilities[positive] >= one).mean() >= recall - 1e-9
    ]
    assert chosen == max(reached)


@given(scored, st.floats(0.1, 10), st.floats(0.1, 10))
def test_no_threshold_costs_less(rows, alarm, miss):
    probabilities, positive = rows
    assume(positive.any())

    def cost(threshold: float) -> float:
        called = probabilities >= threshold
        return alarm * (called & ~positive).sum() + miss * (~called & positive).sum()

    chosen = thresholds.choose(thresholds.ThresholdRule("", cost=(alarm, miss)), probabilities, positive)
    assert cost(chosen) == pytest.approx(min(map(cost, every_threshold(probabilities))))


def test_a_threshold_of_a_cost_is_between_two_probabilities():
    chosen = thresholds.choose(thresholds.parse("cost=1:1"), np.array([0.2, 0.4, 0.8]), np.array([False, False, True]))
    assert chosen == pytest.approx(0.6)


@pytest.mark.parametrize("text", ["recall=0.5", "cost=1:2"])
def test_without_positive_rows_there_is_nothing_to_choose_on(text):
    for rows in (0, 3):
        with pytest.raises(PipelineError, match="no positive rows to choose it on"):
            thresholds.choose(thresholds.parse(text), np.full(rows, 0.5), np.zeros(rows, dtype=bool))


def test_the_estimator_applies_it_as_it_was_chosen():
    """A row whose probability is the threshold is called positive."""
    from sklearn.linear_model import LogisticRegression

    from pipelines import estimators

    draw = np.random.default_rng(0)
    table = draw.standard_normal((80, 2))
    labels = np.where(table[:, 0] + draw.standard_normal(80) > 0, "yes", "no")
    probabilities = LogisticRegression(max_iter=1000, random_state=0).fit(table, labels).predict_proba(table)[:, 0]
    chosen = thresholds.choose(thresholds.parse("recall=0.9"), probabilities, labels == "no")
    entry = estimators.find("logistic")
    model = estimators.build(entry, {}, seed=0, threshold=(chosen, "no")).fit(table, labels)
    np.testing.assert_array_equal(model.predict(table) == "no", probabilities >= chosen)
    assert (model.predict(table)[labels == "no"] == "no").mean() >= 0.9
