"""What is asked of a function: every kind of input as the contract's JSON, and what its answers come to."""

import json

import numpy as np
import pandas as pd
import pytest

from serving.deployments import deploying, predicting
from serving.deployments.aws import Cloud
from serving.deployments.errors import DeploymentError
from serving.deployments.settings import DeploymentOptions
from tests.serving.deployments.made import NAME, package
from tests.serving.deployments.simulated import Simulated

REQUEST = {"dataframe_records": [{"x": 1.5, "colour": None}], "params": {"output": "explain"}}


def sent(inputs) -> object:
    return json.loads(predicting.body(inputs))


@pytest.mark.parametrize("request_", [REQUEST, json.dumps(REQUEST), json.dumps(REQUEST).encode()])
def test_a_request_of_the_contract_goes_as_it_is(request_):
    assert sent(request_) == REQUEST


def test_text_goes_byte_by_byte():
    text = '{"inputs": {"x": [1e400, 0.1000000000000000055511151231257827]}}'
    assert predicting.body(text) == text.encode()


def test_a_table_goes_with_its_columns_and_with_nulls_for_what_is_missing():
    table = pd.DataFrame(
        {
            "x": [0.1, float("nan")],
            "n": np.array([2**53 + 1, 2], dtype="int64"),
            "colour": ["réd", None],
            "yes": pd.array([True, None], dtype="boolean"),
            "day": pd.to_datetime(["2026-01-02", None]),
        }
    )
    assert sent(table) == {
        "dataframe_split": {
            "columns": ["x", "n", "colour", "yes", "day"],
            "data": [[0.1, 2**53 + 1, "réd", True, "2026-01-02T00:00:00"], [None, 2, None, None, None]],
        }
    }
    assert sent(table["x"])["dataframe_split"] == {"columns": ["x"], "data": [[0.1], [None]]}


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (np.array([[1.5, 2.0]]), {"inputs": [[1.5, 2.0]]}),
        ([1.5, "red"], [1.5, "red"]),
        ([[1.5, "red"], (np.float64(2.5), np.str_("blue"))], [[1.5, "red"], [2.5, "blue"]]),
        ({"inputs": {"x": np.array([1, 2])}}, {"inputs": {"x": [1, 2]}}),
    ],
)
def test_arrays_and_lists_go_as_they_are(inputs, expected):
    assert sent(inputs) == expected


def test_numbers_are_kept_to_the_last_digit():
    values = [0.1 + 0.2, 1e-300, 1.7976931348623157e308, -0.0]
    found = sent(pd.DataFrame({"x": values}))["dataframe_split"]["data"]
    assert [row[0].hex() for row in found] == [value.hex() for value in values]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({1, 2}, "expected a DataFrame, an array, a list, or a request as JSON, found set"),
        (None, "found NoneType"),
        ("{'x': 1}", "the request: the body is not JSON"),
        ([float("inf")], "the request cannot be JSON"),
        (["x" * (6 * 1024 * 1024)], "Lambda takes 6,291,456: split it into several"),
    ],
)
def test_what_cannot_be_asked_is_refused(inputs, says: str):
    with pytest.raises(DeploymentError, match=says) as refused:
        predicting.body(inputs)
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"instances": [[1]]}, {"instances": [[1]], "params": {"output": "explain"}}),
        ([1, 2], {"input_data": [1, 2], "params": {"output": "explain"}}),
    ],
)
def test_an_explanation_is_asked_for_by_the_contract(inputs, expected):
    assert predicting.explaining(inputs) == expected


class TestAnswers:
    """What a function's answers come to."""

    @pytest.fixture(autouse=True)
    def deployed(self, aws: Simulated, cloud: Cloud) -> None:
        deploying.create(cloud, NAME, package(1), DeploymentOptions(create_role=True))

    @pytest.mark.parametrize("answer", [{"predictions": [1.5]}, {"prediction": "red"}])
    def test_an_answer_is_given_as_it_is(self, aws: Simulated, cloud: Cloud, answer: dict):
        aws.answers = lambda body: json.dumps(answer).encode()
        assert predicting.ask(cloud, NAME, b"[1]") == answer
        assert aws.invoked == [(NAME, "live", b"[1]")]

    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (b'{"error_code": "BAD_REQUEST", "message": "row 0: no x"}', "'diabetes' refuses the request: row 0: no x"),
            (b"<html>", "'diabetes' answers 6 bytes that are not JSON"),
            (b'{"statusCode": 200}', "'diabetes' answers, but not in the expected form"),
            (b"[1]", "'diabetes' answers, but not in the expected form"),
        ],
    )
    def test_any_other_answer_is_an_error_of_one_line(self, aws: Simulated, cloud: Cloud, answer: bytes, says: str):
        aws.answers = lambda body: answer
        with pytest.raises(DeploymentError, match=says) as refused:
            predicting.ask(cloud, NAME, b"[1]")
        assert "\n" not in refused.value.message

    def test_a_function_that_fails_is_told_with_its_error(self, aws: Simulated, cloud: Cloud):
        def fail(body: bytes) -> bytes:
            raise MemoryError("too much")

        aws.answers = fail
        with pytest.raises(DeploymentError, match=r"'diabetes' failed \(MemoryError\): too much; look at its log"):
            predicting.ask(cloud, NAME, b"[1]")

    def test_a_deployment_that_is_not_there_is_told(self, aws: Simulated, cloud: Cloud):
        aws.answers = lambda body: b"{}"
        with pytest.raises(DeploymentError, match="no deployment 'other' in eu-central-1") as refused:
            predicting.ask(cloud, "other", b"[1]")
        assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"
