"""Environments of models' own: built once by uv from what a model requires, and kept in the cache by their digest."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from serving.server.files import TEMPORARY

#: Seconds that building may take.
_PATIENCE = 3600.0
_REQUIREMENTS, _PYTHON = "requirements.txt", "python_env.yaml"


class EnvironmentFailed(Exception):
    """An environment cannot be built: why, in one line."""


class Environments:
    """The environments in a folder.

    Building takes minutes, and is done in a thread, one after the other.

    Parameters
    ----------
    folder : made when the first is built.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._failed: dict[str, str] = {}
        self._building: set[str] = set()
        self._one = threading.Lock()

    def python(self, model: Path) -> str | None:
        """The interpreter of a model's environment; None while that is being built.

        Parameters
        ----------
        model : the model's folder.

        Raises
        ------
        EnvironmentFailed
            if it could not be built; ``forget`` lets it be tried again.
        """
        wanted = _wanted(model)
        key = hashlib.sha256(wanted.encode()).hexdigest()[:16]
        python = self._folder / key / "bin" / "python"
        if python.exists():
            return str(python)
        if key in self._failed:
            raise EnvironmentFailed(self._failed[key])
        if key not in self._building:
            self._building.add(key)
            threading.Thread(target=self._build, args=(key, model), daemon=True).start()
        return None

    def forget(self) -> None:
        """Forget what has failed."""
        self._failed.clear()

    def _build(self, key: str, model: Path) -> None:
        try:
            with self._one:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                for left in self._folder.glob(f"{TEMPORARY}*"):
                    shutil.rmtree(left, ignore_errors=True)  # of a process that was killed
                with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=self._folder) as new:
                    place = Path(new) / key
                    _uv("venv", "--quiet", "--relocatable", "--python", _release(model), str(place))
                    python = str(place / "bin" / "python")
                    _uv(
                        "pip",
                        "install",
                        "--quiet",
                        "--compile-bytecode",
                        "--python",
                        python,
                        "-r",
                        _REQUIREMENTS,
                        folder=model,
                    )
                    place.rename(self._folder / key)
        except EnvironmentFailed as error:
            self._failed[key] = str(error)
        except OSError as error:
            self._failed[key] = f"the cache cannot be written: {error.strerror or error}"
        finally:
            self._building.discard(key)


def _wanted(model: Path) -> str:
    """What the environment depends on."""
    try:
        return f"{_release(model)}\n{(model / _REQUIREMENTS).read_text(encoding='utf-8')}"
    except OSError:
        raise EnvironmentFailed(f"the model has no {_REQUIREMENTS} to build its environment from") from None


def _release(model: Path) -> str:
    """The Python that the model wants, such as ``3.11``: that of this process if it does not say."""
    import yaml

    try:
        told = yaml.safe_load((model / _PYTHON).read_text(encoding="utf-8"))["python"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        told = ""
    said = str(told).split(".")
    return ".".join(said[:2]) if len(said) >= 2 else f"{sys.version_info.major}.{sys.version_info.minor}"


def _uv(*words: str, folder: Path | None = None) -> None:
    program = Path(sys.executable).with_name("uv")
    uv = str(program) if program.exists() else shutil.which("uv")
    if uv is None:
        raise EnvironmentFailed("uv is not installed here: pip install uv")
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    try:
        done = subprocess.run(
            [uv, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentFailed(f"`uv {words[0]}` took longer than {_PATIENCE:g} s") from None
    if done.returncode != 0:
        told = " ".join(done.stderr.split())[:300] or f"exit code {done.returncode}"
        raise EnvironmentFailed(f"`uv {' '.join(words[:2])}` failed: {told}")
