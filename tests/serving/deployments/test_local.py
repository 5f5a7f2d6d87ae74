"""``mlflow deployments run-local``: the very package, run by AWS's own runtime client, over HTTP until Ctrl-C."""

import gzip
import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from serving import contract
from serving.deployments import local
from serving.models import find
from serving.packaging.aws_lambda.events import http_event
from tests import stores
from tests.command import Command

RECORD = {"x": 1.5, "colour": "red"}


@pytest.fixture(scope="module")
def running(store: Path) -> Iterator[tuple[str, Command]]:
    """The address that it serves, and its process."""
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{store}/mlflow.db"}
    words = ["deployments", "run-local", "-t", "aws-lambda", "--name", "scores", "-m", "models:/linear/1"]
    words += ["-C", "port=0", "-C", "allow_ungated=true"]
    with Command(*words, folder=store, package="mlflow", env=env) as command:
        command.wait_for("Ctrl-C ends it", timeout=120)
        line = next(line for line in command._said["err"] if "Ctrl-C" in line)
        yield re.search(r"http://\S+:\d+", line)[0], command


@pytest.fixture
def address(running: tuple[str, Command]) -> str:
    return running[0]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"dataframe_records": [RECORD]}, "application/json"),
        ({"input_data": [1.5, "red"]}, "application/json"),
        ({"instances": [["many", "red"]]}, "application/json"),
        ("x,colour\n1.5,red\n-2,blue\n", "text/csv"),
        ("", "application/json"),
        ("{}", "text/html"),
    ],
)
def test_it_answers_as_the_contract_does(address: str, models: Path, body, kind: str):
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    found = requests.post(f"{address}/invocations", data=content, headers={"Content-Type": kind}, timeout=30)
    status, expected = contract.reply(find("models:/linear/1").portable(), content, kind)
    assert (found.status_code, found.json()) == (status, expected)


def test_a_compressed_request_is_read(address: str):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    content = gzip.compress(json.dumps({"dataframe_records": [RECORD]}).encode())
    found = requests.post(f"{address}/invocations", data=content, headers=headers, timeout=30)
    assert list(found.json()) == ["predictions"]


def test_it_tells_that_it_lives_and_what_it_is(address: str):
    assert requests.get(f"{address}/ping", timeout=30).json() == {"status": "ok"}
    told = requests.get(f"{address}/version", timeout=30).json()
    assert (told["model"], told["version"]) == ("linear", "1")
    assert requests.get(f"{address}/nowhere", timeout=30).status_code == 404
    assert requests.head(f"{address}/ping", timeout=30).content == b""


def test_what_is_larger_than_lambda_takes_is_refused(address: str):
    found = requests.post(f"{address}/invocations", data=b" " * (6 * 1024 * 1024 + 1), timeout=30)
    assert (found.status_code, found.json()["error_code"]) == (413, "RESOURCE_LIMIT_EXCEEDED")


def test_ctrl_c_ends_it_and_all_that_it_started(running: tuple[str, Command]):
    address, command = running
    children = psutil.Process(command.process.pid).children(recursive=True)
    assert any("awslambdaric" in " ".join(child.cmdline()) for child in children)
    command.signal(signal.SIGINT)
    done = command.done()
    assert done.code == 0, done
    assert done.err.strip().endswith("scores: ended")
    assert "Traceback" not in done.err
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{address}/ping", timeout=5)


def test_a_port_that_is_taken_is_told(store: Path):
    with socket.socket() as taken:
        taken.bind((stores.HOST, 0))
        taken.listen()
        with (
            pytest.raises(local.DeploymentError, match=r"cannot be listened on: .*; give -C port=0"),
            local.serving(None, taken.getsockname()[1]),  # type: ignore[arg-type]
        ):
            pass


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        ({"statusCode": 200, "body": "{}"}, (200, {}, b"{}")),
        ({"statusCode": 201, "headers": {"A": 1}, "body": "AAE=", "isBase64Encoded": True}, (201, {"A": "1"}, b"\0\1")),
        ({"statusCode": 204}, (204, {}, b"")),
    ],
)
def test_a_functions_answer_becomes_http(answered: dict, expected: tuple):
    assert local.response(answered) == expected


def test_a_request_becomes_an_event_of_a_function_url():
    event = http_event(b"\xff\n", query="a=b%20c", headers={"Content-Type": "text/csv"})
    assert (event["rawPath"], event["rawQueryString"]) == ("/invocations", "a=b%20c")
    assert event["headers"] == {"content-type": "text/csv"}
    assert (event["body"], event["isBase64Encoded"]) == ("/wo=", True)
    assert event["requestContext"]["http"]["method"] == "POST"
