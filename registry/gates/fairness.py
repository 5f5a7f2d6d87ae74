"""The gate ``fairness``: the policy's metric is alike for all groups of each sensitive column."""

from registry.cli.text import figure
from registry.evidence.document import Fairness
from registry.gates.context import Answer, GateContext
from registry.metrics import BY_NAME


def fairness(context: GateContext) -> Answer:
    """The metric is alike for all groups of each sensitive column that was named in training."""
    if not context.document.fairness:
        return True, "no sensitive column was named in training (`--sensitive`)"
    answers = [_spread(context, column) for column in context.document.fairness]
    # What failed is told first.
    answers.sort(key=lambda answer: answer[0])
    return answers[0][0], "; ".join(reason for _, reason in answers)


def _spread(context: GateContext, column: Fairness) -> Answer:
    """The widest gap between two groups of one column; of an error, as a share of the error on all rows."""
    metric, rules = context.metric, context.policy.fairness
    groups = [(group.metrics.get(metric), group.group, group.rows) for group in column.groups]
    large = sorted((value, name) for value, name, rows in groups if value is not None and rows >= rules.fewest)
    small = len(groups) - len(large)
    remark = f" ({small} of {len(groups)} groups are too small to tell)" if small else ""
    if len(large) < 2:
        return True, f"{column.column!r} has no two groups of {rules.fewest} held-out rows to compare{remark}"
    (low, lowest), (high, highest) = large[0], large[-1]
    size, told, limit = high - low, figure(high - low), figure(rules.gap)
    if not BY_NAME[metric].higher_is_better and context.value:
        # Errors are in the units of the target: only their share means the same for every model.
        size /= context.value
        told, limit = f"{100 * size:.3g} % of the {metric} on all rows", f"{100 * rules.gap:.3g} %"
    word = "is within" if size <= rules.gap else "is more than"
    return size <= rules.gap, (
        f"{metric} is {figure(low)} for {column.column}={lowest} and {figure(high)} for {highest}: "
        f"the gap of {told} {word} {limit}{remark}"
    )
