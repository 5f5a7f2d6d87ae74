"""What was measured of a registered version, fetched from its run."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from registry import evidence, stages
from registry.cli.text import one_line
from registry.client import speaking
from registry.errors import RegistryError
from registry.gates import Evidence

if TYPE_CHECKING:
    import pyarrow as pa
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_LATENCY = "latency"


class EvidenceError(RegistryError):
    """A version has no evidence, or none that can be read: it cannot be judged, though the registry answers."""


def fetch(client: "MlflowClient", version: "ModelVersion", *, champion: str | None = None) -> Evidence:
    """The training evidence of a version.

    Parameters
    ----------
    champion : the version whose answers in evaluations of this one are wanted, too.

    Raises
    ------
    EvidenceError
        where it has none, or it is damaged.
    RegistryError
        where the tracking server or the artifact store refuses, or does not answer.
    """
    title = f"{version.name} version {version.version}"
    again = f"run `python -m pipelines evaluate --model models:/{version.name}/{version.version} --data TABLE`"
    if not version.run_id:
        raise EvidenceError(f"{title} has no run to keep evidence in; log its model in a run, and register that")
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        path = _download(client, version, version.run_id, Path(folder))
        if path is None:
            raise EvidenceError(f"{title} has no evidence: nobody has judged it; {again}")
        try:
            document, digest = evidence.read(path), evidence.digest(path)
            answers = holdout(path / evidence.HOLDOUT)
            beside = _beside(client, version.run_id, champion, Path(folder)) if champion else None
        except RegistryError as error:
            raise EvidenceError(f"{title}: {error}") from None
        except (ValueError, OSError) as error:
            raise EvidenceError(f"{title}: {evidence.HOLDOUT} is damaged: {one_line(error, 120)}; {again}") from None
    tags = version.tags or {}
    return Evidence(
        name=version.name,
        version=str(version.version),
        document=document,
        holdout=answers,
        digest=digest,
        tagged_digest=tags.get(evidence.DIGEST_TAG),
        latency=_latency(document, tags),
        beside={champion: beside} if champion and beside else {},
    )


def version(client: "MlflowClient", name: str, number: str) -> "ModelVersion":
    """A registered version.

    Raises
    ------
    RegistryError
        where there is none of that name and number; it says which there are.
    """
    from mlflow.exceptions import MlflowException

    with speaking():
        try:
            return client.get_model_version(name, number)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    # It says that there is no such model, or which versions there are.
    stages.read(client, name).version(number)
    raise RegistryError(f"version {number!r} of model {name!r} cannot be read; a version is a number, such as 3")


def _download(client: "MlflowClient", version: "ModelVersion", run_id: str, folder: Path) -> Path | None:
    """The folder of the evidence; None where the run has none."""
    from mlflow.exceptions import MlflowException

    with speaking():
        try:
            if not client.list_artifacts(run_id, evidence.TRAINING):
                return None
            return Path(client.download_artifacts(run_id, evidence.TRAINING, str(folder)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise EvidenceError(
                f"{version.name} version {version.version}: its run {run_id} is gone, its evidence with it; "
                "train it anew"
            ) from None


def _beside(client: "MlflowClient", run_id: str, champion: str, folder: Path) -> tuple | None:
    """This version's and the champion's answers to the same rows, of the evaluation that has most of them."""
    found = []
    with speaking():
        for evaluation in client.list_artifacts(run_id, evidence.EVALUATIONS):
            place = f"{evaluation.path}/{evidence.BESIDE}"
            if f"{place}/{champion}" in {one.path for one in client.list_artifacts(run_id, place)}:
                found.append(Path(client.download_artifacts(run_id, f"{place}/{champion}", str(folder))))
    pairs = [
        tuple(holdout(path / who / evidence.HOLDOUT) for who in (evidence.BESIDE_CANDIDATE, evidence.BESIDE_CHAMPION))
        for path in found
    ]
    return max(pairs, key=lambda pair: len(pair[0]), default=None)


def holdout(path: Path) -> "pa.Table":
    """The table of a version's answers to its held-out rows, as ``holdout.parquet`` has it.

    Raises
    ------
    ValueError
        where it is no Parquet, or has not the columns that it should have.
    """
    import pyarrow.parquet as parquet

    table = parquet.read_table(path)
    if missing := {"key", "target", "prediction"} - set(table.column_names):
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    return table


def _latency(document: dict, tags: dict[str, str]) -> dict[str, float]:
    """Whatever was measured under a name that begins with ``latency``, as a metric or a tag of the version."""
    found = {name: one["value"] for name, one in document["metrics"].items() if name.startswith(_LATENCY)}
    for name, text in tags.items():
        if name.startswith(_LATENCY):
            try:
                found[name] = float(text)
            except ValueError:
                continue
    return {name: value for name, value in found.items() if value is not None}
