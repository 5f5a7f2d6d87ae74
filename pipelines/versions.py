"""A registered version, fetched and ready to answer: by its scorecard, or by MLflow where it has none."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines import columns
from pipelines.errors import PipelineError
from pipelines.marks import PLAIN, Marks
from pipelines.sources import Table
from registry import evidence, stages
from registry.cli.text import listed, one_line
from registry.client import speaking
from registry.evidence import Evidence
from registry.evidence.files import read_holdout
from registry.holdout import HoldoutRule
from serving import flavor, models
from serving.scorecard import Scorecard
from serving.scorecard.inputs import BOOLEAN, CATEGORY, NUMBER, Cleaning, Input, InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_TYPES = {"string": CATEGORY, "boolean": BOOLEAN, "double": NUMBER, "float": NUMBER, "long": NUMBER, "integer": NUMBER}


@dataclass(frozen=True)
class Version:
    """A version that can be asked.

    Parameters
    ----------
    name, number : of the registered model and the version.
    inputs : the columns it takes, with the rules by which their raw values are read.
    predict : table of the inputs -> answers, shape (n_rows,).
    probabilities : table -> shape (n_rows, n_classes); None where it has none.
    classes : its labels in order; empty for a regression, None where the model does not tell.
    document : its training evidence; None where it has none.
    held_out : the keys of the rows that training held out, as 16 hex digits; empty where it has no evidence.
    """

    name: str
    number: str
    run_id: str | None
    inputs: Sequence[Input]
    cleaning: Cleaning
    predict: Callable[[pd.DataFrame], np.ndarray]
    probabilities: Callable[[pd.DataFrame], np.ndarray] | None
    classes: tuple[Any, ...] | None
    scorecard: Scorecard | None
    document: Evidence | None
    held_out: pa.Array
    path: Path

    @property
    def title(self) -> str:
        return f"{self.name} version {self.number}"

    @property
    def rule(self) -> HoldoutRule | None:
        """By which rule its training held rows out; None where it does not tell what it was trained on."""
        if self.document is None or self.document.holdout.possibly_trained_on:
            return None
        return self.document.holdout.rule

    def pipeline(self) -> Any:
        """The native scikit-learn pipeline; None where the model has none."""
        if not (self.path / "MLmodel").exists():
            return None
        import mlflow

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return mlflow.sklearn.load_model(str(self.path))
            except Exception:
                return None

    def read(self, table: Table) -> pd.DataFrame:
        """The table's rows as this version's inputs.

        Raises
        ------
        PipelineError
            where a column is not there, or a value is not of its input's type.
        """
        found = {one.name: table.known_as(one.name) for one in self.inputs}
        if missing := [name for name, column in found.items() if column is None]:
            raise PipelineError(
                f"{self.title} takes columns that the table lacks: {listed(missing)}; "
                f"it has {listed(table.columns.column_names)}"
            )
        values = {one.name: self.column(table, one) for one in self.inputs}
        return pd.DataFrame(values, copy=False)

    def column(self, table: Table, wanted: Input) -> pd.Series:
        """A column of a table that is there as one of this version's inputs, by the version's own rules.

        A version without a scorecard has none for the marks of numbers: then it is those of the table.

        Raises
        ------
        PipelineError
            where a value is not of the input's type.
        """
        name = table.known_as(wanted.name) or wanted.name
        if self.scorecard is None and wanted.type == NUMBER:
            marks = table.marks_of(name)
            wanted = Input(wanted.name, NUMBER, wanted.integer, wanted.null, marks.decimal, marks.thousands)
        try:
            return columns.convert(table.columns[name], wanted, self.cleaning)
        except InputError as error:
            marks = Marks(wanted.decimal, wanted.thousands)
            how = f" (it reads numbers with {marks})" if marks != PLAIN else ""
            raise PipelineError(f"{error}; {self.title} was not trained on such values{how}") from None


def fetch(client: "MlflowClient", uri: str, folder: Path) -> Version:
    """The version of a URI.

    Parameters
    ----------
    uri : ``models:/NAME/3``, ``models:/NAME/Production``, ``models:/NAME@champion``; ``models:/NAME/latest`` or
        ``NAME``: its newest.
    folder : where its files are put; it has to stay as long as the version is asked.

    Raises
    ------
    PipelineError
        where the URI names no version, or the version cannot be loaded.
    RegistryError
        where the registry refuses.
    """
    with speaking():
        found = _resolve(client, uri)
        from mlflow.artifacts import download_artifacts

        path = Path(download_artifacts(f"models:/{found.name}/{found.version}", dst_path=str(folder / "model")))
        document, held_out = None, pa.array([], pa.string())
        if found.run_id and client.list_artifacts(found.run_id, evidence.TRAINING):
            training = Path(client.download_artifacts(found.run_id, evidence.TRAINING, str(folder)))
            document = evidence.read(training)
            held_out = read_holdout(training / evidence.HOLDOUT, document.model)["key"].combine_chunks()
    if (path / flavor.SCORECARD).exists():
        card = models.scorecard(str(path))
        return Version(
            name=found.name,
            number=str(found.version),
            run_id=found.run_id,
            inputs=card.inputs,
            cleaning=card.cleaning,
            predict=card.predict,
            probabilities=card.probabilities if card.has_probabilities else None,
            classes=tuple(card.classes or ()),
            scorecard=card,
            document=document,
            held_out=held_out,
            path=path,
        )
    return _by_mlflow(found, path, document, held_out)


def _resolve(client: "MlflowClient", uri: str):
    name, _, rest = uri.removeprefix("models:/").partition("/")
    name, _, alias = name.partition("@")
    if alias:
        return client.get_model_version_by_alias(name, alias)
    if rest.isdigit():
        return stages.model_version(client, name, rest)
    if rest and rest != stages.LATEST:
        found = stages.versions_in(client, name, rest.capitalize())
        if not found:
            raise PipelineError(f"{uri}: no version of {name!r} is in stage {rest!r}")
        return found[0]
    return stages.model_version(client, name, stages.read(client, name).version(stages.LATEST).number)


def _by_mlflow(found, path: Path, document: Evidence | None, held_out: pa.Array) -> Version:
    """A version that was logged by other means: scikit-learn's own methods where it has that flavor."""
    import mlflow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = mlflow.pyfunc.load_model(str(path))
            native = mlflow.sklearn.load_model(str(path)) if "sklearn" in model.metadata.flavors else None
    except Exception as error:
        raise PipelineError(f"{found.name} version {found.version} cannot be loaded: {one_line(error)}") from error
    schema = model.metadata.get_input_schema()
    if schema is None or not schema.has_input_names():
        raise PipelineError(
            f"{found.name} version {found.version} has no signature with column names; log it with a signature"
        )
    classes = getattr(native, "classes_", None)
    return Version(
        name=found.name,
        number=str(found.version),
        run_id=found.run_id,
        inputs=tuple(
            Input(one.name, _type(one.type), integer=str(one.type).endswith(("long", "integer")))
            for one in schema.inputs
        ),
        cleaning=Cleaning(),
        predict=lambda table: np.asarray(model.predict(_typed_for(table, schema))),
        probabilities=getattr(native, "predict_proba", None),
        classes=None if native is None else tuple(classes.tolist()) if classes is not None else (),
        scorecard=None,
        document=document,
        held_out=held_out,
        path=path,
    )


def _type(kind) -> str:
    name = getattr(kind, "name", str(kind))
    if name not in _TYPES:
        raise PipelineError(f"a model that takes {name} columns cannot be judged on a table; expected numbers and text")
    return _TYPES[name]


def _typed_for(table: pd.DataFrame, schema) -> pd.DataFrame:
    """The table with whole-number columns as such, which MLflow wants for ``long`` and ``integer``."""
    kinds = {one.name: getattr(one.type, "name", "") for one in schema.inputs}
    wanted = {"long": "int64", "integer": "int32", "float": "float32", "boolean": "bool"}
    return table.astype(
        {
            name: wanted[kind]
            for name, kind in kinds.items()
            if kind in wanted and name in table and not table[name].isna().any()
        }
    )
