"""The settings of a search, and the plan that is made of them before the first trial."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from pipelines import engines, estimators
from pipelines.dataset import REGRESSION
from pipelines.engines import TrainingEngine
from pipelines.errors import PipelineError
from pipelines.folds import Pairs, make_folds
from pipelines.planning import Settings, TrainingPlan
from pipelines.tuning import coverage, space_options
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
    engine : trains the winner; its plan has one of the estimators that are searched.
    folds : their kind, and the rows of each; None where the engine has made them.
    metric : the metric to optimise.
    total : how many trials there will be.
    """

    search: Search
    engine: TrainingEngine
    space: SearchSpace
    folds: tuple[str, Pairs] | None
    metric: str
    total: int

    @property
    def training(self) -> TrainingPlan:
        """The plan for training."""
        return self.engine.plan

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
            "engine": self.engine.name if self.folds is None else None,
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


@contextlib.contextmanager
def prepared(search: Search, connect: "Callable[[], MlflowClient] | None" = None) -> Iterator[SearchPlan]:
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

    def check(plan: TrainingPlan) -> None:
        """Refuse what a sample of a table that is read in parts tells already."""
        _metric(search.metric, plan.dataset.task)
        coverage.check_folds(plan)
        coverage.covered(_space(search, plan, names, _scale(plan)), plan, drop=names == ["auto"])

    engines.choose(settings)  # refuses those that train alone has
    with engines.prepared(replace(settings, estimator=deciding, parameters={}), connect, check) as engine:
        yield _planned(search, engine, names)


def _planned(search: Search, engine: TrainingEngine, names: Sequence[str]) -> SearchPlan:
    plan, settings = engine.plan, search.settings
    if engine.name == engines.STREAM:
        space = _space(search, plan, names, coverage.scale(engine, _entries(names, plan)))
        space, left_out = coverage.covered(space, plan, drop=names == ["auto"])
        for note in left_out:
            _log.info(note)
        folds = None
    else:
        space = _space(search, plan, names, _scale(plan))
        folds = make_folds(plan.dataset, plan.split, count=settings.folds, seed=settings.seed)
    total = min(search.trials, space.size() or search.trials)
    if total < search.trials:
        _log.info("there are %d points to try: %d trials are all", total, total)
    return SearchPlan(search, engine, space, folds, _metric(search.metric, plan.dataset.task), total)


def _entries(names: Sequence[str], plan: TrainingPlan) -> list[estimators.EstimatorEntry]:
    """The estimators that are searched."""
    task = plan.dataset.task
    return [estimators.choose(name, task) for name in (AUTO[task] if names == ["auto"] else names)]


def _scale(plan: TrainingPlan) -> Scale:
    """The scale of the target, of the training rows that are in memory."""
    target = plan.dataset.target.iloc[plan.split.training].to_numpy()
    return Scale.of(target) if plan.dataset.task == REGRESSION else Scale(len(target))


def _space(search: Search, plan: TrainingPlan, names: Sequence[str], scale: Scale) -> SearchSpace:
    entries = _entries(names, plan)
    for entry in entries:
        entry.check_target(plan.dataset.target, plan.dataset.target_name)
    space = space_options.build(entries, scale=scale, fixed=search.settings.parameters, narrowed=search.space)
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
