"""`-C record=firehose:NAME`, `s3://BUCKET/PREFIX`: rows are stored, or counted as lost. AWS is simulated, by moto."""

import gzip
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from serving.errors import ServingError
from serving.functions.aws_lambda import delivery
from serving.prediction_log.lines import collect
from tests.serving.contract import cases
from tests.serving.functions.lambdas import Called, second
from tests.serving.packaging.packages import planned

ROWS = {"dataframe_split": {"columns": cases.NAMES, "data": [["31", "1000001.5", "true", "a"]] * 3}}


@pytest.fixture
def stream(simulated_aws: None) -> str:
    """A stream of Firehose that writes into the bucket ``rows``, below ``fire/``."""
    boto3.client("s3").create_bucket(Bucket="rows")
    boto3.client("firehose").create_delivery_stream(
        DeliveryStreamName="log",
        ExtendedS3DestinationConfiguration={
            "RoleARN": "arn:aws:iam::123456789012:role/fire",
            "BucketARN": "arn:aws:s3:::rows",
            "Prefix": "fire/",
            "CompressionFormat": "GZIP",
        },
    )
    return "firehose:log"


class Firehose:
    """A client of which calls answer or raise what is given, one after another."""

    def __init__(self, *answers: Any):
        self.answers, self.calls = list(answers), []

    def put_record_batch(self, *, DeliveryStreamName: str, Records: list[dict]) -> dict:
        self.calls.append([record["Data"] for record in Records])
        found = self.answers.pop(0) if self.answers else set()
        if isinstance(found, Exception):
            raise found
        responses = [{"ErrorCode": "ServiceUnavailable"} if place in found else {} for place in range(len(Records))]
        return {"FailedPutCount": len(found), "RequestResponses": responses}


def sent(client: Firehose, lines: list[str]) -> list[dict]:
    """What a function logs when it sends these lines by this client."""
    called = Called(RECORD="firehose:log")
    sink = called.handler._delivery
    assert sink is not None
    sink._client = client
    for line in lines:
        sink.add(line)
    sink.send("id")
    return called.said


def test_rows_reach_a_simulated_firehose_and_are_collected_from_its_bucket(stream: str, tmp_path: Path) -> None:
    called = Called(RECORD=stream, RECORD_HASH="age")
    assert called(second(json.dumps(ROWS).encode(), Content_Type="application/json"))["statusCode"] == 200
    called(ROWS)
    assert called.said == []
    found = collect(["s3://rows/fire"], str(tmp_path / "log"))
    assert (found.rows, found.broken) == (6, 0)
    assert collect(["s3://rows"], str(tmp_path / "log")).known == 6
    with pytest.raises(ServingError, match="s3://rows/fir: no objects; give the prefix"):
        collect(["s3://rows/fir"], str(tmp_path / "log"))
    with pytest.raises(ServingError, match="s3://nowhere/x: no such bucket"):
        collect(["s3://nowhere/x"], str(tmp_path / "log"))


def test_rows_reach_a_simulated_bucket_an_object_for_each_request(stream: str, tmp_path: Path) -> None:
    called = Called(RECORD="s3://rows/predictions/made")
    called(ROWS)
    called(ROWS)
    s3 = boto3.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="rows", Prefix="predictions/made/")["Contents"]]
    assert len(keys) == 2
    lines = gzip.decompress(s3.get_object(Bucket="rows", Key=keys[0])["Body"].read()).decode().splitlines()
    assert [json.loads(line)["row"] for line in lines] == [0, 1, 2]
    for key in keys:
        s3.download_file("rows", key, str(tmp_path / key.rpartition("/")[2]))
    assert collect([str(tmp_path)], str(tmp_path / "log")).rows == 3 * 2


@pytest.mark.parametrize("destination", ["firehose:gone", "s3://gone/prefix"])
def test_a_simulated_store_that_refuses_fails_no_answer_and_lost_rows_are_counted(
    simulated_aws: None, destination: str
) -> None:
    called = Called(RECORD=destination)
    assert len(called(ROWS)["predictions"]) == 3
    (line,) = called.said
    reason = "NoSuchBucket" if destination.startswith("s3") else "ResourceNotFoundException"
    assert (line["level"], line["message"], line["rows"], line["reason"]) == ("ERROR", "rows not recorded", 3, reason)
    assert called.metrics["Errors"] == 0


def test_records_that_are_refused_are_sent_once_more_and_then_counted(simulated_aws: None) -> None:
    client = Firehose({1, 3})
    assert sent(client, list("abcd")) == []
    assert client.calls == [[b"a\n", b"b\n", b"c\n", b"d\n"], [b"b\n", b"d\n"]]
    (line,) = sent(Firehose({1, 3}, {0}), list("abcd"))
    assert (line["rows"], line["reason"]) == (1, "ServiceUnavailable")


def test_calls_keep_within_what_firehose_takes(simulated_aws: None) -> None:
    client = Firehose()
    large = "x" * (delivery.RECORD - 1)
    said = sent(client, [*("small" for _ in range(1200)), *([large] * 6), large + "y"])
    assert [(line["rows"], line["reason"]) for line in said] == [(1, "TooLarge")]
    assert sum(map(len, client.calls)) == 1206
    for call in client.calls:
        assert len(call) <= 500
        assert sum(map(len, call)) <= 4 * 2**20


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://firehose"),
        ClientError({"Error": {"Code": "ThrottlingException", "Message": "secret"}}, "PutRecordBatch"),
    ],
)
def test_a_service_that_is_away_is_asked_twice_and_all_rows_are_counted(simulated_aws: None, error: Exception) -> None:
    client = Firehose(error, error)
    (line,) = sent(client, ["row"] * 1200)
    assert (len(client.calls), line["rows"]) == (2, 1200)
    assert line["reason"] in ("EndpointConnectionError", "ThrottlingException")
    assert "secret" not in json.dumps(line)


def test_only_a_package_that_asks_for_it_carries_the_code_and_the_permission() -> None:
    def code(plan: Any) -> set[str]:
        return {file.path.partition("/")[2] for file in plan.package}

    plain, fire, s3 = (planned(**options) for options in ({}, {"record": "firehose:log"}, {"record": "s3://rows/p/q"}))
    assert code(fire) - code(plain) == {"functions/aws_lambda/delivery.py"}
    assert code(planned(record="stdout")) == code(plain)
    for plan, actions, place in (
        (fire, ("firehose:PutRecordBatch",), "arn:aws:firehose:*:*:deliverystream/log"),
        (s3, ("s3:PutObject",), "arn:aws:s3:::rows/p/q/*"),
    ):
        (more,) = set(plan.permissions) - set(plain.permissions)
        assert (more.actions, more.resources) == (actions, (place,))
        assert all(action in plan.beside[0].read().decode() for action in actions)
    assert "arn:${AWS::Partition}:firehose:${AWS::Region}:${AWS::AccountId}:deliverystream/log" in (
        fire.beside[0].read().decode()
    )
    assert "arn:${AWS::Partition}:s3:::rows/p/q/*" in s3.beside[0].read().decode()


@pytest.mark.parametrize("record", ["kinesis:x", "s3://rows", "s3://rows/*", "firehose:", "s3://rows/a b"])
def test_other_places_are_refused(record: str) -> None:
    with pytest.raises(ServingError, match=r"expected stdout, firehose:NAME or s3://BUCKET/PREFIX"):
        planned(record=record)
