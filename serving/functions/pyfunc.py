"""A model of MLflow's as what the contract asks: for models that no scorecard can say."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..scorecard.errors import Unsupported
from ..scorecard.inputs import ABSENT, MLFLOW_TYPES, WHOLE_TYPES, Input, InputError, named

if TYPE_CHECKING:
    import numpy as np


class Pyfunc:
    """A pyfunc with a signature, which answers as a ``Scorecard`` does, as far as it can.

    Parameters
    ----------
    model : what ``mlflow.pyfunc.load_model`` gives.

    Raises
    ------
    ValueError
        if it has no signature of named columns of numbers, text or booleans.
    """

    #: More rows than this are answered as a table: all.
    few = 0
    classes: tuple[str, ...] = ()
    has_probabilities = False

    def __init__(self, model: Any) -> None:
        schema = model.metadata.get_input_schema()
        if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
            raise ValueError("the model has no signature of named columns; log it with an input example")
        kinds = {one.name: getattr(one.type, "name", str(one.type)) for one in schema.inputs}
        for name, kind in kinds.items():
            if kind not in MLFLOW_TYPES:
                raise ValueError(f"the model's column {name!r} is {kind}; expected {', '.join(MLFLOW_TYPES)}")
        self._model, self._kinds = model, kinds
        # A column of whole numbers, or of booleans, holds no missing value in MLflow.
        self.inputs = tuple(
            Input(name, MLFLOW_TYPES[kind], integer=kind in WHOLE_TYPES, null=kind not in (*WHOLE_TYPES, "boolean"))
            for name, kind in kinds.items()
        )
        self.optional = frozenset(one.name for one in schema.inputs if not one.required)
        self.rows = self

    def predict(self, table: Mapping[str, Any]) -> "np.ndarray":
        """An array with an answer a row.

        Raises
        ------
        InputError
            if a value cannot be taken; names the row and the column.
        """
        import numpy as np
        import pandas as pd

        columns, series = named(table, frozenset(self._kinds)), {}
        for item in self.inputs:
            if item.name not in columns:
                if item.name in self.optional:
                    continue
                raise InputError(item.name, ABSENT)
            series[item.name] = pd.Series(_values(item, columns[item.name]), dtype=_dtype(self._kinds[item.name]))
        found = np.asarray(self._model.predict(pd.DataFrame(series)))
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found

    def predict_row(self, row: Mapping[str, Any]) -> Any:
        """The answer for a row; raises as ``predict`` does."""
        try:
            return self.predict({name: [value] for name, value in row.items()}).tolist()[0]
        except InputError as error:
            raise InputError(error.column, error.reason) from None

    def probabilities(self, table: Mapping[str, Any]) -> "np.ndarray":
        """Raises Unsupported: MLflow's pyfunc gives predictions alone."""
        raise Unsupported("", "a model without a scorecard", "it has no probabilities: ask for predictions")

    def probabilities_row(self, row: Mapping[str, Any]) -> list[float]:
        """Raises Unsupported: MLflow's pyfunc gives predictions alone."""
        raise Unsupported("", "a model without a scorecard", "it has no probabilities: ask for predictions")

    def needs_probabilities(self) -> None:
        """Raises Unsupported: MLflow's pyfunc gives predictions alone."""
        raise Unsupported("", "a model without a scorecard", "it has no probabilities: ask for predictions")

    def explain_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Raises Unsupported: there are no terms to tell."""
        raise Unsupported("", "a model without a scorecard", "it has no explanation: ask for predictions")


def _values(item: Input, raw: Iterable[Any]) -> list:
    found: list[float | str | None] = []
    for value in raw:
        try:
            found.append(item.read(value))
        except InputError as error:
            raise error.at(len(found)) from None
    return found


def _dtype(kind: str) -> str:
    names = {"string": "object", "boolean": "bool", "double": "float64", "float": "float32"}
    return names.get(kind) or {"long": "int64", "integer": "int32"}[kind]
