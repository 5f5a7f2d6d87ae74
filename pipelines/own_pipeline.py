"""A user's own unfitted scikit-learn pipeline, named ``module:function``: imported, called, checked, and guarded."""

import contextlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline

from pipelines import user_code
from pipelines.dataset import CLASSIFICATION, Dataset
from pipelines.errors import PipelineError
from pipelines.estimators import EstimatorEntry
from pipelines.evaluation.metrics import Answers
from pipelines.user_code import UserCode
from registry.cli.text import argument, did_you_mean, listed, one_line
from serving.scorecard.inputs import CATEGORY

#: The group of entry points by which an installed package offers pipelines under a name.
GROUP = "model_lifecycle.pipelines"
#: What the function may ask for, by the names of its parameters.
FACTS = ("numeric", "categorical", "task", "seed")

# Two fits of one pipeline on the same rows may differ by this much, as a share of the answers' spread: sums in several
# threads are not always added in the same order.
_SAME = 1e-9


class OwnPipelineError(PipelineError):
    """A user's own pipeline cannot be used; the message begins with the option that names it."""

    def __init__(self, spec: str, message: str):
        super().__init__(f"--pipeline {spec}: {message}")


@dataclass(frozen=True)
class OwnPipeline:
    """A function that returns an unfitted scikit-learn pipeline or estimator.

    Parameters
    ----------
    spec : as the user named it.
    function : called with those of :data:`FACTS` that its parameters name.
    code : the files that it is made of.
    """

    spec: str
    function: Callable[..., Any]
    code: UserCode

    def entry(self, dataset: Dataset, seed: int) -> EstimatorEntry:
        """What the catalogue would say of the pipeline's estimator.

        Raises
        ------
        PipelineError
            if the function raises, or returns no estimator for the dataset's task.
        """
        kind = type(self.build(dataset, seed)[-1])
        return EstimatorEntry(self.spec, f"{kind.__module__}.{kind.__qualname__}", dataset.task)

    def build(self, dataset: Dataset, seed: int, threshold: tuple[float, Any] | None = None) -> Pipeline:
        """Call the function; its estimator as an unfitted pipeline, whose open ``random_state`` are the seed.

        Parameters
        ----------
        threshold : the positive class, predicted from this probability on; None for the estimator's own decision.

        Raises
        ------
        PipelineError
            as ``entry``.
        """
        with self.guarded(dataset, "the function fails"):
            returned = self.function(**self._facts(dataset, seed))
        pipeline = self._unfitted(returned)
        self._check_task(pipeline, dataset)
        states = {name: seed for name, value in pipeline.get_params().items() if _is_open(name, value)}
        pipeline.set_params(**states)
        if threshold is not None:
            name, estimator = pipeline.steps[-1]
            value, positive = threshold
            decided = FixedThresholdClassifier(
                estimator, threshold=value, pos_label=positive, response_method="predict_proba"
            )
            pipeline.steps[-1] = (name, decided)
        return pipeline

    def _facts(self, dataset: Dataset, seed: int) -> Mapping[str, Any]:
        texts = [column.name for column in dataset.inputs if column.type == CATEGORY]
        numbers = [column.name for column in dataset.inputs if column.type != CATEGORY]
        facts = {"numeric": numbers, "categorical": texts, "task": dataset.task, "seed": seed}
        return {name: facts[name] for name in inspect.signature(self.function).parameters if name in facts}

    def _unfitted(self, returned: object) -> Pipeline:
        try:
            copied = clone(returned)
        except Exception:
            copied = None
        if copied is None or isinstance(returned, (list, tuple, type)) or not hasattr(copied, "predict"):
            raise OwnPipelineError(
                self.spec,
                "expected a function that returns an unfitted scikit-learn estimator or Pipeline, "
                f"found that it returns {_kind(returned)}",
            )
        return copied if isinstance(copied, Pipeline) else Pipeline([("estimator", copied)])

    def _check_task(self, pipeline: Pipeline, dataset: Dataset) -> None:
        right = is_classifier if dataset.task == CLASSIFICATION else is_regressor
        name = type(pipeline[-1]).__name__
        if not right(pipeline):
            raise OwnPipelineError(
                self.spec,
                f"the task of {dataset.target_name!r} is {dataset.task}, and {name} is no estimator for it; return "
                "another one, or set --task",
            )
        if dataset.task == CLASSIFICATION and not _has_probabilities(pipeline):
            raise OwnPipelineError(
                self.spec, f"{name} has no predict_proba, which the metrics need; wrap it in CalibratedClassifierCV"
            )

    @contextlib.contextmanager
    def guarded(self, dataset: Dataset, what: str = "it cannot be fitted") -> Iterator[None]:
        """Tell whatever the user's code raises on one line, and keep what it prints out of the results.

        Raises
        ------
        PipelineError
            in place of any error of the block.
        """
        with contextlib.redirect_stdout(sys.stderr):
            try:
                yield
            except OwnPipelineError:
                raise
            except (Exception, SystemExit) as error:
                raise OwnPipelineError(self.spec, _told(error, dataset, what)) from error

    def check_same(self, first: Answers, second: Answers) -> None:
        """Raise PipelineError if two fits on the same rows with the same seed answer the held-out rows differently."""
        if first.probabilities is not None and second.probabilities is not None:
            one, two = np.asarray(first.probabilities), np.asarray(second.probabilities)
            differ = (np.abs(one - two) > _SAME).any(axis=1)
        else:
            one, two = np.asarray(first.predicted, dtype=float), np.asarray(second.predicted, dtype=float)
            differ = np.abs(one - two) > _SAME * max(float(np.std(one)), float(np.abs(one).max()))
        if differ.any():
            raise OwnPipelineError(
                self.spec,
                f"it is not deterministic: fitted twice with one seed, it answers {int(differ.sum())} of {len(differ)} "
                "held-out rows differently; let the function take `seed`, and pass it to whatever draws random numbers",
            )


def find(spec: str) -> OwnPipeline:
    """The pipeline that a user names: ``module:function``, or the name of an entry point of the group :data:`GROUP`.

    Modules are looked for in the working folder first.

    Raises
    ------
    PipelineError
        if there is no such module or function, its import fails, or it wants arguments that nobody gives.
    """
    module_name, _, function_name = (spec if ":" in spec else _offered(spec)).partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            module, code = _imported(module_name)
    except (Exception, SystemExit) as error:
        raise OwnPipelineError(spec, _not_imported(module_name, error)) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        names = [name for name, value in vars(module).items() if inspect.isfunction(value) and name[0] != "_"]
        hint = did_you_mean(function_name, names, otherwise=f"its functions are {listed(names)}")
        raise OwnPipelineError(spec, f"{module_name} has no function {function_name!r}; {hint}")
    _check_parameters(spec, function)
    return OwnPipeline(spec, function, code)


def _imported(name: str) -> tuple[ModuleType, UserCode]:
    """A module and its code; what was imported before is imported anew, for its files may have changed since."""
    known = name in sys.modules
    importlib.invalidate_caches()
    module = importlib.import_module(name)
    code = user_code.of(module)
    if known and code.carried.paths:
        for loaded in [each for each in sys.modules if each.partition(".")[0] in code.carried.modules]:
            del sys.modules[loaded]
        module = importlib.import_module(name)
    return module, code


def _offered(name: str) -> str:
    """``module:function`` of an entry point."""
    offered = {point.name: point.value for point in entry_points(group=GROUP)}
    if name not in offered:
        there = f"; installed packages offer {listed(offered)}" if offered else ""
        raise PipelineError(f"--pipeline: expected module:function, such as features:build, found {name!r}{there}")
    return offered[name]


def _check_parameters(spec: str, function: Callable) -> None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise OwnPipelineError(spec, f"expected a Python function, found {_kind(function)}") from None
    unknown = [
        parameter.name
        for parameter in parameters
        if parameter.name not in FACTS
        and parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    by_place = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_ONLY]
    if unknown or by_place:
        raise OwnPipelineError(
            spec,
            f"its function may take {', '.join(FACTS)} by name, found {listed(unknown or by_place)}; give other "
            "parameters a default",
        )


def _not_imported(module: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
        return f"no module {error.name!r} in {Path.cwd()} or among the installed packages"
    return f"importing {module} fails: {type(error).__name__}: {one_line(error)}; --debug shows where"


def _told(error: BaseException, dataset: Dataset, what: str) -> str:
    text = str(error) if isinstance(error, PipelineError) else f"{what}: {type(error).__name__}: {one_line(error)}"
    excluded = next((name for name in dataset.left_out if repr(name) in text), None)
    if excluded is not None:
        reason = dataset.left_out[excluded]
        return f"{text}; {excluded!r} is excluded ({reason}), --keep {argument([excluded])} includes it"
    if isinstance(error, KeyError) or "not columns of the dataframe" in text:
        return f"{text}; the features are {listed(dataset.features.columns)}"
    return f"{text}; --debug shows where"


def _is_open(name: str, value: object) -> bool:
    return value is None and name.rpartition("__")[2] == "random_state"


def _has_probabilities(pipeline: Pipeline) -> bool:
    """Whether an unfitted pipeline will have probabilities; a search says so only when it is fitted."""
    try:
        return hasattr(pipeline, "predict_proba")
    except Exception:
        return True


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
