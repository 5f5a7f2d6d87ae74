"""What the notebooks share: a folder of their own, commands, servers beside a cell, and the look of pictures."""

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

BLUE, ORANGE, GREY = "#1f6feb", "#d9730d", "#8b949e"

#: Prefixes of the variables by which the reader's own store, ledger and policy would be used.
_OWN = ("MLFLOW_", "LEDGER_", "LIFECYCLE_", "SERVING_")

_entered: Path | None = None


def workspace(name: str) -> Path:
    """Work in an empty folder, ``build/notebooks/NAME`` of the checkout.

    MLflow's store, the ledger and all files are created there, so that a notebook changes nothing of the reader's and
    shows the same each time. It is emptied once for each start of the kernel.

    Parameters
    ----------
    name : str
        the folder's name.

    Returns
    -------
    Path
        the folder, which is now the working folder.
    """
    global _entered
    if _entered is None:
        _entered = ROOT / "build" / "notebooks" / name
        shutil.rmtree(_entered, ignore_errors=True)
        _entered.mkdir(parents=True)
        for variable in [variable for variable in os.environ if variable.startswith(_OWN)]:
            del os.environ[variable]
        # Commands run with the Python of this kernel, and print plain lines of one width.
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        os.environ |= {
            "COLUMNS": "110",
            "GX_ANALYTICS_ENABLED": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            # Whatever commit the checkout is at, the notebooks show the same.
            "GIT_CEILING_DIRECTORIES": str(ROOT / "build"),
        }
    os.chdir(_entered)
    _style()
    return _entered


def _style() -> None:
    import matplotlib.pyplot as plt

    plt.rcParams |= {
        "figure.figsize": (8, 2.8),
        "figure.dpi": 70,
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }


def asked(command: str) -> Any:
    """Run a command with ``--json``, and return its answer.

    Parameters
    ----------
    command : str
        the command, as it is typed into a shell.

    Raises
    ------
    RuntimeError
        if it fails (exit code 2) or its output is not JSON; with what it printed.
    """
    done = subprocess.run([*shlex.split(command), "--json"], capture_output=True, text=True)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}") from None


def evidence(model: str, version: int) -> dict[str, Any]:
    """What training measured about a registered version: the ``evidence.json`` of its run."""
    import mlflow

    run = mlflow.MlflowClient().get_model_version(model, str(version)).run_id
    return json.loads(mlflow.artifacts.load_text(f"runs:/{run}/evidence/training/evidence.json"))


@contextlib.contextmanager
def running(command: str, *, ready: str = "/ping") -> Iterator[str]:
    """Run a server as long as the block does.

    Parameters
    ----------
    command : str
        the command, in which ``{port}`` stands for a free port.
    ready : str
        the path that answers with 200 once the server is ready.

    Yields
    ------
    str
        its address.
    """
    import requests

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        assert process.poll() is None, f"{command} ended with exit code {process.returncode}: see server.log"
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(address + ready, timeout=5).ok
        return False

    with (
        open("server.log", "w") as log,
        subprocess.Popen(shlex.split(command.format(port=port)), stdout=log, stderr=log) as process,
    ):
        try:
            wait_until(is_ready, f"{command} is ready")
            yield address
        finally:
            process.terminate()


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = 120.0) -> None:
    """Return once a condition holds.

    Raises
    ------
    TimeoutError
        if it does not within these seconds.
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"expected within {seconds:.0f} s: {what}")
        time.sleep(0.1)
