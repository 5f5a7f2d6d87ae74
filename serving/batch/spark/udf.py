"""Scores by MLflow's ``spark_udf``, for a version without a scorecard: the model runs in Python beside Spark."""

import logging
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

from serving.batch import answers, matching
from serving.batch.answers import PREDICTION, AnswerPlan
from serving.batch.request import ScoreRequest
from serving.batch.spark.errors import UNFIT
from serving.batch.spark.expression import quoted
from serving.batch.spark.source import SparkTable
from serving.errors import ServingError
from serving.functions.signature import Signature

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from serving.models import ResolvedModel

#: Spark's type of each of MLflow's.
_TYPES = {"double": "double", "float": "float", "long": "bigint", "integer": "int", "boolean": "boolean",
          "string": "string", "datetime": "timestamp", "binary": "binary"}  # fmt: skip
#: The same of NumPy's, as a signature has them of an array.
_ARRAYS = {"float64": "double", "float32": "float", "int64": "bigint", "int32": "int", "bool": "boolean",
           "str": "string", "object": "string"}  # fmt: skip


class Udf:
    """A model as a function of Spark's.

    Parameters
    ----------
    table : its raw rows.

    Raises
    ------
    ServingError
        if the model has no signature by columns, or the table lacks one of them.
    """

    classes = None
    has_probabilities = False
    kind = "pyfunc"

    def __init__(self, session: "SparkSession", model: "ResolvedModel", table: SparkTable) -> None:
        self._session, self._model = session, model
        self._signature = Signature(model.about)
        if self._signature.loose:
            raise ServingError(
                f"{model} has neither a scorecard nor a signature with columns of plain types, by which Spark could "
                "ask it; log it with a signature"
            )
        known, optional = self._signature.types, self._signature.optional
        names = matching.meant(table.address, table.frame.columns, list(known), optional=optional)
        self._frame = table.frame.withColumnsRenamed(names)
        self._partitions = table.partitions

    def plan(self, request: ScoreRequest, *, version: str, scored_at: datetime) -> AnswerPlan:
        """The columns of the output; raises ServingError if the model has none of what is asked for."""
        kept = [name for name in self._frame.columns if name not in self._partitions]
        return answers.plan(self, kept, request, version=version, scored_at=scored_at)

    def answers(self, keep: tuple[str, ...]) -> "DataFrame":
        """The answers to all rows beside columns that are kept."""
        import mlflow
        from pyspark.sql import functions as f

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        score = mlflow.pyfunc.spark_udf(
            self._session, str(self._model.files.folder()), result_type=self._result_type(), env_manager="local"
        )
        kinds = dict(self._frame.dtypes)
        columns = [
            self._cast(name, kinds[name], _TYPES[kind]).alias(name)
            for name, kind in self._signature.types.items()
            if name in kinds
        ]
        kept = [f.col(quoted(name)) for name in keep]
        return self._frame.select(*kept, score(f.struct(*columns)).alias(PREDICTION))

    def _cast(self, name: str, kind: str, wanted: str) -> "Column":
        """A column in the type of the signature; a value that cannot be one fails the job."""
        from pyspark.sql import functions as f

        column = f.col(quoted(name))
        if kind == wanted:
            return column
        # An empty cell of a text file is a missing value.
        given = f.when(f.trim(column) != "", column) if kind == "string" else column
        fails = f.raise_error(f"{UNFIT} the column {name!r} has a value that is no {wanted}")
        found = given.try_cast(wanted)
        return f.when(found.isNull() & given.isNotNull(), fails.cast(wanted)).otherwise(found)

    def _result_type(self) -> Any:
        """Spark's type of a prediction."""
        import json

        given = (self._model.about.get("signature") or {}).get("outputs")
        parts = json.loads(given) if isinstance(given, str) else given
        if not parts:
            return "double"
        if len(parts) > 1:
            raise ServingError(f"{self._model} has no scorecard and gives several columns; Spark is asked for one")
        kind = parts[0].get("type")
        if kind == "tensor":
            array = parts[0].get("tensor-spec", {})
            found = _ARRAYS.get(str(array.get("dtype")))
            return _wide(found) if found and len(array.get("shape", ())) == 1 else None
        return _wide(_TYPES.get(kind))


def _wide(kind: str | None) -> str | None:
    """A type of predictions: whole numbers have 64 bits in every output."""
    return "bigint" if kind == "int" else kind
