"""The evidence of a registered version, fetched from the run that has it."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from registry.cli.text import one_line
from registry.client import speaking
from registry.errors import RegistryError
from registry.evidence import adoption, files
from registry.evidence.adoption import EvidencePlace
from registry.evidence.document import Evidence, ModelDescription

if TYPE_CHECKING:
    import pyarrow as pa
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_LATENCY = "latency"


class EvidenceError(RegistryError):
    """A version has no evidence, or none that can be read: it cannot be judged, though the registry answers."""


@dataclass(frozen=True)
class VersionEvidence:
    """The evidence of one version, as gates read it.

    Parameters
    ----------
    name, version : of the registered model and the version.
    holdout : the answers on the held-out rows, see ``files.read_holdout``.
    digest : of the two files as they are.
    tagged_digest : the one that the version's tag holds; None if it has no such tag.
    latency : what was measured of its speed, by name.
    beside : version -> the answers of this version and of that one on the same rows of an evaluated table, rows that
        neither was trained on; of the table that has most of them.
    """

    name: str
    version: str
    document: Evidence
    holdout: "pa.Table"
    digest: str
    tagged_digest: str | None
    latency: Mapping[str, float] = field(default_factory=dict)
    beside: Mapping[str, tuple["pa.Table", "pa.Table"]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"version {self.version}"


def fetch_evidence(client: "MlflowClient", version: "ModelVersion", *, champion: str | None = None) -> VersionEvidence:
    """The evidence of a version: its training's, or that of the evaluation which adopted it.

    Parameters
    ----------
    champion : the version whose answers in evaluations of this one are wanted, too.

    Raises
    ------
    EvidenceError
        if it has none, or it is damaged.
    RegistryError
        if the tracking server or the artifact store refuses or does not answer.
    """
    title = f"{version.name} version {version.version}"
    again = f"run `python -m pipelines evaluate --model models:/{version.name}/{version.version} --data TABLE`"
    place = adoption.place(version.tags or {}, version.run_id)
    if place is None:
        raise EvidenceError(f"{title} has no evidence: nobody has judged it; {again}")
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        try:
            path = _download(client, place, Path(folder))
        except LookupError:
            anew = "train it anew" if place.path == files.TRAINING else again
            raise EvidenceError(f"{title}: its run {place.run_id} is gone, its evidence with it; {anew}") from None
        if path is None:
            raise EvidenceError(f"{title} has no evidence: nobody has judged it; {again}")
        try:
            document, digest = files.read(path), files.digest(path)
            answers = files.read_holdout(path / files.HOLDOUT, document.model)
            beside = _beside(client, place.run_id, champion, document.model, Path(folder)) if champion else None
        except RegistryError as error:
            raise EvidenceError(f"{title}: {error}") from None
        except (ValueError, OSError) as error:
            raise EvidenceError(f"{title}: {files.HOLDOUT} is damaged: {one_line(error, 120)}; {again}") from None
    tags = version.tags or {}
    return VersionEvidence(
        name=version.name,
        version=str(version.version),
        document=document,
        holdout=answers,
        digest=digest,
        tagged_digest=tags.get(files.DIGEST_TAG),
        latency=_latency(document, tags),
        beside={champion: beside} if champion and beside else {},
    )


def fetch_document(client: "MlflowClient", place: EvidencePlace) -> Evidence | None:
    """The evidence of a version without the answers; None if it is gone, or cannot be read.

    Raises
    ------
    RegistryError
        if the tracking server or the artifact store refuses or does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        try:
            path = _download(client, EvidencePlace(place.run_id, f"{place.path}/{files.DOCUMENT}"), Path(folder))
        except LookupError:
            return None
        try:
            return files.read(path.parent) if path else None
        except RegistryError:
            return None


def _download(client: "MlflowClient", place: EvidencePlace, folder: Path) -> Path | None:
    """A file or folder of a run; None if the run has none of that name.

    Raises
    ------
    LookupError
        if there is no such run.
    """
    from mlflow.exceptions import MlflowException

    with speaking():
        try:
            above = place.path.rpartition("/")[0]
            if place.path not in {entry.path for entry in client.list_artifacts(place.run_id, above)}:
                return None
            return Path(client.download_artifacts(place.run_id, place.path, str(folder)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise LookupError(place.run_id) from None


def _beside(
    client: "MlflowClient", run_id: str, champion: str, model: ModelDescription, folder: Path
) -> tuple["pa.Table", "pa.Table"] | None:
    """This version's and the champion's answers on the same rows, of the evaluation that has most of them."""
    with speaking():
        evaluations = [evaluation.path for evaluation in client.list_artifacts(run_id, files.EVALUATIONS)]
    pairs = []
    for evaluation in evaluations:
        if path := _download(client, EvidencePlace(run_id, f"{evaluation}/{files.BESIDE}/{champion}"), folder):
            ours, theirs = (path / who / files.HOLDOUT for who in (files.BESIDE_CANDIDATE, files.BESIDE_CHAMPION))
            pairs.append((files.read_holdout(ours, model), files.read_holdout(theirs, model)))
    return max(pairs, key=lambda pair: len(pair[0]), default=None)


def _latency(document: Evidence, tags: Mapping[str, str]) -> dict[str, float]:
    """Whatever was measured under a name that begins with ``latency``, as a metric or a tag of the version."""
    found = {name: metric.value for name, metric in document.metrics.items() if name.startswith(_LATENCY)}
    for name, text in tags.items():
        if name.startswith(_LATENCY):
            try:
                found[name] = float(text)
            except ValueError:
                continue
    return {name: value for name, value in found.items() if value is not None}
