"""The README's commands, in order and as pasted, in a copy of the project: ``make run``, then every ``bash`` block."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import stores
from tests.command import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
STAMP = ROOT / ".venv" / "run.stamp"


@pytest.mark.skipif(
    not STAMP.exists() or Path(sys.prefix) != ROOT / ".venv", reason="it uses the .venv that make sets up"
)
@pytest.mark.timeout(900)
def test_the_commands_do_what_the_readme_says(tmp_path: Path) -> None:
    project = _copied(tmp_path / "project")
    blocks = re.findall(r"^```bash\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
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
            "PATH": f"{project}/.venv/bin{os.pathsep}{ours['PATH']}",
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


def _shown() -> list[str]:
    """What the README shows of the output of ``make run``."""
    (block,) = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [line for line in block.splitlines() if line.strip() not in ("", "...") and not line.startswith("$")]


def test_its_links_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "serving").glob("**/README.md"), ROOT / "CONTRIBUTING.md"]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page}: {target}"
