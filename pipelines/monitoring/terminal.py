"""A monitoring report at the terminal: the alerts, what moved the score, and the windows; or JSON."""

import json
from typing import Any

import click

from pipelines.formatting import percent, readable
from pipelines.monitoring import wording
from pipelines.monitoring.checks import HARMLESS, SMALL
from pipelines.monitoring.notifying import Monitored
from pipelines.monitoring.report import MonitorReport, WindowReport
from registry import logs
from registry.cli.text import aligned, escaped, figure
from registry.evidence.document import MetricValue
from registry.redaction import inside

_log = logs.get_logger(__name__)

_MOST = 20
_SHIFTS = 5


def show(made: Monitored, *, as_json: bool) -> None:
    """Print a report."""
    report = made.report
    if as_json:
        click.echo(json.dumps(_json(made), indent=1))
        return
    click.echo()
    click.echo(
        escaped(f"{report.model} version {report.version}, {report.rows:,} rows compared with {report.reference}")
    )
    click.echo()
    for note in (*report.notes, *report.facts):
        click.echo(escaped(f"  {note}"))
    if report.alerts:
        click.echo("\n".join(_alerts(report)) + "\n")
    last = report.windows[-1]
    if last.shifts:
        click.echo("\n".join(_shifts(last)) + "\n")
    click.echo("\n".join(_windows(report)) + "\n")
    if last.service:
        click.echo(escaped(f"requests in {last.name}: {wording.service(last.service)}") + "\n")
    for table in (_groups(report), _ages(report)):
        if table:
            click.echo("\n".join(table) + "\n")
    others = wording.others(report)
    for told in others:
        click.echo(escaped(told))
    if others:
        click.echo()
    quiet = [check for check in report.checks if check.verdict in (SMALL, HARMLESS)]
    for check in quiet[:_MOST]:
        click.echo(escaped(f"{check.window}: {wording.what(check)}, {wording.found(check)}: {wording.quiet(check)}"))
    click.echo(escaped(f"{'ALERT: ' if report.alerts else ''}{report.verdict}"))
    click.echo(escaped(f"Report: {made.file or made.recorded.page}"))


def show_line(made: Monitored, *, as_json: bool) -> None:
    """Log a report in one line; also print it as a line of JSON if asked to."""
    report = made.report
    alert = "ALERT: " if report.alerts else ""
    where = made.file or made.recorded.page
    _log.info("%s%s version %s, %s rows: %s; %s", alert, report.model, report.version, f"{report.rows:,}",
              report.verdict, where)  # fmt: skip
    if as_json:
        click.echo(json.dumps(_json(made)))


def _json(made: Monitored) -> dict[str, Any]:
    where = {"run_id": made.recorded.run_id, "page": made.recorded.page}
    return inside({**made.report.plain(), **where})


def _alerts(report: MonitorReport) -> list[str]:
    alerts = report.alerting
    rows = [("alert", "window", "reference to live", "alerts from", "by chance", "moves the score")]
    for alert in alerts[:_MOST]:
        check = alert.worst
        rows.append(
            (wording.what(check), wording.when(alert, len(report.windows)), wording.found(check),
             wording.needed(check), wording.chance(check), wording.moved(check))
        )  # fmt: skip
    lines = [escaped(line) for line in aligned(rows)]
    return lines if len(alerts) <= _MOST else [*lines, f"and {len(alerts) - _MOST} more"]


def _shifts(window: WindowReport) -> list[str]:
    scale = window.scores[0].scale
    rows: list[tuple[str, ...]] = [("what moved the mean score", "class", "reference", window.name, f"shift ({scale})")]
    rows += [
        (" and ".join(one.inputs), one.label or "",
         *(readable(value, window.scale) for value in (one.reference, one.live, one.shift)))
        for one in window.shifts[:_SHIFTS]
    ]  # fmt: skip
    if any(row[1] for row in rows[1:]):
        return [escaped(line) for line in aligned(rows)]
    return [escaped(line) for line in aligned([(row[0], *row[2:]) for row in rows])]


def _windows(report: MonitorReport) -> list[str]:
    head = ["window", "rows", "not scored", "alerts"]
    classifier = any(window.near is not None for window in report.windows)
    expected = any(window.expected is not None for window in report.windows)
    head += (["near the threshold"] if classifier else []) + (["expected accuracy"] if expected else [])
    head += [f"{report.metric} of outcomes", "outcomes"] if report.held else []
    rows = [tuple(head)]
    for window in report.windows:
        alerts = sum(check.window == window.name for check in report.alerts)
        row = [window.name, f"{window.rows:,}", f"{window.refused:,}", str(alerts)]
        row += [percent(window.near)] if classifier else []
        row += [_expected(window)] if expected else []
        row += list(_outcomes(window, report.metric)) if report.held else []
        rows.append(tuple(row))
    if report.held:
        held = report.held[report.metric]
        rows.append(("held out", *[""] * (len(head) - 3), _interval(held), ""))
    return [escaped(line) for line in aligned(rows)]


def _groups(report: MonitorReport) -> list[str]:
    """The metric of each group."""
    rows = [("group", "rows", report.metric)]
    rows += [(f"{one.column} {one.group}", f"{one.rows:,}", _interval(one.value)) for one in report.groups]
    return [escaped(line) for line in aligned(rows)] if report.groups else []


def _ages(report: MonitorReport) -> list[str]:
    """What was known of each window by the age of its outcomes."""
    told = [window for window in report.windows if window.ages]
    if not told:
        return []
    head = [f"known within {one.age}" for one in told[0].ages]
    rows = [("window", *head, "known at all")]
    rows += [
        (window.name, *(wording.age(one) for one in window.ages), percent(window.known)) for window in told[-_MOST:]
    ]
    return [escaped(line) for line in aligned(rows)]


def _expected(window: WindowReport) -> str:
    one = window.expected
    return "–" if one is None else f"{percent(one.value)} ({percent(one.low)} to {percent(one.high)})"


def _outcomes(window: WindowReport, metric: str) -> tuple[str, str]:
    if window.outcomes is None:
        return "–", "0"
    return _interval(window.outcomes.metrics[metric]), f"{len(window.outcomes.answers):,} ({percent(window.known)})"


def _interval(value: MetricValue) -> str:
    ends = "" if value.low is None else f" ({figure(value.low)} to {figure(value.high)})"
    return f"{figure(value.value)}{ends}"
