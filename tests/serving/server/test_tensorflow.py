"""TensorFlow Serving's REST API and KServe's first protocol: the requests of their documentation, with our columns."""

import base64
import gzip
import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from serving.server.settings import ServerSettings
from tests.serving.server import cards
from tests.serving.server.running import Running, running
from tests.system import need

SERVED = cards.served(
    cards.model("flowers", cards.flowers()),
    cards.model("people", cards.people(), challenger=cards.people(1)),
    cards.model("half_plus_three", cards.line(0.5)),
    cards.model("vectors", cards.people(estimator="svm")),
    cards.model("two words", cards.line()),
)
PERSON = cards.PERSON
BY_COLUMN = {name: [value, value] for name, value in PERSON.items()}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(SERVED, ServerSettings(max_rows=1000)) as found:
        yield found


def test_documented_with_curl(server):
    """As TensorFlow's page has it: curl says that the body is a form."""
    curl = need("curl")

    def asked(*words: str) -> dict:
        done = subprocess.run([curl, "-s", *words], capture_output=True, check=True, timeout=30)
        return json.loads(done.stdout)

    assert asked(f"{server.url}/v1/models/half_plus_three")["model_version_status"] == [
        {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
    predicted = asked(
        "-d", '{"instances": [1.0,2.0,5.0]}', "-X", "POST", f"{server.url}/v1/models/half_plus_three:predict"
    )
    assert predicted == {"predictions": [pytest.approx(1.5), pytest.approx(2.0), pytest.approx(3.5)]}
    regressed = asked(
        *("-d", '{"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": 2.0}]}'),
        *("-X", "POST", f"{server.url}/v1/models/half_plus_three:regress"),
    )
    assert regressed == {"results": [pytest.approx(1.5), pytest.approx(2.0)]}
    unknown = asked("-d", '{"instances": [1.0,5.0]}', "-X", "POST", f"{server.url}/v1/models/half:predict")
    assert list(unknown) == ["error"]


class TestPredict:
    def test_by_row(self, server):
        found = server.post("/v1/models/people:predict", {"signature_name": "serving_default", "instances": [PERSON]})
        assert (found.status, found.json) == (200, {"predictions": ["yes"]})
        assert found.headers["x-model-version"] == "people/3"

    def test_by_column(self, server):
        assert server.post("/v1/models/people:predict", {"inputs": BY_COLUMN}).json == {"outputs": ["yes", "yes"]}

    def test_tensors_of_one_value(self, server):
        """As of inputs with the shape [-1, 1]; text may be encoded."""
        word = {"b64": base64.b64encode(b"red").decode()}
        row = {name: [value] for name, value in PERSON.items()} | {"été": word}
        column = {name: [[value], [value]] for name, value in PERSON.items()} | {"été": [[word], word]}
        assert server.post("/v1/models/people:predict", {"instances": [row, PERSON]}).json["predictions"] == ["yes"] * 2
        assert server.post("/v1/models/people:predict", {"inputs": column}).json["outputs"] == ["yes"] * 2

    def test_kserve_lists(self, server):
        found = server.post("/v1/models/flowers:predict", {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]})
        assert found.json == {"predictions": ["virginica", "versicolor"]}

    @pytest.mark.parametrize(
        "more", [{"signature_name": "probabilities"}, {"params": {"output": "probabilities"}}], ids=str
    )
    def test_probabilities(self, server, more):
        no, yes = cards.people().probabilities_row(PERSON)
        rows = server.post("/v1/models/people:predict", {"instances": [PERSON], **more})
        assert rows.json == {"predictions": [{"no": no, "yes": yes}]}
        columns = server.post("/v1/models/people:predict", {"inputs": BY_COLUMN, **more})
        assert columns.json == {"outputs": {"no": [no, no], "yes": [yes, yes]}}

    def test_explain(self, server):
        expected = json.loads(json.dumps(cards.people().explain_row(PERSON)))
        chosen = server.post("/v1/models/people:predict", {"instances": [PERSON], "signature_name": "explain"})
        assert chosen.json == {"predictions": [expected]}
        kserve = server.post("/v1/models/people:explain", {"instances": [PERSON]})
        assert kserve.json == {"explanations": [expected]}

    def test_many_rows_compressed(self, server):
        body = gzip.compress(json.dumps({"instances": [[0.25 * place] for place in range(1000)]}).encode())
        found = server.post("/v1/models/half_plus_three:predict", body, content_encoding="gzip")
        assert found.json["predictions"] == pytest.approx([1 + 0.125 * place for place in range(1000)])

    def test_a_name_that_is_encoded(self, server):
        assert server.post("/v1/models/two%20words:predict", {"instances": [2]}).json == {
            "predictions": [pytest.approx(5.0)]
        }


class TestVersions:
    @pytest.mark.parametrize(("place", "number"), [("versions/3", 0), ("versions/4", 1), ("labels/champion", 0)])
    def test_named(self, server, place, number):
        found = server.post(
            f"/v1/models/people/{place}:predict", {"instances": [PERSON], "signature_name": "probabilities"}
        )
        expected = cards.people(number).probabilities_row(PERSON)
        assert list(found.json["predictions"][0].values()) == expected
        assert found.headers["x-model-version"] == f"people/{3 + number}"

    def test_challenger(self, server):
        found = server.post("/v1/models/people/labels/challenger:predict", {"instances": [PERSON]})
        assert found.headers["x-model-version"] == "people/4"
        status = server.get("/v1/models/people/labels/challenger").json["model_version_status"]
        assert [item["version"] for item in status] == ["4"]

    @pytest.mark.parametrize(
        "path",
        [
            *("people/versions/5:predict", "people/labels/stable:predict", "flowers/labels/challenger:predict"),
            *("people/versions/@none:predict", "nobody:predict", "people/versions/:predict"),
        ],
    )
    def test_none_such(self, server, path):
        found = server.post(f"/v1/models/{path}", {"instances": [PERSON]})
        assert found.status == 404
        assert list(found.json) == ["error"]

    @pytest.mark.parametrize(
        "path", ["nobody", "people/versions/5", "people/labels/stable", "people/versions/5/metadata"]
    )
    def test_none_such_to_look_at(self, server, path):
        found = server.get(f"/v1/models/{path}")
        assert found.status == 404
        assert list(found.json) == ["error"]

    def test_all_of_a_model(self, server):
        found = server.get("/v1/models/people").json
        assert found["ready"] is True
        assert [item["version"] for item in found["model_version_status"]] == ["3", "4"]

    def test_all_models(self, server):
        assert server.get("/v1/models").json == {"models": list(SERVED.models)}

    def test_metadata(self, server):
        found = server.get("/v1/models/people/versions/4/metadata").json
        assert found["model_spec"] == {"name": "people", "signature_name": "", "version": "4"}
        signatures = found["metadata"]["signature_def"]["signature_def"]
        assert list(signatures) == ["serving_default", "probabilities", "explain"]
        default = signatures["serving_default"]
        assert {name: tensor["dtype"] for name, tensor in default["inputs"].items()} == {
            **{"age": "DT_DOUBLE", "number of rooms": "DT_DOUBLE", "owner": "DT_BOOL", "été": "DT_STRING"}
        }
        assert default["outputs"]["predictions"]["dtype"] == "DT_STRING"
        assert list(signatures["probabilities"]["outputs"]) == ["no", "yes"]
        regression = server.get("/v1/models/half_plus_three/metadata").json["metadata"]["signature_def"][
            "signature_def"
        ]
        assert list(regression) == ["serving_default", "explain"]
        assert regression["serving_default"]["outputs"]["predictions"]["dtype"] == "DT_DOUBLE"


class TestExamples:
    def test_classify_with_context(self, server):
        context = {name: PERSON[name] for name in ("age", "owner")}
        example = {name: [PERSON[name]] for name in ("number of rooms", "été")}
        found = server.post("/v1/models/people:classify", {"context": context, "examples": [example, example]})
        no, yes = cards.people().probabilities_row(PERSON)
        assert found.json == {"results": [[["no", no], ["yes", yes]]] * 2}

    def test_regress_is_for_regressions(self, server):
        found = server.post("/v1/models/people:regress", {"examples": [PERSON]})
        assert (found.status, "is a classification" in found.json["error"]) == (400, True)

    def test_classify_wants_probabilities(self, server):
        for name in ("half_plus_three", "vectors"):
            found = server.post(f"/v1/models/{name}:classify", {"examples": [PERSON]})
            assert (found.status, "it has no probabilities" in found.json["error"]) == (400, True)


REFUSED = {
    "not JSON": (":predict", b"[1", "the body is not JSON"),
    "NaN": (":predict", b'{"instances": [NaN]}', "numbers are finite"),
    "a list": (":predict", [1.0], "expected a JSON object, found a list"),
    "neither": (":predict", {}, "expected instances or inputs, found neither"),
    "both": (":predict", {"instances": [1], "inputs": [1]}, "expected instances or inputs, found both"),
    "no rows": (":predict", {"instances": []}, "expected at least one row"),
    "no list": (":predict", {"instances": 7}, "expected a list of rows, found a number"),
    "no column": (":predict", {"instances": [{"y": 1}]}, "column 'x': the column is required"),
    "text": (":predict", {"instances": [1, "a"]}, "row 1, column 'x': expected a number, found text"),
    "null": (":predict", {"instances": [None]}, "row 0, column 'x': a value is required"),
    "long list": (":predict", {"instances": [{"x": [1, 2]}]}, "row 0, column 'x': expected a number, found a list"),
    "object": (":predict", {"instances": [{"x": {"a": 1}}]}, "row 0, column 'x': expected a value, or"),
    "base64": (":predict", {"instances": [{"x": {"b64": "?"}}]}, "row 0, column 'x': expected base64"),
    "ragged": (":predict", {"inputs": {"x": [1], "y": [1, 2]}}, "column 'y': expected 1 values"),
    "signature": (":predict", {"instances": [1], "signature_name": "other"}, "signature_name: expected one of"),
    "list as signature": (":predict", {"instances": [1], "signature_name": []}, "signature_name: expected one of"),
    "output": (":predict", {"instances": [1], "signature_name": "probabilities"}, "it has no probabilities"),
    "params": (":predict", {"instances": [1], "params": 1}, "params: expected an object"),
    "no examples": (":regress", {"instances": [1]}, "examples: expected a list of objects, found none"),
    "no objects": (":regress", {"examples": [1]}, "row 0: expected an object"),
    "context": (":regress", {"examples": [{"x": 1}], "context": [1]}, "context: expected an object"),
    "twice": (
        ":regress",
        {"examples": [{"x": 1}], "context": {"x": 1}},
        "row 0, column 'x': it is in the context",
    ),
    "no instances": (":explain", {"inputs": [1]}, "expected instances, found none"),
}


@pytest.mark.parametrize(("verb", "body", "message"), REFUSED.values(), ids=list(REFUSED))
def test_refused(server, verb, body, message):
    found = server.post(f"/v1/models/half_plus_three{verb}", body)
    assert found.status == 400
    assert list(found.json) == ["error"]
    assert re.search(message, found.json["error"])


def test_refused_otherwise(server):
    assert server.post("/v1/models/half_plus_three:predict", {"instances": [1.0] * 1001}).status == 413
    assert (
        server.post("/v1/models/half_plus_three:predict", {"instances": [1.0]}, content_type="text/csv").status == 415
    )
    assert server.get("/v1/models/half_plus_three:predict").status == 405
    assert server.post("/v1/models/half_plus_three:guess", {"instances": [1.0]}).status == 404
