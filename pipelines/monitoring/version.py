"""The version that is monitored, with its evidence: what its rows and answers were like in training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from msgspec import UNSET

from pipelines.errors import PipelineError
from pipelines.evaluation.metrics import Answers
from registry import stages
from registry.evidence import Evidence
from registry.evidence.document import ScoreProfile
from registry.evidence.fetch import fetch_evidence
from serving import models
from serving.models import ResolvedModel
from serving.scorecard import Scorecard
from serving.scorecard.inputs import Cleaning, Input

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class MonitoredVersion:
    """A registered version and its evidence.

    Parameters
    ----------
    inputs : its raw columns, of which the profile tells.
    answers : those on the held-out rows.
    card : its scorecard; None if it has none.
    """

    model: ResolvedModel
    name: str
    version: str
    document: Evidence
    inputs: tuple[Input, ...]
    answers: Answers
    card: Scorecard | None

    @property
    def cleaning(self) -> Cleaning:
        """How text is read."""
        return self.card.cleaning if self.card else Cleaning()

    @property
    def classes(self) -> tuple:
        """The labels in order; empty for a regression."""
        return self.answers.classes

    @property
    def scores(self) -> list[ScoreProfile]:
        """The scores of the training rows; empty where the evidence has none."""
        found = self.document.model.scores
        return [] if found is UNSET else list(found)

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.name} version {self.version}"


def fetch(client: "MlflowClient", uri: str) -> MonitoredVersion:
    """The version that a URI means now, with its evidence.

    Parameters
    ----------
    uri : of a registered version; or ``NAME``, for its version in Production, or its newest if there is none.

    Raises
    ------
    PipelineError, ServingError
        if the URI names no registered version.
    RegistryError
        if the registry refuses, or the version has no evidence.
    """
    if ":" not in uri and "/" not in uri:
        champion = None if "@" in uri else stages.champion(client, uri)
        uri = f"models:/{uri}" if "@" in uri else f"models:/{uri}/{champion.version if champion else stages.LATEST}"
    model = models.find(uri, client)
    if model.name is None or model.version is None:
        raise PipelineError(
            f"--model {uri} is no registered version; give NAME, models:/NAME/VERSION, models:/NAME@ALIAS or "
            "models:/NAME/STAGE"
        )
    found = fetch_evidence(client, stages.model_version(client, model.name, model.version))
    document = found.document
    inputs = tuple(
        Input(column.name, column.type, column.integer, column.null, column.decimal, column.thousands)
        for column in document.schema.inputs
        if column.name in document.profile
    )
    return MonitoredVersion(
        model=model,
        name=model.name,
        version=model.version,
        document=document,
        inputs=inputs,
        answers=answers_of(document, found.holdout),
        card=model.scorecard,
    )


def answers_of(document: Evidence, table: pa.Table) -> Answers:
    """A table with ``target``, ``prediction`` and probabilities as answers.

    Parameters
    ----------
    table : as ``holdout.parquet``.
    """
    classes = tuple(document.model.classes or ())
    if not classes:
        return Answers(_numbers(table["target"]), _numbers(table["prediction"]))
    kind = object if isinstance(classes[0], str) else None
    probabilities = np.column_stack([_numbers(table[f"probability_{label}"]) for label in classes])
    target, predicted = (np.array(table[name].to_pylist(), dtype=kind) for name in ("target", "prediction"))
    return Answers(target, predicted, probabilities, classes, document.model.positive)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy()
