"""SQS: answers to a results queue, and what is not answered goes back. SQS is simulated, by moto."""

import json

import boto3
import pytest

from serving.contract import RequestError
from tests.serving.contract import cases
from tests.serving.functions.lambdas import Called, queued

GOOD = json.loads(cases.good()[1].body)
BAD = {"dataframe_records": [{"age": "forty"}]}


@pytest.fixture
def results(simulated_aws: None) -> str:
    """The URL of a results queue."""
    return boto3.client("sqs").create_queue(QueueName="results")["QueueUrl"]


def answers(url: str) -> list[dict]:
    """The messages in a queue, in the order they came."""
    found: list[dict] = []
    while got := boto3.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
    ).get("Messages"):  # fmt: skip
        found += got
    return found


def failed(answer: dict) -> list[str]:
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def test_each_message_has_its_answer(results: str) -> None:
    called = Called(RESULTS_QUEUE_URL=results)
    direct = called(GOOD)
    assert failed(called(queued(*[GOOD] * 23, correlation_id="abc"))) == []
    found = answers(results)
    assert [json.loads(one["Body"]) for one in found] == [direct] * 23
    told = [one["MessageAttributes"] for one in found]
    assert {one["Source-Message-Id"]["StringValue"] for one in told} == {f"message-{place}" for place in range(23)}
    assert {one["correlation-id"]["StringValue"] for one in told} == {"abc"}
    assert {one["Model-Version"]["StringValue"] for one in told} == {"3"}
    assert (called.metrics["Rows"], called.metrics["Source"]) == (23, "sqs")


def test_what_is_refused_comes_again_and_the_rest_does_not(results: str) -> None:
    called = Called(RESULTS_QUEUE_URL=results)
    assert failed(called(queued(GOOD, BAD, "{", GOOD, ""))) == ["message-1", "message-2", "message-4"]
    assert len(answers(results)) == 2
    assert called.metrics["Refused"] == 3
    assert [line["message_id"] for line in called.said] == ["message-1", "message-2", "message-4"]
    assert "forty" not in json.dumps(called.lines)


def test_an_endpoint_that_is_away_is_an_error_and_no_refusal(results: str) -> None:
    class Away:
        rows = None
        inputs = cases.scorecard("labels").inputs

        def predict_row(self, row: dict):
            raise RequestError("it cannot be asked now", status=503)

    called = Called(Away(), RESULTS_QUEUE_URL=results)  # type: ignore[arg-type]
    assert failed(called(queued(GOOD))) == ["message-0"]
    assert (called.metrics["Refused"], called.metrics["Errors"]) == (0, 1)


def test_a_message_may_be_csv(results: str) -> None:
    called = Called(RESULTS_QUEUE_URL=results)
    case = next(case for case in cases.good() if case.content_type == "text/csv")
    assert failed(called(queued(case.body.decode(), Content_Type="text/csv"))) == []
    assert "predictions" in json.loads(answers(results)[0]["Body"])


def test_without_a_results_queue_nothing_is_lost() -> None:
    called = Called()
    with pytest.raises(Exception, match="RESULTS_QUEUE_URL"):
        called(queued(GOOD))
    assert called.metrics["Errors"] == 1


def test_where_the_results_queue_is_gone_all_come_again(results: str) -> None:
    boto3.client("sqs").delete_queue(QueueUrl=results)
    called = Called(RESULTS_QUEUE_URL=results)
    assert failed(called(queued(GOOD, GOOD))) == ["message-0", "message-1"]
    assert called.metrics["Errors"] == 1
    assert called.metrics["Rows"] == 0


def test_an_answer_that_is_too_large_for_a_queue_comes_again_and_the_others_do_not(results: str) -> None:
    called = Called(RESULTS_QUEUE_URL=results)
    rows = [json.loads(cases.good()[2].body)["instances"][0]] * 8_000
    huge = {"instances": rows, "params": {"output": "explain"}}
    assert failed(called(queued(GOOD, huge, GOOD))) == ["message-1"]
    assert len(answers(results)) == 2


class TestOrdered:
    @pytest.fixture
    def ordered(self, results: str) -> str:
        attributes = {"FifoQueue": "true"}
        return boto3.client("sqs").create_queue(QueueName="results.fifo", Attributes=attributes)["QueueUrl"]

    def test_nothing_overtakes_what_failed_in_its_group(self, ordered: str) -> None:
        called = Called(RESULTS_QUEUE_URL=ordered)
        event = queued(GOOD, BAD, GOOD, GOOD, GOOD, fifo=True, groups=("a", "b", "b", "a", "c"))
        assert failed(called(event)) == ["message-1", "message-2"]
        found = answers(ordered)
        assert [one["MessageAttributes"]["Source-Message-Id"]["StringValue"] for one in found] == [
            "message-0", "message-3", "message-4",
        ]  # fmt: skip
        assert [one["Attributes"]["MessageGroupId"] for one in found] == ["a", "a", "c"]

    def test_a_message_that_comes_twice_is_answered_once(self, ordered: str) -> None:
        called = Called(RESULTS_QUEUE_URL=ordered)
        for _ in range(2):
            called(queued(GOOD, fifo=True, groups=("a",)))
        assert len(answers(ordered)) == 1
