"""Logs an MLflow model with two flavors: ``python_function``, the scorecard, and ``sklearn``, the native pipeline."""

import hashlib
import importlib.metadata
import shutil
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry import logs
from registry.client import speaking
from serving.models.files import SCORECARD
from serving.scorecard import Scorecard
from serving.scorecard.inputs import BOOLEAN, CATEGORY, Input
from serving.scorecard.scorecard import OUTPUTS

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.models.model import Model, ModelInfo
    from sklearn.pipeline import Pipeline

_log = logs.get_logger(__name__)

#: The packages that a model needs, pinned to the releases that it was trained with.
PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops")
#: Packages whose types a reader of the native pipeline may trust; the model lists those that it uses.
TRUSTED = ("numpy", "operator", "scipy", "sklearn")

_FORMAT_VERSION = 1
# Needed by training and exporting alone.
_LEFT_BEHIND = ("compiler", "parity.py", "exports", "schema.py", "schema.json", "__pycache__")


@dataclass(frozen=True)
class CarriedCode:
    """A user's own code that a pipeline needs wherever it is loaded.

    Parameters
    ----------
    paths : modules (files) and packages (folders) that are copied into the model.
    requirements : pins of the installed packages that they import.
    """

    paths: tuple[Path, ...] = ()
    requirements: tuple[str, ...] = ()

    @property
    def modules(self) -> frozenset[str]:
        """The top-level names of what is copied."""
        return frozenset(path.stem for path in self.paths)


def log_model(
    pipeline: "Pipeline",
    scorecard: Scorecard | None,
    *,
    inputs: Sequence[Input],
    classes: Sequence[Any],
    example: "pd.DataFrame",
    gaps: Collection[str] = (),
    scalars: Collection[str] = (),
    code: CarriedCode = CarriedCode(),
) -> "ModelInfo":
    """Log a fitted pipeline, and its scorecard, as one model of the active run.

    Parameters
    ----------
    scorecard : None if the pipeline has none; ``python_function`` is then the pipeline, too.
    inputs : the columns of the signature, in order.
    classes : the labels in order; empty for a regression.
    example : a few rows of input, shape (n_rows, n_inputs).
    gaps : the columns that had missing values in training.
    scalars : the categorical columns that held numbers or booleans in the table that training read.
    code : the user's own code that the pipeline needs.

    Raises
    ------
    RegistryError
        if the tracking server or the artifact store refuses.
    """
    import sys

    from mlflow.models.model import Model

    with speaking():
        return Model.log(
            artifact_path=None,
            name="model",
            flavor=sys.modules[__name__],
            pipeline=pipeline,
            scorecard=scorecard,
            signature=signature(inputs, classes, scorecard, gaps=gaps, scalars=scalars),
            input_example=example,
            carried=code,
        )


def save_model(
    path: str,
    pipeline: "Pipeline",
    scorecard: Scorecard | None,
    signature: "ModelSignature",
    input_example: "pd.DataFrame",
    mlflow_model: "Model | None" = None,
    carried: CarriedCode = CarriedCode(),
    **_: Any,
) -> None:
    """Write a model into a new folder; MLflow's ``Model.log`` calls this."""
    import mlflow
    import mlflow.sklearn
    from mlflow.models.model import MLMODEL_FILE_NAME, Model

    mlflow_model = mlflow_model or Model()
    with tempfile.TemporaryDirectory() as folder:
        code = carry(Path(folder)) if scorecard else None
        paths = [*([code] if code else []), *carried.paths]
        stored = _stored(pipeline, carried)
        mlflow.sklearn.save_model(
            pipeline,
            path,
            mlflow_model=mlflow_model,
            signature=signature,
            input_example=input_example,
            code_paths=[str(path) for path in paths] or None,
            pip_requirements=_requirements(stored["serialization_format"], carried),
            **stored,
        )
    if scorecard and code:
        Path(path, SCORECARD).write_text(scorecard.dumps(), encoding="utf-8")
        native = mlflow_model.flavors["python_function"]
        mlflow.pyfunc.add_to_model(
            mlflow_model,
            loader_module=f"{code.name}.loader",
            data=SCORECARD,
            code=native["code"],
            conda_env=native["env"]["conda"],
            python_env=native["env"]["virtualenv"],
        )
        mlflow_model.save(str(Path(path, MLMODEL_FILE_NAME)))


def _stored(pipeline: "Pipeline", carried: CarriedCode) -> dict[str, Any]:
    """How MLflow writes the native pipeline: by skops where all of its types may be trusted, else as a pickle."""
    import skops.io

    try:
        data = skops.io.dumps(pipeline)
        found = skops.io.get_untrusted_types(data=data)
        others = [name for name in found if name.split(".")[0] not in {*TRUSTED, *carried.modules}]
        if not others:
            if carried.paths:
                # It writes functions within functions, too, but does not read them.
                skops.io.loads(data, trusted=found)
            return {"serialization_format": "skops", "skops_trusted_types": found}
        reason = ", ".join(others[:3])
    except Exception as error:  # of types that skops does not know, each raises what it likes
        reason = type(error).__name__
    _log.warning("the native pipeline is stored as a pickle, because skops does not store it (%s)", reason)
    return {"serialization_format": "cloudpickle"}


def _requirements(form: str, carried: CarriedCode) -> list[str]:
    """The pins of the packages that a model needs; of two for one package, the user's code's is left out."""
    names = [*PACKAGES, *(["cloudpickle"] if form == "cloudpickle" else [])]
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in names]
    return [*pins, *(pin for pin in carried.requirements if pin.partition("==")[0].lower() not in names)]


def carry(folder: Path) -> Path:
    """Copy the scoring code into a folder, as a package named by its version and a hash of its content.

    So models of different releases load side by side, and none imports another ``serving`` package.
    """
    source = Path(__file__).parent / "scorecard"
    files = sorted(
        file
        for file in source.rglob("*")
        if file.suffix in (".py", ".json") and not any(part in _LEFT_BEHIND for part in file.relative_to(source).parts)
    )
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(source)}\n".encode())
        total.update(file.read_bytes())
    package = folder / f"scorecard_{_FORMAT_VERSION}_{total.hexdigest()[:8]}"
    for file in files:
        target = package / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return package


def signature(
    inputs: Sequence[Input],
    classes: Sequence[Any],
    scorecard: Scorecard | None = None,
    *,
    gaps: Collection[str] = (),
    scalars: Collection[str] = (),
) -> "ModelSignature":
    """The signature of a model.

    Numbers are ``double``, whole ones too, so that they may be missing. Text is ``string``, and so is a boolean column
    among ``gaps`` (those with missing values in training), because MLflow's scoring server turns a null ``boolean``
    into False. Columns without a weight are optional. A model with a scorecard takes ``params={"output": ...}``.

    With a scorecard to read them, two kinds of column are ``any``: a number with its own decimal or thousands marks,
    because MLflow refuses its text as ``double`` and its numbers as ``string``; and a category among ``scalars``,
    because MLflow refuses whole numbers and booleans as ``string``. MLflow's own scoring server cannot read CSV for a
    signature with ``any``.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    def type_of(column: Input) -> DataType | AnyType:
        marked = column.decimal != "." or column.thousands != ""
        if scorecard and (marked or (column.type == CATEGORY and column.name in scalars)):
            return AnyType()
        if column.type == CATEGORY or (column.type == BOOLEAN and column.name in gaps):
            return DataType.string
        return DataType.boolean if column.type == BOOLEAN else DataType.double

    optional = scorecard.optional if scorecard else frozenset()
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(type_of(column), column.name, required=column.name not in optional) for column in inputs
    ]
    answer = DataType.double
    if classes:
        kinds = {bool: DataType.boolean, int: DataType.long, float: DataType.double}
        answer = kinds.get(type(classes[0]), DataType.string)
    params = ParamSchema([ParamSpec("output", DataType.string, OUTPUTS[0])]) if scorecard else None
    return ModelSignature(
        inputs=Schema(columns),
        outputs=Schema([ColSpec(answer)]),
        params=params,  # type: ignore[arg-type]  # None is its own default
    )
