"""Judge a registered version on any table, beside the champion on the same rows, and keep it as evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pandas as pd

from pipelines import lineage, profile, runs, targets, tracking
from pipelines import versions as registered
from pipelines.dataset import REGRESSION
from pipelines.errors import PipelineError
from pipelines.evaluation import judged_rows, metrics, sections
from pipelines.evaluation.judged_rows import JudgedRows
from pipelines.evaluation.metrics import Answers
from pipelines.sources import FIND, ReadOptions, Table, read
from pipelines.versions import Version
from registry import client as registry_client
from registry import evidence, logs, stages
from registry.cli.text import listed
from registry.client import speaking
from registry.evidence import Evidence, files
from registry.evidence.document import (
    Baseline,
    CategoryProfile,
    InputColumn,
    MetricValue,
    ModelDescription,
    NumberProfile,
    Parity,
    Schema,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class EvaluationRequest:
    """What a user asks for; see ``python -m pipelines evaluate --help``."""

    model: str
    data: str
    query: str | None = None
    options: ReadOptions = FIND
    target: str | None = None
    rows: str = "auto"
    against: str = "champion"
    sensitive: Sequence[str] = ()
    positive: str | None = None
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Evaluation:
    """What a version, and the champion where there is another, are worth on the same rows.

    Parameters
    ----------
    metrics, baseline : of the version, by name.
    other, other_metrics : the version it was judged beside, and its metrics on the same rows; None where there is none.
    artifacts : where the evidence was put in the version's run.
    """

    name: str
    version: str
    task: str
    rows: int
    metrics: dict[str, MetricValue]
    baseline: dict[str, float | None]
    other: str | None = None
    other_metrics: dict[str, float | None] = field(default_factory=dict)
    artifacts: str | None = None
    notes: tuple[str, ...] = ()


def evaluate(request: EvaluationRequest) -> Evaluation:
    """Judge a version, and the champion of its model, on a table.

    The evidence goes to ``evidence/evaluations/<table digest>/`` of the version's run; to ``evidence/training/`` where
    the version has none, as one that was logged by other means.

    Raises
    ------
    PipelineError, RegistryError
        where anything is refused; then nothing is written.
    """
    registry_client.settle()
    registry_client.probe()
    table = read(request.data, query=request.query, options=request.options)
    for note in table.notes:
        _log.info(note)
    client = registry_client.connect()
    runs.tidy(client)
    with runs.interruptible(), runs.folder() as folder:
        version = registered.fetch(client, request.model, folder / "candidate")
        other = _other(client, request.against, version, folder / "other")
        table = table.written_as(version.inputs, version.cleaning)
        beside = f" beside version {other.number}" if other else ""
        _log.info("judging %s%s on %s", version.title, beside, table.source)
        rows = judged_rows.choose(table, version, other, which=request.rows, target=request.target)
        for note in rows.notes:
            _log.info(note)
        answers = _answers(version, table, rows, request)
        document = _document(request, table, version, rows, answers)
        others = _answers(other, table, rows, request) if other else None
        place = f"{evidence.EVALUATIONS}/{table.digest.removeprefix('sha256:')[:16]}"
        if version.document is None:
            place = evidence.TRAINING
        written = folder / "written"
        if other and others:
            _write_beside(other, rows, answers, others, written / place)
        kept = _keep(client, version, document, answers, rows.keys, place, written)
    return Evaluation(
        name=version.name,
        version=version.number,
        task=document.model.task,
        rows=len(answers),
        metrics=document.metrics,
        baseline=document.baseline.metrics,
        other=other.number if other else None,
        other_metrics=metrics.measure(others) if others else {},
        artifacts=kept,
        notes=rows.notes,
    )


def _other(client: "MlflowClient", against: str, version: Version, folder: Path) -> Version | None:
    """The version to judge beside: the champion where it is another one, a version that is named, or none."""
    if against == "none":
        return None
    uri = against
    if against == "champion":
        champion = stages.champion(client, version.name)
        if champion is None or str(champion.version) == version.number:
            return None
        uri = f"models:/{version.name}/{champion.version}"
    other = registered.fetch(client, uri, folder)
    if (other.name, other.number) == (version.name, version.number):
        raise PipelineError(f"--against {against} is the version itself; name another, or none")
    if (other.classes or ()) != (version.classes or ()):
        raise PipelineError(
            f"--against: {other.title} predicts something else than {version.title}; name another, or none"
        )
    return other


def _answers(version: Version, table: Table, rows: JudgedRows, request: EvaluationRequest) -> Answers:
    frame = version.read(table.rows(rows.positions))
    predicted = np.asarray(version.predict(frame))
    if rows.task == REGRESSION:
        return Answers(rows.truth, predicted.astype("float64"))
    if not version.probabilities:
        raise PipelineError(f"{version.title} gives no probabilities; log it with its sklearn flavor to have it judged")
    return Answers(
        rows.truth,
        predicted,
        np.asarray(version.probabilities(frame)),
        rows.classes,
        _positive(version, rows, request),
    )


def _positive(version: Version, rows: JudgedRows, request: EvaluationRequest) -> object:
    if len(rows.classes) != 2:
        return None
    if request.positive is not None:
        return targets.label(request.positive, rows.classes, "--positive")
    return version.document.model.positive if version.document else rows.classes[1]


def _document(
    request: EvaluationRequest, table: Table, version: Version, rows: JudgedRows, answers: Answers
) -> Evidence:
    """Evidence of the shape that training writes; what only training knows is None, or taken from its evidence."""
    part = table.rows(rows.positions)
    frame = version.read(part)
    groups = [judged_rows.typed(part, name).rename(name) for name in _named(request.sensitive, table)]
    trained = version.document
    model = trained.model if trained else _model(version, rows)
    return Evidence(
        model=msgspec.structs.replace(model, positive=answers.positive),
        metrics=sections.metrics_section(answers, resamples=request.resamples, seed=request.seed),
        baseline=_baseline(version, answers),
        cross_validation=None,
        holdout=sections.holdout_section(
            rows.rule,
            rows=len(rows.positions),
            training_rows=trained.holdout.training_rows if trained else None,
            earlier=None,
            resamples=request.resamples,
        ),
        suite=None,
        fairness=[metrics.by_group(answers, group) for group in groups],
        parity=_parity(version, frame),
        schema=trained.schema if trained else _schema(version, rows),
        lineage=lineage.of(table.origin, dropped_rows=table.columns.num_rows - len(rows.positions), seed=request.seed),
        profile=profile.of(frame),
    )


def _named(names: Sequence[str], table: Table) -> Sequence[str]:
    if missing := [name for name in names if name not in table.columns.column_names]:
        raise PipelineError(f"--sensitive: no column {listed(missing)}; found {listed(table.columns.column_names)}")
    return names


def _baseline(version: Version, answers: Answers) -> Baseline:
    """The dummy that answers what the training rows' target was like; these rows' own if that is not known."""
    target = version.document.profile.get(version.document.model.target) if version.document else None
    if not answers.classes:
        known = target.mean if isinstance(target, NumberProfile) else None
        mean = float(np.mean(answers.target)) if known is None else known
        return Baseline("mean", metrics.measure(Answers(answers.target, np.full(len(answers), mean))))
    if isinstance(target, CategoryProfile):
        counts = target.top
    else:
        counts = pd.Series(answers.target).map(str).value_counts().to_dict()
    weights = np.array([counts.get(str(label), 0) for label in answers.classes], dtype="float64")
    shares = np.tile(weights / weights.sum(), (len(answers), 1))
    label = np.array([answers.classes[int(weights.argmax())]], dtype=answers.target.dtype)
    dummy = Answers(answers.target, np.repeat(label, len(answers)), shares, answers.classes, answers.positive)
    return Baseline("prior", metrics.measure(dummy))


def _model(version: Version, rows: JudgedRows) -> ModelDescription:
    pipeline = version.pipeline()
    estimator = pipeline[-1] if hasattr(pipeline, "steps") else pipeline
    return ModelDescription(
        name=version.name,
        task=rows.task,
        estimator=type(estimator).__name__ if estimator is not None else "pyfunc",
        parameters={},
        target=rows.target,
        classes=list(rows.classes) or None,
        positive=None,
        threshold=None,
        threshold_rule=None,
    )


def _schema(version: Version, rows: JudgedRows) -> Schema:
    return Schema([InputColumn(**column.to_dict()) for column in version.inputs], left_out=[], target=rows.target)


def _parity(version: Version, frame: pd.DataFrame) -> Parity | None:
    if version.scorecard is None or (pipeline := version.pipeline()) is None:
        return None
    return sections.parity_section(pipeline, version.scorecard, frame)


def _write_beside(other: Version, rows: JudgedRows, answers: Answers, others: Answers, folder: Path) -> None:
    """Both versions' answers to the rows that neither was trained on, for the gate that compares them."""
    if rows.unseen.any():
        beside = folder / files.BESIDE / other.number
        keys = rows.keys[rows.unseen]
        sections.write_holdout(answers[rows.unseen], keys, beside / files.BESIDE_CANDIDATE)
        sections.write_holdout(others[rows.unseen], keys, beside / files.BESIDE_CHAMPION)


def _keep(
    client: "MlflowClient",
    version: Version,
    document: Evidence,
    answers: Answers,
    keys: np.ndarray,
    place: str,
    folder: Path,
) -> str | None:
    """Put the evidence into the version's run; where, as a URI; None where the version has no run."""
    written = folder / place
    sections.write_holdout(answers, keys, written)
    evidence.write(document, written)
    if not version.run_id:
        return None
    with speaking():
        client.log_artifacts(version.run_id, str(written), place)
        if place == evidence.TRAINING:
            tags = tracking.tags_of(document, evidence.digest(written), version.run_id)
            for name, value in tags.items():
                client.set_model_version_tag(version.name, version.number, name, value)
    return f"runs:/{version.run_id}/{place}"
