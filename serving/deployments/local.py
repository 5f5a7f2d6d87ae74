"""Run a model's package on this machine, by AWS's own runtime client, and serve it as a function URL would."""

import binascii
import http.server
import json
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from registry.cli.interrupts import interruptible
from registry.cli.terminal import say
from serving.errors import ServingError
from serving.packaging import emulator
from serving.packaging.aws_lambda.events import http_event
from serving.packaging.emulator import EMULATOR, RunningFunction

from . import packages, settings
from .errors import INVALID_PARAMETER_VALUE, DeploymentError, deployment_errors
from .predicting import MOST
from .settings import RUN

HOST = "127.0.0.1"


def run_local(name: str, model_uri: str, flavor: str | None = None, config: Mapping[str, Any] | None = None) -> None:
    """Serve a model's package over HTTP until Ctrl-C: ``POST /invocations``, ``GET /ping``, ``GET /version``.

    It is the very zip that ``create`` deploys, run by AWS's runtime client under AWS's emulator; where this machine has
    no emulator, under the client alone.

    Parameters
    ----------
    name : of the deployment, as it would be.
    config : the options of ``run-local``.

    Raises
    ------
    DeploymentError
        if there is no such model, it has no scorecard, or the port is taken.
    """
    settings.name(name)
    with deployment_errors():
        given = settings.read(RUN, config)
        package = packages.plan(model_uri, name, given)
        program = emulator.find(fetch=given.fetch)
    with tempfile.TemporaryDirectory(prefix="lifecycle-", ignore_cleanup_errors=True) as folder:
        archive = Path(folder, "function.zip")
        archive.write_bytes(package.code.content or b"")
        # Whoever is told to stop ends the runtime client, too.
        with interruptible(), deployment_errors():
            try:
                with (
                    emulator.running(archive, environment=_variables(name, package), emulator=program) as function,
                    serving(function, given.port) as port,
                ):
                    how = "AWS's emulator"
                    if function.kind != EMULATOR:
                        how = "AWS's runtime client alone (-C fetch=true brings the emulator)"
                    say(f"{name}: {package.uri} under {how} on http://{HOST}:{port}/invocations; Ctrl-C ends it")
                    threading.Event().wait()
            except KeyboardInterrupt:
                say(f"{name}: ended")


def _variables(name: str, package: packages.Package) -> dict[str, str]:
    wanted = package.wanted("").configuration["Environment"]["Variables"]
    return {**wanted, "AWS_LAMBDA_FUNCTION_NAME": name}


@contextmanager
def serving(function: RunningFunction, port: int) -> Iterator[int]:
    """Serve a running function over HTTP; the port.

    Parameters
    ----------
    port : 0 for any that is free.

    Raises
    ------
    DeploymentError
        if the port is taken.
    """
    # A function answers one request at a time; Lambda would start more of them.
    turn = threading.Lock()

    class Requests(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET

        def _answer(self) -> None:
            length = self.headers.get("Content-Length") or "0"
            if not length.isdigit() or int(length) > MOST:
                self.close_connection = True
                return self._send(413, {}, _error("RESOURCE_LIMIT_EXCEEDED", f"Lambda takes {MOST:,} bytes"))
            target = urlsplit(self.path)
            asked = http_event(
                self.rfile.read(int(length)),
                method=self.command,
                path=target.path,
                query=target.query,
                headers=dict(self.headers.items()),
            )
            try:
                with turn:
                    answered = function.invoke(asked)
                return self._send(*response(answered))
            except (ServingError, KeyError, TypeError, ValueError) as error:
                # As a function URL has it; the reason is for the person at the terminal.
                say(f"{type(error).__name__}: {error}")
                return self._send(502, {}, _error("INTERNAL_ERROR", "Internal Server Error"))

        def _send(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
            self.send_response(status)
            for key, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    try:
        server = http.server.ThreadingHTTPServer((HOST, port), Requests)
    except OSError as error:
        raise DeploymentError(
            f"port {port} cannot be listened on: {error.strerror}; give -C port=0 for one that is free",
            INVALID_PARAMETER_VALUE,
        ) from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def response(answered: Any) -> tuple[int, dict[str, str], bytes]:
    """A function's answer as HTTP: status, headers and body."""
    text = answered.get("body") or ""
    try:
        content = binascii.a2b_base64(text) if answered.get("isBase64Encoded") else text.encode()
    except binascii.Error as error:
        raise ValueError(f"the body is not base64: {error}") from None
    headers = {str(key): str(value) for key, value in (answered.get("headers") or {}).items()}
    return int(answered["statusCode"]), headers, content


def _error(code: str, message: str) -> bytes:
    return json.dumps({"error_code": code, "message": message}).encode()
