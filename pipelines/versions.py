"""A registered version as it is found: its files, its evidence, and what is known of its training."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines import targets
from pipelines.errors import PipelineError
from pipelines.sources import Table
from registry import evidence
from registry.cli.text import listed
from registry.client import speaking
from registry.evidence import Evidence, adoption
from registry.evidence.adoption import EvidencePlace
from registry.evidence.files import read_holdout
from registry.holdout import HoldoutRule
from serving import models

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class RegisteredVersion:
    """A registered version and what is known of its training.

    Parameters
    ----------
    name, number : of the registered model and the version.
    run_id : of the run that logged it; None if there was none.
    document : its evidence; None if it has none.
    held_out : the keys of the rows that it was judged on, as 16 hex digits; empty if it has no evidence.
    place : where its evidence is, or would be; None if it has neither evidence nor a run.
    trusted : its evidence is that which its tag names.
    """

    name: str
    number: str
    run_id: str | None
    document: Evidence | None
    held_out: pa.Array
    place: EvidencePlace | None
    trusted: bool
    model: models.ResolvedModel = field(repr=False)

    @property
    def title(self) -> str:
        """``diabetes version 3``."""
        return f"{self.name} version {self.number}"

    @property
    def rule(self) -> HoldoutRule | None:
        """The rule by which its training held rows out; None if it does not tell what it was trained on."""
        return None if self.document is None or self.document.adopted else self.document.holdout.rule

    @property
    def trained_here(self) -> bool:
        """Whether this platform trained it, and knows how."""
        return self.document is not None and not self.document.adopted


def fetch(client: "MlflowClient", uri: str, folder: Path) -> RegisteredVersion:
    """The version that a URI means now, and its evidence.

    Parameters
    ----------
    uri : a registered version's, as ``serving.models.find`` takes it; or ``NAME``, for its newest version.
    folder : where its files are put; keep it for as long as the version is asked.

    Raises
    ------
    PipelineError, ServingError
        if the URI names no registered version.
    RegistryError
        if the registry refuses.
    """
    model = models.find(_in_full(uri), client, folder=folder / "model")
    if model.name is None or model.version is None:
        raise PipelineError(
            f"{uri} is no registered version, so there is nowhere to keep its evidence; register it, and give NAME, "
            "models:/NAME/VERSION, models:/NAME@ALIAS or models:/NAME/STAGE"
        )
    place = adoption.place(model.tags, model.run_id)
    document, held_out, trusted = None, pa.array([], pa.string()), False
    with speaking():
        if place and client.list_artifacts(place.run_id, place.path):
            path = Path(client.download_artifacts(place.run_id, place.path, str(folder)))
            document = evidence.read(path)
            held_out = read_holdout(path / evidence.HOLDOUT, document.model)["key"].combine_chunks()
            trusted = evidence.digest(path) == model.tags.get(evidence.DIGEST_TAG)
    return RegisteredVersion(
        name=model.name,
        number=model.version,
        run_id=model.run_id,
        document=document,
        held_out=held_out,
        place=place,
        trusted=trusted,
        model=replace(model, called=f"{model.name} version {model.version}"),
    )


def _in_full(uri: str) -> str:
    """A URI as it is; a bare ``NAME`` as the URI of its newest version."""
    if ":" in uri or "/" in uri:
        return uri
    return f"models:/{uri}" if "@" in uri else f"models:/{uri}/latest"


def target_of(version: RegisteredVersion, table: Table, asked: str | None) -> str:
    """The column that holds what the version predicts: the one asked for, else that of its evidence, else a usual one.

    Raises
    ------
    PipelineError
        if there is none, or the table has no such column.
    """
    known = version.document.model.target if version.document else table.target
    names = table.columns.column_names
    name = asked or known or targets.usual_name(names)
    if not name:
        raise PipelineError(
            f"--target is needed: {version.title} does not tell what it predicts; one of {listed(names)}"
        )
    if name not in names:
        raise PipelineError(f"no column {name!r} to judge by; the table has {listed(names)}")
    return name
