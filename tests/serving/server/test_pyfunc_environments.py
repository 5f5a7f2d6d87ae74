"""Environments of models' own: built once by uv, in the background, and told if they cannot be."""

import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from serving.server.pyfunc.environments import EnvironmentFailed, Environments
from tests.serving.server import servers


def wheel(folder: Path, version: str) -> Path:
    """A package ``answer`` whose ``VALUE`` is its release."""
    path = folder / f"answer-{version}-py3-none-any.whl"
    info = f"answer-{version}.dist-info"
    files = {
        "answer.py": f"VALUE = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: answer\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text)}\n"
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return path


def model(folder: Path, *requirements: str) -> Path:
    """The folder of a model with requirements, logged with this Python."""
    folder.mkdir()
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n")
    (folder / "python_env.yaml").write_text(f"python: {'.'.join(map(str, sys.version_info[:3]))}\n")
    return folder


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    return Environments(tmp_path / "envs")


def built(environments: Environments, path: Path) -> str:
    """Wait until an environment is built; its interpreter."""
    servers.wait(lambda: environments.python(path) is not None)
    found = environments.python(path)
    assert found is not None
    return found


def test_an_environment_has_what_the_model_requires_and_is_built_once(
    environments: Environments, tmp_path: Path
) -> None:
    one = model(tmp_path / "one", str(wheel(tmp_path, "1.0")))
    assert environments.python(one) is None  # it is being built
    python = built(environments, one)
    told = subprocess.run([python, "-c", "import answer; print(answer.VALUE)"], capture_output=True, text=True)
    assert told.stdout == "1.0\n", told.stderr
    same = model(tmp_path / "same", str(tmp_path / "answer-1.0-py3-none-any.whl"))
    assert environments.python(same) == python
    other = model(tmp_path / "other", str(wheel(tmp_path, "2.0")))
    assert built(environments, other) != python


def test_why_an_environment_cannot_be_built_is_told_until_it_is_forgotten(
    environments: Environments, tmp_path: Path
) -> None:
    path = tmp_path / "answer-3.0-py3-none-any.whl"
    one = model(tmp_path / "one", str(path))
    with pytest.raises(EnvironmentFailed, match=r"`uv pip install` failed: .*answer-3\.0"):
        servers.wait(lambda: environments.python(one) is not None)
    assert not list((tmp_path / "envs").glob("*/bin/python"))
    wheel(tmp_path, "3.0")
    with pytest.raises(EnvironmentFailed):
        environments.python(one)
    environments.forget()
    assert built(environments, one)


def test_a_model_without_requirements_has_no_environment(environments: Environments, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailed, match=r"the model has no requirements\.txt"):
        environments.python(tmp_path)
