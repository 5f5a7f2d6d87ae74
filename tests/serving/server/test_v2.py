"""The Open Inference Protocol, asked by its own client, and by hand."""

import gzip
import json
import re
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException

from serving.contract import LIMITS, Limits, RequestError
from serving.server.messages import Request
from serving.server.protocols import tensors
from serving.server.protocols.v2 import V2
from serving.server.settings import ServerSettings
from tests.effort import times
from tests.serving.server import cards
from tests.serving.server.running import Running, running

SERVED = cards.served(
    cards.model("flowers", cards.flowers()),
    cards.model("people", cards.people(), challenger=cards.people(1)),
    cards.model("half plus", cards.line()),
    cards.model("vectors", cards.people(estimator="svm")),
)
#: KServe's and MLServer's example, which has no names of columns.
IRIS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(SERVED, ServerSettings(max_rows=1000)) as found:
        yield found


@pytest.fixture
def client(server: Running) -> Iterator[triton.InferenceServerClient]:
    found = triton.InferenceServerClient(server.address)
    yield found
    found.close()


def tensor(name: str, values, datatype: str, *, binary: bool = True) -> triton.InferInput:
    array = np.array(values, dtype=triton_type(datatype))
    return triton.InferInput(name, list(array.shape), datatype).set_data_from_numpy(array, binary_data=binary)


def triton_type(datatype: str):
    from tritonclient.utils import triton_to_np_dtype

    return triton_to_np_dtype(datatype)


def person(*, rows: int = 1, binary: bool = True) -> list[triton.InferInput]:
    return [
        tensor("age", [51.5] * rows, "FP64", binary=binary),
        tensor("number of rooms", [3] * rows, "INT64", binary=binary),
        tensor("owner", [True] * rows, "BOOL", binary=binary),
        tensor("été", ["red"] * rows, "BYTES", binary=binary),
    ]


def probabilities(row: dict, card=None) -> list[float]:
    return (card or cards.people()).probabilities_row(row)


class TestTriton:
    """``tritonclient``, unchanged."""

    def test_health_and_metadata(self, client):
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("people")
        assert client.is_model_ready("people", "4")
        assert not client.is_model_ready("people", "5")
        assert not client.is_model_ready("nobody")
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data", "classification"]
        found = client.get_model_metadata("people")
        assert found["versions"] == ["3", "4"]
        assert [(item["name"], item["datatype"]) for item in found["inputs"]] == [
            *(("age", "FP64"), ("number of rooms", "FP64"), ("owner", "BOOL"), ("été", "BYTES"))
        ]
        assert [item["name"] for item in found["outputs"]] == ["predict", "probabilities", "explain"]
        assert json.loads(found["outputs"][1]["parameters"]["labels"]) == ["no", "yes"]
        assert client.get_model_metadata("people", "4")["versions"] == ["4"]
        assert [item["name"] for item in client.get_model_metadata("vectors")["outputs"]] == ["predict", "explain"]
        assert {item["name"] for item in client.get_model_repository_index()} == set(SERVED.models)

    def test_models_are_not_loaded_by_requests(self, client):
        for ask in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match="models are not loaded and unloaded by requests"):
                ask("people")
            with pytest.raises(InferenceServerException, match="no such model is served"):
                ask("nobody")
        assert client.is_model_ready("people")

    @pytest.mark.parametrize("binary", [True, False])
    def test_a_tensor_a_column(self, client, binary):
        wanted = [
            triton.InferRequestedOutput(name, binary_data=binary) for name in ("predict", "probabilities", "explain")
        ]
        found = client.infer("people", person(rows=3, binary=binary), request_id="seven", outputs=wanted)
        expected = probabilities(cards.PERSON)
        assert found.as_numpy("predict").tolist() == ([b"yes"] * 3 if binary else ["yes"] * 3)
        assert found.as_numpy("probabilities").tolist() == [expected] * 3
        reasons = [json.loads(text) for text in found.as_numpy("explain").tolist()]
        assert reasons[0]["score"] == pytest.approx(np.log(expected[1] / expected[0]))
        response = found.get_response()
        assert (response["id"], response["model_name"], response["model_version"]) == ("seven", "people", "3")

    def test_without_wanted_outputs_it_is_the_prediction(self, client):
        found = client.infer("half plus", [tensor("x", [[1.0], [2.0], [5.0]], "FP64")])
        assert found.as_numpy("predict").dtype == np.float64
        assert found.as_numpy("predict") == pytest.approx([3.0, 5.0, 11.0])

    @pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16", "INT64", "INT32", "INT16", "INT8", "UINT8", "UINT64"])
    @pytest.mark.parametrize("binary", [True, False])
    def test_datatypes(self, client, datatype, binary):
        found = client.infer("half plus", [tensor("x", [0, 2, 100], datatype, binary=binary)])
        assert found.as_numpy("predict") == pytest.approx([1.0, 5.0, 201.0])

    def test_one_tensor_with_all_columns(self, client):
        for datatype in ("FP64", "FP32"):
            found = client.infer("flowers", [tensor("input-0", IRIS, datatype)])
            assert found.as_numpy("predict").tolist() == [b"virginica", b"versicolor"]
        text = client.infer("flowers", [tensor("input-0", [[str(value) for value in row] for row in IRIS], "BYTES")])
        assert text.as_numpy("predict").tolist() == [b"virginica", b"versicolor"]

    def test_many_rows(self, client):
        rows = np.random.default_rng(0).normal(4, 2, (1000, 4))
        found = client.infer("flowers", [tensor("input-0", rows, "FP64")])
        expected = cards.flowers().predict({name: rows[:, place] for place, name in enumerate(cards.SIZES)})
        assert [text.decode() for text in found.as_numpy("predict").tolist()] == expected.tolist()

    def test_nan_is_a_missing_value(self, client):
        inputs = [tensor("age", [np.nan], "FP64"), *person()[1:]]
        found = client.infer("people", inputs, outputs=[triton.InferRequestedOutput("probabilities")])
        assert found.as_numpy("probabilities").tolist() == [probabilities({**cards.PERSON, "age": None})]

    def test_a_version_that_is_named(self, client):
        wanted = [triton.InferRequestedOutput("probabilities")]
        found = client.infer("people", person(), model_version="4", outputs=wanted)
        assert found.get_response()["model_version"] == "4"
        assert found.as_numpy("probabilities").tolist() == [probabilities(cards.PERSON, cards.people(1))]
        with pytest.raises(triton.InferenceServerException, match="this version of model 'people' is not served"):
            client.infer("people", person(), model_version="5")

    @pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
    def test_compressed(self, client, algorithm):
        found = client.infer(
            "people",
            person(rows=9),
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        assert found.as_numpy("predict").tolist() == [b"yes"] * 9

    def test_classification(self, client):
        wanted = [triton.InferRequestedOutput("probabilities", class_count=2)]
        found = client.infer("flowers", [tensor("input-0", IRIS[:1], "FP64")], outputs=wanted)
        values = [text.decode().split(":") for text in found.as_numpy("probabilities")[0]]
        expected = sorted(cards.flowers().probabilities_row(cards.FLOWER), reverse=True)[:2]
        assert [(float(value), place, label) for value, place, label in values] == [
            (expected[0], "2", "virginica"),
            (expected[1], "1", "versicolor"),
        ]

    def test_refusals_say_why(self, client):
        with pytest.raises(triton.InferenceServerException, match="row 1, column 'x': expected a finite number"):
            client.infer("half plus", [tensor("x", [0.0, np.inf], "FP64")])
        with pytest.raises(triton.InferenceServerException, match="column 'age': the column is required"):
            client.infer("people", person()[1:])
        with pytest.raises(triton.InferenceServerException, match="expected 4 values, found 3"):
            client.infer("flowers", [tensor("input-0", [[1.0, 2.0, 3.0]], "FP64")])
        with pytest.raises(triton.InferenceServerException, match="expected 1 values as in the other columns, found 2"):
            client.infer("people", [*person()[:1], *person(rows=2)[1:]])
        with pytest.raises(triton.InferenceServerException, match="no such model is served") as error:
            client.infer("nobody", person())
        assert error.value.status() == "404"
        with pytest.raises(triton.InferenceServerException, match="it has no probabilities"):
            client.infer("vectors", person(), outputs=[triton.InferRequestedOutput("probabilities")])
        region = triton.InferInput("x", [1], "FP64").set_shared_memory("region", 8)
        with pytest.raises(triton.InferenceServerException, match="shares no memory"):
            client.infer("half plus", [region])


class TestDocumented:
    """Requests of KServe's and MLServer's documentation, with our columns."""

    def test_kserve_sklearn(self, server):
        body = {"inputs": [{"name": "input-0", "shape": [2, 4], "datatype": "FP32", "data": IRIS}]}
        found = server.post("/v2/models/flowers/infer", body)
        assert found.status == 200
        assert found.headers["x-model-version"] == "flowers/3"
        assert found.json == {
            "model_name": "flowers",
            "model_version": "3",
            "outputs": [{"name": "predict", "shape": [2], "datatype": "BYTES", "data": ["virginica", "versicolor"]}],
        }

    def test_mlserver_sklearn_with_probabilities(self, server):
        body = {
            "inputs": [{"name": "predict", "shape": [2, 4], "datatype": "FP32", "data": [*IRIS[0], *IRIS[1]]}],
            "outputs": [{"name": "predict"}, {"name": "predict_proba"}],
        }
        found = server.post("/v2/models/flowers/infer", body).json["outputs"]
        assert [(item["name"], item["shape"]) for item in found] == [("predict", [2]), ("predict_proba", [2, 3])]

    def test_mlserver_pandas(self, server):
        body = {
            "id": "a-b",
            "parameters": {"content_type": "pd"},
            "inputs": [
                {"name": "age", "shape": [2, 1], "datatype": "FP64", "data": [51.5, None]},
                {"name": "number of rooms", "shape": [2, 1], "datatype": "INT32", "data": [3, 3]},
                {"name": "owner", "shape": [2, 1], "datatype": "BOOL", "data": [[True], [False]]},
                {
                    **{"name": "été", "shape": [2, 1], "datatype": "BYTES", "data": ["red", "never seen"]},
                    "parameters": {"content_type": "str"},
                },
            ],
        }
        found = server.post("/v2/models/people/infer", body)
        assert found.json["id"] == "a-b"
        assert found.json["outputs"][0]["data"] == [
            "yes",
            cards.people().predict_row({"age": None, "number of rooms": 3, "owner": False, "été": "never seen"}),
        ]

    def test_output_by_parameter(self, server):
        body = {"inputs": [{"name": "i", "shape": [1, 4], "datatype": "FP64", "data": IRIS[0]}]}
        body["parameters"] = {"output": "probabilities", "unknown": 1}
        found = server.post("/v2/models/flowers/infer", body).json
        assert found["outputs"][0]["data"] == cards.flowers().probabilities_row(cards.FLOWER)

    def test_an_mlp_has_no_reasons(self):
        with running(cards.served(cards.model("mlp", cards.people(estimator="mlp")))) as server:
            named = [item["name"] for item in server.get("/v2/models/mlp").json["outputs"]]
            assert named == ["predict", "probabilities"]

    def test_nothing_served_is_not_ready(self):
        with running(cards.served()) as server:
            assert server.get("/v2/health/live").status == 200
            assert server.get("/v2/health/ready").status == 503


X = {"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}

REFUSED = {
    "not JSON": (b"{", "the body is not JSON"),
    "empty": (b"", "the body is empty"),
    "no object": ([], "expected a JSON object with inputs, found a list"),
    "no inputs": ({}, "inputs: expected a list of tensors, found none"),
    "no tensors": ({"inputs": []}, "expected at least one tensor"),
    "no tensor": ({"inputs": [1]}, "each an object, found a number"),
    "no name": ({"inputs": [{**X, "name": 1}]}, "name to be text, found a number"),
    "datatype": ({"inputs": [{**X, "datatype": "FP128"}]}, "tensor 'x': datatype is one of"),
    "list as datatype": ({"inputs": [{**X, "datatype": []}]}, "tensor 'x': datatype is one of"),
    "no shape": ({"inputs": [{**X, "shape": None}]}, r"expected a shape of \[rows\] or \[rows, columns\]"),
    "deep shape": ({"inputs": [{**X, "shape": [1, 1, 1]}]}, r"expected a shape of \[rows\]"),
    "negative": ({"inputs": [{**X, "shape": [-1]}]}, "expected a shape of whole numbers"),
    "true": ({"inputs": [{**X, "shape": [True]}]}, "expected a shape of whole numbers"),
    "vast and empty": ({"inputs": [{**X, "shape": [10**12, 0], "data": []}]}, "expected a shape of whole numbers"),
    "vast": ({"inputs": [{**X, "shape": [10**18]}]}, "its shape says 1000000000000000000 values, found 1"),
    "no data": ({"inputs": [{**X, "data": None}]}, "expected data to be a list, found none"),
    "ragged": ({"inputs": [{**X, "shape": [2, 1], "data": [[1.0], []]}]}, "tensor 'x', row 1: expected a list of 1"),
    "text": ({"inputs": [{**X, "data": ["1"]}]}, "tensor 'x', row 0: expected a number, found text"),
    "list": ({"inputs": [{**X, "data": [{}]}]}, "row 0: expected a number, found an object"),
    "truth": ({"inputs": [{**X, "data": [True]}]}, "row 0: expected a number, found a boolean"),
    "fraction": ({"inputs": [{**X, "datatype": "INT8", "data": [0.5]}]}, "row 0: expected a whole number that INT8"),
    "range": ({"inputs": [{**X, "datatype": "INT8", "data": [300]}]}, "found one out of its range"),
    "sign": ({"inputs": [{**X, "datatype": "UINT8", "data": [-1]}]}, "found one out of its range"),
    "null": ({"inputs": [{**X, "data": [None]}]}, "row 0, column 'x': a value is required"),
    "huge": (
        b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP64","data":[1e999]}]}',
        "row 0, column 'x': expected a",
    ),
    "twice": ({"inputs": [X, X]}, "tensor 'x': expected one of this name, found several"),
    "wide": ({"inputs": [X, {**X, "name": "y", "shape": [1, 2], "data": [1, 2]}]}, "found 2 values a row"),
    "no rows": ({"inputs": [{**X, "shape": [0], "data": []}]}, "expected at least one row"),
    "id": ({"inputs": [X], "id": 7}, "id: expected text, found a number"),
    "parameters": ({"inputs": [X], "parameters": []}, "parameters: expected an object"),
    "content type": (
        {"inputs": [X], "parameters": {"content_type": "base64"}},
        "content_type is one of np, pd and str",
    ),
    "flag": ({"inputs": [X], "parameters": {"binary_data_output": 1}}, "binary_data_output to be true or false"),
    "outputs": ({"inputs": [X], "outputs": {}}, "outputs: expected a list"),
    "output": ({"inputs": [X], "outputs": [{"name": "y"}]}, "one of predict, .*, found another"),
    "unnamed": ({"inputs": [X], "outputs": ["predict"]}, "expected objects with a name"),
    "again": ({"inputs": [X], "outputs": [{"name": "predict"}] * 2}, "found predict again"),
    "kind": ({"inputs": [X], "parameters": {"output": "nothing"}}, "output is one of predictions, probabilities"),
    "classes": (
        {"inputs": [X], "outputs": [{"name": "predict", "parameters": {"classification": 2}}]},
        "classification is asked of probabilities",
    ),
    "size without header": (
        {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}]},
        "expected the header Inference-Header-Content-Length",
    ),
}


@pytest.mark.parametrize(("body", "message"), REFUSED.values(), ids=list(REFUSED))
def test_refused(server, body, message):
    found = server.post("/v2/models/half%20plus/infer", body)
    assert found.status == 400
    assert list(found.json) == ["error"]
    assert re.search(message, found.json["error"])


def test_too_many_rows(server):
    body = {"inputs": [{**X, "shape": [1001], "data": [1.0] * 1001}]}
    found = server.post("/v2/models/half%20plus/infer", body)
    assert found.status == 413
    assert "at most 1,000 rows, found 1,001" in found.json["error"]


@pytest.mark.parametrize("said", [None, "application/json; charset=utf-8", "application/octet-stream"])
def test_content_types_that_clients_send(server, said):
    headers = {} if said is None else {"content_type": said}
    assert server.post("/v2/models/half%20plus/infer", json.dumps({"inputs": [X]}).encode(), **headers).status == 200


def test_other_content_types(server):
    found = server.post("/v2/models/half%20plus/infer", {"inputs": [X]}, content_type="image/png")
    assert found.status == 415


def binary(header: dict, *parts: bytes, length: str | None = None, pack=None) -> tuple[bytes, dict]:
    head = json.dumps(header).encode()
    body = b"".join((head, *parts))
    headers = {"inference_header_content_length": str(len(head)) if length is None else length}
    return (pack(body) if pack else body), headers


def raw(size: int, shape: list, datatype: str = "FP64") -> dict:
    parameters = {"binary_data_size": size}
    return {"inputs": [{"name": "x", "shape": shape, "datatype": datatype, "parameters": parameters}]}


BINARY = {
    "short": (binary(raw(8, [1]), b"\0" * 7), "binary_data_size is not the size"),
    "long": (binary(raw(8, [1]), b"\0" * 9), "1 bytes more than its tensors say"),
    "shape": (binary(raw(8, [2]), b"\0" * 8), "its shape and datatype say 16 bytes, found 8"),
    "vast": (binary(raw(8, [10**15]), b"\0" * 8), "bytes, found 8"),
    "text": (binary(raw(4, [1], "BYTES"), struct.pack("<I", 9)), "value 0: expected a text of its length"),
    "cut": (binary(raw(3, [1], "BYTES"), b"\0\0\0"), "value 0: expected a length of 4 bytes"),
    "encoding": (binary(raw(5, [1], "BYTES"), struct.pack("<I", 1) + b"\xff"), "value 0: expected UTF-8"),
    "count": (binary(raw(8, [1], "BYTES"), b"\0" * 8), "its shape says 1 values, found more"),
    "no length": (binary(raw(8, [1]), b"\0" * 8, length="x"), "expected how many bytes of the body are JSON"),
    "beyond": (binary(raw(8, [1]), b"\0" * 8, length="99999"), "expected how many bytes of the body are JSON"),
    "inside": (binary(raw(8, [1]), b"\0" * 8, length="10"), "the body is not JSON"),
    "negative": (binary(raw(-8, [1]), b"\0" * 8), "binary_data_size is not the size"),
    "truth": (binary(raw(True, [1]), b"\0"), "binary_data_size is not the size"),
}


@pytest.mark.parametrize(("sent", "message"), BINARY.values(), ids=list(BINARY))
def test_refused_binary(server, sent, message):
    body, headers = sent
    found = server.post("/v2/models/half%20plus/infer", body, **headers)
    assert found.status == 400
    assert message in found.json["error"]


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_binary_that_is_compressed(server, encoding, pack):
    body, headers = binary(raw(8, [1]), struct.pack("<d", 2.0), pack=pack)
    found = server.post("/v2/models/half%20plus/infer", body, content_encoding=encoding, **headers)
    assert found.json["outputs"][0]["data"] == pytest.approx([5.0])


def test_a_bomb_is_not_unpacked():
    with running(SERVED, ServerSettings(max_body=10_000)) as server:
        body, headers = binary(raw(8, [1]), b"\0" * 10_000_000, pack=gzip.compress)
        found = server.post("/v2/models/half%20plus/infer", body, content_encoding="gzip", **headers)
        assert found.status == 413


values = st.one_of(
    st.tuples(st.just("FP64"), st.lists(st.floats(allow_nan=False), min_size=1)),
    st.tuples(st.just("INT64"), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1)),
    st.tuples(st.just("BOOL"), st.lists(st.booleans(), min_size=1)),
    st.tuples(st.just("BYTES"), st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1)),
)


@given(values)
def test_bytes_and_back(drawn):
    datatype, items = drawn
    raw = tensors.written(items, datatype)
    item = {"name": "x", "shape": [len(items)], "datatype": datatype, "parameters": {"binary_data_size": len(raw)}}
    found, size = tensors.read(item, memoryview(raw + b"more"), LIMITS)
    assert size == len(raw)
    assert found.values == items


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**20) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
nearly = st.fixed_dictionaries(
    {},
    optional={
        "id": anything,
        "parameters": anything
        | st.dictionaries(st.sampled_from(["output", "content_type", "binary_data_output"]), anything),
        "outputs": anything
        | st.lists(st.fixed_dictionaries({"name": st.sampled_from(["predict", "explain"]) | anything}), max_size=2),
        "inputs": anything
        | st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["x", "y"]) | anything,
                    "datatype": st.sampled_from(tensors.DATATYPES) | anything,
                    "shape": st.lists(st.integers(-1, 3), max_size=3) | anything,
                    "data": st.lists(st.floats(allow_nan=False) | anything, max_size=3) | anything,
                },
                optional={
                    "parameters": st.dictionaries(st.sampled_from(["binary_data_size", "content_type"]), anything)
                },
            ),
            max_size=2,
        ),
    },
)


@settings(max_examples=times(400))
@given(nearly, st.booleans())
def test_whatever_comes_is_answered_or_refused(body, with_header):
    text = json.dumps(body).encode()
    headers = [(b"inference-header-content-length", str(len(text)).encode())] if with_header else []
    protocol, version = V2(), SERVED.models["half plus"].champion
    request = Request("POST", "/v2/models/half plus/infer", headers=headers, body=text)
    try:
        count = protocol.ask(request, version, Limits()).table.count
    except RequestError as error:
        count = error.status
    assert count in (1, 2, 3, 400)


def test_the_names_of_all_models(server):
    assert server.get("/v2/models").json == {"models": list(SERVED.models)}
    assert server.post("/v2/models", {}).status == 405
