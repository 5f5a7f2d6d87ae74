"""What a training run tells MLflow: parameters, metrics, the dataset, files, and the registered version."""

import contextlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import markdown, run_metrics
from registry import evidence, holdout, redaction, stages
from registry.cli import interrupts
from registry.client import one_try, speaking
from registry.errors import RegistryError
from registry.evidence import Evidence
from registry.evidence.document import SuiteOutcome

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from pipelines.sources import Origin

_LONGEST = 500


def log_parameters(values: Mapping[str, Any]) -> None:
    """Log parameters of the active run, without secrets; texts are cut at what every store takes."""
    import mlflow

    with speaking():
        mlflow.log_params({name: redaction.redacted(str(value))[:_LONGEST] for name, value in values.items()})


def log_metrics(document: Evidence, training: Mapping[str, float | None]) -> None:
    """Log the numbers of an evidence document to the active run, named as `run_metrics` says.

    Parameters
    ----------
    training : the metrics on the training rows, by name; empty if they are not known.
    """
    import mlflow

    values: dict[str, float | None] = {name: found.value for name, found in document.metrics.items()}
    for name, found in document.metrics.items():
        values |= {run_metrics.held_out(name, end): getattr(found, end) for end in run_metrics.ENDS}
    values |= {run_metrics.baseline(name): value for name, value in document.baseline.metrics.items()}
    if folds := document.cross_validation:
        values |= run_metrics.cross_validated(folds.metrics)
    values |= {run_metrics.training(name): value for name, value in training.items()}
    with speaking():
        mlflow.log_metrics({name: value for name, value in values.items() if value is not None})


def log_check(suite: SuiteOutcome) -> None:
    """Log to the active run how many expectations of a suite a table did not meet."""
    import mlflow

    with speaking():
        mlflow.log_metrics({run_metrics.EXPECTATIONS: suite.evaluated, run_metrics.UNMET: suite.failed})


def is_numeric(values: "pd.Series") -> bool:
    """Whether a column is logged as one of numbers, and not of texts."""
    return values.dtype.kind not in "OU"


def log_dataset(origin: "Origin", columns: Mapping[str, bool], *, context: str) -> None:
    """Log which table the active run is about: its name, source, digest and columns; not its rows.

    Parameters
    ----------
    columns : by name, whether each is of numbers.
    context : what the run does with it: ``training``, ``tuning``, ``evaluation`` or ``validation``.
    """
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.exceptions import MlflowException
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    if origin.source.startswith("s3://") or Path(origin.source).exists():
        with warnings.catch_warnings():
            # Two of MLflow's own sources are for local files, and it says which it took.
            warnings.simplefilter("ignore")
            source = resolve_dataset_source(origin.source)
    else:
        source = CodeDatasetSource({"source": origin.source})
    shape: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.double if number else DataType.string, name) for name, number in columns.items() if name
    ]
    digest = _short(origin.digest)
    with speaking():
        dataset_of_run = MetaDataset(source, origin.name, digest, Schema(shape))  # type: ignore[abstract]
        try:
            mlflow.log_input(dataset_of_run, context=context)
        except MlflowException as error:
            # Of two runs that log one table at a moment, MLflow lets both insert it, and one fails.
            if "unique constraint" not in str(error).lower():
                raise
            mlflow.log_input(dataset_of_run, context=context)


def describe(client: "MlflowClient", run_id: str, text: str) -> None:
    """Say on a run's page what it is about, in Markdown; a server that cannot be told of it is no reason to fail."""
    with contextlib.suppress(RegistryError), speaking(), one_try():
        client.set_tag(run_id, markdown.NOTE_TAG, text)


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
    about: str,
) -> str:
    """Register a model that was logged, all at once with its description and tags; the version's number.

    It is the last that a run does: an interrupt waits for it, and undoes it or comes too late.

    Parameters
    ----------
    about : the description of the registered model, if this is its first version.

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
                    client.create_registered_model(name, description=about)
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


def tags_of(document: Evidence, digest: str) -> dict[str, str]:
    """The tags of a version: what it is, its data and code, the rows it held out, and the digest of its evidence.

    Only the evidence's own digest is whole: the others are to be looked at, and evidence has all of them.
    """
    model, lineage = document.model, document.lineage
    tags = {
        "task": model.task,
        "estimator": model.estimator,
        "target": model.target,
    }
    if lineage:
        tags |= {"data.source": lineage.data.source, "data.digest": _short(lineage.data.digest)}
        if lineage.pipeline:
            tags["pipeline"] = lineage.pipeline.function
        if lineage.git.commit:
            tags["git.commit"] = _short(lineage.git.commit) + ("+changes" if lineage.git.dirty else "")
    if rule := document.holdout.to_tag():
        tags[holdout.TAG] = rule
    return tags | {evidence.DIGEST_TAG: digest}


def _short(digest: str) -> str:
    """The beginning of a digest, by which a person tells it from others."""
    return digest.removeprefix("sha256:")[:12]
