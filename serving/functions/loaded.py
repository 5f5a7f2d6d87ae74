"""A loaded MLflow model that answers checked requests, alone or several at once; it needs MLflow and nothing else."""

import io
import json
import math
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .columns import Column
from .signature import CSV, PyfuncInput, Signature

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Flavors whose models answer each row by itself, so that rows of several requests may be answered at once.
BY_ROW = frozenset({"mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm", "mlflow.catboost"})
#: NumPy's types of the columns that come as bytes: of the bytes, and of the column.
_DTYPES = {
    **{"double": ("<f8", "float64"), "float": ("<f8", "float32"), "long": ("<i8", "int64")},
    **{"integer": ("<i8", "int32"), "boolean": ("?", "bool")},
}


class InvalidInput(Exception):
    """A request that does not fit the model's signature."""


class LoadedPyfunc:
    """A model that ``mlflow.pyfunc.load_model`` gave.

    Attributes
    ----------
    by_row : whether several requests may be answered at once.
    """

    def __init__(self, model: Any) -> None:
        about = model.metadata.to_dict()
        self._model, self.signature = model, Signature(about)
        self._hinted = bool(about.get("is_signature_from_type_hint"))
        self._schema = model.metadata.get_input_schema()
        self.by_row = (
            not self.signature.loose
            and not self.signature.params
            and model.metadata.flavors["python_function"].get("loader_module") in BY_ROW
        )
        if not self.signature.loose and not self.signature.params:
            # The columns have the signature's types already: checking them again takes longer than many a model.
            model.metadata.signature = None

    def predict(self, asked: PyfuncInput) -> Any:
        """The model's answer to a request, as the model gives it.

        Raises
        ------
        InvalidInput
            if the request does not fit the signature.
        Exception
            what the model raises.
        """
        if asked.columns_ is not None:
            return self._asked(frame(asked.columns_), asked.params)
        from mlflow.exceptions import MlflowException

        try:
            data = self._data(asked.value or {})
        except Exception:  # what pandas and NumPy raise of data of another shape is manifold
            raise InvalidInput from None
        try:
            return self._asked(data, asked.params)
        except MlflowException as error:
            # MLflow compares the data with the signature here.
            raise (InvalidInput if self.signature.known else error) from None

    def predict_all(self, asked: Sequence[PyfuncInput]) -> list[Any] | None:
        """The answers to several requests from one call of the model; None if they cannot be told apart.

        Raises
        ------
        Exception
            what the model raises.
        """
        columns = [request.columns_ or [] for request in asked]
        names = [[column.name for column in found] for found in columns]
        if not self.by_row or any(found != names[0] for found in names):
            return None
        found = self._asked(frame([_joined(same) for same in zip(*columns, strict=True)]), {})
        if not hasattr(found, "__len__") or len(found) != sum(request.count for request in asked):
            return None
        rows = getattr(found, "iloc", found)
        parts, start = [], 0
        for request in asked:
            parts.append(rows[start : start + request.count])
            start += request.count
        return parts

    def _asked(self, data: Any, params: dict[str, Any]) -> Any:
        return self._model.predict(data, params=params) if params else self._model.predict(data)

    def _data(self, value: dict[str, Any]) -> Any:
        """What the model is asked, as MLflow's own server makes it of a request."""
        from mlflow.pyfunc import scoring_server

        if self._hinted:
            return value["inputs"]
        if CSV in value:
            import csv

            text = io.StringIO()
            csv.writer(text).writerows([value[CSV]["columns"], *value[CSV]["data"]])
            text.seek(0)
            schema = self._schema
            named = schema is not None and schema.has_input_names() and not schema.is_tensor_spec()
            return scoring_server.parse_csv_input(text, schema=schema if named else None)  # type: ignore[arg-type]
        return scoring_server.infer_and_parse_data(value, self._schema)


def frame(columns: Sequence[Column]) -> "pd.DataFrame":
    """A DataFrame of columns, with the types that MLflow's signature gives them."""
    import numpy as np
    import pandas as pd

    if columns and all(column.type == "double" for column in columns):
        # One block instead of many: faster to make, and for the model to read.
        block = np.stack([np.frombuffer(column.data, "<f8") for column in columns], axis=1)  # type: ignore[arg-type]
        return pd.DataFrame(block, columns=[column.name for column in columns])
    return pd.DataFrame({column.name: _values(column) for column in columns})


def _values(column: Column) -> "np.ndarray | pd.Series":
    import numpy as np
    import pandas as pd

    if isinstance(column.data, bytes):
        given, wanted = _DTYPES[column.type]
        return np.frombuffer(column.data, given).astype(wanted)
    if column.type == "datetime":
        return pd.to_datetime(pd.Series(column.data, dtype="object"), format="ISO8601").astype("datetime64[ns]")
    return pd.Series(column.data, dtype="object")


def _joined(same: Sequence[Column]) -> Column:
    first = same[0]
    data: Any = []
    if isinstance(first.data, bytes):
        data = b"".join(column.data for column in same)  # type: ignore[misc]
    else:
        for column in same:
            data += column.data
    return Column(first.name, first.type, data)


def encoded(found: Any) -> tuple[str, bytes]:
    """An answer as it is sent: ``d`` and little-endian float64, ``q`` and int64, or ``j`` and JSON.

    JSON is as MLflow's own server writes it, except that numbers that are not finite are null.
    """
    import numpy as np

    if isinstance(found, np.ndarray) and found.ndim == 1:
        if found.dtype.kind == "f" and found.dtype.itemsize <= 8:
            return "d", found.astype("<f8").tobytes()
        if found.dtype.kind == "i":
            return "q", found.astype("<i8").tobytes()
    from mlflow.pyfunc.scoring_server import predictions_to_json

    text = io.StringIO()
    predictions_to_json(found, text)
    written = text.getvalue()
    if "NaN" in written or "Infinity" in written:
        written = json.dumps(_finite(json.loads(written)))
    return "j", written.encode()


def decoded(code: str, content: bytes) -> Any:
    """The answer that ``encoded`` wrote, as values of JSON."""
    if code == "j":
        return json.loads(content)["predictions"]
    found = array(code)
    found.frombytes(content)
    return found.tolist()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return value
