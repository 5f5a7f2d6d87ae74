"""The version's own expectation suite on live rows: each expectation that holds of a row's columns is a check."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from pipelines.monitoring.checks import ALERT, OK, SMALL, WindowCheck
from pipelines.monitoring.counting import RowReader
from pipelines.monitoring.live import LiveRows
from pipelines.monitoring.version import MonitoredVersion
from pipelines.monitoring.windows import Period
from registry import stages

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: At most so many rows of a window are checked.
_ROWS = 10_000
_LONGEST = 120
KIND = "expectation"
#: The suite of the version's training, and no suite.
AUTO, NONE = "auto", "none"


def checks(
    client: "MlflowClient",
    version: MonitoredVersion,
    reader: RowReader,
    rows: LiveRows,
    period: Period,
    *,
    number: int,
    window: str,
    fewest: int,
    asked: str = AUTO,
) -> tuple[list[WindowCheck], str]:
    """The suite of the version's training on rows of one window, and what is to be told of it; no checks without one.

    Expectations of the table as a whole (its rows, its columns) and of columns that are no inputs (the target, an id)
    are left out: live rows are no such table. A critical expectation that fails is an alert.

    Parameters
    ----------
    number, window : the window's number and name.
    fewest : rows that are needed.
    asked : another suite, by its file or name.

    Raises
    ------
    PipelineError
        if there is no such suite.
    """
    # Great Expectations takes seconds to import.
    from pipelines.validation import suite_lookup
    from pipelines.validation.suites import CRITICAL, Suite, read_suite
    from pipelines.validation.validator import columns_of, validate

    if asked == AUTO:
        suite = suite_lookup.of_version(client, stages.model_version(client, version.name, version.version))
    else:
        suite = read_suite(asked)
    if suite is None:
        return [], ""
    frame = reader.typed(rows, rows.sample(period, list(reader.names(rows).values()), _ROWS, [number]))
    wanted = [one for one in suite.expectations if _is_of(columns_of(one), frame)]
    if not wanted or not len(frame):
        return [], ""
    result = validate(frame, Suite(suite.name, tuple(wanted)))
    found = []
    for finding, answer in zip(result.findings, result.result["results"], strict=True):
        share = answer["result"].get("unexpected_percent")
        verdict = OK if finding.success else ALERT if finding.severity == CRITICAL else SMALL
        found.append(
            WindowCheck(
                window=window,
                kind=KIND,
                subject=f"{finding.column}: {finding.expected[:_LONGEST]}",
                reference=0.0,
                live=share / 100 if isinstance(share, (int, float)) else float(not finding.success),
                effect=float(not finding.success),
                least=1.0,
                probability=None,
                rows=len(frame),
                unit="share",
                remark=finding.severity,
                enough=len(frame) >= fewest,
                verdict=verdict,
            )
        )
    left = len(suite.expectations) - len(wanted)
    told = f" ({left} are not of single rows or of other columns)" if left else ""
    place = f" of {window}" if period.window else ""
    return found, f"suite {suite.name!r} on {len(frame):,} rows{place}: {_told(found)}{told}"


def _is_of(columns: Sequence[str], frame: pd.DataFrame) -> bool:
    return bool(columns) and all(column in frame for column in columns)


def _told(found: Sequence[WindowCheck]) -> str:
    failed = sum(check.effect > 0 for check in found)
    return f"{failed} of {len(found)} expectations failed" if failed else f"all {len(found)} expectations met"
