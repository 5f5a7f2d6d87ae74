"""One training run: plan, validate, fit, evaluate, log, register."""

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sklearn.pipeline import Pipeline

from pipelines import engines, example, experiments, modelling, notes, record, report, runs, tracking, validation
from pipelines.coefficients import Coefficient, score_name
from pipelines.engines import TrainingEngine
from pipelines.evaluation import comparison
from pipelines.evaluation.metrics import Answers
from pipelines.planning import Settings, TrainingPlan
from pipelines.validation import suite_lookup
from registry import client as registry_client
from registry import evidence, logs
from registry.client import speaking
from registry.evidence.document import MetricValue
from registry.evidence.files import read_holdout
from serving import flavor, scorecard
from serving.scorecard import Scorecard, ScorecardError, Unsupported
from serving.scorecard.inputs import BOOLEAN

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Trained:
    """A registered version and its metrics.

    Parameters
    ----------
    metrics, baseline : of the version and of a dummy model on the held-out rows, by name.
    notes : what a user should know, one sentence each.
    """

    name: str
    version: str
    run_id: str
    model_uri: str
    task: str
    estimator: str
    target: str
    rows: int
    metrics: Mapping[str, MetricValue]
    baseline: Mapping[str, float | None]
    notes: tuple[str, ...]


def train(what: Settings | TrainingPlan | TrainingEngine, *, tags: Mapping[str, str] | None = None) -> Trained:
    """Train, evaluate, log and register one version.

    Parameters
    ----------
    what : the settings; or a plan made from them, or an engine with its plan, whose table is not prepared again.
    tags : additional tags of the version.

    Raises
    ------
    PipelineError, RegistryError
        if anything is refused; no version is registered then, and the run, if it was started, is FAILED.
    """
    registry_client.settle()
    registry_client.probe()
    connect = cache(registry_client.connect)
    with engines.prepared(what, connect) as engine:
        return _train(engine, connect(), tags or {})


def _train(engine: TrainingEngine, client: "MlflowClient", tags: Mapping[str, str]) -> Trained:
    plan = engine.plan
    with (
        runs.interruptible(),
        runs.run(
            client, experiment=plan.settings.experiment, model=plan.name, name=f"train {plan.name}", tags=runs.tags()
        ) as run,
        runs.folder() as folder,
        # What a user's own steps print is no part of the result.
        contextlib.redirect_stdout(sys.stderr) if plan.own else contextlib.nullcontext(),
    ):
        engine.plan = plan.with_check(client)
        return _run(_TrainingRun(engine, client, run.info.run_id, folder), tags)


@dataclass(frozen=True)
class _TrainingRun:
    """A training run in progress: what fits its plan, and where its results go."""

    engine: TrainingEngine
    client: "MlflowClient"
    run_id: str
    folder: Path

    @property
    def plan(self) -> TrainingPlan:
        """What is trained."""
        return self.engine.plan


def _run(run: _TrainingRun, tags: Mapping[str, str]) -> Trained:
    plan, engine = run.plan, run.engine
    dataset = plan.dataset
    rows, held = engine.sizes
    tracking.log_parameters(record.parameters(plan, rows=rows + held, engine=engine.name))
    tracking.log_dataset(plan.origin, record.columns(dataset), context="training")
    docs = _keep_check(run)

    _log.info("fitting %s on %d rows, %d are held out", plan.entry.class_name, rows, held)
    fitted = engine.fit()
    card = _portable(plan, fitted.pipeline)
    training = run.folder / evidence.TRAINING
    measured = engine.measure(fitted, card, training)
    document = record.document(plan, fitted, measured, suite=plan.checked.result if plan.checked else None)
    evidence.write(document, training)
    for sentence in notes.not_better(document):
        _log.warning("%s", sentence)

    _log.info("logging")
    tracking.log_metrics(document, measured.training)
    inputs, gaps = dataset.inputs, measured.gaps
    unknown = {item.name for item in inputs if item.type == BOOLEAN and item.name in gaps}
    row = example.make(dataset, plan.split.training)
    model = flavor.log_model(
        fitted.pipeline,
        card,
        inputs=inputs,
        classes=dataset.classes,
        example=example.frame(row, inputs, gaps=unknown),
        gaps=gaps,
        scalars=dataset.scalars,
        code=plan.own.code.carried if plan.own else flavor.CarriedCode(),
    )
    # In a DataFrame true would make a column of booleans, where MLflow wants text.
    row |= {name: str(row[name]).lower() for name in unknown if row[name] is not None}
    _report(run, fitted, measured.answers, document, docs, model.model_uri, row)
    tracking.log_files(run.folder)
    version = tracking.register(
        run.client,
        name=plan.name,
        model_uri=model.model_uri,
        run_id=run.run_id,
        model_id=model.model_id,
        description=notes.of_version(document, plan.origin.source),
        tags={**tracking.tags_of(document, evidence.digest(training)), **tags},
        about=notes.of_model(dataset.target_name, dataset.task),
    )
    tracking.describe(run.client, run.run_id, notes.of_training(document, plan.origin.source, plan.name, version))
    return Trained(
        name=plan.name,
        version=version,
        run_id=run.run_id,
        model_uri=f"models:/{plan.name}/{version}",
        task=dataset.task,
        estimator=plan.entry.class_name,
        target=dataset.target_name,
        rows=held,
        metrics=document.metrics,
        baseline=document.baseline.metrics,
        notes=(*plan.split.notes, *fitted.notes),
    )


def _keep_check(run: _TrainingRun) -> str | None:
    """Store the suite's result with the run, and raise if it is critical; return the page's artifact path."""
    checked = run.plan.checked
    if checked is None:
        return None
    page = suite_lookup.write(checked.suite, checked.result, run.folder / suite_lookup.ARTIFACTS)
    tracking.log_files(run.folder)
    checked.raise_for_critical()
    for finding in checked.result.failures[: validation.NAMED]:
        _log.warning("%s: %s", finding.severity, finding.told())
    return f"{suite_lookup.ARTIFACTS}/{page.name}"


def _portable(plan: TrainingPlan, pipeline: Pipeline) -> Scorecard | None:
    """Return the pipeline's scorecard; None if it has none."""
    dataset = plan.dataset
    try:
        return scorecard.compile(pipeline, dataset.inputs, cleaning=dataset.cleaning)
    except ScorecardError as error:
        if plan.own is None and not isinstance(error, Unsupported):
            raise
        _log.warning("no scorecard, the model runs where scikit-learn does: %s", error)
        return None


def _report(
    run: _TrainingRun,
    fitted: modelling.FittedModel,
    answers: Answers,
    document: evidence.Evidence,
    docs: str | None,
    model_uri: str,
    row: Mapping[str, object],
) -> None:
    """Write the pictures and the model card, with the comparison to the champion, into the run's folder."""
    plan = run.plan
    answered = read_holdout(run.folder / evidence.TRAINING / evidence.HOLDOUT, document.model)
    against = comparison.with_champion(run.client, plan.name, document, answered)
    if against and against.note:
        _log.info(against.note)
    drawn: dict[str, bytes] = {}
    learned: list[Coefficient] = []
    if plan.settings.pictures:
        learned, drawn = report.draw(
            fitted.pipeline,
            plan.dataset,
            plan.split,
            answers,
            threshold=fitted.threshold,
            seed=plan.settings.seed,
            training_rows=run.engine.sizes[0] if run.engine.sampled else None,
            covariance=run.engine.covariance,
            folder=run.folder,
        )
    report.write_card(
        run.folder,
        document,
        drawn=drawn,
        learned=learned,
        score=score_name(fitted.pipeline, plan.dataset.target_name),
        against=against,
        example=row,
        docs=docs,
        run_id=run.run_id,
        model_uri=model_uri,
    )


def train_defaults(*, seed: int, experiment: str | None) -> list[Trained]:
    """Train the two default models, each in its own experiment unless one is chosen; children of a project's run.

    Raises
    ------
    PipelineError, RegistryError
        where anything is refused.
    """
    defaults = [
        Settings("diabetes", estimator="linear", seed=seed),
        Settings("breast_cancer", estimator="logistic", seed=seed),
    ]
    client = registry_client.connect()
    with speaking():
        shared = experiment or experiments.chosen()
    with (
        runs.interruptible(),
        runs.run(client, experiment=experiment, name="main", tags=runs.tags())
        if runs.of_project()
        else contextlib.nullcontext() as around,
    ):
        trained = [train(replace(one, experiment=experiment if shared else one.data)) for one in defaults]
        if around:
            tracking.describe(
                client, around.info.run_id, "\n".join(f"- {notes.link(one.name, one.version)}" for one in trained)
            )
    return trained
