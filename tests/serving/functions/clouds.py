"""Built functions as the clouds run them: Azure's by its own request objects, Google's by its own framework."""

import base64
import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests import stores
from tests.serving.contract.cases import Case


@dataclass(frozen=True)
class Request:
    """A request of HTTP."""

    body: bytes = b""
    method: str = "POST"
    path: str = "/invocations"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What was answered; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def request(case: Case, **headers: str) -> Request:
    """A case of the contract as a request."""
    known = {"Content-Type": case.content_type, "Content-Encoding": case.encoding, **headers}
    return Request(case.body, headers={name: value for name, value in known.items() if value is not None})


#: Loads a built app, and asks its function; says what was imported beyond what the cloud's own package brings.
_AZURE = """
import base64, json, logging, sys
import azure.functions as func
before = set(sys.modules)
lines = []
class Keep(logging.Handler):
    def emit(self, record):
        lines.append([record.levelname, record.getMessage()])
logging.getLogger().addHandler(Keep())
logging.getLogger().setLevel(logging.INFO)
sys.path.insert(0, sys.argv[1])
import function_app
imported = sorted(set(sys.modules) - before)
[function] = function_app.app.get_functions()
ask = function.get_user_function()
answers = []
for method, path, headers, body in json.load(sys.stdin):
    asked = func.HttpRequest(
        method=method,
        url="https://made.azurewebsites.net" + path,
        headers=headers,
        params={},
        route_params={"path": path.partition("?")[0].lstrip("/")} if path.strip("/") else {},
        body=base64.b64decode(body),
    )
    found = ask(asked)
    assert isinstance(found, func.HttpResponse)
    content = base64.b64encode(found.get_body()).decode()
    answers.append([found.status_code, dict(found.headers), content])
bindings = [one.get_dict_repr() for one in function.get_bindings()]
json.dump({"answers": answers, "lines": lines, "imported": imported, "bindings": bindings}, sys.stdout, default=str)
"""


@dataclass(frozen=True)
class Asked:
    """What an app of Azure answered, logged and imported.

    Parameters
    ----------
    lines : level and text of each line of the log.
    bindings : of its function, as Azure reads them.
    """

    answers: list[Answer]
    lines: list[list[str]]
    imported: list[str]
    bindings: list[dict]


def azure(folder: Path, requests: Sequence[Request], *, environment: Mapping[str, str] | None = None) -> Asked:
    """Ask a built function app, in a process of its own."""
    wanted = [[one.method, one.path, dict(one.headers), base64.b64encode(one.body).decode()] for one in requests]
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", _AZURE, str(folder)],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        cwd="/",
        env=dict(environment or {}),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    answers = [
        Answer(status, {name.lower(): value for name, value in headers.items()}, base64.b64decode(body))
        for status, headers, body in found["answers"]
    ]
    return Asked(answers, found["lines"], found["imported"], found["bindings"])


@dataclass
class Google:
    """A function under functions-framework."""

    port: int
    process: stores.Process

    def ask(self, one: Request) -> Answer:
        """Ask with a connection of its own."""
        return over_http(self.port, one)

    @property
    def lines(self) -> list[dict]:
        """What the function has logged."""
        text = self.process.out.read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith('{"severity"')]


@contextlib.contextmanager
def google(folder: Path, *, environment: Mapping[str, str] | None = None) -> Iterator[Google]:
    """Run a built function as Google does."""
    port = stores.free_port()
    command = [sys.executable, "-m", "functions_framework", "--source", str(folder / "main.py"), "--target", "answer"]
    command += ["--host", stores.HOST, "--port", str(port)]
    with tempfile.TemporaryDirectory() as place:
        # The framework's own way, with gunicorn: DEBUG would start Flask's server for development.
        env = {"PYTHONPATH": "", **(environment or {})}
        with stores.process(command, folder=Path(place), env=env) as process:
            process.wait(lambda: stores.answers(f"http://{stores.HOST}:{port}/ping"))
            yield Google(port, process)


def over_http(port: int, one: Request) -> Answer:
    """Ask a server on this machine."""
    connection = http.client.HTTPConnection(stores.HOST, port, timeout=60)
    try:
        # By hand: http.client adds no headers that a case leaves out.
        connection.putrequest(one.method, one.path, skip_accept_encoding=True)
        for name, value in one.headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(one.body)))
        connection.endheaders(one.body)
        found = connection.getresponse()
        return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
    finally:
        connection.close()
