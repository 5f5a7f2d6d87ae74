"""The files of a model, wherever they are kept: in a folder, in an artifact store, or a scorecard's file alone."""

import hashlib
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

#: MLflow's description of a model.
MLMODEL = "MLmodel"
#: The scorecard that a model carries.
SCORECARD = "scorecard.json"
#: Where MLflow writes which registered version it downloaded.
META = "registered_model_meta"


class Files:
    """The files of one model."""

    def get(self, name: str) -> Path | None:
        """A file by its name, fetched if it is not here yet; None if the model has no such file.

        Raises
        ------
        RegistryError
            if the artifact store refuses or does not answer.
        """
        raise NotImplementedError

    def folder(self) -> Path:
        """A folder with all files, as MLflow lays them out; raises as ``get``."""
        raise NotImplementedError


class Folder(Files):
    """A model's folder on this machine."""

    def __init__(self, path: Path):
        self._path = path

    def get(self, name: str) -> Path | None:
        path = self._path / name
        return path if path.is_file() else None

    def folder(self) -> Path:
        return self._path

    @property
    def version(self) -> str | None:
        """The number of the registered version that MLflow downloaded into this folder; None if it does not say."""
        import yaml

        try:
            found = yaml.safe_load((self._path / META).read_text(encoding="utf-8"))["model_version"]
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            return None
        return str(found) if re.fullmatch(r"[1-9][0-9]*", str(found)) else None


class ScorecardFile(Files):
    """A scorecard's file without a model around it."""

    def __init__(self, path: Path):
        self._path = path

    def get(self, name: str) -> Path | None:
        return self._path if name == SCORECARD else None

    def folder(self) -> Path:
        folder = _temporary(self)
        shutil.copyfile(self._path, folder / SCORECARD)
        return folder


class Artifacts(Files):
    """A model in an artifact store, fetched as it is needed.

    Parameters
    ----------
    uri : the address of its folder, as MLflow takes it.
    called : what errors call the model.
    folder : where to put the files; None for a temporary folder, which goes away with this object.
    """

    def __init__(self, uri: str, called: str, folder: Path | None = None):
        self._uri, self._called, self._folder = uri, called, folder
        self._whole: Path | None = None

    def get(self, name: str) -> Path | None:
        if self._whole:
            return Folder(self._whole).get(name)
        if name not in self._names:
            return None
        with self._fetching():
            return Path(self._repository.download_artifacts(name, str(self._target)))

    def folder(self) -> Path:
        if self._whole is None:
            from mlflow.artifacts import download_artifacts

            _ = self._names
            with self._fetching():
                self._whole = Path(download_artifacts(self._uri, dst_path=str(self._target / "whole")))
        return self._whole

    @cached_property
    def _repository(self) -> Any:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with self._fetching():
            return get_artifact_repository(self._uri)

    @cached_property
    def _names(self) -> set[str]:
        from registry.errors import RegistryError

        repository = self._repository
        with self._fetching():
            names = {os.path.basename(artifact.path) for artifact in repository.list_artifacts(None)}
            if not names:
                raise RegistryError("there is no file of it in the artifact store")
        return names

    @cached_property
    def _target(self) -> Path:
        if self._folder is None:
            return _temporary(self)
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @contextmanager
    def _fetching(self) -> Iterator[None]:
        from registry.client import speaking
        from registry.errors import RegistryError

        try:
            with speaking():
                yield
        except OSError as error:
            raise RegistryError(f"{self._called} cannot be fetched: {error.strerror or error}") from None
        except RegistryError as error:
            raise RegistryError(f"{self._called} cannot be fetched: {error}") from error


def mlmodel(files: Files) -> dict[str, Any]:
    """What the file ``MLmodel`` says; empty if there is none that can be read; raises as ``Files.get``."""
    import yaml

    path = files.get(MLMODEL)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def digest(folder: Path) -> str:
    """The digest of all files in a folder with their names: ``sha256:...``."""
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while part := stream.read(1 << 20):
                total.update(part)
    return f"sha256:{total.hexdigest()}"


def _temporary(owner: Files) -> Path:
    """A temporary folder that is removed with its owner, at the latest when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="lifecycle-"))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder
