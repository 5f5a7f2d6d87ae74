"""What a training run records: its evidence and its parameters."""

from msgspec import UNSET

from pipelines import fitting, lineage, score_sums, tracking
from pipelines.dataset import Dataset
from pipelines.evaluation import metrics, sections
from pipelines.evaluation.metrics import Answers
from pipelines.modelling import FittedModel
from pipelines.planning import TrainingPlan
from pipelines.validation import SuiteResult
from registry.evidence import Evidence
from registry.evidence.document import Baseline, ModelDescription, Parity
from serving.scorecard import Scorecard


def document(
    plan: TrainingPlan,
    fitted: FittedModel,
    answers: Answers,
    *,
    suite: SuiteResult | None,
    parity: Parity | None,
    card: Scorecard | None,
) -> Evidence:
    """The training evidence of a version.

    Parameters
    ----------
    card : its scorecard; None if it has none.
    """
    settings, dataset, split = plan.settings, plan.dataset, plan.split
    strategy, dummy = fitting.baseline(dataset, split.training, split.holdout, positive=plan.positive)
    held = ((name, dataset.column(name).iloc[split.holdout]) for name in settings.roles.sensitive)
    groups = [values.reset_index(drop=True).rename(name) for name, values in held]
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
            scores=score_sums.measured(card, dataset.features.iloc[split.training]) or UNSET,
        ),
        metrics=sections.metrics_section(answers, resamples=settings.resamples, seed=settings.seed),
        baseline=Baseline(strategy, dummy),
        cross_validation=fitted.folds.summary() if fitted.folds and settings.folds else None,
        holdout=sections.holdout_section(
            split.rule,
            rows=len(split.holdout),
            training_rows=len(split.training),
            earlier=plan.known,
            resamples=settings.resamples,
            like=plan.inherited.version if split.rule.key_columns == plan.inherited.key_columns else None,
            notes=plan.split.notes,
        ),
        suite=suite.section() if suite else None,
        fairness=[metrics.by_group(answers, group) for group in groups],
        parity=parity,
        schema=sections.schema_section(dataset),
        lineage=lineage.of(plan.origin, dropped_rows=dataset.dropped_rows, seed=settings.seed, pipeline=plan.own),
        profile=sections.profile_section(dataset, split.training),
    )


def _json_value(value: object) -> bool | int | float | str | None:
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def columns(dataset: Dataset) -> dict[str, bool]:
    """The columns of a table by name: whether each is of numbers."""
    return {name: tracking.is_numeric(dataset.column(name)) for name in dataset.order if name}


def parameters(plan: TrainingPlan) -> dict[str, object]:
    """What MLflow's run comparison shows; the names differ from the project's own parameters, which it logs itself."""
    settings = plan.settings
    given = {f"estimator.{name}": value for name, value in plan.pipeline()[-1].get_params(deep=False).items()}
    return {
        "estimator.class": plan.entry.class_name,
        **({"pipeline": plan.own.spec} if plan.own else {}),
        **{name: value for name, value in given.items() if name != "estimator.estimator"},
        "data.name": plan.origin.name,
        "data.source": plan.origin.source,
        "data.rows": len(plan.dataset.features),
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
