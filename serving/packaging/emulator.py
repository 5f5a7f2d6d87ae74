"""Run a built package here: under the Runtime Interface Emulator of AWS, or under AWS's runtime client alone.

The emulator is the program that runs in AWS's own base images; it is a file in the wheel of ``aws-sam-cli``. The
runtime client, ``awslambdaric``, is the one that Lambda itself starts; without the emulator a small server here hands
it the events.
"""

import contextlib
import http.client
import http.server
import importlib.util
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from registry.waiting import attempts
from serving.errors import ServingError

from .building import MANIFEST
from .code import HANDLER
from .runtime_api import PATIENCE, RuntimeApi

#: What is fetched from the package index where no emulator is on this machine.
WHEEL = "aws-sam-cli==1.170.0"
_DIGESTS = ("sha256:24ebaf5ecba38dc1758089968cb89ab61e124b84e92a344fc7a2771a47f4d0bf",)
#: Names the emulator's program, over the one on the PATH.
VARIABLE = "AWS_LAMBDA_RIE"
_PROGRAM = "aws-lambda-rie"
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
EMULATOR, CLIENT = "emulator", "runtime client"

#: What runs a package on this machine that is no zip.
_BY = {
    "aws-lambda": "build its image with `docker build`, and run it with `docker run -p 9000:8080`",
    "docker": "build its image with `docker build`, and run it with `docker run`",
    "azure-functions": "run it with `func start` in its folder",
    "gcp-functions": "run it with `functions-framework --target=answer` in its folder",
}

#: Seconds that an end is waited for.
_GRACE = 5


class RunningFunction:
    """A running package. Make one with :func:`running`.

    Attributes
    ----------
    kind : ``emulator`` or ``runtime client``.
    """

    def __init__(self, kind: str, send, log: Path):
        self.kind, self._send, self._log = kind, send, log

    def invoke(self, event: Any) -> Any:
        """The answer to an event; both are JSON values.

        Raises
        ------
        ServingError
            if the function fails or does not answer.
        """
        found = self._send(json.dumps(event).encode())
        try:
            answer = json.loads(found)
        except ValueError:
            raise ServingError(f"the function did not answer: {found[:200].decode(errors='replace')}") from None
        if isinstance(answer, dict) and "errorType" in answer and "errorMessage" in answer:
            raise ServingError(f"the function failed: {answer['errorType']}: {answer['errorMessage']}")
        return answer

    @property
    def log(self) -> str:
        """What the function, and the emulator, have written until now."""
        return self._log.read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def running(
    package: str | Path,
    *,
    environment: Mapping[str, str] | None = None,
    emulator: str | Path | None = None,
) -> Iterator[RunningFunction]:
    """Start a built package, as Lambda would: unpacked into a folder of its own, by AWS's runtime client.

    Parameters
    ----------
    package : a zip for ``aws-lambda``, or the folder of a build.
    environment : further variables of the function.
    emulator : the emulator's program, as :func:`find` gives it; None for the runtime client alone.

    Raises
    ------
    ServingError
        if the package is none that runs here, or does not start.
    """
    file = archive(Path(package))
    _client()
    with tempfile.TemporaryDirectory(prefix="lifecycle-", ignore_cleanup_errors=True) as folder:
        task, log = Path(folder, "task"), Path(folder, "log")
        with opened(file) as content:
            content.extractall(task)
        variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LAMBDA_"))},
            # As in Lambda nothing is written beside the sources.
            **{"PYTHONPATH": str(task), "PYTHONDONTWRITEBYTECODE": "1", "LAMBDA_TASK_ROOT": str(task)},
            **{"AWS_LAMBDA_FUNCTION_NAME": "local", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST"},
            **{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_LOG_GROUP_NAME": "local"},
            **{"_HANDLER": HANDLER, **(environment or {})},
        }
        command = [sys.executable, "-m", "awslambdaric", HANDLER]
        start = _by_emulator(str(emulator), command) if emulator else _by_client(command)
        with log.open("wb") as output, start(variables, task, output) as send:
            yield RunningFunction(EMULATOR if emulator else CLIENT, send, log)


def archive(package: Path) -> Path:
    """The zip that a path means: itself, or the one in the folder of a build.

    Raises
    ------
    ServingError
        if there is none.
    """
    if package.is_dir():
        try:
            told = json.loads((package / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ServingError(f"{package} is no built package: it has no {MANIFEST} that can be read") from None
        if not told.get("archive"):
            target = told.get("target")
            raise ServingError(
                f"{package} is for {target}, and no zip for AWS Lambda; {_BY.get(target, 'only such a zip runs here')}"
            )
        return package / told["archive"]
    if not package.is_file():
        raise ServingError(f"there is no package {package}; build one with `python -m serving package`")
    return package


@contextlib.contextmanager
def opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """A package's zip.

    Raises
    ------
    ServingError
        if it cannot be read.
    """
    try:
        with zipfile.ZipFile(file) as content:
            yield content
    except (zipfile.BadZipFile, OSError, KeyError) as error:
        raise ServingError(f"{file} is no zip of a package that can be read: {error}; build it again") from None


def _client() -> None:
    if importlib.util.find_spec("awslambdaric") is None:
        raise ServingError("AWS's runtime client is not installed; `pip install awslambdaric` brings it")


@contextlib.contextmanager
def _process(command: list[str], variables: Mapping[str, str], folder: Path, output) -> Iterator[subprocess.Popen]:
    """A process, and whatever it starts, until the block ends."""
    process = subprocess.Popen(
        command, cwd=folder, env=dict(variables), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        # The emulator has the runtime in a group of its own, and ends it when it is asked to end itself.
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _by_emulator(program: str, command: list[str]):
    @contextlib.contextmanager
    def start(variables: Mapping[str, str], folder: Path, output) -> Iterator:
        # The emulator takes no port 0, so another may take one of these before it does.
        port, runtime = _free_port(), _free_port()
        addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
        addresses += ["--runtime-api-address", f"127.0.0.1:{runtime}"]
        with _process([program, *addresses, *command], variables, folder, output) as process:
            _await(port, process)
            yield lambda event: _post(port, event)

    return start


def _post(port: int, event: bytes) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/2015-03-31/functions/function/invocations", event)
        return connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise ServingError(f"the emulator does not answer: {error}") from None
    finally:
        connection.close()


def _await(port: int, process: subprocess.Popen) -> None:
    for _ in attempts(PATIENCE, every=0.01):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        if process.poll() is not None:
            break
    raise ServingError("the emulator did not start; leave it out to run under AWS's runtime client alone")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _by_client(command: list[str]):
    @contextlib.contextmanager
    def start(variables: Mapping[str, str], folder: Path, output) -> Iterator:
        with RuntimeApi() as api:
            address = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.port}"}
            with _process(command, {**variables, **address}, folder, output) as process:
                yield lambda event: api.ask(event, alive=lambda: process.poll() is None)

    return start


def find(*, fetch: bool = False, cache: Path | None = None) -> Path | None:
    """The emulator's program on this machine: of ``AWS_LAMBDA_RIE``, the PATH, or what was fetched; None for none.

    Parameters
    ----------
    fetch : whether it is fetched from the package index (8 MB) where there is none.
    cache : where it is kept; by default in the user's folder for caches.

    Raises
    ------
    ServingError
        if the variable names no program, or it cannot be fetched.
    """
    if named := os.environ.get(VARIABLE):
        if not os.access(named, os.X_OK):
            raise ServingError(f"{VARIABLE}={named} is no program; correct it, or unset it")
        return Path(named)
    if on_path := shutil.which(_PROGRAM):
        return Path(on_path)
    machine = _MACHINES.get(platform.machine().lower())
    if machine is None or platform.system() != "Linux":
        return None
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "model-lifecycle")
    kept = folder / f"{_PROGRAM}-{WHEEL.partition('==')[2]}-{machine}"
    if not kept.exists() and fetch:
        _fetch(f"samcli/local/rapid/{_PROGRAM}-{machine}", kept)
    return kept if kept.exists() else None


def _fetch(member: str, kept: Path) -> None:
    """Take a program out of the wheel, whose hash is known, and keep it."""
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        wanted = Path(folder, "requirements.txt")
        wanted.write_text(" ".join([WHEEL, *(f"--hash={one}" for one in _DIGESTS)]) + "\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary", ":all:", "--require-hashes", "-r", str(wanted), "-d", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = [*Path(folder).glob("*.whl")]
        if done.returncode or not wheels:
            said = next((line for line in reversed(done.stderr.splitlines()) if "ERROR" in line), "no wheel")
            raise ServingError(f"the emulator cannot be fetched ({WHEEL}): {said}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheels[0]) as wheel, tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as part:
            part.write(wheel.read(member))
        os.chmod(part.name, 0o755)
        os.replace(part.name, kept)
