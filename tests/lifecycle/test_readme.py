"""The commands of README and guides, in order and as pasted, in a copy of the project, after ``make run``.

``make run`` starts interpreters of its own; what is pasted after it is forked from a process that has imported MLflow.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import stores
from tests.command import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFIG = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
#: The guides in the order in which the site lists them.
GUIDES = [
    (ROOT / "docs" / page).read_text(encoding="utf-8") for entry in CONFIG["nav"] for page in entry.get("Guides", ())
]
STAMP = ROOT / ".venv" / "run.stamp"


def _is_set_up() -> bool:
    """Whether make has nothing to do for the .venv; else it would be installed anew from the copy of the project."""
    if Path(sys.prefix) != ROOT / ".venv" or not STAMP.exists():
        return False
    needed = [(ROOT / name).stat().st_mtime for name in ("requirements.txt", "pyproject.toml")]
    return max(needed) <= STAMP.stat().st_mtime


@pytest.mark.skipif(not _is_set_up(), reason="it uses the .venv that make sets up: make .venv/dev.stamp")
@pytest.mark.timeout(900)
def test_the_commands_do_what_the_readme_says(tmp_path: Path, warm_python: Path) -> None:
    project = _copied(tmp_path / "project")
    blocks = [block for page in (README, *GUIDES) for block in _blocks(page)]
    assert len(blocks) >= 7
    # A port of its own is the only word that is not the README's.
    pasted = "\n".join(blocks).replace(":8080", ":$SERVING_PORT")
    script = f"set -euo pipefail\ntrap 'kill $(jobs -p)' EXIT\nmake run\n{pasted}\n"
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "LEDGER_", "LIFECYCLE_"))
    }
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=project,
        env={
            **ours,
            "PATH": os.pathsep.join([str(warm_python), f"{project}/.venv/bin", ours["PATH"]]),
            "SERVING_PORT": str(stores.free_port()),
            "HOME": str(tmp_path),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=800)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    assert process.returncode == 0, said[-4000:]
    said = _rounded(said)
    for line in _shown():
        assert _rounded(line) in said, line
    assert "Traceback" not in said
    assert (project / "build" / "diabetes.sql").exists()


def _copied(folder: Path) -> Path:
    """The project without its tests and without a store; files keep their times, so that make has nothing to set up."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    author = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    subprocess.run(["git", *author, "commit", "-q", "-m", "a copy"], cwd=folder, check=True)
    return folder


def _rounded(text: str) -> str:
    """The text with long numbers cut short: a fit's last digits hang on the machine's linear algebra."""
    return re.sub(r"\d+\.\d{10,}", lambda found: f"{float(found[0]):.9g}", text)


def _blocks(page: str) -> list[str]:
    """What a page says to paste into a shell."""
    return re.findall(r"^```bash\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def _shown() -> list[str]:
    """What the README shows of the output of ``make run``."""
    shown = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (block,) = (block for block in shown if "$ make run" in block)
    return [line for line in block.splitlines() if line.strip() not in ("", "...") and not line.startswith("$")]


def test_its_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page}: {target}"
