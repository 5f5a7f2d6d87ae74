"""What MLflow itself makes of a model: its scikit-learn pipeline, its signature, its own answers."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry import client as registry_client
from registry.cli.text import one_line
from serving.errors import ServingError
from serving.scorecard.inputs import MLFLOW_TYPES, Input

from .files import Files

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from mlflow.models import Model as LoggedModel
    from mlflow.types import Schema

_WHOLE = ("long", "integer")
# What MLflow wants columns of these types to be.
_DTYPES = {"long": "int64", "integer": "int32", "float": "float32", "boolean": "bool"}


@dataclass(frozen=True)
class Predictor:
    """A model that answers by MLflow, and by scikit-learn's own methods if it has that flavor.

    Parameters
    ----------
    inputs : the columns of its signature, in order.
    predict : table of the inputs -> answers, shape (n_rows,).
    probabilities : table -> shape (n_rows, n_classes); None if it has none.
    classes : its labels in order; empty for a regression, None if the model does not tell.
    """

    inputs: tuple[Input, ...]
    predict: "Callable[[pd.DataFrame], np.ndarray]"
    probabilities: "Callable[[pd.DataFrame], np.ndarray] | None"
    classes: tuple[Any, ...] | None


def load(files: Files, called: str) -> Predictor:
    """Load a model by MLflow, which runs its code.

    Raises
    ------
    ServingError
        if it does not load, or has no signature with column names of numbers, text and booleans.
    RegistryError
        if its files cannot be fetched.
    """
    registry_client.settle()
    import mlflow
    import numpy as np

    folder = str(files.folder())
    pyfunc = _loading(called, lambda: mlflow.pyfunc.load_model(folder))
    fitted = pipeline(files, called)
    schema = pyfunc.metadata.get_input_schema()
    if schema is None or not schema.has_input_names():
        raise ServingError(f"{called} has no signature with column names; log it with a signature")
    columns = _inputs(schema)
    if columns is None:
        raise ServingError(f"{called} takes columns that are neither numbers nor text nor booleans: {schema}")
    classes = getattr(fitted, "classes_", None)
    return Predictor(
        inputs=tuple(columns),
        predict=lambda table: np.asarray(pyfunc.predict(_typed(table, schema))),
        probabilities=getattr(fitted, "predict_proba", None),
        classes=None if fitted is None else tuple(classes.tolist()) if classes is not None else (),
    )


def pipeline(files: Files, called: str) -> Any:
    """The pipeline of a model's sklearn flavor; None if it has no such flavor.

    Raises
    ------
    ServingError
        if it does not load here.
    RegistryError
        if its files cannot be fetched.
    """
    registry_client.settle()
    import mlflow.sklearn

    if "sklearn" not in _logged(files, called).flavors:
        return None
    folder = str(files.folder())
    return _loading(called, lambda: mlflow.sklearn.load_model(folder))


def inputs(files: Files, called: str) -> list[Input] | None:
    """The inputs of a model's signature; None if it names no columns, or has types that no scorecard has."""
    schema = _logged(files, called).get_input_schema()
    if schema is None or not schema.has_input_names() or schema.is_tensor_spec():
        return None
    return _inputs(schema)


def _logged(files: Files, called: str) -> "LoggedModel":
    registry_client.settle()
    from mlflow.models import Model as LoggedModel

    folder = str(files.folder())
    return _loading(called, lambda: LoggedModel.load(folder))


def _loading(called: str, load: Callable[[], Any]) -> Any:
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


def _inputs(schema: "Schema") -> list[Input] | None:
    kinds = _kinds(schema)
    if not all(kind in MLFLOW_TYPES for kind in kinds.values()):
        return None
    return [Input(name, MLFLOW_TYPES[kind], integer=kind in _WHOLE) for name, kind in kinds.items()]


def _typed(table: "pd.DataFrame", schema: "Schema") -> "pd.DataFrame":
    """The table with columns of the types that MLflow wants, where no value is missing."""
    wanted = {name: _DTYPES[kind] for name, kind in _kinds(schema).items() if kind in _DTYPES}
    return table.astype({name: kind for name, kind in wanted.items() if name in table and not table[name].isna().any()})


def _kinds(schema: "Schema") -> dict[str, str]:
    return {str(column.name): getattr(column.type, "name", str(column.type)) for column in schema.inputs}
