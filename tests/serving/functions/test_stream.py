"""DynamoDB streams: new images scored into a table of results. DynamoDB is simulated, by moto."""

import base64
import json

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.functions.aws_lambda import stream
from tests.serving.contract import cases
from tests.serving.functions.lambdas import Called, changed


@pytest.fixture
def results(simulated_aws: None) -> str:
    boto3.client("dynamodb").create_table(
        TableName="results",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    return "results"


def image(name: str, **more: dict) -> dict:
    found = {
        "id": {"S": name},
        "age": {"N": "31"},
        "x.y": {"N": "1000001.5"},
        "owns": {"BOOL": True},
        "it's": {"S": "a"},
    }
    return {**found, **more}


def items() -> dict[str, dict]:
    found = boto3.client("dynamodb").scan(TableName="results")["Items"]
    return {item["id"]["S"]: item for item in found}


def failed(answer: dict) -> list[str]:
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def test_new_images_are_scored(results: str) -> None:
    called = Called(RESULTS_TABLE=results)
    images = [image(str(place), age={"N": str(place)}) for place in range(60)]
    assert failed(called(changed(*images, None))) == []
    rows = [{"age": place, "x.y": 1000001.5, "owns": True, "it's": "a"} for place in range(60)]
    answers = called({"dataframe_records": rows})["predictions"]
    found = items()
    assert [found[str(place)]["prediction"] for place in range(60)] == [{"S": answer} for answer in answers]
    assert found["0"] == {"id": {"S": "0"}, "prediction": found["0"]["prediction"], "model_version": {"S": "3"}}
    called(changed(*images))
    assert (called.metrics["Rows"], called.metrics["Source"]) == (60, "dynamodb")


def test_probabilities_and_missing_values(results: str) -> None:
    called = Called(RESULTS_TABLE=results, OUTPUT="probabilities")
    called(changed(image("a", age={"NULL": True}), image("b", owns={"NULL": True})))
    likely = items()["a"]["probabilities"]["M"]
    assert sum(float(one["N"]) for one in likely.values()) == pytest.approx(1)


def test_a_regression_gives_numbers(results: str) -> None:
    card = cases.scorecard("regression")
    Called(card, RESULTS_TABLE=results)(changed(image("a")))
    row = {"age": 31, "x.y": 1000001.5, "owns": True, "it's": "a"}
    assert float(items()["a"]["prediction"]["N"]) == card.predict_row(row)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"age": {"S": "forty"}}, "column 'age': expected a number, found text"),
        ({"x.y": {"NULL": True}}, "column 'x.y': a value is required"),
        ({"it's": {"L": []}}, 'column "it\'s": expected text'),
        ({"x.y": {"SS": ["a"]}}, "column 'x.y': expected a number, found a list"),
        ({"x.y": {"M": {}}}, "column 'x.y': expected a number, found an object"),
        ({"x.y": {"B": "YQ=="}}, "column 'x.y': expected a number"),
    ],
)
def test_an_image_that_is_refused_says_so_in_its_result(results: str, more: dict, says: str) -> None:
    called = Called(RESULTS_TABLE=results)
    assert failed(called(changed(image("a", **more), image("b")))) == []
    assert says in items()["a"]["refused"]["S"]
    assert "prediction" in items()["b"]
    assert (called.metrics["Rows"], called.metrics["Refused"]) == (1, 1)


def test_a_column_that_is_missing_is_refused(results: str) -> None:
    whole = image("a")
    del whole["x.y"]
    Called(RESULTS_TABLE=results)(changed(whole))
    assert "found no such column" in items()["a"]["refused"]["S"]


def test_of_two_changes_of_one_item_the_later_counts(results: str) -> None:
    called = Called(cases.scorecard("regression"), RESULTS_TABLE=results)
    called(changed(image("a"), image("b"), image("a", age={"N": "80"}), event="MODIFY"))
    row = {"age": 80, "x.y": 1000001.5, "owns": True, "it's": "a"}
    assert float(items()["a"]["prediction"]["N"]) == called.handler.card.predict_row(row)
    assert len(items()) == 2


def test_items_whose_keys_are_bytes_and_sorted_have_their_own_results(results: str) -> None:
    boto3.client("dynamodb").create_table(
        TableName="blobs",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "B"},
            {"AttributeName": "at", "AttributeType": "N"},
        ],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
    )
    event = changed(image("a"), image("b"), image("c"))
    keys = [(b"\x00\xff", "1"), (b"\x00\xff", "2"), (b"plain", "1")]
    for record, (name, at) in zip(event["Records"], keys, strict=True):
        # As a stream tells them: bytes in base64.
        record["dynamodb"]["Keys"] = {"id": {"B": base64.b64encode(name).decode()}, "at": {"N": at}}
    assert failed(Called(RESULTS_TABLE="blobs")(event)) == []
    found = boto3.client("dynamodb").scan(TableName="blobs")["Items"]
    assert {(item["id"]["B"], item["at"]["N"]) for item in found} == set(keys)
    assert all("prediction" in item for item in found)


def test_from_a_broken_record_on_the_stream_comes_again(results: str) -> None:
    called = Called(RESULTS_TABLE=results)
    event = changed(image("a"), image("b"), image("c"))
    del event["Records"][1]["dynamodb"]["NewImage"]  # a stream of keys alone
    assert failed(called(event)) == ["001"]
    assert list(items()) == ["a"]
    assert called.metrics["Errors"] == 1
    del event["Records"][1]["dynamodb"]
    with pytest.raises(KeyError):
        called(event)


def test_where_the_results_table_is_gone_all_come_again(results: str) -> None:
    boto3.client("dynamodb").delete_table(TableName=results)
    called = Called(RESULTS_TABLE=results)
    assert failed(called(changed(None, image("a"), image("b")))) == ["001"]
    assert called.metrics["Errors"] == 1


def test_settings_that_would_lose_or_repeat_records_are_raised() -> None:
    with pytest.raises(Exception, match="RESULTS_TABLE"):
        Called()(changed(image("a")))
    with pytest.raises(Exception, match="the table that is watched"):
        Called(RESULTS_TABLE="source")(changed(image("a")))
    event = changed(image("a"))
    event["Records"][0]["dynamodb"]["Keys"] = {"prediction": {"S": "a"}}
    with pytest.raises(Exception, match="a key of the watched table is called as an answer is: prediction"):
        Called(RESULTS_TABLE="results")(event)
    with pytest.raises(Exception, match="OUTPUT"):
        Called(cases.scorecard("regression"), RESULTS_TABLE="results", OUTPUT="probabilities")(changed(image("a")))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(-1e100, 1e100).filter(lambda x: x == 0 or abs(x) > 1e-100) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_typed_values_are_read_as_boto3_reads_them(value: object) -> None:
    from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

    def typed(value):
        if isinstance(value, float):
            return {"N": repr(value)}
        if isinstance(value, list):
            return {"L": [typed(one) for one in value]}
        if isinstance(value, dict):
            return {"M": {name: typed(one) for name, one in value.items()}}
        return TypeSerializer().serialize(value)

    assert json.dumps(stream.plain(typed(value))) == json.dumps(value)
    assert TypeDeserializer().deserialize(typed(value)) is not NotImplemented


@pytest.mark.parametrize("value", [1.5, -0.0, 1e300, 5e-324, 3, True, "a", {"no": 0.25, "yes": 0.75}])
def test_answers_are_typed_as_dynamodb_takes_them(value: object) -> None:
    from boto3.dynamodb.types import TypeDeserializer

    read = TypeDeserializer().deserialize(stream.typed_value(value))
    if isinstance(value, dict):
        assert {name: float(one) for name, one in read.items()} == value
    elif isinstance(value, (bool, str)):
        assert read == value
    else:
        assert float(read) == value
