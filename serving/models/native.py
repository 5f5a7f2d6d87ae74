"""What MLflow itself makes of a model: its scikit-learn pipeline, its signature, its own answers."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry import client as registry_client
from registry.cli.text import one_line
from serving.errors import ServingError
from serving.functions.pyfunc import Pyfunc
from serving.scorecard.inputs import MLFLOW_TYPES, WHOLE_TYPES, Input

from .files import Files

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from mlflow.models import Model as LoggedModel


@dataclass(frozen=True)
class Predictor:
    """A model that answers tables of its inputs.

    Parameters
    ----------
    inputs : the columns that it takes, in order.
    predict : table -> answers, shape (n_rows,).
    probabilities : table -> shape (n_rows, n_classes); None if it has none.
    classes : its labels in order; empty for a regression, None if the model does not tell.
    """

    inputs: tuple[Input, ...]
    predict: "Callable[[pd.DataFrame], np.ndarray]"
    probabilities: "Callable[[pd.DataFrame], np.ndarray] | None"
    classes: tuple[Any, ...] | None


def load(files: Files, called: str) -> Predictor:
    """Load a model by MLflow, and its pipeline if it has a sklearn flavor, which runs the model's code.

    Raises
    ------
    ServingError
        if it does not load, or has no signature of named columns of numbers, text and booleans.
    RegistryError
        if its files cannot be fetched.
    """
    fitted = pipeline(files, called)
    import mlflow

    folder = str(files.folder())
    try:
        pyfunc = Pyfunc(_loaded(called, lambda: mlflow.pyfunc.load_model(folder)))
    except ValueError as error:
        raise ServingError(f"{called} cannot be asked: {error}") from None
    classes: tuple[Any, ...] | None = None
    if fitted is not None:
        classes = tuple(fitted.classes_.tolist()) if hasattr(fitted, "classes_") else ()
    return Predictor(pyfunc.inputs, pyfunc.predict, getattr(fitted, "predict_proba", None), classes)


def pipeline(files: Files, called: str) -> Any:
    """The pipeline of a model's sklearn flavor; None if it has no such flavor.

    Raises
    ------
    ServingError
        if it does not load here.
    RegistryError
        if its files cannot be fetched.
    """
    if "sklearn" not in _logged(files, called).flavors:
        return None
    import mlflow.sklearn

    folder = str(files.folder())
    return _loaded(called, lambda: mlflow.sklearn.load_model(folder))


def inputs(files: Files, called: str) -> list[Input] | None:
    """The inputs of a model's signature; None if it names no columns, or has types that no scorecard has."""
    schema = _logged(files, called).get_input_schema()
    if schema is None or not schema.has_input_names() or schema.is_tensor_spec():
        return None
    types = {column.name: getattr(column.type, "name", "") for column in schema.inputs}
    if not MLFLOW_TYPES.keys() >= set(types.values()):
        return None
    return [Input(name, MLFLOW_TYPES[kind], integer=kind in WHOLE_TYPES) for name, kind in types.items()]


def _logged(files: Files, called: str) -> "LoggedModel":
    registry_client.settle()
    from mlflow.models import Model as LoggedModel

    folder = str(files.folder())
    return _loaded(called, lambda: LoggedModel.load(folder))


def _loaded(called: str, load: Callable[[], Any]) -> Any:
    registry_client.settle()  # importing MLflow sets the level of its own logger
    # What a pickle raises is as manifold as the classes in it.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load()
    except Exception as error:
        raise ServingError(
            f"{called} cannot be loaded ({type(error).__name__}: {one_line(error)}); "
            "install what its requirements.txt lists, in the releases it names"
        ) from error
