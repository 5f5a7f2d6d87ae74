"""The settings of a search, and the plan that is made of them before the first trial."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from pipelines import estimators
from pipelines.dataset import REGRESSION
from pipelines.errors import PipelineError
from pipelines.folds import Pairs, make_folds
from pipelines.planning import Settings, TrainingPlan, plan_training
from pipelines.tuning import space_options
from pipelines.tuning.default_spaces import AUTO, Scale
from pipelines.tuning.spaces import SearchSpace
from registry import logs
from registry.metrics import BY_NAME, names

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logs.get_logger(__name__)

#: What is optimised unless another metric is named.
_DEFAULTS = {"regression": "rmse", "classification": "log_loss"}


@dataclass(frozen=True)
class Search:
    """The settings of a search; see ``python -m pipelines tune --help``.

    Parameters
    ----------
    settings : as for training; ``estimator`` may name several, with commas between them.
    trials : how many in total, including those of an interrupted search.
    timeout : seconds after which no new trial starts.
    space : parameter -> ``low:high``, ``low:high:log`` or ``a,b,c``.
    study : its name in the storage; None for one derived from everything that the results depend on.
    """

    settings: Settings
    trials: int = 30
    timeout: float | None = None
    metric: str | None = None
    storage: str = "sqlite:///tuning.db"
    study: str | None = None
    space: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchPlan:
    """Everything that is decided before the first trial.

    Parameters
    ----------
    training : the plan for training the winner, with one of the estimators that are searched.
    folds : their kind, and the rows of each.
    metric : the metric to optimise.
    total : how many trials there will be.
    """

    search: Search
    training: TrainingPlan
    space: SearchSpace
    folds: tuple[str, Pairs]
    metric: str
    total: int

    @property
    def maximized(self) -> bool:
        """Whether a higher metric is better."""
        return BY_NAME[self.metric].higher_is_better

    def searched(self) -> dict[str, str]:
        """Return everything that the results of trials depend on, as text."""
        settings, plan = self.search.settings, self.training
        roles = plan.inherited.roles
        parts = {
            "data": plan.origin.digest[:19],
            "target": plan.dataset.target_name,
            "task": plan.dataset.task,
            **self.space.described(),
            "metric": self.metric,
            "folds": settings.folds,
            "seed": settings.seed,
            "test size": settings.test_size,
            "split": plan.split.rule.by,
            "held out by": plan.split.rule.digest,
            "id": ",".join(roles.id),
            "group": roles.group,
            "time": roles.time,
            "drop": ",".join(sorted(roles.drop)),
            "keep": ",".join(sorted(roles.keep)),
            "class weight": settings.class_weight,
            "positive": plan.positive,
            "threshold": plan.rule.text if plan.rule else None,
            **asdict(settings.options),
        }
        return {name: str(value) for name, value in parts.items() if value not in (None, "", ())}


def plan_search(search: Search, *, connect: "Callable[[], MlflowClient] | None" = None) -> SearchPlan:
    """Read the table and define the search space, the folds and the metric.

    Parameters
    ----------
    connect : see :func:`pipelines.planning.plan_training`.

    Raises
    ------
    PipelineError, RegistryError
        where anything is refused.
    """
    settings = search.settings
    if settings.folds < 2:
        raise PipelineError(f"tune compares by cross-validation: expected --folds of 2 or more, found {settings.folds}")
    if search.trials < 1:
        raise PipelineError(f"--trials: expected 1 or more, found {search.trials}")
    names = space_options.names(settings.estimator)
    tasks = {name: estimators.task_of(name) for name in names}
    if len(set(tasks.values()) - {None}) > 1:
        told = ", ".join(f"{name} is for {task}" for name, task in tasks.items() if task)
        raise PipelineError(f"--estimator: expected estimators of one task, found that {told}")
    deciding = next((name for name in names if tasks[name]), names[0])

    plan = plan_training(replace(settings, estimator=deciding, parameters={}), connect=connect)
    task = plan.dataset.task
    entries = [estimators.choose(name, task) for name in (AUTO[task] if names == ["auto"] else names)]
    space = _space(search, plan, entries)
    total = min(search.trials, space.size() or search.trials)
    if total < search.trials:
        _log.info("there are %d points to try: %d trials are all", total, total)
    folds = make_folds(plan.dataset, plan.split, count=settings.folds, seed=settings.seed)
    return SearchPlan(search, plan, space, folds, _metric(search.metric, task), total)


def _space(search: Search, plan: TrainingPlan, entries: Sequence[estimators.EstimatorEntry]) -> SearchSpace:
    target = plan.dataset.target.iloc[plan.split.training].to_numpy()
    regression = plan.dataset.task == REGRESSION
    for entry in entries:
        entry.check_target(plan.dataset.target, plan.dataset.target_name)
    space = space_options.build(
        entries,
        scale=Scale.of(target) if regression else Scale(len(target)),
        fixed=search.settings.parameters,
        narrowed=search.space,
    )
    for candidate in space.candidates:
        if plan.class_weight is not None and "class_weight" in {**candidate.fixed, **candidate.space}:
            raise PipelineError("class_weight is given by --class-weight and searched or fixed; give one of them")
        fixed = estimators.parameters(candidate.entry, candidate.fixed)
        estimators.build(candidate.entry, fixed, seed=0, class_weight=plan.class_weight)
    return space


def _metric(asked: str | None, task: str) -> str:
    known = names(task)
    if asked is not None and asked not in known:
        raise PipelineError(f"--metric {asked}: a {task} has {', '.join(known)}")
    return asked or _DEFAULTS[task]
