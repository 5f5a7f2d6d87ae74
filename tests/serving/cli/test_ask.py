"""``python -m serving ask``: a running server asked, and its refusals in its own words."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from serving.cli.ask import KEY, ask
from serving.contract import reply
from serving.errors import ServingError
from tests.command import failed, run
from tests.serving.contract import cases

CARD = cases.scorecard("labels")
ROW = dict(zip(cases.NAMES, cases.ROWS[0], strict=True))


#: What is answered while a model is being loaded.
LOADING = 503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "the model is being loaded; try again in 1 s"}


class Answers(BaseHTTPRequestHandler):
    """A server of one model, ``my model``, that wants the key ``s3cret``.

    Attributes
    ----------
    asked : methods and paths of the requests.
    first : answers that come before the usual ones, by method.
    """

    asked: ClassVar[list[tuple[str, str]]] = []
    first: ClassVar[dict[str, list[tuple[int, dict]]]] = {}

    def do_GET(self) -> None:
        if self._came_first():
            return
        found = {"/models": {"default": "my model"}, "/ready": {}, "/models/my%20model": {"example": ROW}}
        self._send(*((200, found[self.path]) if self.path in found else _absent()))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._came_first():
            return
        if self.headers.get("Authorization") != "Bearer s3cret":
            self._send(401, {"error_code": "UNAUTHENTICATED", "message": "a key is wanted"})
        elif self.path.endswith("/invocations"):
            self._send(*reply(CARD, body, self.headers.get("Content-Type")))
        else:
            self._send(*_absent())

    def _came_first(self) -> bool:
        """Give the next of the answers that come before the usual ones, if there is one."""
        self.asked.append((self.command, self.path))
        first = self.first.get(self.command)
        if first:
            self._send(*first.pop(0))
            return True
        return False

    def _send(self, status: int, payload: dict) -> None:
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "1")
        self.send_header("X-Model-Version", "my model/3")
        self.end_headers()
        self.wfile.write(json.dumps(payload).encode())

    def log_message(self, *_) -> None:
        """Nothing."""


def _absent() -> tuple[int, dict]:
    return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "there is no such model"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_it_gives_the_answer_and_who_gave_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "s3cret")
    expected = {"predictions": [CARD.predict_row(ROW)]}

    answer, version = ask(url, model="my model")
    assert (json.loads(answer), version) == (expected, "my model/3")
    assert ask(url)[0] == answer, "the default model, and its example"
    answer, _ = ask(f"{url}/", model="my model", body=json.dumps({"dataframe_records": [ROW]}))
    assert json.loads(answer) == expected


@pytest.mark.parametrize("model", ["my model", None])
def test_it_waits_for_a_model_that_is_being_loaded(
    url: str, monkeypatch: pytest.MonkeyPatch, model: str | None
) -> None:
    monkeypatch.setenv(KEY, "s3cret")
    loading = {"GET": [LOADING, (200, {"ready": False})], "POST": [LOADING, LOADING]}
    monkeypatch.setattr(Answers, "first", loading)
    answer, _ = ask(url, model=model, wait=60)
    assert json.loads(answer) == {"predictions": [CARD.predict_row(ROW)]}
    assert loading == {"GET": [], "POST": []}


@pytest.mark.parametrize(
    "first",
    [
        {"GET": [LOADING]},
        {"GET": [(200, {"ready": False, "refused": LOADING[1]["message"]})]},
        {"POST": [LOADING]},
    ],
    ids=["503", "not ready", "503 to the request"],
)
def test_a_model_that_is_being_loaded_for_too_long(url: str, monkeypatch: pytest.MonkeyPatch, first: dict) -> None:
    monkeypatch.setenv(KEY, "s3cret")
    monkeypatch.setattr(Answers, "first", {method: [*answers] for method, answers in first.items()})
    with pytest.raises(ServingError, match=r"the model is being loaded; try again in 1 s$"):
        ask(url, model="my model")


def test_a_server_that_answers_is_asked_less_and_less_often(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(Answers, "asked", asked)
    with pytest.raises(ServingError, match=r"answers 404: there is no such model"):
        ask(url, model="another", wait=1.5)
    assert 2 <= len(asked) <= 8, "ten a second would be fifteen"


def test_the_servers_refusal_is_told_in_its_words(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServingError, match=r"answers 401: a key is wanted$"):
        ask(url, model="my model")
    monkeypatch.setenv(KEY, "s3cret")
    with pytest.raises(ServingError, match=r"answers 400: the body is not JSON"):
        ask(url, model="my model", body="{")
    with pytest.raises(ServingError, match=r"answers 404: there is no such model"):
        ask(url, model="another", wait=0.2)
    with pytest.raises(ServingError, match="expected the server's address"):
        ask("localhost:8080")


def test_the_command(url: str, tmp_path) -> None:
    (tmp_path / "body.json").write_text(json.dumps({"features": cases.ROWS[0]}))
    env = {KEY: "s3cret"}
    done = run("ask", url, "--model", "my model", "--body", "@body.json", folder=tmp_path, package="serving", env=env)
    assert (done.code, json.loads(done.out)) == (0, {"prediction": CARD.predict_row(ROW)})
    assert done.err == "answered by my model/3\n"
    asked = ("--model", "my model", "--body", "@absent.json")
    failed(run("ask", url, *asked, folder=tmp_path, package="serving"), says="--body: absent.json cannot be read")
    failed(run("ask", "http://127.0.0.1:9", folder=tmp_path, package="serving"), says="does not answer")
