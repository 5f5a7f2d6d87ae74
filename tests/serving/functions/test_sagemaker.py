"""The function in front of a SageMaker endpoint, which is simulated: boto3 is real, and its calls go over HTTP."""

import json
import socket
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.contract import reply
from serving.functions.aws_lambda import proxy
from serving.functions.aws_lambda.handler import Handler
from serving.packaging import sagemaker_proxy
from tests import stores
from tests.patience import soon
from tests.serving.contract import cases
from tests.serving.contract.cases import BAD, GOOD, NAMES, ROWS
from tests.serving.functions import endpoint, lambdas
from tests.serving.functions.endpoint import Simulated
from tests.serving.functions.lambdas import Context, headers_of, second
from tests.serving.packaging import made

KIND = "application/json"


@pytest.fixture(scope="module")
def running() -> Iterator[Simulated]:
    """One simulated endpoint for all tests here."""
    with endpoint.simulated(cases.scorecard("labels")) as found:
        yield found


@pytest.fixture
def live(running: Simulated) -> Simulated:
    """The endpoint, with nothing asked yet."""
    running.turns.clear()
    running.asked.clear()
    running.raw.clear()
    running.kind = KIND
    return running


class Called:
    """The proxy's handler in this process, as the package's ``load`` makes it."""

    def __init__(self, folder: Path, variables: dict[str, str]):
        model = made.model(folder)
        about = {**model.about, "contract": sagemaker_proxy.contract(model)}
        (folder / "about.json").write_text(json.dumps(about))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            self.handler: Handler = proxy.load(str(folder), variables)
        self.lines: list[dict] = []
        self.handler.write = lambda line: self.lines.append(json.loads(line))

    def __call__(self, body: object, **headers: str) -> tuple[int, dict]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        found = self.handler(second(content, **{"content_type": KIND, **headers}), Context)
        return found["statusCode"], json.loads(found["body"])


@pytest.fixture
def ask(live: Simulated, tmp_path: Path) -> Called:
    return Called(tmp_path, live.variables)


def test_every_request_of_the_contract_is_answered_as_the_model_itself_would(live: Simulated, tmp_path: Path) -> None:
    called, card = Called(tmp_path, {**live.variables, "CACHE_ROWS": "0"}), cases.scorecard("labels")
    for case in [*GOOD, *BAD]:
        found = called.handler(second(case.body, **headers_of(case)), Context)
        expected = reply(card, case.body, case.content_type, encoding=case.encoding)
        assert (found["statusCode"], json.loads(found["body"])) == expected, case.name
        assert found["headers"]["X-Model-Version"] == "made/3"


def test_what_is_refused_never_reaches_the_endpoint(live: Simulated, ask: Called) -> None:
    for case in BAD:
        ask.handler(second(case.body, **headers_of(case)), Context)
    # Rows of different columns are asked one by one: of the request that has such, the first row is good.
    assert [body["dataframe_split"]["data"] for body in live.asked] == [[[31, 1000001.5, True, "a"]]]


def test_many_rows_are_one_call_and_equal_ones_are_asked_once(live: Simulated, ask: Called) -> None:
    status, payload = ask({"dataframe_split": {"columns": NAMES, "data": ROWS * 200}})
    assert (status, len(payload["predictions"])) == (200, 1_200)
    [body] = live.asked
    assert body["dataframe_split"]["columns"] == NAMES
    # What is asked is cleaned: 25.0 in a column of whole numbers, text for numbers and booleans, "?" for missing.
    assert body["dataframe_split"]["data"] == [
        [31, 1000001.5, True, "a"],
        [None, 999998.25, False, "b"],
        [64, 1000000.0, None, None],
        [25, -3500.0, True, "never seen"],
        [47, 1000002.5, False, "c"],
        [1000, 1e300, False, None],
    ]
    assert payload["predictions"] == payload["predictions"][:6] * 200


def test_answers_are_kept_by_row_and_by_output(live: Simulated, ask: Called) -> None:
    first = ask({"instances": ROWS[:3]})
    assert ask({"instances": ROWS[:3]}) == first
    assert len(live.asked) == 1
    ask({"instances": ROWS[:4]})
    assert [len(body["dataframe_split"]["data"]) for body in live.asked] == [3, 1]
    ask({"instances": ROWS[:3], "params": {"output": "probabilities"}})
    assert live.asked[-1]["params"] == {"output": "probabilities"}
    assert len(live.asked[-1]["dataframe_split"]["data"]) == 3
    # Another column order asks the same thing, and a column less asks another.
    assert ask({"dataframe_split": {"columns": NAMES[::-1], "data": [row[::-1] for row in ROWS[:3]]}}) == first
    assert len(live.asked) == 3


def test_what_is_kept_runs_out_and_is_never_more_than_it_may_be(
    live: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Called(tmp_path, {**live.variables, "CACHE_ROWS": "2", "CACHE_SECONDS": "50"})
    now = [0.0]
    module = sys.modules[type(ask.handler.card._kept).__module__]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    ask({"instances": ROWS[:1]})
    now[0] = 49.0
    ask({"instances": ROWS[:1]})
    assert len(live.asked) == 1
    now[0] = 51.0
    ask({"instances": ROWS[:1]})
    assert len(live.asked) == 2
    ask({"instances": ROWS[1:3]})  # pushes the first out
    ask({"instances": ROWS[:1]})
    assert len(live.asked) == 4
    assert len(ask.handler.card._kept) == 2


def test_long_texts_are_not_kept(live: Simulated, ask: Called) -> None:
    row = [31, 1, True, "x" * 5_000]
    assert ask({"instances": [row, row]}) == ask({"instances": [row, row]})
    assert [len(body["dataframe_split"]["data"]) for body in live.asked] == [2, 2]
    assert not ask.handler.card._kept


def test_a_busy_endpoint_is_tried_again(live: Simulated, ask: Called) -> None:
    live.error("ThrottlingException", 400)
    live.error("ServiceUnavailable", 503)
    assert ask({"instances": ROWS[:1]})[0] == 200
    assert len(live.asked) == 3


@pytest.mark.parametrize(
    ("kind", "status", "more", "answered", "says"),
    [
        ("ThrottlingException", 400, {}, 503, "cannot be asked now; it may be tried again"),
        ("InternalFailure", 500, {}, 503, "cannot be asked now"),
        ("ModelNotReadyException", 429, {}, 503, "cannot be asked now"),
        ("ModelError", 424, {"OriginalStatusCode": 503}, 503, "cannot be asked now"),
        ("ModelError", 424, {"OriginalStatusCode": 429}, 503, "cannot be asked now"),
        ("ModelError", 424, {"OriginalStatusCode": 500}, 502, "failed on the request"),
        ("ModelError", 424, {"OriginalStatusCode": 400, "OriginalMessage": "31 years"}, 400, "refused the request"),
        ("ValidationError", 400, {}, 503, "no endpoint 'Live-1' in service"),
        ("AccessDeniedException", 403, {}, 500, "the request could not be answered"),
    ],
)
def test_what_the_endpoint_does_wrong_is_told_and_logged_without_data(
    live: Simulated, ask: Called, kind: str, status: int, more: dict, answered: int, says: str
) -> None:
    for _ in range(proxy.ATTEMPTS):
        live.error(kind, status, **more)
    found, payload = ask({"instances": ROWS[:1]})
    assert (found, set(payload)) == (answered, {"error_code", "message"})
    assert says in payload["message"]
    said = [line for line in ask.lines if "_aws" not in line]
    assert said[0]["code"] == kind
    assert "31 years" not in json.dumps([payload, ask.lines])
    live.turns.clear()
    assert ask({"instances": ROWS[:1]})[0] == 200  # a failure is not kept


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"predictions": [NaN]}',
        {"predictions": []},
        {"predictions": ["yes", "no"]},
        {"predictions": "yes"},
        {"outputs": [1]},
        ["yes"],
    ],
)
def test_an_answer_that_is_none_is_told(live: Simulated, ask: Called, body: object) -> None:
    live.answer(body)
    status, payload = ask({"instances": ROWS[:1]})
    assert (status, payload["error_code"]) == (502, "BAD_GATEWAY")
    assert "not what it was asked" in payload["message"]
    live.answer({"predictions": [{"yes": 0.5}]})
    assert ask({"instances": ROWS[:1], "params": {"output": "probabilities"}})[0] == 502


def test_an_endpoint_that_is_away_is_a_503(live: Simulated, tmp_path: Path) -> None:
    nobody = {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": f"http://127.0.0.1:{stores.free_port()}"}
    ask = Called(tmp_path, {**live.variables, **nobody})
    status, payload = ask({"instances": ROWS[:1]})
    assert (status, payload["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    # Whether the function itself lives does not hang on the endpoint.
    assert ask.handler(second(method="GET", path="/ping"), Context)["statusCode"] == 200


def test_an_endpoint_that_is_not_there_is_a_503(live: Simulated, tmp_path: Path) -> None:
    ask = Called(tmp_path, {**live.variables, "ENDPOINT_NAME": "other"})
    status, payload = ask({"instances": ROWS[:1]})
    assert (status, payload["message"]) == (503, "there is no endpoint 'other' in service")


def test_a_silent_endpoint_is_not_waited_for(live: Simulated, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        variables = {**live.variables, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": address, "ENDPOINT_TIMEOUT": "0.2"}
        ask, began = Called(tmp_path, variables), time.monotonic()
        assert ask({"instances": ROWS[:1]})[0] == 503, ask.lines
        # Three tries, and botocore's pauses between: at most one second, and two.
        assert time.monotonic() - began < soon(3 * 0.2 + 3)


def test_direct_requests_and_queues_ask_it_too(live: Simulated, ask: Called) -> None:
    assert (
        ask.handler({"instances": ROWS[:2]}, Context)
        == reply(live.card, json.dumps({"instances": ROWS[:2]}).encode(), KIND)[1]
    )
    live.error("AccessDeniedException", 403)
    ask.handler.environment = {**ask.handler.environment, "RESULTS_QUEUE_URL": "http://127.0.0.1:9/queue"}
    found = ask.handler(lambdas.queued({"instances": ROWS[2:3]}), Context)
    assert found == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}


IMAGE = b"\xff\xd8\xff\xe0 no text \x00"


@pytest.fixture
def passing(live: Simulated, tmp_path: Path) -> Called:
    return Called(tmp_path, {**live.variables, "ACCEPT": "image/jpeg application/x-npy"})


def passed(called: Called, body: bytes, **headers: str) -> tuple[int, dict, bytes]:
    """The status, the headers and the decoded body of an answer."""
    found = called.handler(second(body, **{"content_type": "image/jpeg", **headers}), Context)
    content = found["body"].encode()
    return found["statusCode"], found["headers"], b64decode(content) if found["isBase64Encoded"] else content


def test_an_image_goes_to_the_endpoint_and_its_answer_back_as_they_are(live: Simulated, passing: Called) -> None:
    live.answer(b"\x89PNG \xff")
    live.kind = "image/png"
    status, headers, content = passed(passing, IMAGE, accept="image/png")
    assert (status, headers["Content-Type"], content) == (200, "image/png", b"\x89PNG \xff")
    assert live.raw == [("image/jpeg", "image/png", IMAGE)]
    assert "Content-Encoding" not in headers


def test_an_image_that_was_asked_before_is_answered_from_the_cache(live: Simulated, passing: Called) -> None:
    live.answer(b'{"label": 1}')
    first = passed(passing, IMAGE)
    assert passed(passing, IMAGE) == first
    assert len(live.raw) == 1
    live.answer(b'{"label": 2}')
    assert passed(passing, IMAGE + b".")[2] == b'{"label": 2}'
    live.answer(b'{"label": 3}')
    assert passed(passing, IMAGE, content_type="application/x-npy")[2] == b'{"label": 3}'


def test_images_that_are_refused_or_fail_are_told_as_rows_are(live: Simulated, passing: Called) -> None:
    assert passed(passing, b"")[0] == 400
    assert passed(passing, b"x" * 4_500_001)[0] == 413
    assert passed(passing, IMAGE, content_type="image/gif")[0] == 415
    assert live.raw == []
    live.error("ModelError", 424, OriginalStatusCode=400)
    assert passed(passing, IMAGE)[0] == 400
    for _ in range(3):
        live.error("ServiceUnavailable", 503)
    status, headers, content = passed(passing, IMAGE)
    assert (status, headers["Content-Type"]) == (503, KIND)
    assert json.loads(content)["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_without_the_setting_an_image_is_refused(live: Simulated, ask: Called) -> None:
    assert passed(ask, IMAGE)[0] == 415
