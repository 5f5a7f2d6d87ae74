"""A report in MLflow: the numbers of each window at its time, and the page; one run goes on from report to report."""

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import experiments, runs
from pipelines.monitoring.reference import Reference
from pipelines.monitoring.report import MonitorReport
from registry.client import speaking
from registry.redaction import inside, url

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

#: The tags of a run: the version, the length of its windows, the prediction log, and the last verdict.
MODEL_TAG, WINDOW_TAG, LOG_TAG = "monitor.model", "monitor.window", "monitor.log"
VERDICT_TAG = "monitor.verdict"
# Of tables: a report's is another one each day, maybe.
_NO_LOG = "none"
_ARTIFACTS = "monitor"
_LONGEST = 250
# MLflow takes so many metrics in one call.
_BATCH = 1000


@dataclass(frozen=True)
class Recorded:
    """Where a report is.

    Parameters
    ----------
    page : its address among MLflow's artifacts.
    url : of the run in MLflow's pages; None without a tracking server.
    """

    run_id: str
    page: str
    url: str | None = None


def record(
    client: "MlflowClient", report: MonitorReport, html: str, *, window: str | None, experiment: str | None
) -> Recorded:
    """Log a report.

    Reports with windows of one length and one reference on one version and one log (or on tables) are one run, whose
    charts go on.

    Raises
    ------
    RegistryError
        if the tracking server refuses.
    """
    title = f"{report.model} version {report.version}"
    # Numbers of another reference are others.
    against = "" if report.reference == Reference.title else f", compared with {report.reference}"
    tags = {MODEL_TAG: title, WINDOW_TAG: f"{window or 'all'}{against}", LOG_TAG: url(report.log or _NO_LOG)}
    tags = {name: value.replace("'", "") for name, value in tags.items()}  # a filter has no way to quote them
    resumed = _earlier(client, tags, report.model, experiment) if window else None
    with (
        runs.folder() as folder,
        runs.run(
            client,
            experiment=experiment,
            model=report.model,
            name=f"monitor {title}",
            tags=runs.tags() | tags | {VERDICT_TAG: report.verdict},
            resumed=resumed,
        ) as run,
    ):
        run_id = run.info.run_id
        metrics = list(_metrics(report))
        place = f"{_ARTIFACTS}/{_plain(report.windows[-1].name).replace(' ', '_').replace(':', '')}"
        (folder / "report.html").write_text(html, encoding="utf-8")
        (folder / "report.json").write_text(json.dumps(inside(report.plain()), indent=1), encoding="utf-8")
        with speaking():
            for start in range(0, len(metrics), _BATCH):
                client.log_batch(run_id, metrics=metrics[start : start + _BATCH])
            client.log_artifacts(run_id, str(folder), place)
    return Recorded(run_id, f"runs:/{run_id}/{place}/report.html", _url(run.info.experiment_id, run_id))


def _url(experiment_id: str, run_id: str) -> str | None:
    import mlflow

    server = mlflow.get_tracking_uri().rstrip("/")
    return url(f"{server}/#/experiments/{experiment_id}/runs/{run_id}/artifacts") if server.startswith("http") else None


def _earlier(client: "MlflowClient", tags: Mapping[str, str], model: str, experiment: str | None) -> str | None:
    """The run of the last report of this kind; None if there is none."""
    with speaking():
        place = experiments.named(client, experiment) if experiment else experiments.chosen()
        place = place or experiments.named(client, model)
        wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        found = client.search_runs([place], filter_string=f"{wanted} and attributes.status != 'RUNNING'", max_results=1)
    return found[0].info.run_id if found else None


def _metrics(report: MonitorReport) -> Iterable["Metric"]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for window in report.windows:
        moment = now if window.end is None else window.end // 1000
        taken: set[str] = set()
        for name, value in report.metrics(window).items():
            fit = named = _plain(name)
            number = 2
            while fit in taken:
                fit, number = f"{named}_{number}", number + 1
            taken.add(fit)
            yield Metric(fit, float(value), moment, window.number)


def _plain(name: str) -> str:
    """A name as MLflow takes it for a metric."""
    head, slash, rest = name.partition("/")
    # More slashes would be more folders.
    text = f"{head}{slash}{rest.replace('/', '-')}"
    return re.sub(r"[^\w.\- /:]", "_", text)[:_LONGEST].strip()


def write(html: str, target: Path) -> None:
    """Write the page to a file: whole, or not at all."""
    beside = target.with_name(f".{target.name}.part")
    try:
        beside.write_text(html, encoding="utf-8")
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
