"""The model that a package is made of: fetched by its URI, with what is known of its version and its gates."""

import hashlib
import re
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry import redaction
from registry.errors import RegistryError
from serving import example, models
from serving.errors import ServingError
from serving.flavor import SCORECARD
from serving.scorecard import Scorecard, ScorecardError


@dataclass(frozen=True)
class Model:
    """A fetched model.

    Parameters
    ----------
    uri : as it was asked for.
    name, version : of the registered version; None where it is none.
    scorecard : None where the model has none, and none can be made; ``why`` tells why.
    folder : the model's files, as MLflow keeps them.
    digest : the scorecard's, or over the model's files.
    gates : what is known of the gates, in words; ``gated`` whether they passed.
    example : a row to try it with; empty where there is no scorecard.
    """

    uri: str
    name: str | None
    version: str | None
    scorecard: Scorecard | None
    why: str
    folder: Path
    digest: str
    gates: str
    gated: bool
    example: Mapping[str, Any] = field(default_factory=dict)
    keep: Any = field(default=None, repr=False, compare=False)

    @property
    def title(self) -> str:
        """What to call it in the cloud where nobody says: the registered name, else the folder's."""
        return self.name or (Path(self.uri).resolve().name if Path(self.uri).is_dir() else "model")

    @property
    def facts(self) -> dict[str, Any]:
        """What every plan tells of it, by the names of ``Plan``."""
        names = ("uri", "version", "digest", "gates", "gated", "keep")
        return {"model": self.name, **{name: getattr(self, name) for name in names}}

    @property
    def about(self) -> Mapping[str, str | None]:
        """What a package tells of the version that it holds."""
        return {"model": self.name, "version": self.version, "digest": self.digest}


def fetch(uri: str, *, allow_ungated: bool) -> Model:
    """A model by its URI, if its gates passed.

    Parameters
    ----------
    uri : as ``serving.models.scorecard`` takes it.
    allow_ungated : whether one is given whose gates did not pass, or that is not registered and has none.

    Raises
    ------
    ServingError
        if the gates did not pass, or the model cannot be read.
    RegistryError, ScorecardError
        if it cannot be had, or is damaged.
    """
    if uri and Path(uri).is_dir():
        gates = _ungated(f"{uri} is no registered version, so no gates judged it", allow_ungated)
        return _model(uri, None, None, Path(uri), gates, None)
    if not re.match(r"[A-Za-z][\w+.-]*:/", uri):
        raise ServingError(f"{uri!r} is no folder that is there, and no URI; give {_URIS}")
    if re.fullmatch(r"models:/(?!m-)[^/@]*/?", uri):
        raise ServingError(f"{uri} names no version; give {_URIS}")
    from registry import client as registry_client

    from . import gating

    client = registry_client.connect()
    name, version = models.registered(uri) or (None, None)
    if name and version:
        try:
            gates = gating.passed(client, name, version)
        except gating.NotPassed as error:
            gates = _ungated(str(error), allow_ungated)
        exact = f"models:/{name}/{version}"
    else:
        gates = _ungated(f"{uri} is no registered version, so no gates judged it", allow_ungated)
        exact = uri
    # Not a `with`: the plan reads the files when it is built.
    folder = tempfile.TemporaryDirectory(prefix="lifecycle-", ignore_cleanup_errors=True)
    try:
        with registry_client.speaking():
            from mlflow.artifacts import download_artifacts

            path = Path(download_artifacts(exact, dst_path=folder.name))
    except RegistryError as error:
        raise RegistryError(f"{uri} cannot be had: {error}") from error
    return _model(uri, name, version, path, gates, folder)


_URIS = "models:/NAME/VERSION, models:/NAME@ALIAS, runs:/RUN/model, or a model's folder"


def _ungated(reason: str, allowed: bool) -> tuple[str, bool]:
    if not allowed:
        raise ServingError(f"{reason}; --allow-ungated packages it all the same")
    return f"not passed, and let through by --allow-ungated: {reason}", False


def _model(uri: str, name, version, path: Path, gates: tuple[str, bool], keep) -> Model:
    card, why = _scorecard(path, uri)
    digest = card.digest if card else _digest(path)
    row = example.row(card, example.folder(path)) if card else {}
    return Model(redaction.url(uri), name, version, card, why, path, digest, *gates, example=row, keep=keep)


def _scorecard(path: Path, uri: str) -> tuple[Scorecard | None, str]:
    """The scorecard of a model, its own or one made of its pipeline; where there is none, why."""
    if not (path / "MLmodel").is_file() and not (path / SCORECARD).is_file():
        raise ServingError(f"{uri} is no MLflow model: it has no file MLmodel; give {_URIS}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return models.scorecard(str(path)), ""
    except ScorecardError as error:
        if (path / SCORECARD).is_file():
            raise
        return None, str(error)
    except ServingError as error:
        return None, str(error).replace(str(path), "the model")


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        total.update(file.read_bytes())
    return f"sha256:{total.hexdigest()}"
