"""What a training run says of itself: its evidence, its parameters, and the sentence that the registry shows."""

from pipelines import fitting, lineage
from pipelines.dataset import CLASSIFICATION
from pipelines.evaluation import metrics, sections
from pipelines.evaluation.metrics import Answers
from pipelines.modelling import FittedModel
from pipelines.planning import TrainingPlan
from pipelines.validation import SuiteResult
from registry import evidence


def document(
    plan: TrainingPlan,
    fitted: FittedModel,
    answers: Answers,
    *,
    suite: SuiteResult | None,
    parity: dict | None,
) -> dict:
    """The training evidence of a version; the shape is ``registry.evidence``'s."""
    settings, dataset, split = plan.settings, plan.dataset, plan.split
    judged = sections.judge(answers, resamples=settings.resamples, seed=settings.seed)
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
        "holdout": sections.holdout_section(
            split.rule,
            rows=len(split.holdout),
            training_rows=len(split.training),
            earlier=plan.known.to_evidence(),
            resamples=settings.resamples,
            like=plan.inherited.version if split.rule.key_columns == plan.inherited.key_columns else None,
        ),
        "suite": suite.to_evidence() if suite else None,
        "fairness": [metrics.by_group(answers, group) for group in groups],
        "parity": parity,
        "schema": sections.schema_section(dataset),
        "lineage": lineage.of(
            plan.origin, dropped_rows=dataset.dropped_rows, seed=settings.seed, command=lineage.command_line()
        ),
        "profile": sections.profile_section(dataset, split.training),
    }


def _json_value(value: object) -> object:
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def parameters(plan: TrainingPlan) -> dict[str, object]:
    """What MLflow's run comparison shows; the names differ from the project's own parameters, which it logs itself."""
    settings = plan.settings
    given = {f"estimator.{name}": value for name, value in plan.build().get_params(deep=False).items()}
    return {
        "estimator.class": plan.entry.class_name,
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


def description(evidence_document: dict) -> str:
    """What the registry shows of a version, in one sentence."""
    found = evidence_document
    model, rows = found["model"], found["holdout"]["rows"]
    names = ("rmse", "r2") if model["task"] != CLASSIFICATION else ("accuracy", "log_loss")
    dummies = found["baseline"]["metrics"]
    beside = ((name, found["metrics"][name]["value"], dummies[name]) for name in names)
    told = ", ".join(
        f"{name} {value:.4g} (baseline {dummy:.4g})"
        for name, value, dummy in beside
        if value is not None and dummy is not None
    )
    inputs, source = len(found["schema"]["inputs"]), found["lineage"]["data"]["source"]
    return (
        f"{model['estimator']} of {model['target']} from {inputs} columns of {source}: {told} on {rows} held-out rows."
    )
