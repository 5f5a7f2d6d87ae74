"""A package in AWS's own Runtime Interface Emulator, and under AWS's runtime client alone."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from serving.contract import reply
from serving.errors import ServingError
from serving.packaging import building, emulator
from serving.packaging.zipping import zipped
from serving.scorecard import Scorecard
from tests import tools
from tests.command import failed, run
from tests.serving.contract import cases
from tests.serving.functions import lambdas
from tests.serving.packaging import made
from tests.serving.packaging.packages import planned

REQUESTS = [case for case in (*cases.good(), *cases.bad()) if len(case.body) < 100_000]


@pytest.fixture(scope="module")
def card() -> Scorecard:
    return cases.scorecard("labels")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return building.build(planned(), tmp_path_factory.mktemp("built") / "out").folder


@pytest.fixture(scope="module", params=[emulator.EMULATOR, emulator.CLIENT])
def function(request: pytest.FixtureRequest, built: Path) -> Iterator[emulator.RunningFunction]:
    program = tools.rie() if request.param == emulator.EMULATOR else None
    with emulator.running(built, emulator=program) as function:
        assert function.kind == request.param
        yield function


@pytest.mark.parametrize("form", [lambdas.second, lambdas.first, lambdas.balanced])
def test_requests_are_answered_by_the_contract(function: emulator.RunningFunction, card: Scorecard, form) -> None:
    for case in REQUESTS:
        status, payload = reply(card, case.body, case.content_type, encoding=case.encoding)
        found = function.invoke(form(case.body, **lambdas.headers_of(case)))
        assert (found["statusCode"], json.loads(found["body"])) == (status, json.loads(json.dumps(payload))), case.name


def test_a_direct_request_and_the_log(function: emulator.RunningFunction, card: Scorecard) -> None:
    body = cases.good()[1].body
    assert function.invoke(json.loads(body)) == json.loads(json.dumps(reply(card, body, "application/json")[1]))
    lines = [json.loads(line) for line in function.log.splitlines() if line.startswith('{"_aws"')]
    assert lines
    assert lines[-1]["Rows"] == 1
    assert sum(line["ColdStart"] for line in lines) == 1
    assert "Task timed out" not in function.log


def test_an_event_that_cannot_be_taken_is_an_error_of_the_function(function: emulator.RunningFunction) -> None:
    with pytest.raises(ServingError, match="the function failed: EventError: expected records of one of"):
        function.invoke({"Records": [{"EventSource": "aws:sns"}]})


def test_a_command_runs_a_package(built: Path, tmp_path: Path) -> None:
    body = json.loads(cases.good()[1].body)
    (tmp_path / "request.json").write_text(json.dumps(body))
    variables = {emulator.VARIABLE: str(tools.rie())}
    for words in (("--body", json.dumps(body)), ("--body", "@request.json"), ()):
        done = run("invoke", str(built), *words, folder=tmp_path, package="serving", env=variables)
        assert done.code == 0, done.err
        assert "Runtime Interface Emulator" in done.err
        assert "status 200" in done.err
        assert len(json.loads(done.out)["predictions"]) == 1
    event = json.dumps(lambdas.second(method="GET", path="/ping"))
    done = run(
        "invoke", str(built / "function.zip"), "--event", event, folder=tmp_path, package="serving", env=variables
    )
    assert json.loads(done.out)["statusCode"] == 200


def test_a_command_says_where_there_is_no_emulator(built: Path, tmp_path: Path) -> None:
    variables = {"PATH": "/nowhere", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = run("invoke", str(built), "--env", "BASE_PATH=/x", folder=tmp_path, package="serving", env=variables)
    assert done.code == 0, done.err
    assert "under AWS's runtime client alone" in done.err
    assert "predictions" in json.loads(done.out)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nowhere",), "there is no package nowhere"),
        ((".",), "is no built package"),
        (("broken.zip",), "is no zip of a package that can be read"),
        (("broken.zip", "--body", "@gone.json"), "gone.json cannot be read"),
        (("broken.zip", "--event", "{"), "--event is no JSON"),
        (("broken.zip", "--event", "{}", "--body", "{}"), "not both"),
    ],
)
def test_what_cannot_run_is_said_in_one_line(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    (tmp_path / "broken.zip").write_text("no zip")
    failed(run("invoke", *words, folder=tmp_path, package="serving"), says=says)


def test_what_is_no_zip_for_lambda_is_told_how_it_runs(tmp_path: Path) -> None:
    for target, says in (("azure-functions", "`func start`"), ("gcp-functions", "functions-framework --target=answer")):
        made.built(made.model(tmp_path), target, tmp_path / target)
        with pytest.raises(ServingError, match=f"is for {target}, and no zip for AWS Lambda; run it with .*{says}"):
            emulator.archive(tmp_path / target)
    made.built(made.model(tmp_path), "sagemaker-proxy", tmp_path / "proxy", endpoint="e")
    failed(run("invoke", "proxy", folder=tmp_path, package="serving"), says="give a request by --body")


def test_a_package_that_does_not_start_is_told_by_what_it_raised(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "function.zip", "w") as archive:
        archive.writestr("lambda_function.py", "raise OSError('nothing here')")
    for program in (tools.rie(), None):
        with (
            emulator.running(tmp_path / "function.zip", emulator=program) as function,
            pytest.raises(ServingError, match=r"nothing here|ended before it answered"),
        ):
            function.invoke({})


def test_nothing_is_left_running(built: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    with emulator.running(built, emulator=tools.rie()) as function:
        function.invoke({})
        children = set(psutil.Process().children(recursive=True)) - before
        assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


def test_a_zip_alone_is_enough(tmp_path: Path) -> None:
    (tmp_path / "f.zip").write_bytes(zipped(planned().package))
    with emulator.running(tmp_path / "f.zip") as function:
        assert function.invoke(lambdas.second(method="GET", path="/ping"))["statusCode"] == 200
