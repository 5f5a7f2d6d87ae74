"""What ``python -m pipelines monitor`` does: compare, draw the page, write and log it."""

from collections.abc import Sequence
from pathlib import Path

from pipelines import runs
from pipelines.errors import PipelineError
from pipelines.monitoring import notifying, page, recording
from pipelines.monitoring.monitor import MonitorRequest, compare, together
from pipelines.monitoring.notifying import Monitored
from pipelines.monitoring.windows import period
from pipelines.sources import FIND, ReadOptions
from registry import client as registry_client
from registry import logs

_log = logs.get_logger(__name__)


def monitor(
    *,
    since: str | None = None,
    until: str | None = None,
    window: str | None = None,
    report: str | None = None,
    experiment: str | None = None,
    on: Sequence[str] = (),
    options: ReadOptions = FIND,
    watched: str | None = None,
    **asked,
) -> Monitored:
    """Make a report, log it, and tell of its alerts; see ``python -m pipelines monitor --help``.

    Parameters
    ----------
    watched : names what the reports of a service are about, so that an alert is told when it begins and when it is
        over; None to tell of every alert.

    Raises
    ------
    PipelineError, RegistryError, ServingError
        if anything is refused; nothing is written then.
    """
    target = _target(report)
    request = MonitorRequest(period=period(since, until, window), options=options, on=tuple(on), **asked)
    registry_client.settle()
    registry_client.probe()
    client = registry_client.connect()
    with runs.interruptible(), runs.folder() as folder:
        found = compare(client, request)
        _log.info("drawing the report")
        html = page.render(found, folder)
        recorded = recording.record(client, found, html, window=window, experiment=experiment)
        if target:
            recording.write(html, target)
        made = Monitored(found, recorded, target)
        notifying.mark(client, made)
        if watched is None:
            notifying.tell(made)
        else:
            notifying.tell_changes(client, made, watched)
    return made


def check(
    *,
    since: str | None = None,
    until: str | None = None,
    window: str | None = None,
    report: str | None = None,
    outcomes: str | None = None,
    on: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    outcome_time: str | None = None,
    **_: object,
) -> None:
    """Refuse options that no report could be made with.

    Raises
    ------
    PipelineError
        if one is wrong, or they do not go together.
    """
    period(since, until, window)
    _target(report)
    together(outcomes, on or (), group=group or (), outcome_time=outcome_time)


def _target(report: str | None) -> Path | None:
    """The file of the page, before any work is done for it."""
    if report is None:
        return None
    target = Path(report)
    if target.is_dir() or not target.parent.is_dir():
        what = "a folder" if target.is_dir() else "no folder to write it to"
        raise PipelineError(f"--report {report}: expected the name of a file, found {what}; name another")
    return target
