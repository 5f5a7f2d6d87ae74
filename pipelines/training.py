"""One training run: read, validate, split, fit, evaluate, log, register."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sklearn.pipeline import Pipeline

from pipelines import example, modelling, record, report, runs, tracking, validation
from pipelines.ancestry import Inheritance
from pipelines.coefficients import Coefficient, score_name
from pipelines.evaluation import comparison, metrics, sections
from pipelines.evaluation.metrics import Answers
from pipelines.planning import CLEANING, Plan, Settings, decide
from pipelines.validation import suite_lookup
from registry import client as registry_client
from registry import evidence, redaction
from registry.evidence.document import MetricValue, Parity
from registry.evidence.files import read_holdout
from serving import flavor, scorecard
from serving.scorecard import Scorecard, Unsupported
from serving.scorecard.inputs import BOOLEAN

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Trained:
    """A registered version and what it is worth.

    Parameters
    ----------
    metrics, baseline : on the held-out rows, by name.
    notes : what a person should know, a sentence each.
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


def train(
    settings: Settings,
    *,
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[Iterable], Iterable] = iter,
    tags: Mapping[str, str] | None = None,
    inherited: Inheritance | None = None,
) -> Trained:
    """Train, judge, log and register one version.

    Parameters
    ----------
    say : told what is being done, a line each.
    progress : wraps what is waited for.
    tags : more tags for the version.
    inherited : what was taken over from earlier versions of the name already; None to see.

    Raises
    ------
    PipelineError, RegistryError
        where anything is refused; then no version is registered and the run, if one began, is FAILED.
    """
    registry_client.settle()
    registry_client.probe()
    say(f"reading {redaction.url(settings.data)}")
    connect = cache(registry_client.connect)
    plan = decide(settings, say, connect=connect, inherited=inherited)
    client = connect()
    with (
        runs.interruptible(),
        runs.run(client, experiment=settings.experiment, name=f"train {plan.name}", tags=runs.tags()) as run,
        runs.folder() as folder,
    ):
        return _run(_Job(settings, plan, client, run.info.run_id, folder, tags or {}, say, progress))


@dataclass(frozen=True)
class _Job:
    """One training run under way: what was decided, and where its results go."""

    settings: Settings
    plan: Plan
    client: "MlflowClient"
    run_id: str
    folder: Path
    tags: Mapping[str, str]
    say: Callable[[str], None]
    progress: Callable[[Iterable], Iterable]


def _run(job: _Job) -> Trained:
    plan, split = job.plan, job.plan.split
    suite, docs = _validated(job)
    tracking.log_parameters(record.parameters(job.settings, plan))
    tracking.log_dataset(plan.origin, plan.dataset)

    job.say(f"fitting {plan.entry.class_name} on {len(split.training)} rows, {len(split.holdout)} are held out")
    fitted = modelling.fit(job.settings, plan, job.progress)
    for note in fitted.notes:
        job.say(note)
    answers = modelling.answer(fitted, plan, split.holdout)
    card, agreed = _portable(job, fitted.pipeline)
    document = record.document(job.settings, plan, fitted, answers, suite=suite, parity=agreed)
    training = job.folder / evidence.TRAINING
    sections.write_holdout(answers, split.keys[split.holdout], training)
    evidence.write(document, training)

    job.say("logging")
    tracking.log_metrics(document, metrics.measure(modelling.answer(fitted, plan, split.training)))
    inputs, features = plan.dataset.inputs, plan.dataset.features
    gaps = frozenset(features.columns[features.isna().any()])
    unknown = {item.name for item in inputs if item.type == BOOLEAN and item.name in gaps}
    row = example.make(plan.dataset, split.training)
    model = flavor.log_model(
        fitted.pipeline,
        card,
        inputs=inputs,
        classes=plan.dataset.classes,
        example=example.frame(row, inputs, gaps=unknown),
        gaps=gaps,
        scalars=plan.dataset.scalars,
    )
    # In a DataFrame true would make a column of booleans, where MLflow wants text.
    row |= {name: str(row[name]).lower() for name in unknown if row[name] is not None}
    _report(job, fitted, answers, document, docs, model.model_uri, row)
    tracking.log_files(job.folder)
    version = tracking.register(
        job.client,
        name=plan.name,
        model_uri=model.model_uri,
        run_id=job.run_id,
        model_id=model.model_id,
        description=record.description(document, plan.origin.source),
        tags={**tracking.tags_of(document, evidence.digest(training), job.run_id), **job.tags},
    )
    return Trained(
        name=plan.name,
        version=version,
        run_id=job.run_id,
        model_uri=f"models:/{plan.name}/{version}",
        task=plan.dataset.task,
        estimator=plan.entry.class_name,
        target=plan.dataset.target_name,
        rows=len(split.holdout),
        metrics=document.metrics,
        baseline=document.baseline.metrics,
        notes=fitted.notes,
    )


def _validated(job: _Job) -> tuple[validation.SuiteResult | None, str | None]:
    """What the suite found, and where its page is among the run's artifacts; None and None where none is wanted."""
    settings, plan = job.settings, job.plan
    if settings.suite == suite_lookup.NONE:
        return None, None
    suite, origin = suite_lookup.find(settings.suite, origin=plan.origin, model=plan.name, client=job.client)
    suite, found = suite_lookup.check(suite, plan.dataset, plan.split, name=plan.name, roles=plan.inherited.roles)
    page = suite_lookup.write(suite, found, job.folder / suite_lookup.ARTIFACTS)
    tracking.log_files(job.folder)
    job.say(f"{found.summary()} ({origin})")
    validation.raise_for_critical(found)
    for finding in found.failures[: validation.NAMED]:
        job.say(f"{finding.severity}: {finding.told()}")
    return found, f"{suite_lookup.ARTIFACTS}/{page.name}"


def _portable(job: _Job, pipeline: Pipeline) -> tuple[Scorecard | None, Parity | None]:
    """The scorecard of a pipeline and how far the two agree on the held-out rows; None and None where it has none."""
    dataset = job.plan.dataset
    try:
        card = scorecard.compile(pipeline, dataset.inputs, cleaning=CLEANING)
    except Unsupported as error:
        job.say(f"no scorecard, the model runs where scikit-learn does: {error}")
        return None, None
    return card, sections.parity_section(pipeline, card, dataset.features.iloc[job.plan.split.holdout])


def _report(
    job: _Job,
    fitted: modelling.Fitted,
    answers: Answers,
    document: evidence.Evidence,
    docs: str | None,
    model_uri: str,
    row: Mapping[str, object],
) -> None:
    """The pictures, the comparison with the champion, and the model card, into the run's folder."""
    plan = job.plan
    answered = read_holdout(job.folder / evidence.TRAINING / evidence.HOLDOUT, document.model)
    against = comparison.with_champion(job.client, plan.name, document, answered)
    if against and against.note:
        job.say(against.note)
    drawn: dict[str, bytes] = {}
    learned: list[Coefficient] = []
    if job.settings.pictures:
        learned, drawn = report.draw(
            fitted.pipeline,
            plan.dataset,
            plan.split,
            answers,
            threshold=fitted.threshold,
            seed=job.settings.seed,
            folder=job.folder,
        )
    report.write_card(
        job.folder,
        document,
        drawn=drawn,
        found=learned,
        score=score_name(fitted.pipeline, plan.dataset.target_name),
        against=against,
        example=row,
        docs=docs,
        run_id=job.run_id,
        model_uri=model_uri,
    )


def train_defaults(
    *,
    seed: int,
    experiment: str | None,
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[Trained]:
    """Train the two default models, each as a child of one run.

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
    with runs.interruptible(), runs.run(client, experiment=experiment, name="main", tags=runs.tags()):
        return [train(settings, say=say, progress=progress) for settings in defaults]
