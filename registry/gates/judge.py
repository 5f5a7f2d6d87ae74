"""All gates by name, and their verdict: a new one is a function, its line here and its name in ``policy.GATES``."""

from collections.abc import Mapping

from registry.cli.text import figure
from registry.evidence.fetch import VersionEvidence
from registry.gates.adopted import adopted
from registry.gates.champion import champion as champion_gate
from registry.gates.compatibility import schema
from registry.gates.context import Gate, GateContext
from registry.gates.fairness import fairness
from registry.gates.metric import baseline, bound
from registry.gates.provenance import evidence, lineage, parity, suite
from registry.gates.verdict import ADOPTED, GateResult, Verdict
from registry.policy import GATES, Policy
from registry.stages import PRODUCTION

_BY_NAME: Mapping[str, Gate] = {
    "evidence": evidence,
    "suite": suite,
    "bound": bound,
    "baseline": baseline,
    "champion": champion_gate,
    "parity": parity,
    "schema": schema,
    "lineage": lineage,
    "fairness": fairness,
}


def judge(
    candidate: VersionEvidence,
    champion: VersionEvidence | None,
    policy: Policy,
    *,
    breaking: bool = False,
    stage: str = PRODUCTION,
) -> Verdict:
    """Judge a version for a stage by what was measured of it.

    All gates answer; those that the policy does not name for the stage are shown and do not count, and neither does
    latency. One more, ``adopted``, answers for a version that was logged without this platform.
    ``mlflow.validate_evaluation_results`` does not serve here: it holds one number against a threshold or another
    number, knows neither rows nor intervals nor reasons, and raises.

    Parameters
    ----------
    champion : the version in Production; None if there is none.
    breaking : let pass what makes callers change their requests.
    """
    other = champion if champion and champion.version != candidate.version else None
    context = GateContext(candidate, other, policy, breaking, stage)
    wanted = policy.gates_of(stage)
    results = [GateResult(name, *_BY_NAME[name](context), judged=name in wanted) for name in GATES]
    if candidate.document.adopted:
        results.append(GateResult(ADOPTED, *adopted(context)))
    if candidate.latency:
        spoken = ", ".join(f"{name} {figure(value)}" for name, value in candidate.latency.items())
        results.append(GateResult("latency", True, spoken, judged=False))
    passed = all(result.passed for result in results if result.judged)
    return Verdict(passed, tuple(results), candidate.digest, other.version if other else None, stage)
