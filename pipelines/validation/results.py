"""What a validation found: findings for gates and people, Great Expectations' own result, and the error that stops."""

import json
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.markdown import code, page, plain, table
from pipelines.validation.suites import CRITICAL, WARNING, write_file
from registry.evidence.document import Finding, SuiteOutcome

#: How many failed expectations an error message names.
NAMED = 3
# So many that were not met are shown on a run's page.
_MOST_SHOWN = 10


@dataclass(frozen=True)
class SuiteResult:
    """A table judged by a suite.

    Parameters
    ----------
    name : the suite's name.
    success : no critical expectation failed.
    findings : one an expectation, in the suite's order.
    result : Great Expectations' own validation result as JSON, without traces, not-finite numbers as text, and at most
        20 items of any list of the table's values.
    """

    name: str
    success: bool
    findings: tuple[Finding, ...]
    result: dict

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that failed: critical ones first, then warnings, then information."""
        order = {CRITICAL: 0, WARNING: 1}
        return tuple(sorted((f for f in self.findings if not f.success), key=lambda f: order.get(f.severity, 2)))

    def section(self) -> SuiteOutcome:
        """The ``suite`` section of evidence."""
        return SuiteOutcome(self.name, self.success, len(self.findings), len(self.failures), list(self.findings))

    def summary(self) -> str:
        """One line for people: the verdict and the counts."""
        failures = self.failures
        if not failures:
            return f"suite {self.name!r}: all {len(self.findings)} expectations met"
        counts: dict[str, int] = {}
        for finding in failures:
            counts[finding.severity] = counts.get(finding.severity, 0) + 1
        parts = ", ".join(f"{count} {severity}" for severity, count in counts.items())
        verdict = "passed" if self.success else "failed"
        return f"suite {self.name!r} {verdict}: {len(failures)} of {len(self.findings)} expectations not met ({parts})"

    def to_markdown(self, origin: str, source: str, rows: int) -> str:
        """The page of a run that checked a table: the verdict, and the expectations that were not met.

        Parameters
        ----------
        origin : where the suite is from; ``source`` and ``rows`` are the table's.
        """
        failures = self.failures
        cells = [(one.severity, one.column or "", one.expectation, one.expected, one.observed) for one in failures]
        more = len(failures) - _MOST_SHOWN
        return page(
            f"{plain(self.summary())}, on {rows:,} rows of {code(source)} ({plain(origin)}).",
            table(("severity", "column", "expectation", "expected", "found"), cells[:_MOST_SHOWN]) if cells else "",
            f"And {more} more." if more > 0 else "",
            "`validation/data-docs.html` among the artifacts shows every expectation.",
        )


#: What to do about a table that fails a suite which somebody wrote.
MEND = "mend the table, or edit the suite where it is wrong"


def raise_for_critical(result: SuiteResult, remedy: str = MEND) -> None:
    """Raise PipelineError where a critical expectation failed."""
    if problem := critical(result, remedy):
        raise PipelineError(problem)


def critical(result: SuiteResult, remedy: str = MEND) -> str:
    """Which critical expectations failed, on one line: what was expected, what was found; "" where none did."""
    if result.success:
        return ""
    failed = [finding for finding in result.failures if finding.severity == CRITICAL]
    # A column that is not there fails all that is expected of it: told once.
    distinct = list({(finding.column, finding.observed): finding for finding in reversed(failed)}.values())[::-1]
    told = "; ".join(finding.told() for finding in distinct[:NAMED])
    more = "; and more" if len(distinct) > NAMED else ""
    return (
        f"the data fails {len(failed)} critical expectation{'s' * (len(failed) > 1)} of suite {result.name!r}: "
        f"{told}{more}; {remedy}"
    )


def write_result(result: SuiteResult, path: str | Path) -> Path:
    """Write Great Expectations' own result as JSON.

    Raises
    ------
    PipelineError
        where the file cannot be written.
    """
    text = json.dumps(result.result, indent=1, ensure_ascii=False, allow_nan=False)
    return write_file(Path(path), text + "\n", "the result")
