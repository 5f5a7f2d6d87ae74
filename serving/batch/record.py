"""The record of a batch job: a run in MLflow, and a tag of the version that answered."""

import contextlib
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from registry import logs
from registry.client import speaking
from registry.errors import RegistryError
from registry.evidence import Evidence, adoption
from registry.redaction import url
from serving.batch.request import Scored, ScoreRequest
from serving.functions.web import label

if TYPE_CHECKING:
    from serving.models import ResolvedModel

_log = logs.get_logger(__name__)
#: URIs of models that a run logged.
_OF_RUNS = ("runs:/", "models:/m-")
#: A run's metric, tag or parameter that holds the digest of a table.
_INPUT, _OUTPUT = "input_sha256", "output_sha256"


def is_recorded(model: "ResolvedModel") -> bool:
    """Whether jobs of a model are recorded: those of registered versions are."""
    return model.client is not None and model.version is not None


def document(model: "ResolvedModel") -> Evidence | None:
    """The evidence of a version; None if it has none."""
    if model.client is None or model.version is None:
        return None
    from registry.evidence.fetch import fetch_document

    place = adoption.place(model.tags, model.run_id)
    return fetch_document(model.client, place) if place else None


def ids(model: "ResolvedModel") -> tuple[str, ...]:
    """The id columns that the training of a version named; empty if it named none, or that is not known."""
    found = document(model)
    return found.holdout.key_columns if found and found.holdout.named else ()


def version(model: "ResolvedModel", digest: str) -> str:
    """What an output calls the version that answers: ``diabetes/3``.

    Of a model of a run it is the newest version that the model is registered as, else the model's id; of a folder or a
    file the digest.

    Parameters
    ----------
    digest : of the model.
    """
    if model.version is not None:
        return label({"model": model.name, "version": model.version})
    model_id = str(model.about.get("model_id") or "") if model.uri.startswith(_OF_RUNS) else ""
    if not model_id:
        return label({"digest": digest})
    name, number = _registered(model_id)
    return label({"model": name, "version": number, "digest": ""}) if name else model_id


def _registered(model_id: str) -> tuple[str, str]:
    """Name and number of the newest version that a logged model is registered as; empty if there is none."""
    from registry.client import connect

    with contextlib.suppress(RegistryError), speaking():  # whoever may score need not have the right to list versions
        found = connect().search_model_versions(f"source_path = 'models:/{model_id}'")
        if newest := max(found, key=lambda one: one.creation_timestamp, default=None):
            return newest.name, str(newest.version)
    return "", ""


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def log(model: "ResolvedModel", request: ScoreRequest, scored: Scored) -> str | None:
    """Record a job: in a run of the experiment that the version was trained in, whose id this is, and on the version.

    Raises
    ------
    RegistryError
        if the tracking server refuses the run. The answers are in their place by then.
    """
    client = model.client
    if client is None or model.name is None or model.version is None:
        return None
    from registry.listing import SCORED_TAG

    parameters = {
        "input": url(request.input) if request.query is None else scored.files[0].input,
        "output": url(request.output) if request.output_table is None else scored.files[0].output,
        "engine": scored.engine,
        _INPUT: _joined((file.input, file.input_sha256) for file in scored.files),
        _OUTPUT: _joined((file.output, file.output_sha256) for file in scored.files),
        "record": url(request.record) if request.record else "",
        "request_id": scored.files[0].request_id if len(scored.files) == 1 else None,
        "input_version": next((file.input_version for file in scored.files if file.input_version), ""),
    }
    parameters = {name: value for name, value in parameters.items() if value}
    numbers = {"rows": scored.rows, "rejected": scored.rejected, "seconds": scored.seconds}
    if scored.failed:
        numbers["failed_files"] = scored.failed
    with speaking():
        experiment = client.get_run(model.run_id).info.experiment_id if model.run_id else "0"
        tags = {"mlflow.runName": f"score {model.name} {model.version}", "model": f"{model.name}/{model.version}"}
        run = client.create_run(experiment, tags=tags)
        for name, value in parameters.items():
            client.log_param(run.info.run_id, name, value)
        for name, number in numbers.items():
            client.log_metric(run.info.run_id, name, number)
        client.set_terminated(run.info.run_id, "FAILED" if scored.failed else "FINISHED")
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        with speaking():
            client.set_model_version_tag(model.name, model.version, SCORED_TAG, moment)
    except RegistryError as error:  # whoever may score need not have the right to write into the registry
        _log.warning("the registry does not show that %s %s scored: %s", model.name, model.version, error)
    return run.info.run_id


def _joined(digests: Iterable[tuple[str, str | None]]) -> str:
    """The digest of a file, if it has one; of several that of the lines that ``sha256sum`` would print of them."""
    pairs = [(name, found) for name, found in digests if found]
    if len(pairs) < 2:
        return pairs[0][1] if pairs else ""
    return hashlib.sha256("".join(f"{found}  {name}\n" for name, found in pairs).encode()).hexdigest()
