"""The report as one HTML page that needs nothing else, in the look of the model card."""

from pathlib import Path

from pipelines import html_page
from pipelines.card.gallery import Picture, embedded
from pipelines.formatting import percent, readable, shown
from pipelines.monitoring import drawing, wording
from pipelines.monitoring.checks import ALERT, HARMLESS, OK, SMALL, TOO_FEW
from pipelines.monitoring.report import MonitorReport
from pipelines.pictures import write
from registry.redaction import url

_TEMPLATE = Path(__file__).with_name("report.html")
#: So many shifts of the score, and checks without an alert, are shown at once.
_SHIFTS = 12
#: So many windows stand side by side.
_WINDOWS = 31


def render(report: MonitorReport, folder: Path) -> str:
    """The page.

    Parameters
    ----------
    folder : for the pictures while they are made.
    """
    values = {
        "report": report,
        "window": report.windows[-1],
        "source": url(report.source),
        "pictures": _pictures(report, folder),
        "several": len(report.windows) > 1,
        "recent": report.windows[-_WINDOWS:],
        "by_window": {(check.kind, check.subject, check.window): check for check in report.checks},
        "others": wording.others(report),
        "aged": [window for window in report.windows if window.ages],
        "quiet": [check for check in report.checks if check.verdict in (SMALL, HARMLESS)],
        "waiting": [check for check in report.checks if check.verdict == ALERT and check not in report.alerts],
        "few": sum(check.verdict == TOO_FEW for check in report.checks),
        "fine": sum(check.verdict == OK for check in report.checks),
        "tests": sum(check.tested for check in report.checks),
        "most_shifts": _SHIFTS,
        "wording": wording,
    }
    filters = {"readable": readable, "percent": percent, "shown": shown}
    return html_page.render(_TEMPLATE, filters, values)


def _pictures(report: MonitorReport, folder: Path) -> list[Picture]:
    found = []
    for number, (check, figure) in enumerate(drawing.alerts(report)):
        (path,) = write({f"alert_{number}": figure}, folder / "pictures")
        title = wording.what(check).capitalize()
        reading = f"{check.window}, {check.rows:,} rows: {wording.found(check)}; by chance {wording.chance(check)}."
        found.append(embedded(title, reading, path.read_bytes(), alone=figure.get_figwidth() > 8))
        path.unlink()
    return found
