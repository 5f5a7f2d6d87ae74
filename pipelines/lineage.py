"""Where a version comes from: code, data, seed, software."""

import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from msgspec import UNSET

from pipelines.sources import Origin
from registry import logs, policy, redaction
from registry.errors import RegistryError
from registry.evidence.document import DataSource, GitState, Lineage, PipelineSource

if TYPE_CHECKING:
    from pipelines.own_pipeline import OwnPipeline

_log = logs.get_logger(__name__)

#: The packages whose releases decide what a model answers.
PACKAGES = ("mlflow", "scikit-learn", "numpy", "scipy", "pandas", "pyarrow", "great-expectations")


def of(table: Origin, *, dropped_rows: int, seed: int, pipeline: "OwnPipeline | None" = None) -> Lineage:
    """The ``lineage`` section of evidence, of what runs now.

    Parameters
    ----------
    pipeline : the user's own; None for the platform's.
    """
    return Lineage(
        data=DataSource(table.source, table.digest, table.rows, table.columns, dropped_rows),
        git=git(),
        seed=seed,
        versions={"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        command=command_line(),
        pipeline=PipelineSource(pipeline.spec, pipeline.code.digest) if pipeline else UNSET,
    )


def git() -> GitState:
    """The commit of the working directory, and whether files differ from it."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no") if commit else None
    return GitState(commit, None if changed is None else bool(changed))


def warn_without_commit(name: str) -> None:
    """Warn outside a git checkout, if the policy asks for the commit of a model's versions."""
    try:
        wanted = policy.read().for_model(name).lineage.commit
    except RegistryError:
        # Whoever promotes the version hears of it.
        wanted = "required"
    if wanted != "optional" and git().commit is None:
        _log.warning(
            "this folder has no git commit, which the policy asks for in Production: commit it before you train, or "
            "put `lineage: {commit: optional}` into a file policy.yaml here"
        )


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def command_line() -> str:
    """The command as a person would type it again, without secrets."""
    return shlex.join(["python", "-m", "pipelines", *redaction.words(sys.argv[1:])])
