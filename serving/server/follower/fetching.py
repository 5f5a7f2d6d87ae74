"""The scorecard of a model, and a row to try it with: from MLflow's artifacts, or from a folder."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving import example
from serving.errors import ServingError
from serving.example import MLMODEL
from serving.scorecard import Scorecard, ScorecardError, Unsupported

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCORECARD = "scorecard.json"


class Unservable(ServingError):
    """A model that cannot be served, now or later; the message is for whoever asks for it: it holds no path."""


@dataclass(frozen=True)
class Found:
    """What is served of a model.

    Parameters
    ----------
    example : an input row that it answers.
    """

    card: Scorecard
    example: dict[str, Any] = field(default_factory=dict)


def registered(client: "MlflowClient", name: str, number: str) -> Found:
    """A registered version.

    Raises
    ------
    Unservable
        where it has no scorecard, or one that does not load and answer.
    RegistryError
        where the registry or the artifact store does not answer.
    """
    from registry.client import speaking

    with speaking():
        uri = client.get_model_version_download_uri(name, number)
    return artifacts(uri, title=f"version {number}", uri=f"models:/{name}/{number}")


def artifacts(place: str, *, title: str, uri: str) -> Found:
    """A model in an artifact store.

    Parameters
    ----------
    place : the address of its folder.
    title, uri : how messages call it, and how MLflow would.

    Raises
    ------
    Unservable, RegistryError
        as ``registered``.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    from registry.client import speaking
    from registry.errors import RegistryError

    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        with speaking():
            repository = get_artifact_repository(place)
            there = {os.path.basename(found.path) for found in repository.list_artifacts(None)}

        def get(name: str) -> Path | None:
            if name not in there:
                return None
            try:
                with speaking():
                    return Path(repository.download_artifacts(name, folder))
            except OSError as error:
                raise RegistryError(f"{title}: {name} cannot be had: {error.strerror or error}") from None

        if not there:
            raise RegistryError(f"{title}: there is no file of it in the artifact store")
        return _read(get, title, uri)


def path(place: Path, *, title: str) -> Found:
    """A model's folder, or a scorecard's file; nothing but the files is needed.

    Raises
    ------
    Unservable
        where it is none, or has no scorecard that loads and answers.
    """
    if place.is_file():
        return _read({SCORECARD: place}.get, title, "PATH")
    if not (place / SCORECARD).exists() and not (place / MLMODEL).exists():
        raise Unservable(f"{title} is no MLflow model and no scorecard: it has neither {MLMODEL} nor {SCORECARD}")
    return _read(example.folder(place), title, "PATH")


def _read(get: Callable[[str], Path | None], title: str, uri: str) -> Found:
    file = get(SCORECARD)
    if file is None:
        raise Unservable(f"{title} has no scorecard; serve it with `mlflow models serve -m {uri}`")
    try:
        card = Scorecard.loads(file.read_text(encoding="utf-8"))
        _ = card.rows, card.tables
    except UnicodeDecodeError:
        raise Unservable(f"{title}: its scorecard does not load: it is no text") from None
    except (ScorecardError, Unsupported, RecursionError) as error:
        raise Unservable(f"{title}: its scorecard does not load: {error}") from None
    except OSError as error:
        raise Unservable(f"{title}: its scorecard cannot be read: {error.strerror}") from None
    return Found(card, example.row(card, get))
