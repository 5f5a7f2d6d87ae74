"""The catalogue of estimators, and how one is built with a user's parameters."""

import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.errors import PipelineError
from registry.cli.text import did_you_mean, one_line

if TYPE_CHECKING:
    import pandas as pd


#: Parameters up to which Newton's method, with a matrix of their square, takes less time than steps by gradients.
MANY_PARAMETERS = 500


@dataclass(frozen=True)
class EstimatorEntry:
    """One estimator of the catalogue.

    Parameters
    ----------
    name : what it is called on the command line, beside the name of its class.
    path : the scikit-learn class, ``module.Class``.
    task : ``"regression"`` or ``"classification"``.
    defaults : parameters that differ from scikit-learn's.
    wide : the same for more than ``MANY_PARAMETERS`` coefficients, where other ones are better; None where not.
    target : what a target must be, beyond its task: ``""``, ``"non-negative"`` or ``"positive"``.
    calibrated : its decision function becomes probabilities by a sigmoid (Platt scaling).
    """

    name: str
    path: str
    task: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    wide: Mapping[str, Any] | None = None
    target: str = ""
    calibrated: bool = False

    @property
    def class_name(self) -> str:
        return self.path.rpartition(".")[2]

    def completed(self, values: Mapping[str, Any], *, size: int = 0) -> dict[str, Any]:
        """A user's parameters and the defaults of those not given.

        A tolerance is meant for its solver: it is left to scikit-learn where the user chose another.

        Parameters
        ----------
        size : coefficients that the estimator will have at most; 0 where it is not known.
        """
        defaults = dict(self.wide if self.wide is not None and size > MANY_PARAMETERS else self.defaults)
        if values.get("solver", defaults.get("solver")) != defaults.get("solver"):
            defaults.pop("tol", None)
        return {**defaults, **values}

    def load(self) -> type:
        """The scikit-learn class."""
        module, _, name = self.path.rpartition(".")
        return getattr(importlib.import_module(module), name)

    def check_target(self, target: "pd.Series", name: str) -> None:
        """Raise PipelineError where the estimator cannot learn a target, shape (n_rows,), because of its values."""
        self.check_least(float(target.min()) if self.target else 0.0, name)

    def check_least(self, least: float, name: str) -> None:
        """Raise PipelineError where the estimator cannot learn a target whose smallest value is this one."""
        if self.target == "non-negative" and least < 0:
            needed, found = "of 0 or more", "negative values"
        elif self.target == "positive" and least <= 0:
            needed, found = "above 0", "0 or less"
        else:
            return
        raise PipelineError(
            f"--estimator {self.name} needs a target {needed}, found {found} in {name!r}; choose another estimator"
        )


# To the optimum, also where columns are correlated: lbfgs at scikit-learn's tolerance stops far from it.
_NEWTON = {"solver": "newton-cholesky", "tol": 1e-8, "max_iter": 1000}
_GRADIENTS = {"solver": "lbfgs", "tol": 1e-6, "max_iter": 10_000}

# A line adds an estimator; the scorecard's compiler says whether it can be served without scikit-learn.
CATALOGUE = (
    EstimatorEntry("linear", "sklearn.linear_model.LinearRegression", "regression"),
    EstimatorEntry("ridge", "sklearn.linear_model.Ridge", "regression"),
    EstimatorEntry("lasso", "sklearn.linear_model.Lasso", "regression"),
    EstimatorEntry("elastic-net", "sklearn.linear_model.ElasticNet", "regression"),
    EstimatorEntry("huber", "sklearn.linear_model.HuberRegressor", "regression", {"max_iter": 1000}),
    EstimatorEntry(
        "poisson", "sklearn.linear_model.PoissonRegressor", "regression", _NEWTON, _GRADIENTS, target="non-negative"
    ),
    EstimatorEntry(
        "gamma", "sklearn.linear_model.GammaRegressor", "regression", _NEWTON, _GRADIENTS, target="positive"
    ),
    EstimatorEntry(
        "tweedie",
        "sklearn.linear_model.TweedieRegressor",
        "regression",
        {"power": 1.5, "link": "log", **_NEWTON},
        {"power": 1.5, "link": "log", **_GRADIENTS},
        target="non-negative",
    ),
    EstimatorEntry("linear-svr", "sklearn.svm.LinearSVR", "regression", {"max_iter": 10_000}),
    EstimatorEntry("mlp-regressor", "sklearn.neural_network.MLPRegressor", "regression", {"max_iter": 1000}),
    EstimatorEntry("logistic", "sklearn.linear_model.LogisticRegression", "classification", _NEWTON, _GRADIENTS),
    EstimatorEntry("linear-svm", "sklearn.svm.LinearSVC", "classification", {"max_iter": 10_000}, calibrated=True),
    EstimatorEntry("mlp-classifier", "sklearn.neural_network.MLPClassifier", "classification", {"max_iter": 1000}),
)
_NOT_FINITE = re.compile(r"[+-]?(inf|infinity|nan)", re.IGNORECASE)
DEFAULTS = {"regression": "linear", "classification": "logistic"}
_BOTH = {"mlp": {"regression": "mlp-regressor", "classification": "mlp-classifier"}}


def shown(entries: Iterable[EstimatorEntry]) -> list[str]:
    """The names of entries as ``--help`` has them: one for an estimator of both tasks."""
    both = {name: each for each, by_task in _BOTH.items() for name in by_task.values()}
    return list(dict.fromkeys(both.get(entry.name, entry.name) for entry in entries))


def find(name: str) -> EstimatorEntry:
    """The entry of a name: ``ridge``, ``Ridge``, ``elastic_net`` or ``ElasticNet``.

    Raises
    ------
    PipelineError
        where the catalogue has none.
    """
    by_name = {entry.name.replace("-", ""): entry for entry in CATALOGUE}
    by_name |= {entry.class_name.lower(): entry for entry in CATALOGUE}
    plain = name.lower().replace("-", "").replace("_", "")
    if plain in by_name:
        return by_name[plain]
    names = shown(CATALOGUE)
    known = [*(entry.class_name for entry in CATALOGUE), *names]
    hint = did_you_mean(name, known, otherwise=f"expected one of {', '.join(names)}")
    raise PipelineError(f"--estimator {name} is not in the catalogue; {hint}")


def choose(name: str, task: str) -> EstimatorEntry:
    """The entry for a task: the one named, or the task's default where the name is ``"auto"``.

    Raises
    ------
    PipelineError
        where the estimator is of another task.
    """
    entry = find(DEFAULTS[task] if name == "auto" else _BOTH.get(name.lower(), {}).get(task, name))
    if entry.task != task:
        fitting = ", ".join(shown(other for other in CATALOGUE if other.task == task))
        raise PipelineError(f"--estimator {name} is for {entry.task}, the task is {task}; choose one of {fitting}")
    return entry


def task_of(name: str) -> str | None:
    """The task that an estimator's name decides; None for ``"auto"`` and for a name of both tasks."""
    return None if name == "auto" or name.lower() in _BOTH else find(name).task


def parameters(entry: EstimatorEntry, given: Mapping[str, str]) -> dict[str, Any]:
    """A user's parameters as Python values, checked by scikit-learn's own constraints.

    Parameters
    ----------
    given : name -> text, as typed: ``{"alpha": "0.1"}``.

    Raises
    ------
    PipelineError
        where the estimator has no such parameter, or refuses the value.
    """
    from sklearn.utils._param_validation import InvalidParameterError

    known = entry.load()().get_params()
    values = {name: _value(entry, name, text) for name, text in given.items()}
    for name in values:
        if name not in known:
            hint = did_you_mean(name, known, otherwise=f"it has {', '.join(sorted(known))}")
            raise PipelineError(f"--param {name}: {entry.class_name} has no such parameter; {hint}")
    if "random_state" in values:
        raise PipelineError("--param random_state is set by --seed; give --seed")
    if isinstance(values.get("class_weight"), Mapping):
        raise PipelineError("--param class_weight: write weights of classes as --class-weight bad=5,good=1")
    try:
        entry.load()(**entry.completed(values))._validate_params()
    except InvalidParameterError as error:
        raise PipelineError(f"--param: {one_line(error)}") from None
    return values


def build(
    entry: EstimatorEntry,
    values: Mapping[str, Any],
    *,
    seed: int,
    size: int = 0,
    class_weight: Any = None,
    threshold: tuple | None = None,
):
    """An unfitted estimator.

    Parameters
    ----------
    values : the user's parameters, as :func:`parameters` gives them.
    seed : for estimators that draw random numbers.
    size : coefficients that the estimator will have at most; 0 where it is not known.
    class_weight : ``None``, ``"balanced"`` or a dict of class -> weight.
    threshold : ``(value, positive label)``: predict the positive label where its probability is at least the value.

    Raises
    ------
    PipelineError
        where class weights do not apply to the estimator.
    """
    chosen = entry.completed(values, size=size)
    names = entry.load()().get_params()
    if "random_state" in names:
        chosen["random_state"] = seed
    if class_weight is not None:
        if "class_weight" not in names:
            raise PipelineError(f"--class-weight: {entry.class_name} takes none; leave it out or choose logistic")
        chosen["class_weight"] = class_weight
    estimator = entry.load()(**chosen)
    if entry.calibrated:
        from sklearn.calibration import CalibratedClassifierCV

        estimator = CalibratedClassifierCV(estimator, ensemble=False, method="sigmoid")
    if threshold is not None:
        from sklearn.model_selection import FixedThresholdClassifier

        value, positive = threshold
        estimator = FixedThresholdClassifier(
            estimator, threshold=value, pos_label=positive, response_method="predict_proba"
        )
    return estimator


def _value(entry: EstimatorEntry, name: str, text: str) -> Any:
    """``0.1`` -> 0.1, ``true`` -> True, ``none`` -> None, ``(64, 32)`` -> a tuple, other text as it is.

    ``inf`` and ``nan`` are numbers where scikit-learn takes such a number for the parameter.
    """
    import ast

    text = text.strip()
    plain = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in plain:
        return plain[text.lower()]
    if _NOT_FINITE.fullmatch(text):
        return float(text) if _takes(entry, name, float(text)) else text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return text


def _takes(entry: EstimatorEntry, name: str, value: float) -> bool:
    """Whether scikit-learn's own constraints name the parameter, and allow the value."""
    from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

    constraints = entry.load()._parameter_constraints  # type: ignore[attr-defined]
    try:
        validate_parameter_constraints(constraints, {name: value}, entry.class_name)
    except InvalidParameterError:
        return False
    return name in constraints
