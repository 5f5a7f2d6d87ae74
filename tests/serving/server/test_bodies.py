"""Bodies: every form that is answered, and every way in which one can be malformed."""

import gzip
import io
import json
import zlib

import hypothesis
import msgspec
import psutil
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.contract import LIMITS, RequestError, loads, read
from serving.scorecard import Input
from serving.server.protocols.mlflow import parse, written
from serving.server.protocols.parquet import columns
from tests.effort import times
from tests.serving.server.servers import MIXED, NUMBERS, Answer, Server

SUMS = pytest.approx(151.5)


def table(columns: dict) -> bytes:
    """A Parquet file."""
    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out)
    return out.getvalue()


def repeated(length: int, rows: int) -> bytes:
    """A small Parquet file whose one text stands in many rows: unpacked it would be gigabytes."""
    word = pa.array(["a" * length])
    places = pa.array([0] * rows, pa.int32())
    return table({"age": pa.DictionaryArray.from_arrays(places, word), "weight": [1.0] * rows})


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ({"dataframe_split": {"columns": ["weight", "age"], "data": [[71.5, 40], [0, 1]]}}, [SUMS, pytest.approx(2)]),
        ({"dataframe_records": [NUMBERS]}, [SUMS]),
        ({"instances": [NUMBERS]}, [SUMS]),
        ({"instances": [[40, 71.5]], "parameters": {"from": "Vertex"}}, [SUMS]),
        ({"inputs": {"age": [40], "weight": [71.5]}}, [SUMS]),
        ({"inputs": NUMBERS}, [SUMS]),
    ],
)
def test_the_long_forms(server: Server, content, answer) -> None:
    assert server.post("/invocations", content).json == {"predictions": answer}


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ([40, 71.5], SUMS),
        ([[40, 71.5]], [SUMS]),
        ({"features": [40, 71.5]}, SUMS),
        ({"input_data": NUMBERS}, SUMS),
        ({"X": [[40, 71.5], [0, 1]]}, [SUMS, pytest.approx(1)]),
    ],
)
def test_the_short_forms(server: Server, content, answer) -> None:
    assert server.post("/predict", content).json == {"prediction": answer}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/csv", b"age,weight\n40,71.5\n"),
        ("text/csv; charset=utf-8", b"\xef\xbb\xbfweight,age\r\n71.5,40\r\n"),
        ("application/jsonlines", b'{"age":40,"weight":71.5}\n'),
        ("application/vnd.apache.parquet", table({"weight": [71.5], "age": pa.array([40], pa.int16())})),
        ("application/parquet", table({"age": [40.0], "weight": pa.array([71.5], pa.float32())})),
        ("application/vnd.api+json", json.dumps({"instances": [NUMBERS]}).encode()),
    ],
)
def test_other_media_types(server: Server, kind: str, body: bytes) -> None:
    for content, encoding in ((body, None), (gzip.compress(body), "gzip"), (zlib.compress(body), "deflate")):
        headers = {"Content-Type": kind, **({"Content-Encoding": encoding} if encoding else {})}
        assert server.post("/invocations", content, headers).json == {"predictions": [SUMS]}


def test_parquet_has_text_booleans_and_missing_values(server: Server) -> None:
    columns = {
        "age": pa.array([40.0, None]),
        "visits": pa.array([3, None], pa.int64()),
        "member": [True, False],
        "region": pa.array(["north", None]).dictionary_encode(),
    }
    rows = [MIXED, {"age": None, "visits": None, "member": False, "region": None}]
    found = server.post("/models/visits/invocations", table(columns), {"Content-Type": "application/parquet"})
    assert found.json == server.post("/models/visits/invocations", {"dataframe_records": rows}).json


def test_parquet_has_texts_of_every_kind(server: Server) -> None:
    """Polars and DuckDB write other texts than pandas does."""
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        region = pa.array(["north", None], pa.string()).cast(kind)
        body = table({"age": [40.0, None], "visits": [3, None], "member": [True, False], "region": region})
        found = server.post("/models/visits/invocations", body, {"Content-Type": "application/parquet"})
        assert len(found.json["predictions"]) == 2, (kind, found)


@pytest.mark.parametrize("damage", [0x00, 0x7F, 0xFF])
def test_a_damaged_parquet_file_is_read_or_refused(damage: int) -> None:
    """A place in a dictionary that is beyond its end, or before its begin, is no fault of ours, and no word either."""
    inputs = [Input("region", "category"), Input("visits", "number")]
    words = ["north", "south", "west", None] * 4
    whole = table({"region": pa.array(words).dictionary_encode(), "visits": pa.array(range(16), pa.int64())})
    outcomes = set()
    for place in range(len(whole)):
        body = bytearray(whole)
        body[place] = damage
        try:
            outcomes.add(columns(bytes(body), None, inputs, LIMITS).count)
        except RequestError as error:
            outcomes.add(error.status)
    assert {16, 400} <= outcomes
    assert 500 not in outcomes


def test_probabilities_and_reasons(server: Server) -> None:
    ask = {"dataframe_records": [MIXED], "params": {"output": "probabilities"}}
    (found,) = server.post("/models/visits/invocations", ask).json["predictions"]
    assert set(found) == {"no", "yes"}
    assert sum(found.values()) == pytest.approx(1)
    ask["params"]["output"] = "explain"
    (found,) = server.post("/models/visits/invocations", ask).json["predictions"]
    assert found["reasons"]


def test_many_rows_are_answered_as_one_by_one(server: Server) -> None:
    rows = [[age, age / 3] for age in range(4000)]
    found = server.post("/invocations", {"instances": rows}).json["predictions"]
    assert len(found) == 4000
    one = [server.post("/predict", rows[place]).json["prediction"] for place in (0, 17, 3999)]
    assert one == pytest.approx([found[0], found[17], found[3999]], rel=1e-14)


MALFORMED = [
    (b"", 400, "the body is empty"),
    (b"{", 400, "the body is not JSON"),
    (b"\xff\xfe", 400, "the body is not UTF-8 (byte 0)"),
    (b"null", 400, "expected a JSON object or array"),
    (b"1", 400, "expected a JSON object or array, found a number"),
    (b"[" * 100_000, 400, "nest"),
    (b'{"instances":' + b"[" * 900 + b"]" * 900 + b"}", 400, "row 0"),
    ({}, 400, "expected one of the keys"),
    ({"instances": [[1, 2]], "inputs": [[1, 2]]}, 400, "found instances and inputs"),
    ({"instances": []}, 400, "at least one row"),
    ([], 400, "at least one row"),
    ({"dataframe_records": [{"age": 1}]}, 400, "column 'weight': the column is required"),
    ({"dataframe_records": [NUMBERS, {"age": 1}]}, 400, "row 1, column 'weight': a value is required"),
    ({"instances": [[1, 2], [1]]}, 400, "row 1: expected 2 values, found 1"),
    ({"instances": [[1, 2, 3]]}, 400, "row 0: expected 2 values, found 3"),
    ({"instances": [{"age": 1, "weight": 2}, [1, 2]]}, 400, "row 1"),
    ({"dataframe_split": {"columns": ["age", "age"], "data": [[1, 2]]}}, 400, "'age'"),
    ({"instances": [[1, 2], ["forty", 2]]}, 400, "row 1, column 'age': expected a number, found text"),
    ({"instances": [[1, None]]}, 400, "row 0, column 'weight': a value is required"),
    ({"instances": [[True, 2]]}, 400, "row 0, column 'age': expected a number, found a boolean"),
    ({"instances": [[[1], 2]]}, 400, "row 0, column 'age': expected a number, found a list"),
    (b'{"instances": [[1, NaN]]}', 400, "numbers are finite, found NaN"),
    (b'{"instances": [[1, -Infinity]]}', 400, "found -Infinity"),
    (b'{"instances": [[1, 1e999]]}', 400, "row 0, column 'weight': expected a finite number"),
    (b'{"instances": [[1, ' + b"9" * 400 + b"]]}", 400, "row 0, column 'weight': expected a finite number"),
    (b'{"instances": [[1, ' + b"9" * 60_000 + b"]]}", 400, "row 0, column 'weight': expected a finite number"),
    ({"instances": [[1e308, 1e308]]}, 400, "column 'age'"),
    ({"instances": [[1, 2]], "params": {"output": "all"}}, 400, "params: output is one of"),
    ({"instances": [[1, 2]], "params": {"output": "probabilities"}}, 400, "it has no probabilities"),
    ({"instances": [[1, 2]], "params": 3}, 400, "params: expected an object"),
    ({"instances": [[0, 0]] * 100_001}, 413, "expected at most 100,000 rows, found 100,001"),
]


@pytest.mark.parametrize(("content", "status", "says"), MALFORMED)
def test_what_is_malformed_is_told_with_row_and_column(server: Server, content, status: int, says: str) -> None:
    refused(server.post("/invocations", content), status, says)
    if not isinstance(content, bytes):
        packed = gzip.compress(json.dumps(content).encode())
        refused(server.post("/invocations", packed, {"Content-Encoding": "gzip"}), status, says)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"visits": 3.5}, "row 0, column 'visits': expected a whole number, found a fraction"),
        ({"member": None}, "row 0, column 'member': a value is required"),
        ({"member": 2}, "row 0, column 'member': expected true or false, found a number"),
        ({"region": {}}, "row 0, column 'region': expected text, found an object"),
        ({"region": ["a"]}, "row 0, column 'region': expected text, found a list"),
        ({"age": "1,000"}, "row 0, column 'age': expected a number, found text"),
    ],
)
def test_a_value_of_another_kind(server: Server, row: dict, says: str) -> None:
    refused(server.post("/models/visits/invocations", {"dataframe_records": [MIXED | row]}), 400, says)


def test_a_whole_number_may_be_written_as_a_fraction(server: Server) -> None:
    for visits in (3, 3.0, 3e0):
        found = server.post("/models/visits/invocations", {"dataframe_records": [MIXED | {"visits": visits}]})
        assert found.status == 200


@pytest.mark.parametrize(
    ("headers", "body", "status", "says"),
    [
        ({"Content-Type": ""}, b"[1, 2]", 415, "found no such header"),
        ({"Content-Type": "text/html"}, b"[1, 2]", 415, "found another"),
        ({"Content-Type": "application/json; charset=latin-1"}, b"[1, 2]", 415, "charset=utf-8"),
        ({"Content-Encoding": "br"}, b"[1, 2]", 415, "Content-Encoding"),
        ({"Content-Encoding": "gzip"}, b"[1, 2]", 400, "the body is not gzip"),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"[1, 2]")[:-9], 400, "cut short"),
        ({"Content-Encoding": "gzip"}, gzip.compress(b" " * (64 << 20)), 413, "larger than"),
        ({"Content-Type": "text/csv"}, b'age,weight\n"1,2\n', 400, "not CSV"),
        ({"Content-Type": "text/csv"}, b"age,weight\n1,2,3\n", 400, "row 0: expected 2 fields, found 3"),
        ({"Content-Type": "text/csv"}, b"age,weight\n1,two\n", 400, "row 0, column 'weight'"),
        ({"Content-Type": "text/csv"}, b"age,weight\n", 400, "at least one row"),
        ({"Content-Type": "application/parquet"}, b"PAR1", 400, "not Parquet"),
        ({"Content-Type": "application/parquet"}, table({"age": [1.0]})[:-20], 400, "not Parquet"),
        ({"Content-Type": "application/parquet"}, table({"age": [1.0]}), 400, "column 'weight'"),
        (
            {"Content-Type": "application/parquet"},
            table({"age": [b"x"], "weight": [1]}),
            400,
            "column 'age': expected",
        ),
        ({"Content-Type": "application/parquet"}, table({"age": [1] * 100_001}), 413, "at most 100,000 rows"),
        ({"Content-Type": "application/parquet"}, repeated(1_000_000, 99_999), 413, "larger than"),
        ({"Content-Type": "application/parquet"}, repeated(100, 9), 400, "row 0, column 'age'"),
        ({"Content-Type": "application/parquet"}, table({"age": [[1]]}), 400, "found another type"),
    ],
)
def test_media_types_and_encodings_that_are_not_as_they_say(
    server: Server, headers: dict, body: bytes, status: int, says: str
) -> None:
    refused(server.post("/invocations", body, headers), status, says)


def refused(found: Answer, status: int, says: str) -> None:
    assert found.status == status, found
    assert says in found.said
    assert found.headers["content-type"] == "application/json"
    assert "Traceback" not in found.said
    assert "/" not in found.said.replace("text/csv", "").replace("application/json", "")


NEAR = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8) | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(["age", "weight", "columns", "data", "index", "instances", "inputs", "output", "params"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs", "input_data", "features", "X", "params")
ENVELOPES = st.dictionaries(st.sampled_from(FORMS), NEAR, max_size=3) | NEAR
BODIES = st.binary(max_size=80) | ENVELOPES.map(lambda value: json.dumps(value).encode())
KINDS = st.sampled_from(
    [
        "application/json",
        "text/csv",
        "application/jsonlines",
        "application/parquet",
        "text/plain",
        "",
        "application/json;",
    ]
)


@pytest.fixture(scope="module")
def calm(server: Server) -> Server:
    """A server that has answered all kinds of bodies before: what is imported late is there."""
    for kind, body in (("application/json", b"[1,2]"), ("text/csv", b"age\n1"), ("application/parquet", b"x")):
        server.post("/invocations", body, {"Content-Type": kind})
    return server


def test_no_body_brings_it_down(calm: Server) -> None:
    """No answer but 200 and 4xx, none that is late, and no memory that stays."""
    (worker,) = calm.children("worker")

    @hypothesis.settings(max_examples=times(700), suppress_health_check=list(hypothesis.HealthCheck))
    @given(BODIES, KINDS, st.sampled_from([None, None, None, "gzip", "identity"]), st.booleans())
    def ask(body: bytes, kind: str, encoding: str | None, whole: bool) -> None:
        headers = {"Content-Type": kind}
        if encoding:
            headers["Content-Encoding"] = encoding
            body = gzip.compress(body) if encoding == "gzip" and whole else body
        found = calm.post("/models/visits/predict" if whole else "/invocations", body, headers, timeout=10)
        assert found.status in (200, 400, 413, 415), (found, body)
        assert set(found.json) in ({"predictions"}, {"prediction"}, {"error_code", "message"})

    ask()
    before = psutil.Process(worker.pid).memory_info().rss
    ask()
    assert worker.is_running()
    assert psutil.Process(worker.pid).memory_info().rss - before < 8 << 20
    assert "Traceback" not in calm.err


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
PIECES = st.lists(
    st.sampled_from(
        [*'[]{}:,"\\', " ", "\n", "\t", "\x00", "\ufeff", "1", "0", "-", ".", "e", "E", "+", "true", "null", "NaN"]
        + ["Infinity", "9" * 30, "9" * 401, "1e400", "-0", "0.1", "1e-400", "\\u00e9", "\\ud800", "\\udc00", '"a"', "é"]
    )
).map("".join)


@hypothesis.settings(max_examples=times(1500))
@given(JSONS.map(json.dumps) | JSONS.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1)) | PIECES)
def test_the_fast_reader_reads_what_the_contract_reads(text: str) -> None:
    """What the fast one takes, the slow one takes, and both say the same; what it refuses, the slow one decides."""
    body = text.encode("utf-8", "surrogatepass")
    try:
        fast = parse(body)
    except (ValueError, RecursionError):
        return
    slow = loads(body)
    assert same(fast, slow)


def same(one, other) -> bool:
    """Whether two values are told apart by nothing that a column's rules see."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, int) and not isinstance(one, bool) and abs(one) >= 10**399:
        return other in (one, float("inf"), float("-inf"))  # no float64 holds it: any column refuses both
    return type(one) is type(other) and (one == other)


@given(st.binary() | PIECES.map(str.encode))
def test_a_reader_beside_the_contracts_changes_no_answer(body: bytes) -> None:
    def outcome(parse=None):
        try:
            return read(body, "application/json", limits=LIMITS, parse=parse)
        except RequestError as error:
            return error.payload()

    assert same(outcome(parse), outcome())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_is_written_is_the_value(value) -> None:
    assert json.loads(written(value)) == value


def test_the_fast_reader_is_the_fast_one() -> None:
    assert isinstance(parse.__self__, msgspec.json.Decoder)
