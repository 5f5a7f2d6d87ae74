"""All gates by name, and their verdict: a new one is a function, its line here and its name in the policy."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from registry.cli.text import figure
from registry.gates import provenance, quality
from registry.gates.case import Answer, Case
from registry.gates.verdict import Evidence, Result, Verdict

if TYPE_CHECKING:
    from registry.policy import Policy

#: Gate -> its function, in the order in which a verdict tells them.
GATES: Mapping[str, Callable[[Case], Answer]] = {
    "evidence": provenance.evidence,
    "suite": provenance.suite,
    "bound": quality.bound,
    "baseline": quality.baseline,
    "champion": quality.champion,
    "parity": provenance.parity,
    "schema": provenance.compatible,
    "lineage": provenance.lineage,
    "fairness": quality.fairness,
}
NAMES = tuple(GATES)


def judge(
    candidate: Evidence,
    champion: Evidence | None,
    policy: "Policy",
    *,
    breaking: bool = False,
    stage: str = "Production",
) -> Verdict:
    """Judge a version for a stage by what was measured of it.

    All gates answer; those that the policy does not name for the stage are shown and do not count, and neither does
    latency. ``mlflow.validate_evaluation_results`` does not serve here: it holds one number against a threshold or
    another number, knows neither rows nor intervals nor reasons, and raises.

    Parameters
    ----------
    champion : the version in Production; None where there is none.
    breaking : let pass what makes callers change their requests.
    """
    other = champion if champion and champion.version != candidate.version else None
    case = Case(candidate, other, policy, breaking)
    wanted = policy.stages.get(stage, ())
    results = [_result(name, gate, case, judged=name in wanted) for name, gate in GATES.items()]
    if candidate.latency:
        spoken = ", ".join(f"{name} {figure(value)}" for name, value in candidate.latency.items())
        results.append(Result("latency", True, spoken, judged=False))
    passed = all(result.passed for result in results if result.judged)
    return Verdict(passed, tuple(results), candidate.digest, other.version if other else None, stage)


def _result(name: str, gate: Callable[[Case], Answer], case: Case, *, judged: bool) -> Result:
    try:
        passed, reason = gate(case)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # Documents are free below their sections, and whoever changed one by hand is not to pass by a crash.
        found = f"{type(error).__name__}: {error}"
        passed, reason = False, f"the evidence does not hold what this gate reads ({found}); run {case.evaluate}"
    return Result(name, passed, reason, judged)
