"""What ``python -m pipelines monitor`` does: compare, draw the page, write and log it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines import runs
from pipelines.errors import PipelineError
from pipelines.monitoring import page, recording
from pipelines.monitoring.monitor import MonitorRequest, compare
from pipelines.monitoring.recording import Recorded
from pipelines.monitoring.report import MonitorReport
from pipelines.monitoring.windows import period
from pipelines.sources import FIND, ReadOptions
from registry import client as registry_client
from registry import logs

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Monitored:
    """A report, and where it is.

    Parameters
    ----------
    file : the page that was asked for; None without one.
    """

    report: MonitorReport
    recorded: Recorded
    file: Path | None


def monitor(
    *,
    since: str | None = None,
    until: str | None = None,
    window: str | None = None,
    report: str | None = None,
    experiment: str | None = None,
    on: Sequence[str] = (),
    options: ReadOptions = FIND,
    **asked,
) -> Monitored:
    """Make a report and log it; see ``python -m pipelines monitor --help``.

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
    return Monitored(found, recorded, target)


def _target(report: str | None) -> Path | None:
    """The file of the page, before any work is done for it."""
    if report is None:
        return None
    target = Path(report)
    if target.is_dir() or not target.parent.is_dir():
        what = "a folder" if target.is_dir() else "no folder to write it to"
        raise PipelineError(f"--report {report}: expected the name of a file, found {what}; name another")
    return target
