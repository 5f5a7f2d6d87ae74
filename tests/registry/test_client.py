"""A tracking server that is away, that refuses, or that is none: one line, soon, and never the password."""

import http.server
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests

from registry import client
from registry.errors import RegistryError
from tests import stores
from tests.patience import soon

SECRET = "s3cr3t"
PAGE = b"<!DOCTYPE html><html><head><style>b {color: red}</style></head><body><b>Welcome</b>\nto nginx</body></html>"


@contextmanager
def web_server(answer) -> Iterator[str]:
    """A web server that answers every request by a function of the path to status and body; its host and port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = reply

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer((stores.HOST, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{stores.HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def silent_server() -> Iterator[str]:
    """A port that takes connections and never answers."""
    with socket.create_server((stores.HOST, 0)) as listener:
        yield f"{stores.HOST}:{listener.getsockname()[1]}"


def refusal(uri: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What connecting to a URI fails with: one line, in time, without the password."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    began = time.monotonic()
    with pytest.raises(RegistryError) as caught:
        client.connect()
    assert time.monotonic() - began < soon(client.PATIENCE)
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text
    return text


def test_a_server_that_answers_is_connected_to(tracking_server: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_server)
    assert client.connect().tracking_uri == tracking_server


def test_without_a_setting_it_is_the_database_in_the_working_folder(tracking: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert client.connect().search_experiments()[0].artifact_location.startswith(str(Path.cwd()))


def test_a_port_where_nobody_listens(monkeypatch: pytest.MonkeyPatch):
    uri = f"http://ann:{SECRET}@{stores.HOST}:{stores.free_port()}"
    assert refusal(uri, monkeypatch) == (
        f"the tracking server {uri.replace(SECRET, '***')} does not answer (Connection refused); "
        "start it (`make server`), or correct MLFLOW_TRACKING_URI"
    )


def test_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch):
    said = refusal(f"http://ann:{SECRET}@nowhere.invalid:5000", monkeypatch)
    assert said.startswith("the tracking server http://ann:***@nowhere.invalid:5000 does not answer (")


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch):
    with silent_server() as place:
        assert "does not answer (silent for 4 s)" in refusal(f"http://ann:{SECRET}@{place}", monkeypatch)


def test_a_server_that_lives_and_does_not_answer_what_it_is_asked(monkeypatch: pytest.MonkeyPatch):
    asked = threading.Event()

    def answer(path: str) -> tuple[int, bytes]:
        if path != "/health":
            asked.wait(60)
        return 200, b"OK"

    with web_server(answer) as place:
        said = refusal(f"http://ann:{SECRET}@{place}", monkeypatch)
        asked.set()
    assert "does not answer (silent for 5 s); see that it runs, and try again" in said


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (200, "answers, but not as MLflow does: Welcome to nginx; correct MLFLOW_TRACKING_URI"),
        (401, "refused (401): Welcome to nginx; check MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD"),
        (403, "refused (403): Welcome to nginx; check MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD"),
        (404, "failed (404): Welcome to nginx; look at its log, or correct MLFLOW_TRACKING_URI"),
        (500, "failed (500); look at its log, or correct MLFLOW_TRACKING_URI"),
        (503, "failed (503); look at its log, or correct MLFLOW_TRACKING_URI"),
    ],
)
def test_a_server_that_is_not_mlflow_or_not_well(status: int, says: str, monkeypatch: pytest.MonkeyPatch):
    with web_server(lambda path: (status, PAGE)) as place:
        said = refusal(f"http://ann:{SECRET}@{place}", monkeypatch)
    assert said.startswith(f"the tracking server http://ann:***@{place} {says}")


def test_a_server_that_does_not_speak_tls(monkeypatch: pytest.MonkeyPatch):
    with web_server(lambda path: (200, b"OK")) as place:
        said = refusal(f"https://ann:{SECRET}@{place}", monkeypatch)
    assert said.startswith(f"the tracking server https://ann:***@{place} does not answer (")
    assert "SSL" in said


@pytest.mark.parametrize(
    "uri", ["htp://localhost:5000", "mlruns", "file:///tmp/mlruns", "localhost:5000", "C:\\mlruns"]
)
def test_what_is_no_address(uri: str, monkeypatch: pytest.MonkeyPatch):
    assert f"found MLFLOW_TRACKING_URI={uri}; set it to sqlite:///mlflow.db or http" in refusal(uri, monkeypatch)


@pytest.mark.parametrize("uri", ["http://", "http://localhost:http"])
def test_an_address_that_is_incomplete(uri: str, monkeypatch: pytest.MonkeyPatch):
    assert f"MLFLOW_TRACKING_URI={uri} is no address of a server" in refusal(uri, monkeypatch)


def test_a_registry_elsewhere_is_looked_for_too(tracking: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"http://{stores.HOST}:{stores.free_port()}")
    assert "correct MLFLOW_REGISTRY_URI" in refusal(tracking, monkeypatch)


def test_a_postgresql_that_is_away(monkeypatch: pytest.MonkeyPatch):
    uri = f"postgresql://ann:{SECRET}@{stores.HOST}:{stores.free_port()}/mlflow"
    said = refusal(uri, monkeypatch)
    assert said.startswith(f"the tracking database {uri.replace(SECRET, '***')} cannot be reached: ")
    assert "Connection refused" in said


def test_a_postgresql_that_never_answers(monkeypatch: pytest.MonkeyPatch):
    with silent_server() as place:
        assert "cannot be reached: " in refusal(f"postgresql://ann:{SECRET}@{place}/mlflow", monkeypatch)


def test_a_postgresql_that_refuses_the_password(postgresql: str, monkeypatch: pytest.MonkeyPatch):
    parts = urlsplit(postgresql)
    wrong = parts._replace(netloc=f"{parts.username}:{SECRET}@{parts.hostname}:{parts.port}")
    said = refusal(urlunsplit(wrong), monkeypatch)
    assert "password authentication failed" in said


def test_a_password_with_an_at_sign_is_to_be_written_otherwise(monkeypatch: pytest.MonkeyPatch):
    said = refusal(f"postgresql://ann:p@{SECRET}@{stores.HOST}:1/mlflow", monkeypatch)
    assert "its password holds an @, which is written %40" in said


def test_an_sqlite_file_that_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert f"the tracking database {tmp_path} cannot be written: it is a folder" in refusal(
        f"sqlite:///{tmp_path}", monkeypatch
    )


def test_an_sqlite_file_that_is_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "mlflow.db"
    path.write_text("not a database, but as long as the head of one\n" * 30)
    assert "cannot be written: file is not a database" in refusal(f"sqlite:///{path}", monkeypatch)


def test_an_sqlite_file_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch):
    # Not even by root.
    assert "the tracking database /proc/none/mlflow.db cannot be written: " in refusal(
        "sqlite:////proc/none/mlflow.db", monkeypatch
    )


def test_an_sqlite_file_that_another_process_locks(tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        said = refusal(tracking, monkeypatch)
    assert said.endswith(
        "cannot be written: database is locked; another process is writing to it: wait for that to end"
    )


def test_an_sqlite_file_that_another_process_locks_for_a_while_is_waited_for(tracking: str, tmp_path: Path):
    other = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    end = threading.Timer(1.0, other.rollback)
    end.start()
    client.connect()
    end.join()
    other.close()


def test_looking_for_a_database_that_is_not_there_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/new/mlflow.db")
    client.probe()
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_refuses_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = tmp_path / "auth.ini"
    admin = "administrator-1"
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{tmp_path}/auth.db\nadmin_username = admin\n"
        f"admin_password = {admin}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    env = {"MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": "for this test"}
    with stores.tracking_server(tmp_path, env=env, options=["--app-name", "basic-auth"]) as address:
        said = refusal(address, monkeypatch)
        assert said.startswith(f"the tracking server {address} refused (401): You are not authenticated.")

        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
        assert "refused (401)" in refusal(address, monkeypatch)

        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", admin)
        chief = client.connect()
        experiment = chief.create_experiment("of the admin")
        user = {"username": "ann", "password": "anns-password-1"}
        requests.post(f"{address}/api/2.0/mlflow/users/create", json=user, auth=("admin", admin)).raise_for_status()
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "anns-password-1")
        ann = client.connect()
        refused = r"refused \(403\): Permission denied; check .* and the rights"
        with pytest.raises(RegistryError, match=refused), client.speaking():
            ann.create_run(experiment)


def test_what_is_not_mlflows_is_not_made_an_error_of_the_registry():
    with pytest.raises(ZeroDivisionError), client.speaking():
        _ = 1 / 0
