"""HTTP through Lambda: each of its formats is answered by the one contract."""

import base64
import gzip
import hashlib
import json

import pytest

from serving.contract import reply
from serving.scorecard import Scorecard
from serving.scorecard.inputs import BOOLEAN
from tests.serving.contract import cases
from tests.serving.functions import lambdas
from tests.serving.functions.lambdas import Called, balanced, first, second

FORMATS = {
    "API Gateway 1": first,
    "API Gateway 2": second,
    "balancer": balanced,
    "balancer, several values": lambda body, **more: balanced(body, several=True, **more),
}
REQUESTS = [*cases.good(), *cases.bad()]
ONE = cases.good()[1]


@pytest.fixture(scope="module")
def called() -> Called:
    return Called()


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_answers_as_the_contract(called: Called, form: str) -> None:
    for case in REQUESTS:
        status, payload = reply(called.handler.card, case.body, case.content_type, encoding=case.encoding)
        found = called(FORMATS[form](case.body, **lambdas.headers_of(case)))
        assert (found["statusCode"], json.loads(found["body"])) == (status, payload), case.name
        assert found["statusCode"] == case.status, case.name
        headers = dict(found.get("headers", {}))
        headers |= {name: value for name, (value,) in found.get("multiValueHeaders", {}).items()}
        assert headers["Content-Type"] == "application/json"
        assert headers["X-Request-Id"] == lambdas.Context.aws_request_id
        assert headers["X-Model-Version"] == "made/3"


def test_a_load_balancer_is_answered_with_the_kind_of_headers_that_it_sends(called: Called) -> None:
    several, last = (
        called(balanced(ONE.body, several=kind, content_type="application/json")) for kind in (True, False)
    )
    assert "headers" not in several
    assert several["multiValueHeaders"]["Content-Type"] == ["application/json"]
    assert "multiValueHeaders" not in last
    assert several["statusDescription"] == last["statusDescription"] == "200 OK"


def test_values_of_one_header_are_read_together(called: Called) -> None:
    event = balanced(gzip.compress(ONE.body), several=True, content_type="application/json")
    event["multiValueHeaders"]["content-encoding"] = ["gzip"]
    assert called(event)["statusCode"] == 200
    event["multiValueHeaders"]["content-type"] = ["application/json", "text/csv"]
    assert called(event)["statusCode"] == 415


@pytest.mark.parametrize("form", ["API Gateway 1", "API Gateway 2"])
def test_base64_is_undone(called: Called, form: str) -> None:
    event = FORMATS[form](ONE.body, content_type="application/json")
    event |= {"body": base64.b64encode(ONE.body).decode(), "isBase64Encoded": True}
    assert called(event)["statusCode"] == 200
    event["body"] = "not base64!"
    found = called(event)
    assert (found["statusCode"], json.loads(found["body"])["error_code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/ping", 200, None),
        ("HEAD", "/health", 200, None),
        ("GET", "/version", 200, None),
        ("POST", "/predict", 200, None),
        ("GET", "/invocations", 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", "/predict", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/ping", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/", 404, "ENDPOINT_NOT_FOUND"),
        ("POST", "/invocations/", 404, "ENDPOINT_NOT_FOUND"),
        ("GET", "/../etc/passwd", 404, "ENDPOINT_NOT_FOUND"),
    ],
)
def test_paths_and_methods(called: Called, form: str, method: str, path: str, status: int, code: str | None) -> None:
    event = FORMATS[form](ONE.body, method=method, path=path, content_type="application/json")
    found = called(event)
    assert found["statusCode"] == status
    if method == "HEAD":
        assert found["body"] == ""
    else:
        assert json.loads(found["body"]).get("error_code") == code
    if status == 405:
        headers = found.get("headers") or {name: value[0] for name, value in found["multiValueHeaders"].items()}
        assert headers["Allow"] == ("POST" if path in ("/invocations", "/predict") else "GET, HEAD")


def test_version_tells_which_it_is(called: Called) -> None:
    assert json.loads(called(second(method="GET", path="/version"))["body"]) == lambdas.ABOUT


def test_a_stage_and_a_base_path_are_no_part_of_the_path() -> None:
    assert Called()(second(ONE.body, path="/live/invocations", stage="live", content_type="application/json"))[
        "statusCode"
    ] == 200  # fmt: skip
    # An HTTP API tells its stage in the first format, too.
    old = first(ONE.body, path="/live/invocations", content_type="application/json")
    assert Called()(old)["statusCode"] == 200
    below = Called(BASE_PATH="/models/made/")
    event = first(ONE.body, path="/models/made/invocations", content_type="application/json")
    assert below(event)["statusCode"] == 200


class TestKeys:
    @pytest.mark.parametrize("none", ["", " ,"])
    def test_a_list_of_keys_that_holds_none_lets_nobody_in(self, none: str) -> None:
        for more in ({}, {"x_api_key": ""}, {"authorization": "Bearer "}):
            found = Called(API_KEYS=none)(second(ONE.body, content_type="application/json", **more))
            assert found["statusCode"] == 401

    @pytest.fixture(scope="class")
    def guarded(self) -> Called:
        digests = [hashlib.sha256(key).hexdigest() for key in (b"another", b"correct horse")]
        return Called(API_KEYS=", ".join(digests).upper())

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 401),
            ({"x_api_key": "wrong"}, 401),
            ({"x_api_key": ""}, 401),
            ({"authorization": "Basic correct horse"}, 401),
            ({"x_api_key": "correct horse"}, 200),
            ({"x_api_key": "another"}, 200),
            ({"authorization": "Bearer correct horse"}, 200),
        ],
    )
    def test_a_key_is_wanted(self, guarded: Called, headers: dict, status: int) -> None:
        found = guarded(second(ONE.body, content_type="application/json", **headers))
        assert found["statusCode"] == status
        if status == 401:
            assert json.loads(found["body"])["error_code"] == "UNAUTHENTICATED"
        assert guarded(second(method="GET", path="/version", **headers))["statusCode"] == status

    def test_whether_it_lives_is_no_secret(self, guarded: Called) -> None:
        assert guarded(second(method="GET", path="/ping"))["statusCode"] == 200


def test_a_request_may_be_the_event_itself(called: Called) -> None:
    asked = 0
    for case in REQUESTS:
        if case.content_type != "application/json" or case.encoding:
            continue
        try:
            # Lambda itself takes JSON alone, without NaN.
            event = json.loads(case.body, parse_constant=lambda name: object())
            body = json.dumps(event, allow_nan=False).encode()
        except (ValueError, TypeError, RecursionError):
            continue
        assert called(event) == reply(called.handler.card, body, "application/json")[1], case.name
        asked += 1
    assert asked > 100


@pytest.mark.parametrize("event", [None, 3, "text", True, {}, [], {"x": 1}, {"version": "2.0"}])
def test_anything_else_is_refused_as_a_request(called: Called, event: object) -> None:
    found = called(event)
    assert found["error_code"] == "BAD_REQUEST"
    assert called.metrics["Refused"] == 1


@pytest.mark.parametrize(
    "event",
    [
        {"Records": []},
        {"Records": [{"eventSource": "aws:kinesis", "kinesis": {}}]},
        {"Records": [{"EventSource": "aws:sns", "Sns": {}}]},
        {"Records": lambdas.queued({})["Records"] + lambdas.created("b", "k")["Records"]},
        {"detail-type": "Object Created", "source": "aws.s3", "detail": {}},
        # A record of an asynchronous call, as a destination gets it, and a message of a WebSocket.
        {"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": {}, "version": "1.0"},
        {"requestContext": {"eventType": "MESSAGE", "connectionId": "a"}, "body": "{}", "isBase64Encoded": False},
    ],
)
def test_an_event_of_another_service_is_raised_so_that_it_is_kept(called: Called, event: dict) -> None:
    with pytest.raises(Exception, match="expected"):
        called(event)
    assert called.metrics["Errors"] == 1


@pytest.mark.parametrize(
    "event",
    [
        {**second(ONE.body), "requestContext": {}},
        {**second(ONE.body), "requestContext": None},
        {**second(ONE.body), "rawPath": None},
        {**first(ONE.body, content_type="application/json"), "path": None},
        {**first(ONE.body, content_type="application/json"), "body": {"instances": []}},
        {**balanced(ONE.body), "httpMethod": None},
    ],
)
def test_a_damaged_http_event_is_refused(called: Called, event: dict) -> None:
    found = called(event)
    assert (found["statusCode"], json.loads(found["body"])["error_code"]) == (400, "BAD_REQUEST")
    assert (called.metrics["Refused"], called.metrics["Errors"]) == (1, 0)


def test_headers_without_a_value_are_none(called: Called) -> None:
    event = first(ONE.body, content_type="application/json")
    event["multiValueHeaders"]["X-Trace"] = None
    assert called(event)["statusCode"] == 200
    for none in (None, {}):
        nothing = {**first(method="GET", path="/ping"), "headers": none, "multiValueHeaders": none, "body": None}
        assert called(nothing)["statusCode"] == 200
    many = json.dumps({"instances": json.loads(cases.good()[2].body)["instances"] * 5_000}).encode()
    event = second(many, content_type="application/json")
    event["headers"]["Accept-Encoding"] = None
    assert called(event)["statusCode"] == 200


def test_what_goes_wrong_is_a_fault_of_ours_without_its_data_in_the_log(called: Called) -> None:
    found = called({**second(b'{"secret": "tiger"}'), "requestContext": {"http": 3}})
    assert (found["statusCode"], json.loads(found["body"])["error_code"]) == (500, "INTERNAL_ERROR")
    assert "tiger" not in json.dumps(called.lines)
    assert called.said[-1]["request_id"] == lambdas.Context.aws_request_id
    assert called.said[-1]["at"]
    assert called.metrics["Errors"] == 1


class TestMetrics:
    def test_a_line_is_cloudwatchs_embedded_metric_format(self) -> None:
        called = Called(AWS_LAMBDA_FUNCTION_NAME="f", METRICS_NAMESPACE="Mine")
        called(second(cases.good()[0].body, content_type="application/json"))
        line = called.lines[-1]
        (told,) = line["_aws"]["CloudWatchMetrics"]
        assert told["Namespace"] == "Mine"
        assert told["Dimensions"] == [["Function"], ["Function", "Version"]]
        assert all(metric["Name"] in line for metric in told["Metrics"])
        assert all(dimension in line for part in told["Dimensions"] for dimension in part)
        assert line["_aws"]["Timestamp"] > 1_600_000_000_000
        assert (line["Function"], line["Model"], line["Version"]) == ("f", "made", "3")
        assert (line["Rows"], line["Refused"], line["Errors"], line["Status"]) == (1, 0, 0, 200)
        assert 0 < line["Latency"] < 1000
        assert line["RequestId"] == lambdas.Context.aws_request_id

    def test_the_first_event_is_the_cold_one(self) -> None:
        called = Called()
        for _ in range(3):
            called(second(method="GET", path="/ping"))
        assert [line["ColdStart"] for line in called.lines] == [1, 0, 0]

    def test_a_refused_request_counts(self, called: Called) -> None:
        called(second(b"{", content_type="application/json"))
        assert (called.metrics["Refused"], called.metrics["Errors"], called.metrics["Rows"]) == (1, 0, 0)


class TestLargeAnswers:
    ROWS = 7_000

    @pytest.fixture(scope="class")
    def many(self) -> bytes:
        card: Scorecard = cases.scorecard("labels")
        row = [True if item.type == BOOLEAN else "a" if item.type == "category" else 30 for item in card.inputs]
        # A kilobyte of answer each; Lambda sends six megabytes.
        return json.dumps({"instances": [row] * self.ROWS, "params": {"output": "explain"}}).encode()

    def test_what_lambda_does_not_send_is_refused_by_its_size(self, called: Called, many: bytes) -> None:
        for event in (second, balanced, first):
            found = called(event(many, content_type="application/json"))
            assert found["statusCode"] == 413, event
            assert json.loads(found["body"])["error_code"] == "RESOURCE_LIMIT_EXCEEDED"
        assert called.metrics["Rows"] == 0

    def test_or_sent_packed_where_that_is_accepted(self, called: Called, many: bytes) -> None:
        found = called(second(many, content_type="application/json", accept_encoding="br, gzip"))
        assert (found["statusCode"], found["isBase64Encoded"]) == (200, True)
        assert found["headers"]["Content-Encoding"] == "gzip"
        answer = json.loads(gzip.decompress(base64.b64decode(found["body"])))
        assert len(answer["predictions"]) == self.ROWS
        plain = called(first(many, content_type="application/json", accept_encoding="gzip"))
        assert plain["statusCode"] == 413  # a REST API passes base64 on as it is

    def test_a_direct_answer_is_refused_too(self, called: Called, many: bytes) -> None:
        """By its size as Lambda's runtime writes it, with blanks after commas and colons."""
        asked = json.loads(many)
        asked["instances"] = asked["instances"][:1000]
        each = len(json.dumps(called(asked))) / 1000
        for size, refused in ((5.9, False), (6.1, True), (9.0, True)):
            rows = round(size * 1024 * 1024 / each)
            answer = called({**asked, "instances": asked["instances"][:1] * rows})
            assert (answer.get("error_code") == "RESOURCE_LIMIT_EXCEEDED") == refused, size
