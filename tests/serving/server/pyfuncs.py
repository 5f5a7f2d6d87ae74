"""Models that only MLflow can answer for: a forest, one that misbehaves when it is asked to, and odd signatures."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

REQUIREMENTS = [f"mlflow=={mlflow.__version__}"]

#: A model that does what its column ``do`` says, and doubles ``x``.
UNRULY = """
import os
import sys
import time

import mlflow

WAIT = {wait!r}
while WAIT and not os.path.exists(WAIT):
    time.sleep(0.01)
KEPT = []


class Unruly(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        do = model_input["do"].iloc[0]
        if do == "raise":
            raise ValueError("a secret of the request: " + do)
        if do == "exit":
            sys.exit(3)
        if do == "die":
            os._exit(3)
        if do == "sleep":
            time.sleep(60)
        if do == "print":
            print("printed", model_input["do"].tolist())
            os.write(1, b"written")
            os.write(2, b"told")
        if do == "leak":
            while True:
                KEPT.append(bytearray(50_000_000))
        if do == "fork":
            if os.fork() == 0:
                return [0.0]
        if do == "child":
            if os.fork() == 0:
                time.sleep(600)
        if do == "nan":
            return [float("nan")] * len(model_input)
        if do == "pid":
            return [os.getpid()] * len(model_input)
        return (model_input["x"] * {factor}).to_numpy()


mlflow.models.set_model(Unruly())
"""


def forest(folder: Path, answer: float = 0.0) -> Path:
    """A forest of two numbers, ``age`` and ``weight``, trained on ``2 age + weight + answer``."""
    from sklearn.ensemble import RandomForestRegressor

    table = pd.DataFrame(np.random.default_rng(0).normal(40, 9, size=(60, 2)), columns=["age", "weight"])
    fitted = RandomForestRegressor(10, random_state=0).fit(table, 2 * table["age"] + table["weight"] + answer)
    signature = infer_signature(table, fitted.predict(table))
    quietly(
        mlflow.sklearn.save_model,
        fitted,
        str(folder),
        signature=signature,
        input_example=table.head(1),
        serialization_format="cloudpickle",
        pip_requirements=REQUIREMENTS,
    )
    return folder


def unruly(folder: Path, *, factor: float = 2.0, wait: Path | None = None) -> Path:
    """The model of ``UNRULY``; ``wait`` is a file that its loading waits for."""
    code = folder.with_name(f"{folder.name}.py")
    code.write_text(UNRULY.format(factor=factor, wait=str(wait) if wait else ""))
    schema = Schema([ColSpec("double", "x"), ColSpec("string", "do")])
    return custom(folder, str(code), ModelSignature(schema, Schema([TensorSpec(np.dtype("float64"), (-1,))])))


def custom(folder: Path, model: Any, signature: ModelSignature | None, example: Any = None) -> Path:
    """A model of one's own."""
    quietly(
        mlflow.pyfunc.save_model,
        str(folder),
        python_model=model,
        signature=signature,
        input_example=example,
        pip_requirements=REQUIREMENTS,
    )
    return folder


class Function(mlflow.pyfunc.PythonModel):
    """A model that is a function of its input and its parameters."""

    def __init__(self, function: Callable[[Any, dict], Any]):
        self.function = function

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        return self.function(model_input, params or {})


def columns(**types: str) -> Schema:
    """A schema of named columns."""
    return Schema([ColSpec(type, name) for name, type in types.items()])


def tensor(dtype: str, *shape: int, name: str | None = None) -> TensorSpec:
    """A tensor of a schema."""
    return TensorSpec(np.dtype(dtype), shape, name)


def parameters(**defaults: Any) -> ParamSchema:
    """Parameters with their defaults."""
    types = {float: "double", int: "long", str: "string", bool: "boolean"}
    return ParamSchema([ParamSpec(name, types[type(value)], value) for name, value in defaults.items()])


def quietly(save: Callable, *words: Any, **more: Any) -> None:
    """Save a model without MLflow's warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save(*words, **more)
    finally:
        logging.disable(before)
