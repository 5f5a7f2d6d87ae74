"""What a loaded MLflow model shows of itself: the fitted object inside it, its columns, its labels."""

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from serving.errors import ServingError, Unsupported
from serving.models.native.messages import Loaded

#: The flavors whose objects a scorecard may be compiled from.
COMPILABLE = ("sklearn", "statsmodels")
#: What to do about a model of several outputs.
ONE_OUTPUT_EACH = "log one model for each output"


def fitted(loaded: Any, folder: Path) -> Any:
    """The object inside of a loaded ``python_function``; None if the model does not show it.

    Parameters
    ----------
    loaded : what ``mlflow.pyfunc.load_model`` gave.
    folder : of the model.
    """
    try:
        return loaded.get_raw_model()
    except NotImplementedError:
        pass
    if "sklearn" not in loaded.metadata.flavors:
        return None
    import mlflow.sklearn

    return mlflow.sklearn.load_model(str(folder))


def compilable(flavors: Container[str]) -> bool:
    """Whether a model has a flavor whose object a scorecard may be compiled from."""
    return any(flavor in flavors for flavor in COMPILABLE)


def method(flavors: Mapping[str, Any]) -> str:
    """The method of the fitted object that ``python_function`` calls."""
    return flavors["python_function"].get("predict_fn") or "predict"


def described(fitted: Any, *, compilable: bool) -> Loaded:
    """What the fitted object tells of itself.

    Raises
    ------
    ServingError
        if it predicts several outputs, or classes of another type than text, numbers or booleans.
    """
    if fitted is None:
        return Loaded("pyfunc")
    names, width, constant = _columns(fitted)
    return Loaded(
        estimator=_estimator(fitted),
        names=names,
        width=width,
        constant=constant,
        classes=_classes(fitted),
        probabilities=has_probabilities(fitted),
        compilable=compilable,
    )


def has_probabilities(fitted: Any) -> bool:
    """Whether it gives a probability of each class."""
    return _attribute(fitted, "classes_") is not None and _attribute(fitted, "predict_proba") is not None


def _columns(fitted: Any) -> tuple[list[str] | None, int | None, int | None]:
    """The columns that it was fitted on: their names, how many, and the place of the constant among them."""
    # Importing scikit-learn's own helpers, or what knows of statsmodels, would load scikit-learn for every model.
    if _of_statsmodels(fitted):
        from serving.scorecard.compiler import statsmodels

        if statsmodels.is_results(fitted):
            try:
                return statsmodels.names(fitted), statsmodels.width(fitted), statsmodels.constant(fitted)
            except Unsupported:  # a formula that is not patsy's
                return None, None, None
    names, width = _attribute(fitted, "feature_names_in_"), _attribute(fitted, "n_features_in_")
    return None if names is None else [str(name) for name in names], None if width is None else int(width), None


def _of_statsmodels(fitted: object) -> bool:
    return type(fitted).__module__.startswith("statsmodels.")


def _attribute(fitted: Any, name: str) -> Any:
    """An attribute of an object that may compute it, and raise whatever it likes where it cannot."""
    try:
        return getattr(fitted, name, None)
    except Exception:
        return None


def _estimator(fitted: Any) -> str:
    """The class of what predicts: inside a search, its best; of a pipeline, its last step."""
    while True:
        if (best := _attribute(fitted, "best_estimator_")) is not None:
            fitted = best
        elif steps := _attribute(fitted, "steps"):
            fitted = steps[-1][1]
        elif _of_statsmodels(fitted) and _attribute(fitted, "model") is not None:
            fitted = fitted.model  # what was fitted, as results are named after how
        else:
            return type(fitted).__name__


def _classes(fitted: Any) -> list[Any] | None:
    classes = _attribute(fitted, "classes_")
    if classes is None:
        # Of an estimator of another library nothing tells that it is a regression.
        known = tuple(f"{flavor}." for flavor in COMPILABLE)
        return [] if hasattr(fitted, "predict") and type(fitted).__module__.startswith(known) else None
    if isinstance(classes, list) and classes and hasattr(classes[0], "tolist"):
        raise ServingError(f"it predicts {len(classes)} outputs; expected a model that predicts one; {ONE_OUTPUT_EACH}")
    found = classes.tolist() if hasattr(classes, "tolist") else list(classes)
    if not all(isinstance(label, (bool, int, float, str)) for label in found):
        kinds = sorted({type(label).__name__ for label in found})
        raise ServingError(f"its classes are of type {', '.join(kinds)}; expected texts, numbers or booleans")
    return found
