"""The scorecard of a model that MLflow keeps, by its URI."""

import re
import tempfile
import warnings
from pathlib import Path

from registry import client as registry_client
from registry.cli.text import one_line
from registry.errors import RegistryError
from serving.errors import ServingError
from serving.flavor import SCORECARD
from serving.scorecard import Input, Scorecard, ScorecardError, Unsupported
from serving.scorecard import compile as compile_pipeline
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER

_TYPES = {"string": CATEGORY, "boolean": BOOLEAN, "double": NUMBER, "float": NUMBER, "long": NUMBER, "integer": NUMBER}
_EXPECTED = "give models:/NAME/VERSION, models:/NAME@ALIAS, runs:/RUN/model, or a model's folder"


def scorecard(uri: str) -> Scorecard:
    """The scorecard of a model; compiled here where the model has none, but is a scikit-learn pipeline.

    Compiling loads the pipeline, which runs code where it is a pickle: do it with models that you trust.

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
    if uri and Path(uri).is_dir():
        return _read(Path(uri), uri)
    if not re.match(r"[A-Za-z][\w+.-]*:/", uri):
        raise ServingError(f"{uri!r} is no folder that is there, and no URI; {_EXPECTED}")
    if re.fullmatch(r"models:/(?!m-)[^/@]*/?", uri):
        raise ServingError(f"{uri} names no version; {_EXPECTED}")
    registry_client.connect()
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        try:
            with registry_client.speaking():
                from mlflow.artifacts import download_artifacts

                path = Path(download_artifacts(uri, dst_path=folder))
        except RegistryError as error:
            raise RegistryError(f"{uri} cannot be had: {error}") from error
        return _read(path, uri)


def registered(uri: str) -> tuple[str, str] | None:
    """The name and the number of the registered version that a URI means now; None where it means none.

    An alias, a stage and ``latest`` may mean another version a moment later: what is to be of one version asks once,
    and goes on with ``models:/NAME/NUMBER``.

    Raises
    ------
    RegistryError
        where there is no such model or alias, or the registry refuses.
    """
    found = re.fullmatch(r"models:/(?!m-[0-9a-f]{32}$)([^/]+?)(?:@([^/@]+)|/([^/@]+))", uri)
    if found is None:
        return None
    name, alias, version = found.groups()
    if version is not None and version.isdecimal():
        return name, version
    client = registry_client.connect()
    try:
        if alias is not None:
            with registry_client.speaking():
                return name, str(client.get_model_version_by_alias(name, alias).version)
        from registry import stages

        state = stages.read(client, name)
        there = [one for one in stages.STAGES if one.lower() == version.lower()]
        in_stage = state.in_stage(there[0]) if there else ()
        return name, (in_stage[0] if in_stage else state.version(version)).number
    except RegistryError as error:
        raise RegistryError(f"{uri} cannot be had: {error}") from error


def _read(path: Path, uri: str) -> Scorecard:
    if (path / SCORECARD).exists():
        try:
            return Scorecard.loads((path / SCORECARD).read_text(encoding="utf-8"))
        except (ScorecardError, UnicodeDecodeError) as error:
            raise ScorecardError(f"{uri}: its {SCORECARD} is refused: {error}") from None
    if not (path / "MLmodel").exists():
        raise ServingError(f"{uri} is no MLflow model: it has no file MLmodel; {_EXPECTED}")
    pipeline, inputs = _native(path, uri)
    try:
        return compile_pipeline(pipeline, inputs)
    except Unsupported as error:
        raise ServingError(f"{uri} has no scorecard, and none can be made: {error}") from None
    except ScorecardError as error:
        raise ScorecardError(f"{uri} has no scorecard, and none can be made: {error}") from None


def _native(path: Path, uri: str) -> tuple[object, list[Input] | None]:
    """The pipeline of a model's sklearn flavor, and the inputs of its signature."""
    registry_client.settle()
    import mlflow.sklearn
    from mlflow.models import Model

    registry_client.settle()  # importing MLflow sets the level of its own logger
    # What a pickle raises is as manifold as the classes in it.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            meta = Model.load(str(path))
            pipeline = mlflow.sklearn.load_model(str(path)) if "sklearn" in meta.flavors else None
    except Exception as error:
        raise ServingError(
            f"{uri} cannot be loaded ({type(error).__name__}: {one_line(error)}); "
            "install what its requirements.txt lists, in the releases it names"
        ) from error
    if pipeline is None:
        raise ServingError(
            f"{uri} has no scorecard, and no sklearn flavor to make one of; serve it with `mlflow models serve`"
        )
    return pipeline, _inputs(meta)


def _inputs(meta) -> list[Input] | None:
    """The inputs of a signature with column names; None where there is none, and the pipeline tells its own."""
    schema = meta.get_input_schema()
    if schema is None or not schema.has_input_names() or schema.is_tensor_spec():
        return None
    kinds = {one.name: getattr(one.type, "name", "") for one in schema.inputs}
    if not all(kind in _TYPES for kind in kinds.values()):
        return None
    return [Input(name, _TYPES[kind], integer=kind in ("long", "integer")) for name, kind in kinds.items()]
