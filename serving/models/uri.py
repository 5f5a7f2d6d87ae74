"""Model URIs: one grammar for every command, and the model that each form means now."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote, urlsplit

from serving.errors import ServingError

from .files import Artifacts, Files, Folder, ScorecardFile
from .model import ResolvedModel

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


#: What to give where a model is wanted.
EXPECTED = "give models:/NAME/VERSION, models:/NAME@ALIAS, models:/NAME/STAGE, runs:/RUN/model, or a model's folder"

_REGISTRY = "models:/"
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*:/")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
# What MLflow cannot find without asking the tracking server.
_TRACKED = ("models", "runs", "mlflow-artifacts")


def find(text: str, client: "MlflowClient | None" = None, *, folder: Path | None = None) -> ResolvedModel:
    """The model that a URI means now.

    Parameters
    ----------
    text : ``models:/NAME/3``, ``models:/NAME@champion``, ``models:/NAME/Production``, ``models:/NAME/latest``,
        ``models:/m-ID``, ``runs:/RUN/model``, a path, ``file://``, ``s3://``, or whatever else MLflow has a store for.
    client : the registry to ask; None to connect to one if the URI needs it.
    folder : where fetched files are put; None for a temporary folder that goes away with the model.

    Raises
    ------
    ServingError
        if the text is neither a URI of a model nor a path that exists.
    RegistryError
        if there is no such version, alias or stage, or the registry refuses.
    """
    return ModelURI.read(text).find(client, folder)


def registered(text: str) -> "RegisteredURI | None":
    """What a URI says if it means a registered version, by number, alias or stage; else None."""
    try:
        uri = ModelURI.read(text)
    except ServingError:
        return None
    return uri if isinstance(uri, RegisteredURI) else None


class ModelURI:
    """What a model URI says, before anything is asked."""

    #: Whether the model is on this machine: it then needs neither MLflow nor a registry.
    local: ClassVar[bool] = False

    @staticmethod
    def read(text: str) -> "ModelURI":
        """Read a URI; raises ServingError if it is none, and no path that exists."""
        # models://ADDRESS/NAME/3 names a registry of its own, which is MLflow's affair.
        if text.startswith(_REGISTRY) and not text.startswith(f"{_REGISTRY}/"):
            return _of_registry(text)
        if os.path.exists(text):
            return LocalURI(Path(text))
        if not _SCHEME.match(text):
            raise ServingError(f"{text!r} is neither an existing path nor a URI; {EXPECTED}")
        if text.startswith("file:"):
            path = Path(unquote(urlsplit(text).path))
            if not path.exists():
                raise ServingError(f"{text}: there is nothing at {path}; {EXPECTED}")
            return LocalURI(path)
        return ArtifactURI(text)

    @property
    def title(self) -> str:
        """What to call the model: the registered name, else the last part of the URI or path."""
        return str(self).rstrip("/").rpartition("/")[2]

    def find(self, client: "MlflowClient | None" = None, folder: Path | None = None) -> ResolvedModel:
        """The model that it means now; see the function :func:`find`."""
        raise NotImplementedError


@dataclass(frozen=True)
class LocalURI(ModelURI):
    """A model's folder, or a scorecard's file, on this machine."""

    path: Path
    local = True

    def __str__(self) -> str:
        return str(self.path)

    @property
    def title(self) -> str:
        path = Path(os.path.abspath(self.path))
        return path.stem if path.is_file() else path.name

    def find(self, client: "MlflowClient | None" = None, folder: Path | None = None) -> ResolvedModel:
        files: Files = ScorecardFile(self.path) if self.path.is_file() else Folder(self.path)
        return ResolvedModel(str(self), self.title, files)


@dataclass(frozen=True)
class ArtifactURI(ModelURI):
    """A place that MLflow knows: ``runs:/RUN/model``, ``models:/m-ID``, ``s3://...``, ``mlflow-artifacts:/...``."""

    text: str

    def __str__(self) -> str:
        return self.text

    def find(self, client: "MlflowClient | None" = None, folder: Path | None = None) -> ResolvedModel:
        from registry import client as registry_client

        if client is None and self.text.partition(":")[0] in _TRACKED:
            registry_client.connect()
        registry_client.settle()
        return ResolvedModel(self.text, self.title, Artifacts(self.text, self.text, folder))


@dataclass(frozen=True)
class RegisteredURI(ModelURI):
    """A registered version of a model, chosen in one of the ways below."""

    name: str
    choice: str
    mark: ClassVar[str] = "/"

    def __str__(self) -> str:
        return f"{_REGISTRY}{self.name}{self.mark}{self.choice}"

    @property
    def title(self) -> str:
        return self.name

    def find(self, client: "MlflowClient | None" = None, folder: Path | None = None) -> ResolvedModel:
        from registry import client as registry_client
        from registry.errors import RegistryError

        client = client or registry_client.connect()
        try:
            with registry_client.speaking():
                version = self._version(client)
                number = str(version.version)
                source = client.get_model_version_download_uri(version.name, number)
        except RegistryError as error:
            raise RegistryError(f"{self} cannot be resolved: {error}") from error
        files = Artifacts(source, str(self), folder)
        run_id, tags = version.run_id or None, dict(version.tags or {})
        return ResolvedModel(str(self), version.name, files, version.name, number, run_id, tags, client)

    def _version(self, client: "MlflowClient") -> "ModelVersion":
        raise NotImplementedError


class VersionURI(RegisteredURI):
    """``models:/NAME/3``."""

    def _version(self, client: "MlflowClient") -> "ModelVersion":
        from registry import stages

        return stages.model_version(client, self.name, self.choice)


class AliasURI(RegisteredURI):
    """``models:/NAME@champion``."""

    mark = "@"

    def _version(self, client: "MlflowClient") -> "ModelVersion":
        from registry import stages
        from registry.cli.text import listed
        from registry.errors import RegistryError

        aliases = stages.read(client, self.name).aliases
        if self.choice not in aliases:
            there = listed(aliases) if aliases else "none"
            raise RegistryError(f"model {self.name!r} has no alias {self.choice!r}; its aliases: {there}")
        return stages.model_version(client, self.name, aliases[self.choice])


class StageURI(RegisteredURI):
    """``models:/NAME/Production``, in any case: the newest version in a stage; ``latest``: the newest of all."""

    def _version(self, client: "MlflowClient") -> "ModelVersion":
        from registry import stages
        from registry.errors import RegistryError

        state = stages.read(client, self.name)
        stage = self.choice.capitalize()
        if stage in stages.STAGES:
            versions = state.in_stage(stage)
            if not versions:
                raise RegistryError(f"no version of {self.name!r} is in stage {stage!r}; name a version or an alias")
            found = versions[0]
        else:
            found = state.version(stages.LATEST if self.choice.lower() == stages.LATEST else self.choice)
        return stages.model_version(client, self.name, found.number)


def _of_registry(text: str) -> ModelURI:
    """What follows ``models:/``, read as MLflow reads it: at most two parts, the first of which may end in an alias."""
    name, slash, which = text.removeprefix(_REGISTRY).removesuffix("/").partition("/")
    if not slash:
        if _MODEL_ID.fullmatch(name):
            return ArtifactURI(text)
        name, _, alias = name.rpartition("@")
        if not name or not alias:
            raise ServingError(f"{text} names no version; {EXPECTED}")
        return AliasURI(name, alias)
    if not name or not which or "/" in which:
        raise ServingError(f"{text} is no name and version of a model; {EXPECTED}")
    return VersionURI(name, which) if re.fullmatch("[0-9]+", which) else StageURI(name, which)
