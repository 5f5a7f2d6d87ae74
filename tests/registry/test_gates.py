"""Gates: what each lets pass, what it refuses, and that it says why."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import gates, policy
from registry.evidence.fetch import VersionEvidence
from registry.gates import GateResult, Verdict
from registry.gates.paired import difference, shared
from registry.policy import LineageRules, MetricByTask, Policy, StageGates
from tests.registry import made

POLICY = policy.read().default
GOOD = made.holdout([1.0] * made.ROWS)


def asked(
    gate: str, candidate: VersionEvidence, champion: VersionEvidence | None = None, rules: Policy = POLICY, **given: Any
) -> GateResult:
    """What one gate says."""
    verdict = gates.judge(candidate, champion, rules, **given)
    return next(result for result in verdict.results if result.gate == gate)


def changed_policy(**changes: Any) -> Policy:
    """The shipped policy with some of it changed."""
    return msgspec.structs.replace(POLICY, **changes)


def judged_by(metric: str) -> MetricByTask:
    """One metric, whatever the task."""
    return MetricByTask(regression=metric, classification=metric)


def changed(section: str, **changes: Any) -> dict:
    """A section of a good document with some of it changed."""
    return {section: {**made.content(GOOD)[section], **changes}}


def test_a_version_that_has_all_passes_every_gate():
    verdict = gates.judge(made.version(GOOD), made.version(GOOD, "1"), POLICY)
    assert verdict.passed
    assert [result.gate for result in verdict.results] == list(policy.GATES)
    assert all(result.passed and result.judged for result in verdict.results)
    assert (verdict.champion, verdict.digest, verdict.stage) == ("1", "sha256:00", "Production")
    assert verdict.summary() == f"passed {len(policy.GATES)} gates"


def test_a_verdict_travels_as_json():
    verdict = gates.judge(made.version(GOOD, **changed("lineage", seed=None)), None, POLICY)
    assert Verdict.from_dict(verdict.to_dict()) == verdict
    assert verdict.summary() == "lineage: no seed: train it anew with `python -m pipelines train`"


# Each gate refuses what it is there for. The first three letters of a reason are no test: the whole of it is.
FAILING = [
    (
        "suite",
        {"suite": None},
        "no suite checked the data: train with `--suite auto`, or say `suite: optional` in the policy",
    ),
    (
        "suite",
        {
            "suite": {
                "name": "made",
                "success": False,
                "evaluated": 3,
                "failed": 1,
                "findings": [
                    {
                        "expectation": "expect_column_values_to_be_between",
                        "column": "age",
                        "severity": "critical",
                        "success": False,
                        "observed": "-4 to 90",
                        "expected": "0 to 120",
                    }
                ],
            }
        },
        "'made' failed on this data: 1 of 3 expectations not met: "
        "expect_column_values_to_be_between of 'age' expected 0 to 120, found -4 to 90",
    ),
    (
        "baseline",
        {"baseline": {"strategy": "mean", "metrics": {"rmse": 1.0}}},
        "rmse 1 is not better than the baseline's (mean) 1",
    ),
    (
        "baseline",
        {"baseline": {"strategy": "mean", "metrics": {"rmse": None}}},
        "the baseline's (mean) rmse is not defined on the held-out rows; choose another metric in the policy",
    ),
    (
        "parity",
        {"parity": made.parity(passed=False)},
        "scorecard and the model's own code differ: of 120 answers to 60 rows, asked as a table and one by one, 14 are "
        "outside of the tolerance (the widest difference is 0.25), 0 rows are refused by one of them only",
    ),
    (
        "parity",
        {"parity": None},
        "it has no scorecard that was compared with the model's own code, so it runs only where that code does; "
        "where that is enough, say `parity: optional` in the policy",
    ),
    (
        "lineage",
        changed("lineage", git={"commit": None, "dirty": None}),
        "no git commit: it was trained outside of a git checkout, so nobody can tell by what code; train in one, "
        "or say `lineage: {commit: optional}` in the policy",
    ),
    (
        "lineage",
        changed("lineage", data={"source": "", "digest": "", "rows": 0, "columns": 0, "dropped_rows": 0}),
        "no data digest: train it anew with `python -m pipelines train`",
    ),
    (
        "bound",
        {"metrics": {"rmse": {"value": None, "low": None, "high": None}}},
        "rmse is not defined on the held-out rows; choose another metric in the policy",
    ),
]


@pytest.mark.parametrize(("gate", "changes", "reason"), FAILING)
def test_a_gate_refuses_and_says_why(gate: str, changes: dict, reason: str):
    result = asked(gate, made.version(GOOD, **changes))
    assert (result.passed, result.reason) == (False, reason)


def test_evidence_that_was_changed_is_found():
    candidate = replace(made.version(GOOD), digest="sha256:11")
    assert asked("evidence", candidate).reason == (
        "changed since the version was registered: its digest is sha256:11, the version's tag says sha256:00"
    )
    assert not gates.judge(candidate, None, POLICY).passed
    untagged = replace(made.version(GOOD), tagged_digest=None)
    assert asked("evidence", untagged).reason.startswith("the version has no tag with the digest of its evidence")


@pytest.mark.parametrize(
    ("metric", "limit", "passed", "reason"),
    [
        ("rmse", 1.5, True, "rmse 1 is within 1.5"),
        ("rmse", 1.0, True, "rmse 1 is within 1"),
        ("rmse", 0.9, False, "rmse 1 is above 0.9"),
        ("mae", 0.9, False, "mae 1 is above 0.9"),
    ],
)
def test_an_error_has_an_upper_bound(metric: str, limit: float, passed: bool, reason: str):
    rules = changed_policy(metric=judged_by(metric), bounds={metric: limit})
    result = asked("bound", made.version(GOOD), rules=rules)
    assert (result.passed, result.reason) == (passed, reason)


def test_a_score_has_a_lower_bound():
    table = made.labels([0.2, 0.8] * 30)
    assert asked("bound", made.version(table), rules=changed_policy(bounds={"accuracy": 0.9})).reason == (
        "accuracy 1 reaches 0.9"
    )
    worse = made.labels([0.2, 0.2] * 30)
    result = asked("bound", made.version(worse), rules=changed_policy(bounds={"accuracy": 0.9}))
    assert (result.passed, result.reason) == (False, "accuracy 0.5 is below 0.9")


def test_a_bound_of_another_metric_is_not_asked_for():
    result = asked("bound", made.version(GOOD), rules=changed_policy(bounds={"mae": 0.1}))
    assert (result.passed, result.reason) == (True, "rmse is 1; the policy sets no bound for it")


def test_a_chosen_threshold_is_named_where_it_costs_the_metric():
    table = made.labels([0.2, 0.8] * 30)
    model = {**made.content(table)["model"], "threshold_rule": "cost=1:5"}
    baseline = {"strategy": "prior", "metrics": {"accuracy": 1.0}}
    result = asked("baseline", made.version(table, model=model, baseline=baseline))
    assert result.reason.endswith(
        "its threshold was chosen for cost=1:5: set a `metric` in the policy that tells what it is worth"
    )


def test_what_is_optional_may_be_missing_but_not_fail():
    rules = changed_policy(suite="optional", parity="optional", lineage=LineageRules("optional"))
    bare = made.version(GOOD, suite=None, parity=None, **changed("lineage", git={"commit": None, "dirty": None}))
    assert gates.judge(bare, None, rules).passed
    assert not asked("parity", made.version(GOOD, parity=made.parity(passed=False)), rules=rules).passed


def test_a_clean_commit_is_one_without_changes():
    dirty = made.version(GOOD, **changed("lineage", git={"commit": "0a1b2c3d4e5f6071", "dirty": True}))
    assert asked("lineage", dirty).reason == (
        "commit 0a1b2c3d4e with uncommitted changes, data sha256:01234567…, seed 0"
    )
    result = asked("lineage", dirty, rules=changed_policy(lineage=LineageRules("clean")))
    assert (result.passed, result.reason) == (
        False,
        "trained with uncommitted changes to 0a1b2c3d4e; commit them and train anew",
    )


# The champion


def test_without_a_champion_there_is_nothing_to_compare_with():
    for alone in (None, made.version(GOOD)):
        verdict = gates.judge(made.version(GOOD), alone, POLICY)
        assert verdict.champion is None
        assert asked("champion", made.version(GOOD), alone).reason == "no other version is in Production"


def spread(size: float, shift: float = 0.0, *, seed: int = 1) -> pa.Table:
    """Answers whose errors are random, of a size."""
    return made.holdout(np.random.default_rng(seed).normal(shift, size, made.ROWS).tolist())


def test_a_version_within_chance_of_the_champion_passes():
    result = asked("champion", made.version(spread(1.05, seed=2)), made.version(spread(1.0, seed=3), "1"))
    assert result.passed
    assert result.reason.startswith("not worse than version 1: rmse is ")
    assert " on 60 shared held-out rows, 95 % interval -" in result.reason
    assert result.reason.endswith(" holds 0")


def test_a_version_that_is_worse_fails():
    result = asked("champion", made.version(spread(3.0)), made.version(spread(1.0), "1"))
    assert not result.passed
    assert result.reason.startswith("worse than version 1: rmse is 1.729 (200 %) higher on 60 shared held-out rows")
    assert result.reason.endswith(" lies above 0, beyond the margin of 1 % (0.008647)")


def test_a_version_that_is_better_passes():
    result = asked("champion", made.version(spread(1.0)), made.version(spread(3.0), "1"))
    assert result.passed
    assert result.reason.startswith("better than version 1: rmse is ")


def test_a_pair_tells_more_than_two_numbers():
    """Each row is a little worse: far less than rows differ, and yet no chance."""
    rough = np.random.default_rng(0).normal(0, 10, made.ROWS)
    worse = rough + 0.3 * np.sign(rough)
    champion, candidate = made.version(made.holdout(rough), "1"), made.version(made.holdout(worse))
    result = asked("champion", candidate, champion)
    assert not result.passed
    # Resampled apart, the two would overlap by far.
    found = difference(shared(candidate, champion), "rmse", level=0.95)
    assert 0 < found.low < found.high < 0.05 * candidate.document.value("rmse")


def margin(share: float):
    return changed_policy(champion=msgspec.structs.replace(POLICY.champion, margin=share))


def test_what_is_worse_by_less_than_the_margin_passes_though_it_is_no_chance():
    errors = np.random.default_rng(0).normal(0, 10, made.ROWS)
    champion, candidate = made.version(made.holdout(errors), "1"), made.version(made.holdout(1.001 * errors))
    found = difference(shared(candidate, champion), "rmse", level=0.95)
    assert 0 < found.low < found.high
    assert found.value == pytest.approx(0.001 * found.champion)
    result = asked("champion", candidate, champion)
    assert result.passed
    assert result.reason.startswith("not worse than version 1: rmse is ")
    assert " (0.1 %) higher on 60 shared held-out rows, " in result.reason
    assert " lies above 0, within the margin of 1 % (" in result.reason
    assert not asked("champion", candidate, champion, margin(0)).passed
    assert not asked("champion", made.version(made.holdout(1.02 * errors)), champion).passed
    assert asked("champion", made.version(made.holdout(1.02 * errors)), champion, margin(0.05)).passed


def test_a_margin_of_a_score_is_a_share_of_it_too():
    """Of 600 rows the champion has 540 right: 5 fewer are within 1 %, 6 fewer are not."""

    def right(rows: int) -> pa.Table:
        return made.labels([0.9 if row % 2 == (row < rows) else 0.1 for row in range(600)])

    champion = made.version(right(540), "1")
    passed = {fewer: asked("champion", made.version(right(540 - fewer)), champion).passed for fewer in (5, 6, 20)}
    assert passed == {5: True, 6: False, 20: False}


@pytest.mark.parametrize(
    ("size", "worse", "passed"),
    [
        (1e-9, 1e-8, True),  # both are exact, of a target that spreads over 50
        (0.0, 1e-3, True),
        (0.0, 1e-2, False),
        (1.0, 1.005, True),
        (1.0, 1.02, False),
    ],
)
def test_near_zero_a_share_of_the_baseline_is_the_margin(size: float, worse: float, passed: bool):
    signs = np.where(np.arange(60) % 2, 1.0, -1.0)
    champion = made.version(made.holdout(size * signs), "1")
    result = asked("champion", made.version(made.holdout(worse * signs)), champion)
    assert result.passed == passed, result.reason
    if size < 0.5:
        assert "the margin of 1 % of a hundredth of the baseline's (0.005)" in result.reason


def test_a_score_near_zero_has_a_margin_too():
    rules = changed_policy(metric=judged_by("r2"))
    truth = np.arange(60.0)
    flat = np.full(60, truth.mean())

    def version(slope: float, number: str):
        return made.version(made.holdout(slope * (truth - truth.mean()) + flat - truth), number)

    champion = version(0.001, "1")
    assert asked("champion", version(0.0009, "2"), champion, rules).passed
    assert not asked("champion", version(-0.01, "2"), champion, rules).passed


def test_of_a_score_more_is_better():
    good, bad = made.labels([0.2, 0.8] * 30), made.labels([0.2, 0.8] * 20 + [0.2, 0.2] * 10)
    better = asked("champion", made.version(good), made.version(bad, "1"))
    worse = asked("champion", made.version(bad), made.version(good, "1"))
    assert better.passed
    assert better.reason.startswith(
        "better than version 1: accuracy is 0.1667 (20 %) higher on 60 shared held-out rows"
    )
    assert not worse.passed
    assert worse.reason.startswith("worse than version 1: accuracy is 0.1667 (17 %) lower on 60 shared held-out ")


@pytest.mark.parametrize("metric", ["precision", "recall", "f1", "roc_auc", "log_loss", "accuracy"])
def test_every_metric_of_labels_is_as_scikit_learn_has_it(metric: str):
    from sklearn import metrics

    draw = np.random.default_rng(5)
    ours, theirs = (made.labels(draw.uniform(0, 1, 60).round(2)) for _ in range(2))
    found = difference(shared(made.version(ours), made.version(theirs, "1")), metric, level=0.9)

    def value(table: pa.Table) -> float:
        truth, good = np.asarray(table["target"]), np.asarray(table["probability_good"])
        if metric in ("roc_auc", "log_loss"):
            return {"roc_auc": metrics.roc_auc_score, "log_loss": metrics.log_loss}[metric](truth == "good", good)
        score = getattr(metrics, f"{metric}_score")
        options = {} if metric == "accuracy" else {"pos_label": "good"}
        return score(truth, np.asarray(table["prediction"]), **options)

    assert found.value == pytest.approx(value(ours) - value(theirs), abs=1e-12)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("metric", ["mse", "rmse", "r2", "mae"])
def test_every_metric_of_numbers_is_as_scikit_learn_has_it(metric: str):
    from sklearn import metrics

    ours, theirs = spread(2.0, seed=4), spread(1.0, seed=5)
    measure = {
        "mse": metrics.mean_squared_error,
        "rmse": metrics.root_mean_squared_error,
        "r2": metrics.r2_score,
        "mae": metrics.mean_absolute_error,
    }[metric]
    found = difference(shared(made.version(ours), made.version(theirs, "1")), metric, level=0.9)
    expected = [measure(np.asarray(table["target"]), np.asarray(table["prediction"])) for table in (ours, theirs)]
    assert found.value == pytest.approx(expected[0] - expected[1], rel=1e-9)


def test_only_shared_rows_are_compared():
    """The champion was good on rows that the candidate was trained on: they say nothing."""
    ours = made.holdout([2.0] * 60)
    theirs = made.holdout([2.0] * 40 + [0.0] * 20, keys=made.keys_of(40) + [f"f{row:015x}" for row in range(20)])
    result = asked("champion", made.version(ours), made.version(theirs, "1"))
    assert result.reason == "as good as version 1: the same rmse on 40 shared held-out rows"


def test_too_few_shared_rows_are_not_comparable_and_it_says_what_to_do():
    theirs = made.holdout([1.0] * 60, keys=made.keys_of(29) + [f"f{row:015x}" for row in range(31)])
    result = asked("champion", made.version(GOOD), made.version(theirs, "1"))
    assert not result.passed
    assert result.reason.startswith("not comparable with version 1: they share 29 held-out rows, 30 are needed; ")
    assert "`python -m pipelines evaluate --model models:/made/2 --data TABLE`" in result.reason


def test_columns_that_name_the_rows_and_changed_are_told():
    theirs = made.holdout([1.0] * 60, keys=[f"f{row:015x}" for row in range(60)])
    holdout = {**made.content(GOOD)["holdout"], "key_columns": ["age", "weight"]}
    result = asked("champion", made.version(GOOD, holdout=holdout), made.version(theirs, "1"))
    assert "(the columns that name a row have changed: added 'weight'; gone 'bmi')" in result.reason


def test_rows_that_are_held_out_by_something_else_are_told():
    theirs = made.holdout([1.0] * 60, keys=[f"f{row:015x}" for row in range(60)])
    holdout = {**made.content(GOOD)["holdout"], "by": "group", "columns": ["ward"]}
    result = asked("champion", made.version(GOOD), made.version(theirs, "1", holdout=holdout))
    assert "(it held rows out by group 'ward', this one by the columns that name a row)" in result.reason


def adopted(table: pa.Table, number: str = "2", *, declared: bool = False, **changes: Any) -> VersionEvidence:
    """A version that was logged without this platform; its rows are declared unseen, or it may know them."""
    by = {"by": "Anna", "time": "2026-01-01T00:00:00Z"} if declared else None
    holdout = {**made.content(GOOD)["holdout"], "by": "given", "declared_unseen": by}
    return made.version(table, number, **{"holdout": holdout, "suite": None, "lineage": None, **changes})


def test_rows_that_a_version_may_have_been_trained_on_do_not_count_against_the_champion():
    for candidate, champion in ((made.version(spread(1.0)), adopted(spread(3.0), "1")), (adopted(spread(1.0)),) * 2):
        result = asked("champion", candidate, replace(champion, version="1"))
        assert not result.passed
        assert "version 1 may have been trained on the rows of the comparison; run `" in result.reason
        assert "--unseen yes" in result.reason


def test_rows_that_were_declared_unseen_count_against_the_champion():
    result = asked("champion", made.version(spread(1.0)), adopted(spread(3.0), "1", declared=True))
    assert result.passed
    assert " on 60 shared rows, declared to be unseen by version 1, 95 % interval " in result.reason


def test_an_evaluation_on_rows_that_neither_saw_counts_where_their_own_rows_do_not():
    beside = {"1": (spread(1.0), spread(3.0))}
    candidate = replace(made.version(spread(9.0)), beside=beside)
    assert asked("champion", candidate, adopted(GOOD, "1")).reason.startswith("better than version 1")


def test_what_is_not_known_of_an_adopted_version_is_told_and_allowed():
    verdict = gates.judge(adopted(GOOD), None, POLICY)
    assert verdict.passed
    reasons = {result.gate: result.reason for result in verdict.results}
    assert reasons["lineage"] == "unknown: logged without this platform"
    assert reasons["suite"] == "no suite checked the data it was trained on: logged without this platform"
    told = "logged without this platform; judged on rows that it may have been trained on; the policy allows it"
    assert verdict.caveats == (told,)
    assert Verdict.from_dict(verdict.to_dict()).caveats == (told,), "so the ledger keeps it"
    assert gates.judge(made.version(GOOD), None, POLICY).caveats == ()
    assert (
        "judged on rows that Anna declared unseen" in gates.judge(adopted(GOOD, declared=True), None, POLICY).caveats[0]
    )


def test_a_policy_that_refuses_adopted_versions_keeps_them_out_of_production_alone():
    rules = changed_policy(adopted="refused")
    verdict = gates.judge(adopted(GOOD), None, rules)
    assert [result.gate for result in verdict.failures] == ["adopted"]
    assert "the policy refuses such versions in Production (`adopted: refused`)" in verdict.summary()
    assert gates.judge(adopted(GOOD), None, rules, stage="Staging").passed
    assert gates.judge(made.version(GOOD), None, rules).passed


def test_evidence_of_an_earlier_release_that_took_the_evaluations_origin_for_the_versions_is_not_believed():
    result = asked("lineage", adopted(GOOD, lineage=made.content(GOOD)["lineage"]))
    assert result.reason == "unknown: logged without this platform"


def test_rows_whose_truth_has_changed_are_left_out():
    corrected = GOOD.set_column(1, "target", pa.array([1000.0] * 5 + list(range(5, 60)), pa.float64()))
    result = asked("champion", made.version(spread(1.0)), made.version(corrected, "1"))
    assert "on 55 shared held-out rows" in result.reason
    assert result.reason.endswith("; 5 rows whose 'progression' has changed are left out")


def test_equal_keys_are_paired_one_by_one():
    """A row that is there twice counts twice, not four times."""
    twice = made.holdout([1.0] * 60, keys=made.keys_of(30) * 2)
    twice = twice.set_column(1, "target", pa.array([7.0] * 60))
    found = shared(made.version(twice), made.version(twice, "1"))
    assert len(found) == 60
    once = twice.slice(0, 30)
    assert len(shared(made.version(twice), made.version(once, "1"))) == 30


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "classification", "classes": ["a"]}, "it is a regression, this one a classification; register"),
        ({"target": "price"}, "it predicts 'progression', this one 'price'; register this one under another name"),
    ],
)
def test_another_kind_of_model_is_not_comparable(changes: dict, reason: str):
    candidate = made.version(GOOD, **changed("model", **changes))
    rules = changed_policy(metric=judged_by("rmse"))
    result = asked("champion", candidate, made.version(GOOD, "1"), rules)
    assert not result.passed
    assert reason in result.reason


def test_other_classes_are_not_comparable():
    table = made.labels([0.2, 0.8] * 30)
    model = {**made.content(table)["model"], "classes": ["bad", "good", "ugly"]}
    result = asked("champion", made.version(table, model=model), made.version(table, "1"))
    assert (result.passed, result.reason) == (
        False,
        "not comparable with version 1: its classes are 'bad', 'good', this one's 'bad', 'good', 'ugly'",
    )


def test_a_metric_that_is_not_defined_on_the_shared_rows_is_not_comparable():
    one_class = made.labels([0.8] * 60).set_column(1, "target", pa.array(["good"] * 60))
    rules = changed_policy(metric=judged_by("roc_auc"))
    result = asked("champion", made.version(one_class), made.version(one_class, "1"), rules)
    assert (result.passed, result.reason) == (
        False,
        "not comparable with version 1: roc_auc is not defined on the 60 shared held-out rows",
    )


def test_answers_beyond_all_numbers_are_worse():
    huge = made.holdout([1e300] * 60)
    with np.errstate(over="ignore"):
        assert not asked("champion", made.version(huge), made.version(GOOD, "1")).passed
        assert asked("champion", made.version(GOOD), made.version(huge, "1")).passed


def test_many_rows_are_compared_in_time():
    draw = np.random.default_rng(0)
    ours, theirs = (made.holdout(draw.normal(0, size, 200_000)) for size in (1.0, 1.1))
    result = asked("champion", made.version(ours), made.version(theirs, "1"))
    assert result.reason.startswith("better than version 1")
    assert "on 10000 shared held-out rows" in result.reason


ERRORS = st.lists(st.floats(-100, 100), min_size=30, max_size=60)


@given(errors=ERRORS)
def test_law_a_champion_compared_with_itself_passes(errors: list[float]):
    result = asked("champion", made.version(made.holdout(errors)), made.version(made.holdout(errors), "1"))
    assert result.passed
    assert result.reason.startswith("as good as version 1")


@given(pairs=st.lists(st.tuples(*[st.floats(-100, 100)] * 3, st.floats(0, 1)), min_size=30, max_size=50))
def test_law_who_errs_less_on_every_row_never_loses_a_pass(pairs: list[tuple[float, ...]]):
    champion = made.version(made.holdout([one for one, *_ in pairs]), "1")
    worse = made.version(made.holdout([own for _, own, *_ in pairs]))
    better = made.version(made.holdout([own * share for _, own, _, share in pairs]))
    before, after = asked("champion", worse, champion), asked("champion", better, champion)
    assert after.passed or not before.passed


@given(errors=ERRORS, seed=st.integers(0, 1000), classes=st.booleans())
def test_law_the_order_of_rows_is_irrelevant(errors: list[float], seed: int, classes: bool):
    ours = made.labels([abs(one) / 100 for one in errors]) if classes else made.holdout(errors)
    theirs = made.labels([0.6] * len(errors)) if classes else made.holdout([1.0] * len(errors))
    order = np.random.default_rng(seed).permutation(len(errors))
    champion = made.version(theirs, "1")
    straight, shuffled = made.version(ours), replace(made.version(ours), holdout=ours.take(order))
    assert asked("champion", straight, champion) == asked("champion", shuffled, champion)
    backwards = replace(champion, holdout=theirs.take(order))
    assert asked("champion", straight, champion) == asked("champion", straight, backwards)


# The schema


@pytest.mark.parametrize(
    ("inputs", "passed", "reason"),
    [
        ([made.number("age"), made.number("bmi")], True, "takes what version 1 takes"),
        (
            [made.number("age"), made.number("bmi"), made.number("sex", type="category")],
            True,
            "takes what version 1 takes: optional column 'sex' is new",
        ),
        ([made.number("age")], False, "column 'bmi' is gone"),
        (
            [made.number("age"), made.number("bmi", type="category")],
            False,
            "column 'bmi' was a number and is a category",
        ),
        ([made.number("age"), made.number("bmi", null=False)], False, "column 'bmi' is newly required"),
        ([made.number("age"), made.number("bmi"), made.number("w", null=False)], False, "required column 'w' is new"),
        ([made.number("age"), made.number("bmi", integer=True)], False, "column 'bmi' takes whole numbers only"),
        (
            [made.number("age"), {**made.number("bmi"), "decimal": ",", "thousands": "."}],
            False,
            "column 'bmi' took text of numbers with decimal '.', and takes it with decimal ',' and thousands '.'",
        ),
        ([made.number("bmi"), made.number("age")], False, "the columns are in another order"),
    ],
)
def test_whoever_asks_the_champion_can_ask_its_successor(inputs: list, passed: bool, reason: str):
    candidate, champion = made.version(GOOD, inputs=inputs), made.version(GOOD, "1")
    result = asked("schema", candidate, champion)
    assert result.passed is passed
    assert reason in result.reason
    assert asked("schema", candidate, champion, breaking=True).passed
    if not passed:
        assert result.reason.endswith("; where callers know, promote with --breaking")
        assert "as --breaking says" in asked("schema", candidate, champion, breaking=True).reason


def test_a_requirement_that_is_dropped_is_fine():
    strict = made.version(GOOD, "1", inputs=[made.number("age", null=False, integer=True), made.number("bmi")])
    result = asked("schema", made.version(GOOD), strict)
    assert (result.passed, result.reason) == (
        True,
        "takes what version 1 takes: column 'age' takes fractions, too; column 'age' is optional now",
    )


# Fairness


def groups(**found: tuple[int, float]) -> list[dict]:
    listed = [{"group": name, "rows": rows, "metrics": {"rmse": value}} for name, (rows, value) in found.items()]
    return [{"column": "sex", "groups": listed, "gaps": {}}]


@pytest.mark.parametrize(
    ("found", "passed", "reason"),
    [
        (
            {"a": (40, 1.0), "b": (40, 1.1)},
            True,
            "rmse is 1 for sex=a and 1.1 for b: the gap of 10 % of the rmse on all rows is within 20 %",
        ),
        (
            {"a": (40, 1.0), "b": (40, 1.3)},
            False,
            "rmse is 1 for sex=a and 1.3 for b: the gap of 30 % of the rmse on all rows is more than 20 %",
        ),
        (
            {"a": (40, 1.0), "b": (29, 9.0)},
            True,
            "'sex' has no two groups of 30 held-out rows to compare (1 of 2 groups are too small to tell)",
        ),
    ],
)
def test_groups_are_treated_alike(found: dict, passed: bool, reason: str):
    result = asked("fairness", made.version(GOOD, fairness=groups(**found)))
    assert (result.passed, result.reason) == (passed, reason)


def test_the_gap_of_a_score_is_itself():
    table = made.labels([0.2, 0.8] * 30)
    listed = [{"group": name, "rows": 50, "metrics": {"accuracy": value}} for name, value in (("a", 0.6), ("b", 0.9))]
    result = asked("fairness", made.version(table, fairness=[{"column": "sex", "groups": listed, "gaps": {}}]))
    assert (result.passed, result.reason) == (
        False,
        "accuracy is 0.6 for sex=a and 0.9 for b: the gap of 0.3 is more than 0.2",
    )


# The table of gates


def test_gates_that_the_policy_does_not_name_are_shown_and_do_not_count():
    rules = changed_policy(stages=StageGates(("evidence",), ("evidence", "suite")))
    candidate = made.version(GOOD, suite=None)
    staged, promoted = (gates.judge(candidate, None, rules, stage=stage) for stage in ("Staging", "Production"))
    assert staged.passed
    assert not promoted.passed
    assert [result.gate for result in staged.results if result.judged] == ["evidence"]
    assert not next(result for result in staged.results if result.gate == "suite").passed


def test_latency_is_shown_and_not_judged():
    candidate = replace(made.version(GOOD), latency={"latency_ms": 1e9})
    verdict = gates.judge(candidate, None, POLICY)
    assert verdict.passed
    assert verdict.results[-1] == GateResult("latency", True, "latency_ms 1e+09", judged=False)


def test_a_version_of_unknown_origin_fails_the_lineage_gate_only():
    verdict = gates.judge(made.version(GOOD, lineage=None), None, POLICY)
    assert [result.gate for result in verdict.failures] == ["lineage"]
    assert verdict.summary() == "lineage: its origin is unknown: it was not trained by `python -m pipelines train`"


def test_an_evaluation_stands_in_where_too_few_rows_are_shared():
    champion = made.version(made.holdout([1.0] * 60, keys=[f"f{row:015x}" for row in range(60)]), "1")
    apart = made.version(made.holdout([0.5] * 60))
    better, worse = made.holdout([0.5] * 60), made.holdout([1.5] * 60)
    theirs = made.holdout([1.0] * 60)

    assert not asked("champion", apart, champion).passed
    assert asked("champion", replace(apart, beside={"1": (better, theirs)}), champion).passed
    assert not asked("champion", replace(apart, beside={"1": (worse, theirs)}), champion).passed
    assert not asked("champion", replace(apart, beside={"7": (better, theirs)}), champion).passed
