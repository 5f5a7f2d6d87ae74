"""The gates ``bound`` and ``baseline``: how good the policy's metric is by itself, and beside a dummy."""

from registry.cli.text import figure
from registry.gates.context import Answer, GateContext
from registry.metrics import BY_NAME

_UNDEFINED = "is not defined on the held-out rows; choose another metric in the policy"


def bound(context: GateContext) -> Answer:
    """The metric is beyond its absolute bound."""
    value, limit = context.value, context.policy.bounds.get(context.metric)
    if value is None:
        return False, f"{context.metric} {_UNDEFINED}"
    if limit is None:
        return True, f"{context.metric} is {figure(value)}; the policy sets no bound for it"
    if BY_NAME[context.metric].higher_is_better:
        passed, word = value >= limit, "reaches" if value >= limit else "is below"
    else:
        passed, word = value <= limit, "is within" if value <= limit else "is above"
    return passed, f"{context.metric} {figure(value)} {word} {figure(limit)}"


def baseline(context: GateContext) -> Answer:
    """The metric is better than that of a dummy which does not look at the inputs."""
    value, found = context.value, context.document.baseline
    dummy, named = found.metrics.get(context.metric), f"the baseline's ({found.strategy})"
    if value is None or dummy is None:
        whose = "the version's" if value is None else named
        return False, f"{whose} {context.metric} {_UNDEFINED}"
    if value > dummy if BY_NAME[context.metric].higher_is_better else value < dummy:
        return True, f"{context.metric} {figure(value)} is better than {named} {figure(dummy)}"
    reason = f"{context.metric} {figure(value)} is not better than {named} {figure(dummy)}"
    if rule := context.document.model.threshold_rule:
        reason += f"; its threshold was chosen for {rule}: set a `metric` in the policy that tells what it is worth"
    return False, reason
