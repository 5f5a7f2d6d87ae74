"""What is registered: models, their versions, stages, aliases and metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry import stages
from registry.client import pages, speaking
from registry.evidence import adoption
from registry.last_report import LastReport
from registry.metrics import METRICS, headlines

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from registry.policy import Policies

#: The tag of a version that holds when a batch job last scored a table with it: UTC, in ISO 8601.
SCORED_TAG = "last_scored"

#: Runs are asked for by so many at once.
_RUNS = 100


@dataclass(frozen=True)
class Row:
    """A registered version.

    Parameters
    ----------
    aliases : those that point to it.
    metrics : on its held-out rows, by name; empty where its run tells none.
    adopted : what the metrics of a version are worth that was logged without this platform; empty for all others.
    created : UTC, to the minute.
    last_scored : when a batch job last scored a table with it, likewise; empty where none has.
    monitored : the last report of ``monitor``; None where there is none.
    """

    model: str
    version: str
    stage: str
    aliases: tuple[str, ...]
    task: str
    estimator: str
    metrics: Mapping[str, float]
    created: str
    adopted: str = ""
    last_scored: str = ""
    monitored: LastReport | None = None

    @property
    def champion(self) -> bool:
        """Whether it is the version in Production."""
        return self.stage == stages.PRODUCTION


def rows(client: "MlflowClient", policies: "Policies", name: str | None = None) -> list[Row]:
    """All versions of a model, or of all models: models by name, the newest version first.

    Raises
    ------
    RegistryError
        where there is no such model, or the registry refuses.
    """
    with speaking():
        models = {model.name: model for model in pages(client.search_registered_models)}
        if name is not None and name not in models:
            raise stages.NoModel(stages.unknown(name, list(models)))
        wanted = stages.matching(name) if name is not None else None
        versions = pages(lambda **page: client.search_model_versions(wanted, **page))
        versions = [version for version in versions if name in (None, version.name)]
        places = {_key(version): adoption.place(version.tags or {}, version.run_id) for version in versions}
        measured = _metrics(client, {place.run_id for place in places.values() if place})
    found = []
    for version in versions:
        aliases = models[version.name].aliases if version.name in models else {}
        tags, place = version.tags or {}, places[_key(version)]
        metrics = measured.get(place.run_id, {}) if place else {}
        task = tags.get("task") or next((task for task in METRICS if headlines(task)[0] in metrics), "")
        shown = _shown(policies, version.name, task)
        found.append(
            Row(
                model=version.name,
                version=str(version.version),
                stage=version.current_stage,
                aliases=tuple(
                    sorted(alias for alias, number in aliases.items() if str(number) == str(version.version))
                ),
                task=task,
                estimator=tags.get("estimator", ""),
                metrics={metric: metrics[metric] for metric in shown if metric in metrics},
                created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).strftime("%Y-%m-%d %H:%M"),
                adopted=tags.get(adoption.TAG, ""),
                last_scored=tags.get(SCORED_TAG, "")[:16].replace("T", " "),
                monitored=LastReport.of(tags),
            )
        )
    return sorted(found, key=lambda row: (row.model, -int(row.version)))


def _key(version: "ModelVersion") -> tuple[str, str]:
    return version.name, str(version.version)


def _shown(policies: "Policies", name: str, task: str) -> tuple[str, ...]:
    if task not in METRICS:
        return ()
    return tuple(dict.fromkeys((policies.for_model(name).metric_of(task), *headlines(task))))


def _metrics(client: "MlflowClient", run_ids: set[str]) -> dict[str, Mapping[str, float]]:
    """The metrics of runs, many in one call."""
    if not run_ids:
        return {}
    experiments = [one.experiment_id for one in pages(client.search_experiments)]
    found: dict[str, Mapping[str, float]] = {}
    ordered = sorted(run_ids)
    for start in range(0, len(ordered), _RUNS):
        quoted = ", ".join(f"'{run_id}'" for run_id in ordered[start : start + _RUNS])
        for run in client.search_runs(experiments, f"attributes.run_id IN ({quoted})", max_results=_RUNS):
            found[run.info.run_id] = run.data.metrics
    return found
