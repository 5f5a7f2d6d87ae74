"""One version, asked the same good and bad requests of the server, Lambda, Azure and Google: one status, one body."""

import base64
import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from serving.contract import reply
from serving.packaging import emulator
from serving.scorecard import Scorecard
from tests.serving.contract import cases
from tests.serving.contract.cases import BAD, GOOD, NAMES, ROWS, Case
from tests.serving.functions import clouds
from tests.serving.functions.clouds import Answer, Request
from tests.serving.packaging import made
from tests.serving.server import servers

#: One with labels, one with numbers, and one with three classes.
KINDS = ("labels", "regression", "three")
#: How far a number may be from ours, relatively: the server scores many rows as a table.
NEAR = 1e-12


def _body(value: object) -> bytes:
    return json.dumps(value).encode()


#: The contract's own, and each output of a model for some rows and for many.
REQUESTS = [
    *GOOD,
    *BAD,
    *(
        Case(f"{output} of {count}", _body({"instances": (ROWS * 50)[:count], "params": {"output": output}}))
        for output in ("probabilities", "explain")
        for count in (1, 5, 300)
    ),
    *(
        Case(f"300 rows, the last but one refused, {form}", _body({form: [*ROWS * 50, [31, "x", 0, "a"], ROWS[0]]}))
        for form in ("instances", "X")
    ),
    Case("300 rows, a column less", _body({"inputs": {name: [1] * 300 for name in NAMES if name != "x.y"}})),
]

Ask = Callable[[list[Request]], list[Answer]]


@pytest.fixture(scope="module", params=KINDS)
def card(request: pytest.FixtureRequest) -> Scorecard:
    """A version's model."""
    return cases.scorecard(request.param)


@pytest.fixture(scope="module")
def expected(card: Scorecard) -> list[tuple[int, dict]]:
    """What the contract answers: as JSON says it."""
    answers = [reply(card, case.body, case.content_type, encoding=case.encoding) for case in REQUESTS]
    return [(status, json.loads(json.dumps(payload))) for status, payload in answers]


@pytest.fixture(scope="module")
def places(card: Scorecard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Ask]]:
    """All ways of serving, running."""
    folder = tmp_path_factory.mktemp("everywhere")
    model = made.model(servers.model(folder / "made", card), card)
    # As MLflow says which version it has downloaded.
    (model.folder / "registered_model_meta").write_text("model_name: made\nmodel_version: '3'\n")
    for target in ("aws-lambda", "azure-functions", "gcp-functions"):
        made.built(model, target, folder / target)
    with ExitStack() as stack:
        server = stack.enter_context(servers.Server([str(folder / "made")], folder)).ready("made")
        function = stack.enter_context(emulator.running(folder / "aws-lambda", emulator=emulator.find()))
        google = stack.enter_context(clouds.google(folder / "gcp-functions"))
        yield {
            "server": lambda requests: [clouds.over_http(server.port, one) for one in requests],
            "lambda": lambda requests: [_invoked(function, one) for one in requests],
            "azure": lambda requests: clouds.azure(folder / "azure-functions", requests).answers,
            "google": lambda requests: [google.ask(one) for one in requests],
        }


def _invoked(function: emulator.RunningFunction, one: Request) -> Answer:
    """Ask a Lambda function as a function URL does."""
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": one.path,
        "rawQueryString": "",
        "headers": {name.lower(): value for name, value in one.headers.items()},
        "requestContext": {"http": {"method": one.method, "path": one.path}, "stage": "$default"},
        "body": base64.b64encode(one.body).decode(),
        "isBase64Encoded": True,
    }
    found = function.invoke(event)
    body = base64.b64decode(found["body"]) if found["isBase64Encoded"] else found["body"].encode()
    return Answer(found["statusCode"], {name.lower(): value for name, value in found["headers"].items()}, body)


def near(found: object, wanted: object) -> bool:
    """Whether two values of JSON are equal, but for the last digits of numbers with a fraction."""
    if isinstance(wanted, float) and isinstance(found, float):
        return math.isclose(found, wanted, rel_tol=NEAR, abs_tol=NEAR)
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [*found] == [*wanted] and all(near(found[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list) and isinstance(found, list):
        return len(found) == len(wanted) and all(map(near, found, wanted))
    return type(found) is type(wanted) and found == wanted


@pytest.mark.parametrize("place", ["server", "lambda", "azure", "google"])
def test_every_way_of_serving_answers_alike(
    place: str, places: dict[str, Ask], expected: list[tuple[int, dict]]
) -> None:
    answers = places[place]([clouds.request(case) for case in REQUESTS])
    different = [
        f"{case.name}: {found.status} {found.body[:120]!r}, expected {status} {str(payload)[:120]}"
        for case, found, (status, payload) in zip(REQUESTS, answers, expected, strict=True)
        if found.status != status or not near(found.json, payload)
    ]
    assert not different, "\n".join(different)
    assert {found.headers["content-type"] for found in answers} == {"application/json"}
    assert len(REQUESTS) > 200


def test_every_way_of_serving_says_who_answered(places: dict[str, Ask]) -> None:
    wanted = [clouds.request(GOOD[0])]
    labels = {place: ask(wanted)[0].headers["x-model-version"] for place, ask in places.items()}
    assert labels == dict.fromkeys(("server", "lambda", "azure", "google"), "made/3")


def test_the_requests_are_many_and_of_all_kinds(expected: list[tuple[int, dict]]) -> None:
    statuses = [status for status, _ in expected]
    assert {200, 400, 413, 415} <= set(statuses)
    assert min(statuses.count(200), len(statuses) - statuses.count(200)) > 80


def test_large_requests_and_answers_go_through_alike(places: dict[str, Ask], card: Scorecard, tmp_path: Path) -> None:
    body = _body({"dataframe_split": {"columns": NAMES, "data": ROWS * 4_000}})
    _, wanted = reply(card, body, "application/json")
    for place, ask in places.items():
        [found] = ask([Request(body, headers={"Content-Type": "application/json"})])
        assert found.status == 200, place
        assert near(found.json, json.loads(json.dumps(wanted))), place
