"""One training run: read, validate, split, fit, evaluate, log, register."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from pipelines import (
    comparison,
    estimators,
    evaluation,
    fitting,
    lineage,
    metrics,
    report,
    runs,
    splitting,
    suites,
    thresholds,
    tracking,
    validation,
)
from pipelines.coefficients import score_name
from pipelines.dataset import CLASSIFICATION
from pipelines.fitting import CrossValidation
from pipelines.metrics import Answers
from pipelines.planning import CLEANING, Plan, Settings, decide
from registry import client as registry_client
from registry import evidence
from serving import flavor, scorecard
from serving.scorecard import Scorecard, Unsupported, parity

#: The folds that a threshold is chosen on where cross-validation is switched off.
_THRESHOLD_FOLDS = 5


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline and what is known of it before it is judged."""

    pipeline: Pipeline
    folds: CrossValidation | None
    threshold: float | None
    notes: tuple[str, ...]


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
    metrics: dict
    baseline: dict
    notes: tuple[str, ...]


def train(
    settings: Settings,
    *,
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Trained:
    """Train, judge, log and register one version.

    Parameters
    ----------
    say : told what is being done, a line each.
    progress : wraps what is waited for.

    Raises
    ------
    PipelineError, RegistryError
        where anything is refused; then no version is registered and the run, if one began, is FAILED.
    """
    registry_client.settle()
    registry_client.probe()
    say(f"reading {lineage.without_password(settings.data)}")
    plan = decide(settings)
    for note in plan.dataset.notes:
        say(note)
    for column, reason in plan.dataset.left_out.items():
        say(f"left out: {column!r}: {reason}")
    client = registry_client.connect()
    with (
        runs.interruptible(),
        runs.run(client, experiment=settings.experiment, name=f"train {plan.name}", tags=runs.tags()) as run,
        runs.folder() as folder,
    ):
        return _run(settings, plan, client, run.info.run_id, folder, say, progress)


def _run(settings, plan, client, run_id, folder, say, progress) -> Trained:
    dataset, split = plan.dataset, plan.split
    found = docs = None
    if settings.suite != suites.NONE:
        suite, origin = suites.find(settings.suite, table=plan.table, model=plan.name, client=client)
        suite, found = suites.check(suite, dataset, split, name=plan.name, roles=settings.roles)
        docs = f"{suites.ARTIFACTS}/{suites.write(suite, found, folder / suites.ARTIFACTS).name}"
        tracking.log_files(folder)
        say(f"{found.summary()} ({origin})")
        validation.raise_for_critical(found)
    tracking.log_parameters(_parameters(settings, plan))
    tracking.log_dataset(plan.table, dataset)

    say(f"fitting {plan.entry.class_name} on {len(split.training)} rows, {len(split.holdout)} are held out")
    fitted = fit(settings, plan, progress)
    for note in fitted.notes:
        say(note)
    holdout = dataset.features.iloc[split.holdout]
    truth = dataset.target.iloc[split.holdout].to_numpy()
    answers = fitting.answer(fitted.pipeline, holdout, truth, classes=dataset.classes, positive=plan.positive)

    card, agreed = _portable(fitted.pipeline, plan, holdout, say)
    document = _document(settings, plan, fitted, answers, found, agreed)
    training = folder / evidence.TRAINING
    evaluation.write_holdout(answers, split.keys[split.holdout], training)
    evidence.write(document, training)
    against = comparison.with_champion(client, plan.name, document, evaluation.read_holdout(training / evidence.HOLDOUT))
    if against and against.note:
        say(against.note)

    say("logging")
    tracking.log_metrics(document, _training_metrics(fitted.pipeline, plan))
    model = flavor.log_model(
        fitted.pipeline,
        card,
        inputs=dataset.inputs,
        classes=dataset.classes,
        example=holdout.iloc[:5],
    )
    drawn, learned = {}, []
    if settings.pictures:
        learned, drawn = report.draw(
            fitted.pipeline, dataset, split, answers, threshold=fitted.threshold, seed=settings.seed, folder=folder
        )
    report.write_card(
        folder,
        document,
        drawn=drawn,
        found=learned,
        score=score_name(fitted.pipeline, dataset.target_name),
        against=against,
        example=holdout,
        docs=docs,
        run_id=run_id,
        model_uri=model.model_uri,
    )
    tracking.log_files(folder)
    tags = tracking.tags_of(document, evidence.digest(training), run_id)
    version = tracking.register(
        client,
        name=plan.name,
        model_uri=model.model_uri,
        run_id=run_id,
        model_id=model.model_id,
        description=_description(document),
        tags=tags,
    )
    return Trained(
        name=plan.name,
        version=version,
        run_id=run_id,
        model_uri=f"models:/{plan.name}/{version}",
        task=dataset.task,
        estimator=plan.entry.class_name,
        target=dataset.target_name,
        rows=len(split.holdout),
        metrics=document["metrics"],
        baseline=document["baseline"]["metrics"],
        notes=fitted.notes,
    )


def _portable(
    pipeline: Pipeline, plan: Plan, holdout: pd.DataFrame, say: Callable[[str], None]
) -> tuple[Scorecard | None, dict | None]:
    """The scorecard of a pipeline and how far the two agree on the held-out rows; None and None where it has none."""
    try:
        card = scorecard.compile(pipeline, plan.dataset.inputs, cleaning=CLEANING)
    except Unsupported as error:
        say(f"no scorecard, the model runs where scikit-learn does: {error}")
        return None, None
    return card, parity.measure(pipeline, card, holdout)


def fit(settings: Settings, plan: Plan, progress: Callable[[Iterable], Iterable] = iter) -> Fitted:
    """Cross-validate, choose the threshold, and fit on the training rows, as far as each is asked for."""
    dataset, training = plan.dataset, plan.split.training

    def make(threshold: float | None = None) -> Pipeline:
        decision = None if threshold is None else (threshold, plan.positive)
        estimator = estimators.build(
            plan.entry, plan.values, seed=settings.seed, class_weight=plan.class_weight, threshold=decision
        )
        return fitting.pipeline(dataset, estimator)

    chosen_here = plan.rule is not None and plan.rule.value is None
    folds = None
    if count := settings.folds or (_THRESHOLD_FOLDS if chosen_here else 0):
        pairs = splitting.folds(dataset, plan.split, count=count, seed=settings.seed)
        folds = fitting.cross_validate(make, dataset, training, pairs, positive=plan.positive, progress=progress)
    threshold, notes = None, []
    if plan.rule:
        threshold = _threshold(plan, folds)
        folds = folds and folds.with_threshold(threshold)
        if chosen_here:
            notes.append(f"decision threshold {threshold:.4g}, for {plan.rule.text} on cross-validated rows")
    pipeline = make(threshold)
    notes += fitting.fit(pipeline, dataset.features.iloc[training], dataset.target.iloc[training])
    return Fitted(pipeline, folds, threshold, tuple(notes))


def _threshold(plan: Plan, folds: CrossValidation | None) -> float:
    assert plan.rule is not None
    if folds is None:
        return thresholds.choose(plan.rule, np.array([]), np.array([], dtype=bool))
    place = plan.dataset.classes.index(plan.positive)
    probabilities = np.concatenate([answers.probabilities[:, place] for answers in folds.folds])
    truth = np.concatenate([answers.target for answers in folds.folds])
    return thresholds.choose(plan.rule, probabilities, truth == plan.positive)


def _training_metrics(pipeline: Pipeline, plan: Plan) -> dict[str, float | None]:
    rows = plan.split.training
    truth = plan.dataset.target.iloc[rows].to_numpy()
    table = plan.dataset.features.iloc[rows]
    return metrics.measure(
        fitting.answer(pipeline, table, truth, classes=plan.dataset.classes, positive=plan.positive)
    )


def _document(
    settings: Settings, plan: Plan, fitted: Fitted, answers: Answers, found: validation.SuiteResult | None, parity: dict | None
) -> dict:
    dataset, split = plan.dataset, plan.split
    judged = evaluation.judge(answers, resamples=settings.resamples, seed=settings.seed)
    strategy, baseline = fitting.baseline(dataset, split.training, split.holdout, positive=plan.positive)
    held = ((name, dataset.column(name).iloc[split.holdout]) for name in settings.roles.sensitive)
    groups = [values.reset_index(drop=True).rename(name) for name, values in held]
    return {
        "schema_version": evidence.SCHEMA_VERSION,
        "model": {
            "name": plan.name,
            "task": dataset.task,
            "estimator": plan.entry.class_name,
            "parameters": {name: _json_value(value) for name, value in plan.values.items()},
            "target": dataset.target_name,
            "classes": dataset.classes or None,
            "positive": plan.positive,
            "threshold": fitted.threshold,
            "threshold_rule": plan.rule.text if plan.rule else None,
        },
        "metrics": judged.to_evidence(),
        "baseline": {"strategy": strategy, "metrics": baseline},
        "cross_validation": fitted.folds.to_evidence() if fitted.folds and settings.folds else None,
        "holdout": evaluation.holdout_section(split, resamples=settings.resamples),
        "suite": found.to_evidence() if found else None,
        "fairness": [metrics.by_group(answers, group) for group in groups],
        "parity": parity,
        "schema": evaluation.schema_section(dataset),
        "lineage": lineage.of(
            plan.table, dropped_rows=dataset.dropped_rows, seed=settings.seed, command=lineage.command_line()
        ),
        "profile": evaluation.profile_section(dataset, split.training),
    }


def _json_value(value: object) -> object:
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def _parameters(settings: Settings, plan: Plan) -> dict[str, object]:
    """What MLflow's run comparison shows; the names differ from the project's own parameters, which it logs itself."""
    pipeline_defaults = estimators.build(plan.entry, plan.values, seed=settings.seed, class_weight=plan.class_weight)
    given = {f"estimator.{name}": value for name, value in pipeline_defaults.get_params(deep=False).items()}
    return {
        "estimator.class": plan.entry.class_name,
        **{name: value for name, value in given.items() if name != "estimator.estimator"},
        "data.name": plan.table.name,
        "data.source": plan.table.source,
        "data.rows": len(plan.dataset.features),
        "data.features": len(plan.dataset.inputs),
        "data.target": plan.dataset.target_name,
        "data.task": plan.dataset.task,
        "split.by": plan.split.by,
        "split.test_size": plan.split.test_size,
        "split.cut": plan.split.cut,
        "split.folds": settings.folds,
        "split.seed": settings.seed,
        "decision.threshold": plan.rule.text if plan.rule else None,
        "decision.positive": plan.positive,
    }


def _description(document: dict) -> str:
    """What the registry shows of a version, in one sentence."""
    model, rows = document["model"], document["holdout"]["rows"]
    names = ("rmse", "r2") if model["task"] != CLASSIFICATION else ("accuracy", "log_loss")
    found = ", ".join(
        f"{name} {document['metrics'][name]['value']:.4g} (baseline {document['baseline']['metrics'][name]:.4g})"
        for name in names
        if document["metrics"][name]["value"] is not None and document["baseline"]["metrics"][name] is not None
    )
    inputs, source = len(document["schema"]["inputs"]), document["lineage"]["data"]["source"]
    return f"{model['estimator']} of {model['target']} from {inputs} columns of {source}: {found} on {rows} held-out rows."


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
