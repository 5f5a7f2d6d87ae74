"""The scorecard of a model that MLflow keeps, by its URI."""

import os
import tempfile
import warnings
from pathlib import Path

from registry import client as registry_client
from serving.errors import ServingError
from serving.flavor import SCORECARD
from serving.scorecard import Input, Scorecard, Unsupported
from serving.scorecard import compile as compile_pipeline
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER

_TYPES = {"string": CATEGORY, "boolean": BOOLEAN, "double": NUMBER, "float": NUMBER, "long": NUMBER, "integer": NUMBER}
_ELSEWHERE = "serve it with `mlflow models serve`"


def scorecard(uri: str) -> Scorecard:
    """The scorecard of a model; compiled here where the model has none, but is a scikit-learn pipeline.

    Parameters
    ----------
    uri : ``models:/NAME/3``, ``models:/NAME@champion``, ``runs:/RUN/model``, or the path of a model's folder.

    Raises
    ------
    RegistryError
        where there is no such model, or the registry refuses.
    ScorecardError
        where the scorecard is damaged or of another version.
    ServingError
        where the model is none that a scorecard can say.
    """
    if os.path.isdir(uri):
        return _read(Path(uri), uri)
    client = registry_client.connect()
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder, registry_client.speaking():
        del client
        from mlflow.artifacts import download_artifacts

        return _read(Path(download_artifacts(uri, dst_path=folder)), uri)


def _read(path: Path, uri: str) -> Scorecard:
    if (path / SCORECARD).exists():
        return Scorecard.loads((path / SCORECARD).read_text(encoding="utf-8"))
    if not (path / "MLmodel").exists():
        raise ServingError(f"{uri} is no MLflow model: it has no file MLmodel; give models:/NAME/VERSION")
    registry_client.settle()
    import mlflow.sklearn
    from mlflow.models import Model

    meta = Model.load(str(path))
    if "sklearn" not in meta.flavors:
        raise ServingError(f"{uri} has no scorecard, and no sklearn flavor to make one of; {_ELSEWHERE}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = mlflow.sklearn.load_model(str(path))
    try:
        return compile_pipeline(pipeline, _inputs(meta))
    except Unsupported as error:
        raise ServingError(f"{uri} has no scorecard, and none can be made: {error}; {_ELSEWHERE}") from None


def _inputs(meta) -> list[Input] | None:
    """The inputs of a signature with column names; None where there is none, and the pipeline tells its own."""
    schema = meta.get_input_schema()
    if schema is None or not schema.has_input_names() or schema.is_tensor_spec():
        return None
    kinds = {one.name: getattr(one.type, "name", "") for one in schema.inputs}
    if not all(kind in _TYPES for kind in kinds.values()):
        return None
    return [Input(name, _TYPES[kind], integer=kind in ("long", "integer")) for name, kind in kinds.items()]
