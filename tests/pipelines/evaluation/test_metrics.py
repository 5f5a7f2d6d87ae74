"""Metrics and their intervals: equal to scikit-learn's, on resampled rows too; intervals that cover."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.evaluation import metrics, sections
from pipelines.evaluation.metrics import Answers
from registry.metrics import MetricSums, measure, weighted
from tests.effort import times

LABELS = {"str": ("no", "or", "yes"), "int": (3, 5, 9), "bool": (False, True)}


def classified(seed: int, rows: int, classes: tuple, *, ties: bool = False, positive=None) -> Answers:
    """Random answers in which every class occurs."""
    draw = np.random.default_rng(seed)
    codes = np.r_[np.arange(len(classes)), draw.integers(0, len(classes), rows - len(classes))]
    probabilities = draw.dirichlet(np.ones(len(classes)), rows) + 0.5 * np.eye(len(classes))[codes]
    if ties:
        probabilities = np.round(probabilities * 3) + 1
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = np.array(classes, dtype=object if isinstance(classes[0], str) else None)
    return Answers(labels[codes], labels[probabilities.argmax(axis=1)], probabilities, classes, positive)


def regressed(seed: int, rows: int) -> Answers:
    draw = np.random.default_rng(seed)
    target = draw.standard_normal(rows) * 10.0 ** draw.integers(-3, 4) + 10.0 ** draw.integers(-3, 4)
    return Answers(target, target + draw.standard_normal(rows))


def by_sklearn(answers: Answers) -> dict:
    """The same metrics by scikit-learn."""
    truth, said = answers.target, answers.predicted
    if answers.probabilities is None:
        mse = sklearn.metrics.mean_squared_error(truth, said)
        mae = sklearn.metrics.mean_absolute_error(truth, said)
        return {"mse": mse, "rmse": np.sqrt(mse), "r2": sklearn.metrics.r2_score(truth, said), "mae": mae}
    classes = list(answers.classes)
    truth = np.array([classes.index(label) for label in truth])
    said = np.array([classes.index(label) for label in said])
    if len(classes) == 2:
        place = classes.index(answers.positive)
        how = {"pos_label": place, "zero_division": 0.0}
        auc = sklearn.metrics.roc_auc_score(truth == place, answers.probabilities[:, place])
    else:
        how = {"average": "macro", "zero_division": 0.0}
        auc = sklearn.metrics.roc_auc_score(truth, answers.probabilities, multi_class="ovr", labels=range(len(classes)))
    return {
        "accuracy": sklearn.metrics.accuracy_score(truth, said),
        "precision": sklearn.metrics.precision_score(truth, said, **how),
        "recall": sklearn.metrics.recall_score(truth, said, **how),
        "f1": sklearn.metrics.f1_score(truth, said, **how),
        "roc_auc": auc,
        "log_loss": sklearn.metrics.log_loss(truth, answers.probabilities, labels=range(len(classes))),
    }


def close(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value == pytest.approx(other[name], rel=1e-10, abs=1e-12), name


@settings(max_examples=times(40))
@given(st.integers(0, 2**32), st.integers(4, 60), st.sampled_from(sorted(LABELS)), st.booleans(), st.booleans())
def test_two_classes_as_scikit_learn_measures_them(seed, rows, kind, ties, first):
    classes = LABELS[kind][:2]
    answers = classified(seed, rows, classes, ties=ties, positive=classes[0 if first else 1])
    close(metrics.measure(answers), by_sklearn(answers))


@settings(max_examples=times(30))
@given(st.integers(0, 2**32), st.integers(4, 60), st.sampled_from(["str", "int"]), st.booleans())
def test_several_classes_as_scikit_learn_measures_them(seed, rows, kind, ties):
    answers = classified(seed, rows, LABELS[kind], ties=ties)
    close(metrics.measure(answers), by_sklearn(answers))


@settings(max_examples=times(30))
@given(st.integers(0, 2**32), st.integers(2, 60))
def test_numbers_as_scikit_learn_measures_them(seed, rows):
    answers = regressed(seed, rows)
    close(metrics.measure(answers), by_sklearn(answers))


@pytest.mark.parametrize("kind", ["regression", "two", "three"])
def test_an_interval_is_of_the_metrics_of_resampled_rows(kind):
    """The percentiles of the metrics that scikit-learn gives on the very rows that were drawn."""
    rows, resamples, seed = 40, 60, 5
    answers = {
        "regression": lambda: regressed(1, rows),
        "two": lambda: classified(1, rows, LABELS["str"][:2], positive="or"),
        "three": lambda: classified(1, rows, LABELS["str"]),
    }[kind]()
    draw = np.random.default_rng(seed)
    picks = np.concatenate([draw.integers(0, rows, size=(50, rows)), draw.integers(0, rows, size=(10, rows))])
    found = pd.DataFrame([by_sklearn(answers[pick]) for pick in picks])
    for name, (low, high) in metrics.intervals(answers, resamples=resamples, seed=seed).items():
        assert (low, high) == pytest.approx(np.percentile(found[name], [2.5, 97.5]), rel=1e-9), name


def test_intervals_hang_on_the_seed_alone():
    answers = classified(0, 200, LABELS["str"])
    one = metrics.intervals(answers, resamples=100, seed=1)
    assert one == metrics.intervals(answers, resamples=100, seed=1)
    assert one != metrics.intervals(answers, resamples=100, seed=2)
    assert all(low < metrics.measure(answers)[name] < high for name, (low, high) in one.items())


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """Accuracy 0.8 and mean absolute error sqrt(2 / pi): 95 % intervals of 200 samples hold them nearly as often."""
    covered = {"accuracy": 0, "mae": 0}
    for seed in range(200):
        draw = np.random.default_rng(seed)
        truth = draw.integers(0, 2, 150)
        said = np.where(draw.random(150) < 0.8, truth, 1 - truth)
        labels = Answers(truth, said, np.eye(2)[said] * 0.8 + 0.1, (0, 1), 1)
        error = Answers(np.zeros(150), draw.standard_normal(150))
        for name, answers, value in (("accuracy", labels, 0.8), ("mae", error, np.sqrt(2 / np.pi))):
            low, high = metrics.intervals(answers, resamples=200, seed=seed)[name]
            covered[name] += low <= value <= high
    # 190 expected; a percentile bootstrap of 150 rows is a little short of it.
    assert all(178 <= count <= 199 for count in covered.values()), covered


def test_the_interval_of_many_rows_is_around_their_own_metric_and_as_wide_as_theirs():
    """Of 40,000 rows, of which 10,000 are resampled: 2 x 1.96 standard errors of |N(0, 1)|."""
    for seed in range(5):
        answers = Answers(np.zeros(40_000), np.random.default_rng(seed).standard_normal(40_000))
        low, high = metrics.intervals(answers, resamples=150, seed=seed)["mae"]
        assert high - low == pytest.approx(2 * 1.96 * np.sqrt((1 - 2 / np.pi) / 40_000), rel=0.25)
        assert (low + high) / 2 == pytest.approx(metrics.measure(answers)["mae"], abs=0.15 * (high - low))


def test_the_interval_of_many_rows_stays_within_what_the_metric_can_be():
    truth = np.zeros(40_000, dtype=int)
    said = truth.copy()
    said[:7] = 1
    answers = Answers(truth, said, np.eye(2)[said] * 0.8 + 0.1, (0, 1), 1)
    for name, ends in metrics.intervals(answers, resamples=100, seed=3).items():
        if ends is not None:
            assert 0 <= ends[0] <= ends[1], name
            assert ends[1] <= 1 or name == "log_loss"


def test_what_is_not_defined_is_none():
    constant = metrics.measure(Answers(np.full(30, 0.1), np.arange(30.0)))
    assert constant["r2"] is None
    assert constant["mae"] > 0
    assert metrics.intervals(Answers(np.full(30, 0.1), np.arange(30.0)), resamples=20, seed=0)["r2"] is None
    one_class = Answers(np.ones(5, int), np.ones(5, int), np.tile([0.2, 0.8], (5, 1)), (0, 1), 1)
    assert metrics.measure(one_class)["roc_auc"] is None
    assert metrics.measure(one_class)["recall"] == 1.0
    assert metrics.measure(Answers(np.array([1e200, 0.0]), np.array([-1e200, 0.0])))["mse"] is None


@pytest.mark.parametrize("truth", [[1e200, -1e200, 3.0], [1e160, 1.0, 2.0], [1e308, -1e308]])
def test_numbers_whose_squares_are_too_large_as_scikit_learn_measures_them(truth):
    """Infinite for scikit-learn; in evidence, which is JSON, not defined."""
    truth = np.array(truth)
    answers = Answers(truth, np.arange(float(len(truth))))
    with np.errstate(over="ignore", invalid="ignore"):
        expected = by_sklearn(answers)
    found = {name: float(value[0]) for name, value in weighted(answers.coded(), np.ones((1, len(truth)))).items()}
    assert found == pytest.approx(expected, rel=1e-10, nan_ok=True)
    assert metrics.measure(answers)["mse"] is None
    # A row that a resample leaves out does not make that resample's metric infinite.
    calm = weighted(
        Answers(np.r_[truth, 5.0], np.r_[truth, 4.0] * [*[0.0] * len(truth), 1.0]).coded(),
        np.array([[0.0] * len(truth) + [1.0]]),
    )
    assert calm["mse"] == [1.0]


def test_one_row_far_out_does_not_spoil_the_others():
    target = np.r_[1e12, np.random.default_rng(0).standard_normal(99)]
    low, high = metrics.intervals(Answers(target, target + 0.1), resamples=100, seed=0)["r2"]
    assert 0.98 < low < high <= 1.0


def test_certainty_that_was_wrong_costs_no_infinity():
    answers = Answers(np.array([0, 1]), np.array([1, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]), (0, 1), 1)
    assert metrics.measure(answers)["log_loss"] == pytest.approx(-np.log(np.finfo(float).eps) / 2)


@settings(max_examples=times(30))
@given(st.integers(0, 2**32), st.integers(4, 60), st.sampled_from(["number", "two", "three"]), st.integers(1, 7))
def test_rows_in_parts_as_all_at_once(seed, rows, kind, size):
    answers = {
        "number": lambda: regressed(seed, rows),
        "two": lambda: classified(seed, rows, LABELS["str"][:2], ties=True, positive="or"),
        "three": lambda: classified(seed, rows, LABELS["int"], ties=True),
    }[kind]().coded()
    sums = MetricSums(float(answers.truth[0]))
    for start in range(0, rows, size):
        sums.add(answers[start : start + size])
    assert sums.rows == rows
    close(sums.values(), measure(answers))
    ones = {name: float(value[0]) for name, value in weighted(answers, np.ones((1, rows))).items()}
    close(ones, measure(answers))


# --- by group


def test_the_metrics_of_a_group_are_those_of_its_rows():
    answers = classified(3, 90, LABELS["str"][:2], positive="or")
    groups = pd.Series(["f", "m", None] * 30, name="sex", dtype="str")
    found = metrics.by_group(answers, groups)
    assert found.column == "sex"
    assert [(group.group, group.rows) for group in found.groups] == [("f", 30), ("m", 30), ("missing", 30)]
    for place, group in enumerate(found.groups):
        close(group.metrics, metrics.measure(answers[np.arange(place, 90, 3)]))
    recalls = [group.metrics["recall"] for group in found.groups]
    assert found.gaps["recall"] == max(recalls) - min(recalls)


def test_a_class_that_a_group_lacks_does_not_lower_its_means():
    answers = Answers(
        np.array(["a", "b", "a", "b", "c"]),
        np.array(["a", "b", "a", "b", "c"]),
        np.eye(3)[[0, 1, 0, 1, 2]],
        ("a", "b", "c"),
    )
    groups = metrics.by_group(answers, pd.Series([0.0, 0.0, 0.0, 0.0, 1.0], name="g")).groups
    assert [(group.group, group.metrics["recall"], group.metrics["roc_auc"]) for group in groups] == [
        ("0", 1.0, None),
        ("1", 1.0, None),
    ]


def test_numbers_are_cut_into_quarters_and_many_texts_into_the_common_ones():
    answers = regressed(0, 400)
    quarters = metrics.by_group(answers, pd.Series(np.arange(400.0), name="age")).groups
    assert [group.rows for group in quarters] == [100] * 4
    with_missing = pd.Series([np.nan] * 40 + np.arange(360.0).tolist(), name="age")
    assert {group.rows for group in metrics.by_group(answers, with_missing).groups} == {90, 40}
    texts = pd.Series([f"t{place % 40}" if place % 2 else "often" for place in range(400)], name="town")
    names = [group.group for group in metrics.by_group(answers, texts).groups]
    assert len(names) == 21
    assert {"often", "other"} <= set(names)


def test_a_gap_needs_two_groups():
    gaps = metrics.by_group(regressed(0, 9), pd.Series(["a"] * 9, name="g")).gaps
    assert set(gaps.values()) == {None}


@pytest.mark.parametrize("rows", [500, 25_000])
@pytest.mark.parametrize("kind", ["numbers", "labels"])
def test_answers_in_parts_have_the_metrics_and_the_intervals_of_all(rows: int, kind: str) -> None:
    answers = regressed(1, rows) if kind == "numbers" else classified(1, rows, LABELS["str"])
    measured = sections.MeasuredAnswers(
        rows, float(np.mean(answers.target)) if kind == "numbers" else 0.0, resamples=30, seed=5
    )
    for places in np.array_split(np.arange(rows), 7):
        measured.add(answers[places].coded())

    found = measured.section()

    for name, expected in sections.metrics_section(answers, resamples=30, seed=5).items():
        assert found[name].value == pytest.approx(expected.value, rel=1e-10)
        assert (found[name].low, found[name].high) == pytest.approx((expected.low, expected.high), rel=1e-10)
