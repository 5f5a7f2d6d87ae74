"""The supervisor: what it refuses to begin, how it stops, and that nothing of it is left."""

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from serving.errors import ServingError
from serving.server.guard import keys
from serving.server.settings import ServerSettings, local
from tests import command, system
from tests.patience import soon
from tests.serving.server import servers
from tests.serving.server.servers import NUMBERS, Server, wait


def refused(*words: str, folder: Path, says: str, **env: str) -> None:
    """Assert that a server does not begin, and says why on one line."""
    done = command.run("serve", *words, folder=folder, package="serving", env=env)
    assert done.code == 2, done
    assert done.line.startswith("error: "), done.err
    assert says in done.line, done.err
    assert "Traceback" not in done.err


def test_an_address_that_is_in_use_or_is_none(tmp_path: Path, folders) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused(str(folders["sums"]), "--port", port, folder=tmp_path, says="another program listens there")
    refused(str(folders["sums"]), "--host", "nowhere.invalid", "--open", folder=tmp_path, says="is no address")
    refused(str(folders["sums"]), "--host", "192.0.2.1", "--open", folder=tmp_path, says="no address of this machine")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_it_is_not_open_to_other_machines_by_mistake(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServingError, match="give --keys FILE, or --open"):
        ServerSettings(host=host).checked()
    assert ServerSettings(host=host, open=True).checked().host == host
    monkeypatch.setenv("SERVING_KEYS", keys.write([keys.make("ann")[1]]))
    assert ServerSettings(host=host).checked().keyed


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_this_machine_may_ask_without_keys(host: str) -> None:
    assert local(host)
    assert ServerSettings(host=host).checked().host == host


def test_settings_travel_whole() -> None:
    settings = ServerSettings(uris=("models:/a/1", "b=c"), port=0, tls_cert="é", rate="10/s", metrics=False)
    assert ServerSettings.loads(settings.dumps()) == settings


def test_what_it_is_told_and_cannot_be(tmp_path: Path, folders) -> None:
    sums = str(folders["sums"])
    (tmp_path / "file").write_text("")
    refused(
        sums,
        "--cache",
        "file/x",
        folder=tmp_path,
        says="cannot be written: Not a directory; --cache needs a writable folder",
    )
    refused(sums, "--tls-cert", "file", folder=tmp_path, says="TLS needs both")
    refused(sums, "--tls-cert", "none", "--tls-key", "file", folder=tmp_path, says="--tls-cert none cannot be read")
    refused(sums, "--tls-cert", "file", "--tls-key", "file", folder=tmp_path, says="are not a certificate and its key")
    refused("nothing", folder=tmp_path, says="'nothing' is neither an existing path nor a URI")
    refused("models:/wine", folder=tmp_path, says="names no version")
    refused(sums, sums, folder=tmp_path, says="two models would be called 'sums'")
    refused(sums, "--port", "99999", folder=tmp_path, says="--port")
    refused(folder=tmp_path, says="policy", LIFECYCLE_POLICY=str(tmp_path / "none.yaml"))


def test_where_the_ledger_is_has_to_be_said(tmp_path: Path) -> None:
    refused(folder=tmp_path, says="LEDGER_URI", MLFLOW_TRACKING_URI="http://127.0.0.1:9", LEDGER_URI="")


def test_a_model_without_a_scorecard_is_told_how_to_serve_it(tmp_path: Path) -> None:
    plain = servers.model(tmp_path / "plain", None)
    with Server([str(plain)], tmp_path) as server:
        server.says("plain has no scorecard; start the server with `--pyfunc yes` ")
        wait(lambda: "plain" in server.get("/models").json["refused"])
        assert server.get("/ready").status == 503
        assert server.get("/ping").status == 503
        assert server.get("/live").status == 200
        found = server.post("/models/plain/invocations", [1])
        assert found.status == 404
        assert "mlflow models serve" in found.said
        assert str(tmp_path) not in found.said


def test_with_an_empty_registry_it_starts_and_says_so(tmp_path: Path) -> None:
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db", "LEDGER_URI": f"sqlite:///{tmp_path}/ledger.db"}
    with Server([], tmp_path, env) as server:
        found = server.post("/invocations", [1])
        assert (found.status, found.json["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert found.headers["retry-after"] == "1"
        servers.wait(lambda: "loading" not in server.post("/invocations", [1]).said)
        assert "no model is served yet: none of the registry is in Production" in server.post("/invocations", [1]).said
        assert server.get("/ready").json["status"] == "not ready"
        assert server.get("/live").status == 200
        assert server.stop() == 0


def test_until_models_by_uri_are_read_it_is_loading(tmp_path: Path) -> None:
    env = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}  # nobody answers there: it goes on trying
    with Server(["live=models:/wine/1", "--log", "no"], tmp_path, env) as server:
        for path in ("/models/live/invocations", "/invocations", "/predict", "/v1/models/live:predict"):
            found = server.post(path, {"instances": [[1]]})
            assert (found.status, found.headers["retry-after"]) == (503, "1")
            assert b"the server is loading its models; try again in 1 s" in found.body
            assert b"Production" not in found.body
        for path in ("/ready", "/ping", "/models/live/ping", "/v2/health/ready", "/v2/models/live/ready"):
            assert server.get(path).status == 503
        assert server.get("/ready").headers["retry-after"] == "1"
        assert b"The models are being loaded" in server.get("/", {"Accept": "text/html"}).body
        assert server.stop() == 0


def test_with_a_warm_cache_it_is_ready_at_once(tmp_path: Path, folders) -> None:
    words = [str(folders["sums"]), "--log", "no"]
    with Server(words, tmp_path) as server:
        server.ready("sums")
    times = []
    for _ in range(3):
        with Server(words, tmp_path) as server:
            server.ready("sums")
            times.append(time.monotonic() - server.began)
    assert min(times) < soon(3)  # a second on a machine that does nothing else: see the benchmark


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_what_it_began(tmp_path: Path, folders, number: signal.Signals) -> None:
    with Server([str(folders["sums"]), "-w", "2"], tmp_path) as server:
        server.ready("sums")
        family = psutil.Process(server.process.pid).children(recursive=True)
        body = json.dumps({"dataframe_records": [NUMBERS]}).encode()
        head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
            time.sleep(0.3)
            server.process.send_signal(number)
            server.says("stopping: finishing requests")
            time.sleep(0.3)
            connection.sendall(body[5:])
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer
        assert server.process.wait(30) == 0
        assert server.err.endswith("stopped\n")
        assert "Traceback" not in server.err
        assert not any(one.is_running() for one in family)


def test_who_does_not_finish_in_time_is_cut_off(tmp_path: Path, folders) -> None:
    with Server([str(folders["sums"]), "--grace", "1"], tmp_path) as server:
        server.ready("sums")
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
            time.sleep(0.3)
            began = time.monotonic()
            assert server.stop() == 1
            assert time.monotonic() - began < soon(10)
        assert "cut off" in server.err


def test_told_twice_it_stops_at_once(tmp_path: Path, folders) -> None:
    with Server([str(folders["sums"]), "--grace", "60"], tmp_path) as server:
        server.ready("sums")
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
            time.sleep(0.3)
            server.process.send_signal(signal.SIGINT)
            server.says("stopping")
            assert server.stop(signal.SIGINT) == 1
        assert "cut off" in server.err


def test_whatever_becomes_of_the_supervisor_its_processes_end(tmp_path: Path, folders) -> None:
    with Server([str(folders["sums"]), "-w", "2"], tmp_path) as server:
        server.ready("sums")
        family = psutil.Process(server.process.pid).children(recursive=True)
        assert len(family) >= 2
        server.process.kill()
        wait(lambda: not any(one.is_running() and one.status() != "zombie" for one in family))


def certificate(folder: Path, *words: str) -> None:
    """Put a certificate of its own and its key into ``cert.pem`` and ``key.pem``; ``words`` are OpenSSL's."""
    openssl = system.need("openssl")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command, *(words or ["-nodes"]), *names], cwd=folder, check=True, capture_output=True)


def by_tls(server: Server, trusted: str) -> bytes:
    """What it answers to ``/live`` under TLS to who trusts this certificate alone."""
    context = ssl.create_default_context(cadata=trusted)
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while more := connection.recv(65536):
            answer += more
    return answer


def test_it_speaks_https(tmp_path: Path, folders) -> None:
    certificate(tmp_path)
    words = [str(folders["sums"]), "--tls-cert", "cert.pem", "--tls-key", "key.pem"]
    with Server(words, tmp_path) as server:
        assert "serving on https://" in server.err
        answer = by_tls(server, (tmp_path / "cert.pem").read_text())
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"strict-transport-security" in answer
        assert b"HTTP/1.1 200" not in server.raw(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")


def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path, folders) -> None:
    certificate(tmp_path)
    old = (tmp_path / "cert.pem").read_text()
    (renewed := tmp_path / "renewed").mkdir()
    certificate(renewed)
    new = (renewed / "cert.pem").read_text()
    words = [str(folders["sums"]), "--tls-cert", "cert.pem", "--tls-key", "key.pem"]
    with Server(words, tmp_path) as server:
        assert by_tls(server, old)
        # One file after the other: in between they do not belong together, and the old one stays in use.
        os.replace(renewed / "cert.pem", tmp_path / "cert.pem")
        server.says("the previous certificate stays in use")
        assert by_tls(server, old)
        os.replace(renewed / "key.pem", tmp_path / "key.pem")
        server.says("the certificate can be read again")
        assert by_tls(server, new)
        with pytest.raises(ssl.SSLCertVerificationError):
            by_tls(server, old)


def test_a_key_with_a_pass_phrase_is_refused_and_nobody_is_asked_for_it(tmp_path: Path, folders) -> None:
    certificate(tmp_path, "-passout", "pass:secret")
    words = (str(folders["sums"]), "--tls-cert", "cert.pem", "--tls-key", "key.pem")
    refused(*words, folder=tmp_path, says="--tls-key is encrypted")


def test_it_serves_without_standard_input_output_and_error(tmp_path: Path, folders) -> None:
    """Closed as some starters of services do: what it opens first would take their places, and be written into."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "serving", "serve", str(folders["sums"]), "--port", str(port)]
    closing = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    process = subprocess.Popen(closing, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(servers.ROOT)})
    try:
        answers: list[bytes] = []

        def answered() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                body = json.dumps({"inputs": NUMBERS})
                connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
                found = connection.getresponse()
                answers.extend([found.read()] if found.status == 200 else [])
            return bool(answers)

        wait(answered)
        assert json.loads(answers[0]) == {"predictions": [pytest.approx(151.5)]}
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_a_container_may_say_it_by_variables(tmp_path: Path, folders) -> None:
    env = {"AIP_HEALTH_ROUTE": "/aip/health", "AIP_PREDICT_ROUTE": "/aip/predict", "SERVING_WORKERS": "2"}
    with Server([str(folders["sums"])], tmp_path, env) as server:
        server.ready("sums")
        assert "with 2 workers" in server.err
        assert server.get("/aip/health").status == 200
        assert server.post("/aip/predict", {"instances": [NUMBERS]}).json == {"predictions": [pytest.approx(151.5)]}


def test_workers_share_the_connections(tmp_path: Path, folders) -> None:
    with Server([str(folders["sums"]), "-w", "2", "--log", "no"], tmp_path) as server:
        server.ready("sums")
        connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(64)]
        for connection in connections:
            connection.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(999).startswith(b"HTTP/1.1 200")
        held = [
            len([one for one in worker.net_connections() if one.status == "ESTABLISHED"])
            for worker in server.children("worker")
        ]
        assert sum(held) == 64
        for connection in connections:
            connection.close()


def test_no_request_waits_for_the_network_to_be_patient(tmp_path: Path, folders) -> None:
    """Without TCP_NODELAY each answer may be 40 ms late."""
    with Server([str(folders["sums"]), "-w", "2", "--log", "no"], tmp_path) as server:
        server.ready("sums")
        body = json.dumps([1, 2]).encode()
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        request = head % len(body)
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the client's own part
            times = []
            for _ in range(100):
                began = time.perf_counter()
                connection.sendall(request)
                connection.sendall(body)
                connection.recv(65536)
                times.append(time.perf_counter() - began)
        assert sorted(times)[50] < 0.02


def test_a_worker_imports_none_of_what_only_the_follower_needs(tmp_path: Path, folders) -> None:
    program = f"""
import json, os, socket, sys, threading
from serving.server.settings import SETTINGS, ServerSettings
settings = ServerSettings(
    uris=({str(folders["sums"])!r}, {str(folders["visits"])!r}), cache={str(tmp_path / "cache")!r}
)
from serving.server.worker import Worker
worker = Worker(settings)
from serving.server.messages import JSON, Request
body = b'{{"instances": [[1, 2]]}}'
request = Request("POST", "/models/sums/invocations", headers=[(b"content-type", JSON)], body=body)
print(worker.app.handle_now(request)[0], *sys.modules)
"""
    with Server([str(folders["sums"]), str(folders["visits"])], tmp_path) as server:
        server.ready("sums")
        env = {**os.environ, "PYTHONPATH": str(servers.ROOT)}
        words = [sys.executable, "-c", program.replace(str(tmp_path / "cache"), str(tmp_path / ".serving-cache"))]
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    status, *modules = done.stdout.split()
    # Parts of the registry that need the standard library alone.
    small = {"registry", "registry.troubles", "registry.policy_file", "registry.last_report"}
    small |= {"registry.cli", "registry.cli.text"}
    tops = {name.split(".")[0] for name in set(modules) - small}
    assert status == "200"
    assert not tops & {"mlflow", "pandas", "sqlalchemy", "sklearn", "registry", "pyarrow", "scipy", "requests"}


def test_a_worker_is_small(server: Server) -> None:
    (worker,) = server.children("worker")
    assert worker.memory_info().rss < 100 << 20


def test_a_worker_that_runs_out_of_files_recovers(tmp_path: Path, folders) -> None:
    with Server([str(folders["sums"]), "--log", "no"], tmp_path) as server:
        server.ready("sums")
        (worker,) = server.children("worker")
        worker.rlimit(psutil.RLIMIT_NOFILE, (worker.num_fds() + 20, 4096))
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
        time.sleep(0.5)
        for connection in held:
            connection.close()

        def answers() -> bool:
            try:
                return server.post("/invocations", {"instances": [NUMBERS]}).status == 200
            except OSError:
                return False

        wait(answers)
