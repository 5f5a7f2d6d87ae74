"""Gates about how good a version is: by itself, beside a dummy, beside the champion, and for each group."""

from collections.abc import Mapping
from dataclasses import replace

from registry import holdout
from registry.cli.text import figure, listed
from registry.gates import paired
from registry.gates.case import Answer, Case
from registry.gates.verdict import Evidence
from registry.metrics import BY_NAME


def bound(case: Case) -> Answer:
    """The metric is beyond its absolute bound."""
    value, limit = case.value, case.policy.bounds.get(case.metric)
    if value is None:
        return False, f"{case.metric} is not defined on the held-out rows; choose another metric in the policy"
    if limit is None:
        return True, f"{case.metric} is {figure(value)}; the policy sets no bound for it"
    if BY_NAME[case.metric].higher_is_better:
        passed, word = value >= limit, "reaches" if value >= limit else "is below"
    else:
        passed, word = value <= limit, "is within" if value <= limit else "is above"
    return passed, f"{case.metric} {figure(value)} {word} {figure(limit)}"


def baseline(case: Case) -> Answer:
    """The metric is better than that of a dummy which does not look at the inputs."""
    value, found = case.value, case.document["baseline"]
    dummy, named = found["metrics"][case.metric], f"the baseline's ({found['strategy']})"
    if value is None or dummy is None:
        whose = "the version's" if value is None else named
        return False, f"{whose} {case.metric} is not defined on the held-out rows; choose another metric in the policy"
    if value > dummy if BY_NAME[case.metric].higher_is_better else value < dummy:
        return True, f"{case.metric} {figure(value)} is better than {named} {figure(dummy)}"
    reason = f"{case.metric} {figure(value)} is not better than {named} {figure(dummy)}"
    if rule := case.document["model"]["threshold_rule"]:
        reason += f"; its threshold was chosen for {rule}: set a `metric` in the policy that tells what it is worth"
    return False, reason


def champion(case: Case) -> Answer:
    """The version is not worse than the champion on the rows that both held out, but for chance and the margin."""
    other, rules = case.champion, case.policy.champion
    if other is None:
        return True, "no other version is in Production"
    if why := _incomparable(case, other):
        return False, f"not comparable with {other.title}: {why}"
    rows = paired.shared(case.candidate, other)
    if len(rows) < rules.fewest and other.version in case.candidate.beside:
        ours, theirs = case.candidate.beside[other.version]
        rows = paired.shared(replace(case.candidate, holdout=ours), replace(other, holdout=theirs))
    if len(rows) < rules.fewest:
        return False, f"not comparable with {other.title}: {_too_few(case, other, rows)}"
    found = paired.difference(rows, case.metric, level=rules.level)
    if found.value != found.value or found.low != found.low:
        undefined = f"{case.metric} is not defined on the {len(rows)} {_rows_of(case, other)}"
        return False, f"not comparable with {other.title}: {undefined}"
    return _against(case, other, found, changed=rows.changed)


def _against(case: Case, other: Evidence, found: paired.Difference, *, changed: int) -> Answer:
    rules = case.policy.champion
    told = f"on {found.rows} {_rows_of(case, other)}"
    if found.low == found.high == found.value == 0:
        return True, f"as good as {other.title}: the same {case.metric} {told}"
    higher = BY_NAME[case.metric].higher_is_better
    worse = -found.value if higher else found.value
    # How much worse the candidate is at least, and at most.
    least, most = (-found.high, -found.low) if higher else (found.low, found.high)
    scale, of_what = _scale(case, other, found.champion)
    passed = least <= 0 or worse <= rules.margin * scale
    word = "better than" if most < 0 else "not worse than" if passed else "worse than"
    lies = "holds 0" if found.low <= 0 <= found.high else f"lies {'above' if found.low > 0 else 'below'} 0"
    if least > 0:
        share = f"{100 * rules.margin:.3g} %{of_what}"
        lies += f", {'within' if passed else 'beyond'} the margin of {share} ({figure(rules.margin * scale)})"
    remark = f"; {changed} rows whose {case.document['model']['target']!r} has changed are left out" if changed else ""
    return passed, (
        f"{word} {other.title}: {case.metric} is {_far(found)} {told}, "
        f"{100 * rules.level:g} % interval {figure(found.low)} to {figure(found.high)} {lies}{remark}"
    )


def _rows_of(case: Case, other: Evidence) -> str:
    """What the compared rows are: held out by both, unless a version does not tell what it was trained on."""
    unknown = [one for one in (case.candidate, other) if one.document["holdout"]["by"] == holdout.GIVEN]
    if not unknown:
        return "shared held-out rows"
    return f"shared rows, which {' and '.join(one.title for one in unknown)} may have been trained on"


def _far(found: paired.Difference) -> str:
    """How far the metric is from the champion's, as a number and as a share of the champion's."""
    if not found.value:
        return "the same"
    share = f" ({figure(float(f'{100 * abs(found.value / found.champion):.2g}'))} %)" if found.champion else ""
    return f"{figure(abs(found.value))}{share} {'higher' if found.value > 0 else 'lower'}"


# Below these the champion's metric is near zero, and a share of it is nothing: a score's own value, and an error as a
# share of the baseline's.
_NEAR_ZERO_SCORE = 0.1
_NEAR_ZERO_ERROR = 0.01


def _scale(case: Case, other: Evidence, champion: float) -> tuple[float, str]:
    """What the margin is a share of, and what to call it: the champion's metric, unless that is near zero."""
    size = abs(champion)
    if BY_NAME[case.metric].higher_is_better:
        return (size, "") if size >= _NEAR_ZERO_SCORE else (_NEAR_ZERO_SCORE, f" of {_NEAR_ZERO_SCORE}")
    floor = _NEAR_ZERO_ERROR * abs(other.document["baseline"]["metrics"].get(case.metric) or 0.0)
    return (size, "") if size >= floor else (floor, " of a hundredth of the baseline's")


def _incomparable(case: Case, other: Evidence) -> str:
    """Why two versions cannot be compared by what they are; empty where they can."""
    ours, theirs = case.document["model"], other.document["model"]
    if ours["task"] != theirs["task"]:
        return f"it is a {theirs['task']}, this one a {ours['task']}; register this one under another name"
    if ours["target"] != theirs["target"]:
        told = f"it predicts {theirs['target']!r}, this one {ours['target']!r}"
        return f"{told}; register this one under another name"
    if set(ours["classes"] or ()) != set(theirs["classes"] or ()):
        return f"its classes are {listed(theirs['classes'] or ())}, this one's {listed(ours['classes'] or ())}"
    return ""


def _too_few(case: Case, other: Evidence, rows: paired.Shared) -> str:
    """How many rows they share, why they are so few where that can be seen, and what to do."""
    ours, theirs = (holdout.HoldoutRule.read(one.document["holdout"]) for one in (case.candidate, other))
    changed = holdout.differences(ours, theirs)
    why = f" ({changed})" if changed else ""
    if rows.changed:
        why += f" ({rows.changed} more have another {case.document['model']['target']!r} now)"
    return (
        f"they share {len(rows)} held-out rows{why}, {case.policy.champion.fewest} are needed; run {case.evaluate} "
        "on a table with more rows that neither was trained on"
    )


def fairness(case: Case) -> Answer:
    """The metric is alike for all groups of each sensitive column that was named in training."""
    if not case.document["fairness"]:
        return True, "no sensitive column was named in training (`--sensitive`)"
    answers = [_spread(case, column) for column in case.document["fairness"]]
    # What failed is told first.
    answers.sort(key=lambda answer: answer[0])
    return answers[0][0], "; ".join(reason for _, reason in answers)


def _spread(case: Case, column: Mapping) -> Answer:
    """The widest gap between two groups of one column; of an error, as a share of the error on all rows."""
    metric, rules = case.metric, case.policy.fairness
    groups = [(one["metrics"][metric], one["group"], one["rows"]) for one in column["groups"]]
    large = sorted(one for one in groups if one[0] is not None and one[2] >= rules.fewest)
    small = len(groups) - len(large)
    remark = f" ({small} of {len(groups)} groups are too small to tell)" if small else ""
    if len(large) < 2:
        return True, f"{column['column']!r} has no two groups of {rules.fewest} held-out rows to compare{remark}"
    (low, lowest, _), (high, highest, _) = large[0], large[-1]
    size, told, limit = high - low, figure(high - low), figure(rules.gap)
    if not BY_NAME[metric].higher_is_better and case.value:
        # Errors are in the units of the target: only their share means the same for every model.
        size /= case.value
        told, limit = f"{100 * size:.3g} % of the {metric} on all rows", f"{100 * rules.gap:.3g} %"
    word = "is within" if size <= rules.gap else "is more than"
    return size <= rules.gap, (
        f"{metric} is {figure(low)} for {column['column']}={lowest} and {figure(high)} for {highest}: "
        f"the gap of {told} {word} {limit}{remark}"
    )
