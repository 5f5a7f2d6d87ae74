"""The gates ``evidence``, ``suite``, ``parity`` and ``lineage``: where a version comes from, and what was checked."""

from registry.cli.text import figure, one_line
from registry.evidence.adoption import ORIGIN
from registry.evidence.document import Finding
from registry.gates.context import Answer, GateContext, short
from registry.gates.verdict import NO_SCORECARD


def evidence(context: GateContext) -> Answer:
    """The files are those that the version was registered with."""
    found, tagged = context.candidate.digest, context.candidate.tagged_digest
    if not tagged:
        return False, "the version has no tag with the digest of its evidence: nobody can tell whether it was changed"
    if found != tagged:
        told = f"its digest is {short(found)}, the version's tag says {short(tagged)}"
        return False, f"changed since the version was registered: {told}"
    since = "evaluated" if context.document.adopted else "registered"
    return True, f"unchanged since the version was {since}, {short(found)}"


def suite(context: GateContext) -> Answer:
    """The expectation suite passed on the data that the version was trained on."""
    found = context.document.suite
    if found is None and context.document.adopted:
        return True, f"no suite checked the data it was trained on: {ORIGIN}"
    if found is None:
        if context.policy.suite == "optional":
            return True, "no suite checked the data; the policy does not ask for one"
        return False, "no suite checked the data: train with `--suite auto`, or say `suite: optional` in the policy"
    missed = found.failures
    if found.success:
        remark = f"; {len(missed)} not met are not critical: {_finding(missed[0])}" if missed else ""
        return True, f"{found.name!r} passed on this data, {found.evaluated} expectations{remark}"
    critical = [finding for finding in missed if finding.severity == "critical"] or missed
    named = "; ".join(_finding(finding) for finding in critical[:3])
    count = f"{found.failed} of {found.evaluated} expectations not met"
    return False, f"{found.name!r} failed on this data: {count}: {named}"


def _finding(finding: Finding) -> str:
    where = f" of {finding.column!r}" if finding.column else ""
    told = f"expected {one_line(finding.expected, 80)}, found {one_line(finding.observed, 80)}"
    return f"{finding.expectation}{where} {told}"


def parity(context: GateContext) -> Answer:
    """The scorecard gives the answers of the model's own code: its scikit-learn pipeline, say."""
    found = context.document.parity
    if found is None:
        if context.policy.parity == "optional":
            return True, f"{NO_SCORECARD}; the policy does not ask for one"
        return False, (
            f"{NO_SCORECARD} that was compared with the model's own code, so it runs only where that code does; "
            "where that is enough, say `parity: optional` in the policy"
        )
    worst = f"the widest difference is {figure(max((one.worst or 0.0 for one in found.agreements), default=0.0))}"
    if found.passed:
        return True, f"scorecard and the model's own code agree on {found.rows} rows, {worst}"
    compared, outside = (sum(one.compared for one in found.agreements), sum(one.outside for one in found.agreements))
    refusals = found.refusals
    odd = refusals.missed + refusals.needless + refusals.paths_differ
    return False, (
        f"scorecard and the model's own code differ: of {compared} answers to {found.rows} rows, asked as a table and "
        f"one by one, {outside} are outside of the tolerance ({worst}), {odd} rows are refused by one of them only"
    )


def lineage(context: GateContext) -> Answer:
    """Where the version comes from is known: code, data and seed."""
    found, wanted = context.document.lineage, context.policy.lineage.commit
    if context.document.adopted:
        return True, f"unknown: {ORIGIN}"
    if found is None:
        return False, "its origin is unknown: it was not trained by `python -m pipelines train`"
    needed = {"data digest": found.data.digest, "seed": found.seed}
    if missing := [name for name, value in needed.items() if value in (None, "")]:
        return False, f"no {' and no '.join(missing)}: train it anew with `python -m pipelines train`"
    commit, dirty = found.git.commit or "", found.git.dirty
    if not commit and wanted != "optional":
        return False, (
            "no git commit: it was trained outside of a git checkout, so nobody can tell by what code; train in one, "
            "or say `lineage: {commit: optional}` in the policy"
        )
    if dirty and wanted == "clean":
        return False, f"trained with uncommitted changes to {commit[:10]}; commit them and train anew"
    by = "no commit (trained outside of a git checkout)"
    if commit:
        by = f"commit {commit[:10]}{' with uncommitted changes' if dirty else ''}"
    return True, f"{by}, data {short(found.data.digest)}, seed {found.seed}"
