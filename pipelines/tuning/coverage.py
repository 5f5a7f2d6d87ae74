"""What of a search is fitted on a table that is read in parts, and the scale of its target."""

import math
from collections.abc import Iterator, Sequence

from pipelines.engines import TrainingEngine
from pipelines.errors import PipelineError
from pipelines.estimators import EstimatorEntry
from pipelines.planning import TrainingPlan
from pipelines.solving import objectives
from pipelines.tuning.default_spaces import Scale
from pipelines.tuning.spaces import Candidate, Choices, SearchSpace
from registry.holdout import TIME


def check_folds(plan: TrainingPlan) -> None:
    """Raise PipelineError where the folds of a plan are not made in parts."""
    if plan.split.rule.by == TIME:
        raise PipelineError(
            "tune compares by cross-validation, which --engine stream does not make where rows are held out by time; "
            "hold rows out by --id or --group, or use --engine memory"
        )


def covered(space: SearchSpace, plan: TrainingPlan, *, drop: bool) -> tuple[SearchSpace, list[str]]:
    """The estimators of a space that are fitted in parts, and which are left out, a sentence each.

    Parameters
    ----------
    drop : leave out what is not covered, as long as something is left, instead of refusing it.

    Raises
    ------
    PipelineError
        where a parameter or an estimator is not covered.
    """
    kept, refused = [], []
    for candidate in space.candidates:
        if reason := _refusal(candidate, plan):
            refused.append((candidate.entry.name, reason))
        else:
            kept.append(candidate)
    if refused and not (drop and kept):
        raise PipelineError(f"{refused[0][0]}: --engine stream {refused[0][1]}, or use --engine memory")
    return SearchSpace(tuple(kept)), [f"not tried: {name}: --engine stream {reason}" for name, reason in refused]


def _refusal(candidate: Candidate, plan: TrainingPlan) -> str | None:
    """Why some point of a candidate is not fitted in parts; None where all are."""
    for point in _ends(candidate):
        tried = plan.with_estimator(candidate.entry.name, candidate.texts(point))
        try:
            objectives.of(tried.build(), len(plan.dataset.classes))
        except objectives.NotCovered as error:
            return str(error)
    return None


def _ends(candidate: Candidate) -> Iterator[dict[str, object]]:
    """Points with every choice and both ends of every range: whether a parameter is covered does not hang on others."""
    ends = {
        name: list(one.texts) if isinstance(one, Choices) else [one.low, one.high]
        for name, one in candidate.space.items()
    }
    first: dict[str, object] = {name: values[0] for name, values in ends.items()}
    yield first
    for name, values in ends.items():
        for value in values[1:]:
            yield first | {name: value}


def scale(engine: TrainingEngine, entries: Sequence[EstimatorEntry]) -> Scale:
    """The scale of a target that is not in memory.

    Raises
    ------
    PipelineError
        where an estimator cannot learn it because of its values.
    """
    from pipelines.streaming.engine import Streamed

    assert isinstance(engine, Streamed)
    rows, target = engine.sizes[0], engine.target
    if target is None:
        return Scale(rows)
    for entry in entries:
        entry.check_least(target.least, engine.plan.dataset.target_name)
    # Where the level counts, no target is below zero.
    return Scale.bounded(rows, math.sqrt(target.variance), abs(target.mean))
