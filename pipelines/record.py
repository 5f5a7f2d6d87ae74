"""What a training run records: its evidence and its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import UNSET

from pipelines import lineage, tracking
from pipelines.dataset import Dataset
from pipelines.evaluation import sections
from pipelines.evaluation.metrics import Answers
from pipelines.modelling import FittedModel
from pipelines.planning import TrainingPlan
from pipelines.validation import SuiteResult
from registry.evidence import Evidence
from registry.evidence.document import (
    Baseline,
    CategoryProfile,
    Fairness,
    MetricValue,
    ModelDescription,
    NumberProfile,
    Parity,
    ScoreProfile,
)


@dataclass(frozen=True)
class Measurements:
    """What was measured of a fitted model and the rows that it was fitted and judged on.

    Parameters
    ----------
    answers : to held-out rows: to all of them, or to some that are evenly spread over them.
    rows, training_rows, dropped_rows : how many are held out, trained on, and without a target.
    metrics, training : on the held-out rows and on the training rows.
    baseline : of a dummy model, on the held-out rows.
    scores : of the training rows; empty if the score is no sum of terms.
    gaps : the features that have missing values.
    """

    answers: Answers
    rows: int
    training_rows: int
    dropped_rows: int
    metrics: dict[str, MetricValue]
    training: Mapping[str, float | None]
    baseline: Baseline
    fairness: list[Fairness]
    scores: list[ScoreProfile]
    profile: dict[str, NumberProfile | CategoryProfile]
    parity: Parity | None
    gaps: frozenset[str]


def document(plan: TrainingPlan, fitted: FittedModel, measured: Measurements, *, suite: SuiteResult | None) -> Evidence:
    """The training evidence of a version."""
    settings, dataset, split = plan.settings, plan.dataset, plan.split
    named = bool(dataset.classes) and {*map(str, dataset.classes)} <= plan.origin.class_names.keys()
    return Evidence(
        model=ModelDescription(
            name=plan.name,
            task=dataset.task,
            estimator=plan.entry.class_name,
            parameters={name: _json_value(value) for name, value in plan.values.items()},
            target=dataset.target_name,
            classes=list(dataset.classes) or None,
            positive=_json_value(plan.positive),
            threshold=fitted.threshold,
            threshold_rule=plan.rule.text if plan.rule else None,
            class_names=dict(plan.origin.class_names) if named else UNSET,
            scores=measured.scores or UNSET,
        ),
        metrics=measured.metrics,
        baseline=measured.baseline,
        cross_validation=fitted.cross_validation,
        holdout=sections.holdout_section(
            split.rule,
            rows=measured.rows,
            training_rows=measured.training_rows,
            earlier=plan.known,
            resamples=settings.resamples,
            like=plan.inherited.version if split.rule.key_columns == plan.inherited.key_columns else None,
            notes=plan.split.notes,
        ),
        suite=suite.section() if suite else None,
        fairness=measured.fairness,
        parity=measured.parity,
        schema=sections.schema_section(dataset),
        lineage=lineage.of(plan.origin, dropped_rows=measured.dropped_rows, seed=settings.seed, pipeline=plan.own),
        profile=measured.profile,
    )


def _json_value(value: object) -> bool | int | float | str | None:
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def columns(dataset: Dataset) -> dict[str, bool]:
    """The columns of a table by name: whether each is of numbers."""
    return {name: tracking.is_numeric(dataset.column(name)) for name in dataset.order if name}


def parameters(plan: TrainingPlan, *, rows: int, engine: str) -> dict[str, object]:
    """What MLflow's run comparison shows; the names differ from the project's own parameters, which it logs itself.

    Parameters
    ----------
    rows : how many rows have a target.
    engine : the name of what fits them.
    """
    settings = plan.settings
    given = {f"estimator.{name}": value for name, value in plan.pipeline()[-1].get_params(deep=False).items()}
    return {
        "estimator.class": plan.entry.class_name,
        "fit.engine": engine,
        **({"pipeline": plan.own.spec} if plan.own else {}),
        **{name: value for name, value in given.items() if name != "estimator.estimator"},
        "data.name": plan.origin.name,
        "data.source": plan.origin.source,
        "data.rows": rows,
        "data.features": len(plan.dataset.inputs),
        "data.target": plan.dataset.target_name,
        "data.task": plan.dataset.task,
        "split.by": plan.split.rule.by,
        "split.test_size": plan.split.rule.test_size,
        "split.cut": plan.split.rule.cut,
        "split.folds": settings.folds,
        "split.seed": settings.seed,
        "decision.threshold": plan.rule.text if plan.rule else None,
        "decision.positive": plan.positive,
    }
