"""The quick half of a package and the whole answer alike, and need the standard library alone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

from serving.contract import reply
from serving.packaging import quick
from serving.packaging.aws_lambda.zipped import usual
from serving.scorecard import ScorecardError, Unsupported, compile
from tests.command import ROOT
from tests.serving.contract import cases
from tests.serving.functions import lambdas
from tests.serving.packaging import packages
from tests.serving.scorecard import generated

REQUESTS = [*cases.good(), *cases.bad()]


def interpreter(release: str) -> str:
    """A Python of a release, wherever this machine keeps one that runs; without one the test is skipped."""
    pattern = f"{release}.*/bin/python{release}"
    places = [
        Path.home().glob(f".pyenv/versions/{pattern}"),
        Path.home().glob(f".local/share/uv/python/cpython-{pattern}"),
    ]
    for path in (shutil.which(f"python{release}"), *(str(found) for place in places for found in place)):
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return path
    pytest.skip(f"Python {release} is not on this machine")


@pytest.fixture(scope="module", params=cases.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def task(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packages.unpacked(cases.scorecard(kind), tmp_path_factory.mktemp("package"))


def test_a_usual_request_needs_the_quick_half_alone(kind: str, task: Path) -> None:
    card = cases.scorecard(kind)
    done = packages.ask(task, usual(card))
    assert [answer["statusCode"] for answer in done["found"]] == [200] * 3
    assert not done["whole"]


def test_nothing_but_the_standard_library_is_imported(task: Path) -> None:
    events = [lambdas.second(case.body, **lambdas.headers_of(case)) for case in REQUESTS]
    imported = packages.ask(task, events)["imported"]
    assert {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names) == {
        "lambda_function",
        "__main__",
    }
    first = packages.ask(task, usual(cases.scorecard("labels"))[:1])["imported"]
    assert not {"csv", "gzip", "zlib", "hashlib", "traceback", "dataclasses", "typing", "boto3"} & set(first)


@pytest.mark.parametrize("form", [lambdas.second, lambdas.first, lambdas.balanced])
def test_every_request_is_answered_as_by_the_contract(kind: str, task: Path, form) -> None:
    card = cases.scorecard(kind)
    done = packages.ask(task, [form(case.body, **lambdas.headers_of(case)) for case in REQUESTS])
    for case, found in zip(REQUESTS, done["found"], strict=True):
        status, payload = reply(card, case.body, case.content_type, encoding=case.encoding)
        assert (found["statusCode"], json.loads(found["body"])) == (status, json.loads(json.dumps(payload))), case.name
    assert done["whole"]


def test_a_request_that_needs_the_whole_leaves_the_quick_half_as_it_was(kind: str, task: Path) -> None:
    good = usual(cases.scorecard(kind))
    bad = lambdas.second(b"{", content_type="application/json")
    done = packages.ask(task, [good[0], bad, good[1], bad, good[0]])
    assert [answer["statusCode"] for answer in done["found"]] == [200, 400, 200, 400, 200]
    assert done["found"][0] == done["found"][4]


def test_an_event_of_a_service_is_answered_by_the_whole(task: Path) -> None:
    # Without a results queue it is raised, so that the messages come again.
    done = packages.ask(task, [lambdas.queued({}), lambdas.changed({}), {"Records": [{"eventSource": "aws:sns"}]}])
    assert [answer["raised"] for answer in done["found"]] == ["EventError"] * 3


@pytest.mark.parametrize("release", ["3.11", "3.12", "3.13", "3.14"])
def test_it_runs_on_every_python_that_lambda_has(release: str, tmp_path: Path) -> None:
    python = interpreter(release)
    card = cases.scorecard("labels")
    events = [lambdas.second(case.body, **lambdas.headers_of(case)) for case in REQUESTS]
    done = packages.ask(packages.unpacked(card, tmp_path), [*usual(card), *events], python=python)
    for case, found in zip(REQUESTS, done["found"][3:], strict=True):
        status, payload = reply(card, case.body, case.content_type, encoding=case.encoding)
        answer = json.loads(found["body"])
        if "is not JSON" in payload.get("message", ""):
            # What exactly is wrong each release tells in words of its own.
            answer, payload = answer["error_code"], payload["error_code"]
        assert (found["statusCode"], answer) == (status, json.loads(json.dumps(payload))), case.name


BUILD = """
import hashlib, json, sys
from serving.packaging.aws_lambda.zipped import files
from serving.packaging.zipping import zipped
from serving.scorecard import Scorecard
card = Scorecard.loads(sys.stdin.read())
print(hashlib.sha256(zipped(files(card, {"model": "made", "version": "3", "digest": card.digest}))).hexdigest())
"""


@pytest.mark.parametrize("release", ["3.12", "3.13", "3.14"])
def test_every_python_builds_the_same_bytes(release: str) -> None:
    found = set()
    for python in (sys.executable, interpreter(release)):
        done = subprocess.run(
            [python, "-B", "-c", BUILD],
            input=cases.scorecard("labels").dumps(),
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found.add(done.stdout)
    assert len(found) == 1


@hypothesis.settings(max_examples=12, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(problem=generated.problems())
def test_any_model_is_packaged_and_answers_as_its_scorecard(problem, tmp_path_factory: pytest.TempPathFactory) -> None:
    hypothesis.assume(problem is not None)
    try:
        card = compile(problem[0])
    except (Unsupported, ScorecardError):
        hypothesis.reject()
    task = packages.unpacked(card, tmp_path_factory.mktemp("package"))
    bodies = [json.dumps({"dataframe_records": [row]}).encode() for row in quick.rows(card)]
    done = packages.ask(task, [lambdas.second(body, content_type="application/json") for body in bodies])
    for body, found in zip(bodies, done["found"], strict=True):
        status, payload = reply(card, body, "application/json")
        assert (found["statusCode"], json.loads(found["body"])) == (status, json.loads(json.dumps(payload)))
