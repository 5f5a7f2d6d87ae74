"""Keep what an evaluation found: with a version that was trained here, or as the adoption of one that was not.

A version is *adopted* by its first evaluation: an MLflow run of its own keeps the evidence, the scorecard that was
compiled and a model card, and tags of the version name that run. Its gates judge by this evidence. Later evaluations go
to ``evidence/evaluations/`` of that run, and take the place of the adoption only if they are told to, if they are the
first on rows that are declared unseen, or if the scorecard that is compiled has changed.
"""

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import notes, report, runs, tracking
from pipelines.evaluation.asking import Version
from pipelines.sources import Origin
from registry import evidence, logs
from registry.cli import interrupts
from registry.client import speaking
from registry.errors import RegistryError
from registry.evidence import Evidence, adoption, files
from registry.evidence.adoption import SCORECARD_TAG, EvidencePlace

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logs.get_logger(__name__)
#: How the paragraph begins that the registry shows of an adopted version.
_ADOPTED = "Adopted: "


@dataclass(frozen=True)
class Judgement:
    """What an evaluation found.

    Parameters
    ----------
    table : which it was judged on.
    answers : a folder with its answers, see :func:`measurement.measure`; they are moved away from there.
    """

    version: Version
    document: Evidence
    table: Origin
    answers: Path

    @property
    def evaluations(self) -> str:
        """The folder of evaluations on this table, in a run."""
        return f"{files.EVALUATIONS}/{self.table.digest.removeprefix('sha256:')[:16]}"

    def write_beside(self, folder: Path) -> None:
        """Write both versions' answers to the rows that neither was trained on, for the gate that compares them."""
        if (self.answers / files.BESIDE).exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(self.answers / files.BESIDE, folder / files.BESIDE)

    def write(self, folder: Path) -> None:
        """Write the document and the answers."""
        evidence.write(self.document, folder)
        shutil.move(self.answers / evidence.HOLDOUT, folder / evidence.HOLDOUT)


def keep(client: "MlflowClient", judgement: Judgement, folder: Path, *, replace: bool) -> str:
    """Keep an evaluation; where, as a URI.

    Parameters
    ----------
    folder : for the files, until they are with a run.
    replace : of an adopted version, take the place of what its gates judge by.

    Raises
    ------
    RegistryError
        if the tracking server or the artifact store refuses.
    """
    registered = judgement.version.registered
    if registered.place is None or (not registered.trained_here and _adopts(judgement, replace=replace)):
        return _adopt(client, judgement, folder)
    place = EvidencePlace(registered.place.run_id, judgement.evaluations)
    judgement.write(folder)
    judgement.write_beside(folder)
    with speaking():
        client.log_artifacts(place.run_id, str(folder), place.path)
    return str(place)


def _adopts(judgement: Judgement, *, replace: bool) -> bool:
    """Whether an evaluation is what the gates of a version will judge by, that was logged without this platform."""
    registered, card = judgement.version.registered, judgement.version.scorecard
    before = registered.document
    if before is None or not registered.trusted or replace:
        return True
    now, then = judgement.document.holdout.possibly_trained_on, before.holdout.possibly_trained_on
    tagged = registered.model.tags.get(SCORECARD_TAG)
    changed = card is not None and card.digest != tagged
    if now <= then and (now < then or changed):
        return True
    told = "its scorecard has changed, but is not attached: these rows are not declared unseen; " if changed else ""
    _log.info(
        "%sgates go on to judge by the evidence in %s; --replace yes puts this in its place", told, registered.place
    )
    return False


def _adopt(client: "MlflowClient", judgement: Judgement, folder: Path) -> str:
    version, document = judgement.version, judgement.document
    registered = version.registered
    with runs.run(
        client,
        experiment=_experiment(client, registered.run_id),
        model=registered.name,
        name=f"evaluate {registered.title}",
        tags=runs.tags() | {"model": registered.title, adoption.TAG: adoption.standing(document.holdout)},
    ) as run:
        place = EvidencePlace(run.info.run_id, files.ADOPTION)
        judgement.write(folder / place.path)
        if version.scorecard:
            (folder / place.path / files.SCORECARD).write_text(version.scorecard.dumps(), encoding="utf-8")
        judgement.write_beside(folder / judgement.evaluations)
        report.write_card(
            folder,
            document,
            model_uri=f"models:/{registered.name}/{registered.number}",
            run_id=place.run_id,
            example=version.registered.model.example(version.scorecard) if version.scorecard else None,
        )
        tracking.log_parameters(
            {
                "model.name": registered.name,
                "model.version": registered.number,
                "data.source": judgement.table.source,
                "data.rows": document.holdout.rows,
                "data.target": document.model.target,
            }
        )
        tracking.log_dataset(judgement.table, _kinds(document), context="evaluation")
        tracking.log_metrics(document, {})
        tracking.log_files(folder)
        told = notes.of_adoption(document, judgement.table.source, registered.name, registered.number)
        tracking.describe(client, place.run_id, told)
    _tag(
        client,
        version,
        place,
        {
            **tracking.tags_of(document, evidence.digest(folder / place.path)),
            adoption.URI_TAG: str(place),
            adoption.TAG: adoption.standing(document.holdout),
            **({SCORECARD_TAG: version.scorecard.digest} if version.scorecard else {}),
        },
    )
    _describe(client, version, document, judgement.table.source)
    return str(place)


def _kinds(document: Evidence) -> Mapping[str, bool]:
    """The judged columns: whether each is of numbers."""
    return {column.name: column.type != "category" for column in document.schema.inputs}


def _experiment(client: "MlflowClient", run_id: str | None) -> str | None:
    """The name of the experiment in which a version was logged; None if that is not known."""
    if run_id is None:
        return None
    with contextlib.suppress(RegistryError), speaking():  # either may be deleted
        found = client.get_experiment(client.get_run(run_id).info.experiment_id)
        return found.name if found.lifecycle_stage == "active" else None
    return None


def _tag(client: "MlflowClient", version: Version, place: EvidencePlace, tags: Mapping[str, str]) -> None:
    """Tag a version with its adoption: the digest of the evidence last, without which no gate takes it."""
    name, number = version.registered.name, version.registered.number
    ordered = dict(sorted(tags.items(), key=lambda tag: (tag[0] == evidence.DIGEST_TAG, tag[0] != adoption.URI_TAG)))
    with interrupts.held(), speaking():
        if SCORECARD_TAG not in tags and SCORECARD_TAG in version.registered.model.tags:
            client.delete_model_version_tag(name, number, SCORECARD_TAG)
        for tag, value in ordered.items():
            client.set_model_version_tag(name, number, tag, value)


def _describe(client: "MlflowClient", version: Version, document: Evidence, source: str) -> None:
    """Say on the version's page what it is worth, above whatever else is said of it."""
    name, number = version.registered.name, version.registered.number
    told = f"{_ADOPTED}{adoption.caveat(document.holdout)}. {notes.of_version(document, source)}"
    with speaking():
        before = client.get_model_version(name, number).description or ""
        rest = "\n\n".join(part for part in before.split("\n\n") if not part.startswith(_ADOPTED))
        client.update_model_version(name, number, f"{told}\n\n{rest}" if rest else told)
