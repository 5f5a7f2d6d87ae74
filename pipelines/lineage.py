"""Where a version comes from: code, data, seed, software."""

import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version

from pipelines.sources import Origin
from registry import redaction
from registry.evidence.document import DataSource, GitState, Lineage

#: The packages whose releases decide what a model answers.
PACKAGES = ("mlflow", "scikit-learn", "numpy", "scipy", "pandas", "pyarrow", "great-expectations")


def of(table: Origin, *, dropped_rows: int, seed: int) -> Lineage:
    """The ``lineage`` section of evidence, of what runs now."""
    return Lineage(
        data=DataSource(table.source, table.digest, table.rows, table.columns, dropped_rows),
        git=git(),
        seed=seed,
        versions={"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        command=command_line(),
    )


def git() -> GitState:
    """The commit of the working directory, and whether files differ from it."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no") if commit else None
    return GitState(commit, None if changed is None else bool(changed))


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def command_line(package: str = "pipelines") -> str:
    """The command as a person would type it again, without secrets."""
    return shlex.join(["python", "-m", package, *redaction.words(sys.argv[1:])])
