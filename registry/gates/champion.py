"""The gate ``champion``: the version beside the one in Production, on rows that neither was trained on."""

from dataclasses import replace

from registry.cli.text import figure, listed
from registry.evidence.fetch import VersionEvidence
from registry.gates import paired
from registry.gates.context import Answer, GateContext
from registry.holdout import differences
from registry.metrics import BY_NAME


def champion(context: GateContext) -> Answer:
    """The version is not worse than the champion on rows that neither was trained on, but for chance and the margin.

    These are the rows that both held out; if they are too few, those of an evaluation of the version beside the
    champion. Rows that one of them may have been trained on never count.
    """
    other, rules = context.champion, context.policy.champion
    if other is None:
        return True, "no other version is in Production"
    if why := _incomparable(context, other):
        return False, f"not comparable with {other.title}: {why}"
    flattered = _flattered(context, other)
    rows = None if flattered else paired.shared(context.candidate, other)
    if (rows is None or len(rows) < rules.fewest) and other.version in context.candidate.beside:
        ours, theirs = context.candidate.beside[other.version]
        rows = paired.shared(replace(context.candidate, holdout=ours), replace(other, holdout=theirs))
    if rows is None:
        return False, f"not comparable with {other.title}: {flattered}"
    if len(rows) < rules.fewest:
        return False, f"not comparable with {other.title}: {_too_few(context, other, rows)}"
    found = paired.difference(rows, context.metric, level=rules.level)
    if found.value != found.value or found.low != found.low:
        undefined = f"{context.metric} is not defined on the {len(rows)} {_rows_of(context, other)}"
        return False, f"not comparable with {other.title}: {undefined}"
    return _against(context, other, found, changed=rows.changed)


def _against(context: GateContext, other: VersionEvidence, found: paired.Difference, *, changed: int) -> Answer:
    rules = context.policy.champion
    told = f"on {found.rows} {_rows_of(context, other)}"
    if found.low == found.high == found.value == 0:
        return True, f"as good as {other.title}: the same {context.metric} {told}"
    higher = BY_NAME[context.metric].higher_is_better
    worse = -found.value if higher else found.value
    # How much worse the candidate is at least, and at most.
    least, most = (-found.high, -found.low) if higher else (found.low, found.high)
    scale, of_what = _scale(context, other, found.champion)
    passed = least <= 0 or worse <= rules.margin * scale
    word = "better than" if most < 0 else "not worse than" if passed else "worse than"
    lies = "holds 0" if found.low <= 0 <= found.high else f"lies {'above' if found.low > 0 else 'below'} 0"
    if least > 0:
        share = f"{100 * rules.margin:.3g} %{of_what}"
        lies += f", {'within' if passed else 'beyond'} the margin of {share} ({figure(rules.margin * scale)})"
    remark = f"; {changed} rows whose {context.document.model.target!r} has changed are left out" if changed else ""
    return passed, (
        f"{word} {other.title}: {context.metric} is {_far(found)} {told}, "
        f"{100 * rules.level:g} % interval {figure(found.low)} to {figure(found.high)} {lies}{remark}"
    )


def _rows_of(context: GateContext, other: VersionEvidence) -> str:
    """What the compared rows are: held out by both, unless of a version that was logged without this platform."""
    adopted = [one for one in (context.candidate, other) if one.document.adopted]
    if not adopted:
        return "shared held-out rows"
    return f"shared rows, declared to be unseen by {' and '.join(one.title for one in adopted)}"


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


def _scale(context: GateContext, other: VersionEvidence, champion: float) -> tuple[float, str]:
    """What the margin is a share of, and what to call it: the champion's metric, unless that is near zero."""
    size = abs(champion)
    if BY_NAME[context.metric].higher_is_better:
        return (size, "") if size >= _NEAR_ZERO_SCORE else (_NEAR_ZERO_SCORE, f" of {_NEAR_ZERO_SCORE}")
    floor = _NEAR_ZERO_ERROR * abs(other.document.baseline.metrics.get(context.metric) or 0.0)
    return (size, "") if size >= floor else (floor, " of a hundredth of the baseline's")


def _incomparable(context: GateContext, other: VersionEvidence) -> str:
    """Why two versions cannot be compared by what they are; empty where they can."""
    ours, theirs = context.document.model, other.document.model
    if ours.task != theirs.task:
        return f"it is a {theirs.task}, this one a {ours.task}; register this one under another name"
    if ours.target != theirs.target:
        told = f"it predicts {theirs.target!r}, this one {ours.target!r}"
        return f"{told}; register this one under another name"
    if set(ours.classes or ()) != set(theirs.classes or ()):
        return f"its classes are {listed(theirs.classes or ())}, this one's {listed(ours.classes or ())}"
    return ""


def _flattered(context: GateContext, other: VersionEvidence) -> str:
    """Why the rows that both were judged on do not count; empty if they do."""
    unknown = [one.title for one in (context.candidate, other) if one.document.holdout.possibly_trained_on]
    if not unknown:
        return ""
    return (
        f"{' and '.join(unknown)} may have been trained on the rows of the comparison; run {context.evaluate}, with "
        "--unseen yes, on a table of rows that neither was trained on"
    )


def _too_few(context: GateContext, other: VersionEvidence, rows: paired.Shared) -> str:
    """How many rows they share, why they are so few where that can be seen, and what to do."""
    changed = differences(context.document.holdout, other.document.holdout)
    why = f" ({changed})" if changed else ""
    if rows.changed:
        why += f" ({rows.changed} more have another {context.document.model.target!r} now)"
    return (
        f"they share {len(rows)} held-out rows{why}, {context.policy.champion.fewest} are needed; "
        f"run {context.evaluate} on a table with more rows that neither was trained on"
    )
