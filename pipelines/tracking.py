"""What a training run tells MLflow: parameters, metrics, the dataset, files, and the registered version."""

import contextlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry import evidence, holdout, redaction, stages
from registry.cli import interrupts
from registry.client import one_try, speaking
from registry.errors import RegistryError
from registry.evidence import Evidence

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from pipelines.dataset import Dataset
    from pipelines.sources import Origin

_LONGEST = 500


def log_parameters(values: Mapping[str, Any]) -> None:
    """Log parameters of the active run, without secrets; texts are cut at what every store takes."""
    import mlflow

    with speaking():
        mlflow.log_params({name: redaction.redacted(str(value))[:_LONGEST] for name, value in values.items()})


def log_metrics(document: Evidence, training: Mapping[str, float | None]) -> None:
    """Log the numbers of an evidence document to the active run.

    Held-out metrics under their own names; their intervals, the baseline's, the cross-validated and the training rows'
    under names that begin or end accordingly: ``rmse_low``, ``baseline_rmse``, ``cv_rmse_mean``, ``training_rmse``.
    """
    import mlflow

    values: dict[str, float | None] = {}
    for name, found in document.metrics.items():
        values |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    values |= {f"baseline_{name}": value for name, value in document.baseline.metrics.items()}
    values |= {f"training_{name}": value for name, value in training.items()}
    if folds := document.cross_validation:
        for name, over in folds.metrics.items():
            values |= {f"cv_{name}_mean": over.mean, f"cv_{name}_std": over.std}
    with speaking():
        mlflow.log_metrics({name: value for name, value in values.items() if value is not None})


def log_dataset(origin: "Origin", dataset: "Dataset") -> None:
    """Log which table the active run was trained on: its name, source, digest and columns; not its rows."""
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    if origin.source.startswith("s3://") or Path(origin.source).exists():
        with warnings.catch_warnings():
            # Two of MLflow's own sources are for local files, and it says which it took.
            warnings.simplefilter("ignore")
            source = resolve_dataset_source(origin.source)
    else:
        source = CodeDatasetSource({"source": origin.source})
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.string if values.dtype.kind == "O" or str(values.dtype) == "str" else DataType.double, name)
        for name, values in ((name, dataset.column(name)) for name in dataset.order if name)
    ]
    # MLflow's store takes 36 characters of a digest.
    digest = origin.digest.removeprefix("sha256:")[:32]
    with speaking():
        dataset_of_run = MetaDataset(source, origin.name, digest, Schema(columns))  # type: ignore[abstract]
        mlflow.log_input(dataset_of_run, context="training")


def log_files(folder: Path) -> None:
    """Log all files of a folder, in its own layout, to the active run."""
    import mlflow

    with speaking():
        mlflow.log_artifacts(str(folder))


def register(
    client: "MlflowClient",
    *,
    name: str,
    model_uri: str,
    run_id: str,
    model_id: str | None,
    description: str,
    tags: dict,
) -> str:
    """Register a model that was logged, all at once with its description and tags; the version's number.

    It is the last that a run does: an interrupt waits for it, and undoes it or comes too late.

    Raises
    ------
    RegistryError
        where the registry refuses; then neither a version nor an empty registered model is left.
    Interrupted
        where the process was told to stop meanwhile; likewise.
    """
    from mlflow.exceptions import MlflowException

    made = False
    with interrupts.held():
        try:
            with speaking():
                try:
                    client.create_registered_model(name)
                    made = True
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                version = client.create_model_version(
                    name, model_uri, run_id, tags=tags, description=description, model_id=model_id
                )
            interrupts.check()
        except BaseException:
            _unregister(client, name, run_id, made=made)
            raise
        interrupts.close()
    return str(version.version)


def _unregister(client: "MlflowClient", name: str, run_id: str, *, made: bool) -> None:
    """Undo what a registration did before it failed, as far as the server still answers."""
    ours = stages.matching(name)
    with contextlib.suppress(RegistryError), speaking(), one_try():
        # An answer that was lost leaves a version that nobody knows of.
        for version in client.search_model_versions(f"{ours} and run_id = '{run_id}'"):
            if version.name == name:
                client.delete_model_version(name, version.version)
        # Somebody else may have registered a version of the same name since.
        if made and not any(found.name == name for found in client.search_model_versions(ours)):
            client.delete_registered_model(name)


def tags_of(document: Evidence, digest: str, run_id: str) -> dict[str, str]:
    """The tags of a version that lead back to its run, data and evidence."""
    model, lineage = document.model, document.lineage
    tags = {
        evidence.DIGEST_TAG: digest,
        "evidence.uri": f"runs:/{run_id}/{evidence.TRAINING}",
        "task": model.task,
        "estimator": model.estimator,
        "target": model.target,
    }
    if rule := document.holdout.to_tag():
        tags[holdout.TAG] = rule
    if lineage:
        tags |= {
            "data.source": lineage.data.source,
            "data.digest": lineage.data.digest,
            "seed": str(lineage.seed),
        }
        if lineage.git.commit:
            tags["git.commit"] = lineage.git.commit + ("+changes" if lineage.git.dirty else "")
    return tags
