"""A registered version as evaluation asks it: by its scorecard, or by MLflow if it has none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from pipelines import columns
from pipelines.errors import PipelineError
from pipelines.marks import PLAIN, Marks
from pipelines.sources import Table
from registry import evidence
from registry.cli.text import listed
from registry.client import speaking
from registry.evidence import Evidence
from registry.evidence.files import read_holdout
from registry.holdout import HoldoutRule
from serving import models
from serving.errors import ServingError
from serving.models import native
from serving.scorecard import Scorecard
from serving.scorecard.inputs import NUMBER, Cleaning, Input, InputError

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Version:
    """A version that can be asked about the rows of a table.

    Parameters
    ----------
    name, number : of the registered model and the version.
    inputs : the columns it takes, with the rules by which their raw values are read.
    predict : table of the inputs -> answers, shape (n_rows,).
    probabilities : table -> shape (n_rows, n_classes); None if it has none.
    classes : its labels in order; empty for a regression, None if the model does not tell.
    scorecard : None if it has none.
    document : its training evidence; None if it has none.
    held_out : the keys of the rows that training held out, as 16 hex digits; empty if it has no evidence.
    """

    name: str
    number: str
    run_id: str | None
    inputs: Sequence[Input]
    cleaning: Cleaning
    predict: "Callable[[pd.DataFrame], np.ndarray]"
    probabilities: "Callable[[pd.DataFrame], np.ndarray] | None"
    classes: tuple[Any, ...] | None
    scorecard: Scorecard | None
    document: Evidence | None
    held_out: pa.Array
    model: models.ResolvedModel = field(repr=False)

    @property
    def title(self) -> str:
        """``diabetes version 3``."""
        return f"{self.name} version {self.number}"

    @property
    def rule(self) -> HoldoutRule | None:
        """The rule by which its training held rows out; None if it does not tell what it was trained on."""
        if self.document is None or self.document.holdout.possibly_trained_on:
            return None
        return self.document.holdout.rule

    def pipeline(self) -> Any:
        """The native scikit-learn pipeline; None if the model has none that loads here."""
        try:
            return native.pipeline(self.model.files, self.title)
        except ServingError:
            return None

    def read(self, table: Table) -> pd.DataFrame:
        """The table's rows as this version's inputs.

        Raises
        ------
        PipelineError
            if a column is missing, or a value is not of its input's type.
        """
        known = {item.name: table.known_as(item.name) for item in self.inputs}
        if missing := [name for name, column in known.items() if column is None]:
            raise PipelineError(
                f"{self.title} takes columns that the table lacks: {listed(missing)}; "
                f"it has {listed(table.columns.column_names)}"
            )
        return pd.DataFrame({item.name: self.column(table, item) for item in self.inputs}, copy=False)

    def column(self, table: Table, wanted: Input) -> pd.Series:
        """A column of a table as one of this version's inputs, read by the version's own rules.

        A version without a scorecard has no rule for the marks of numbers and the words for a missing value; those of
        the table apply.

        Raises
        ------
        PipelineError
            if a value is not of the input's type.
        """
        name = table.known_as(wanted.name) or wanted.name
        cleaning = table.cleaning if self.scorecard is None else self.cleaning
        if self.scorecard is None and wanted.type == NUMBER:
            marks = table.marks_of(name)
            wanted = Input(wanted.name, NUMBER, wanted.integer, wanted.null, marks.decimal, marks.thousands)
        try:
            return columns.convert(table.columns[name], wanted, cleaning)
        except InputError as error:
            marks = Marks(wanted.decimal, wanted.thousands)
            how = f" (it reads numbers with {marks})" if marks != PLAIN else ""
            raise PipelineError(f"{error}; {self.title} was not trained on such values{how}") from None


def fetch(client: "MlflowClient", uri: str, folder: Path) -> Version:
    """The version that a URI means now.

    Parameters
    ----------
    uri : a registered version's, as ``serving.models.find`` takes it; or ``NAME``, for its newest version.
    folder : where its files are put; keep it for as long as the version is asked.

    Raises
    ------
    PipelineError, ServingError, ScorecardError
        if the URI names no registered version, or the version cannot be loaded.
    RegistryError
        if the registry refuses.
    """
    model = models.find(_in_full(uri), client, folder=folder / "model")
    if model.name is None or model.version is None:
        raise PipelineError(
            f"{uri} is no registered version, so there is nowhere to keep its evidence; register it, and give NAME, "
            "models:/NAME/VERSION, models:/NAME@ALIAS or models:/NAME/STAGE"
        )
    document, held_out = _training(client, model.run_id, folder)
    card = model.scorecard
    asked = _by_scorecard(card) if card else native.load(model.files, f"{model.name} version {model.version}")
    return Version(
        name=model.name,
        number=model.version,
        run_id=model.run_id,
        inputs=asked.inputs,
        cleaning=card.cleaning if card else Cleaning(),
        predict=asked.predict,
        probabilities=asked.probabilities,
        classes=asked.classes,
        scorecard=card,
        document=document,
        held_out=held_out,
        model=model,
    )


def _in_full(uri: str) -> str:
    """A URI as it is; a bare ``NAME`` as the URI of its newest version."""
    if ":" in uri or "/" in uri:
        return uri
    return f"models:/{uri}" if "@" in uri else f"models:/{uri}/latest"


def _by_scorecard(card: Scorecard) -> native.Predictor:
    return native.Predictor(
        card.inputs, card.predict, card.probabilities if card.has_probabilities else None, tuple(card.classes or ())
    )


def _training(client: "MlflowClient", run_id: str | None, folder: Path) -> tuple[Evidence | None, pa.Array]:
    """The training evidence of a run, and the keys of the rows that it held out."""
    with speaking():
        if not run_id or not client.list_artifacts(run_id, evidence.TRAINING):
            return None, pa.array([], pa.string())
        training = Path(client.download_artifacts(run_id, evidence.TRAINING, str(folder)))
        document = evidence.read(training)
        return document, read_holdout(training / evidence.HOLDOUT, document.model)["key"].combine_chunks()
