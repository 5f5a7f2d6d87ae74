"""Thousands of generated requests to a real server: no 5xx, no hang, no memory that grows.

``SERVING_FUZZ`` is how many; the whole is 10,000, and the tests send a share of it.
"""

import base64
import gzip
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import quote

import psutil
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.serving.server import cards
from tests.serving.server.servers import Server
from tests.serving.server.warm import warm

COUNT = int(os.environ.get("SERVING_FUZZ", "1500"))
#: Seconds that no answer may take.
PATIENCE = 10.0
#: Bytes by which a worker's memory may grow from its first hundreds of requests to the last.
GROWTH = 8 * 1024 * 1024

SERVED = cards.served(
    cards.model("people", cards.people(), challenger=cards.people(1), mode="canary", weight=0.5),
    cards.model("line", cards.line()),
    cards.model("mlp", cards.people(estimator="mlp")),
    default="people",
)
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


def often(count: int) -> Callable:
    checks = list(HealthCheck)
    return settings(max_examples=max(count, 1), deadline=None, database=None, suppress_health_check=checks)


class Session(requests.Session):
    """Counts statuses, and takes no answer for one that comes too late."""

    def __init__(self):
        super().__init__()
        self.statuses: Counter[int] = Counter()

    def request(self, *words, **more):
        more["timeout"] = PATIENCE
        began = time.monotonic()
        answer = super().request(*words, **more)
        assert time.monotonic() - began < PATIENCE
        self.statuses[answer.status_code] += 1
        return answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fuzz")
    words = ("--default", "people", "--max-body", "100000", "--max-rows", "500", "--read-limit", "3", "--log", "no")
    with warm(SERVED, folder, *words) as found:
        found.ready(*SERVED.models)
        yield found


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as found:
        yield found


@pytest.fixture(scope="module")
def memory(server: Server) -> Iterator[Callable[[], int]]:
    """How much a worker has grown, by its greatest."""

    def taken() -> int:
        return max(psutil.Process(worker.pid).memory_info().rss for worker in server.children("worker"))

    pids = {worker.pid for worker in server.children("worker")}
    for path in (
        "/openapi.json",
        "/postman.json",
        "/metrics",
        "/models",
        "/docs",
        "/docs/swagger-ui-bundle.js",
        "/version",
    ):
        assert server.get(path).status == 200
    for place in range(300):
        rows = [cards.PERSON] * (1 + place % 40)
        assert server.post("/invocations", {"dataframe_records": rows}).status == 200
        assert server.post("/models/mlp/invocations", {"dataframe_records": rows}).status == 200
    # The library that reads Parquet is imported with the first of it.
    assert server.post("/invocations", b"PAR1", {"Content-Type": "application/parquet"}).status == 400
    before = taken()
    yield lambda: taken() - before
    assert {worker.pid for worker in server.children("worker")} == pids


def test_requests_made_of_the_schema(server, session, memory):
    """``schemathesis``: as the OpenAPI document allows them, and as it does not."""
    url = f"http://127.0.0.1:{server.port}"
    schema = schemathesis.openapi.from_dict(server.get("/openapi.json").json)
    operations = [found.ok() for found in schema.get_all_operations()]
    asked = [one for one in operations if one.method == "post"]
    looked = [one for one in operations if one.method != "post"]
    sent = 0
    for group, share in ((asked, 0.2 * COUNT), (looked, 0.02 * COUNT)):
        for operation in group:

            @seed(0)
            @often(round(share / len(group)))
            @given(
                case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
                | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
            )
            def fuzz(case):
                nonlocal sent
                sent += 1
                case.call_and_validate(base_url=url, session=session, checks=CHECKS)

            fuzz()
    assert sent >= 0.15 * COUNT
    assert memory() < GROWTH


words = st.sampled_from(
    [*cards.PERSON, "x", "data", "columns", "inputs", "instances", "b64", "id", "output", "a" * 300]
)
hard = st.one_of(
    *(st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False)),
    *(
        st.sampled_from(
            [3.5, 3.0, "3", "", "red", "true", "\ud800", "\x00", 1e308, -1e308, 1e-320, 2**53, "1e999", "é"]
        ),
    ),
)
anything = st.recursive(
    hard,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=8), inner, max_size=5),
    max_leaves=25,
)
rows = st.lists(
    st.fixed_dictionaries(dict.fromkeys(cards.PERSON, hard)) | st.lists(hard, min_size=4, max_size=4) | anything,
    max_size=4,
)
columns = st.dictionaries(words, st.lists(hard, max_size=4) | anything, max_size=5)
params = st.fixed_dictionaries({}, optional={"output": st.sampled_from(["probabilities", "explain"]) | anything})
more = {"params": params | anything, "signature_name": st.sampled_from(["explain", ""]) | anything}
tensor = st.fixed_dictionaries(
    {
        "name": words | anything,
        "datatype": st.sampled_from(["FP64", "FP32", "INT64", "INT8", "UINT64", "BOOL", "BYTES", "FP16"]) | anything,
        "shape": st.lists(st.integers(-1, 5) | st.integers(), max_size=3) | anything,
    },
    optional={
        "data": st.lists(hard, max_size=5) | anything,
        "parameters": st.dictionaries(
            st.sampled_from(["binary_data_size", "content_type", "shared_memory_region"]),
            st.integers(-1, 64) | anything,
        ),
    },
)
tensors = st.fixed_dictionaries(
    {"inputs": st.lists(tensor, max_size=4) | anything},
    optional={
        "id": st.text(max_size=5) | anything,
        "outputs": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["predict", "probabilities", "explain"]) | anything},
                optional={"parameters": st.dictionaries(st.sampled_from(["binary_data", "classification"]), hard)},
            ),
            max_size=3,
        ),
        "parameters": st.dictionaries(st.sampled_from(["binary_data_output", "output"]), st.booleans() | anything),
    },
)
bodies = st.one_of(
    anything,
    st.fixed_dictionaries({"dataframe_records": rows}, optional=more),
    st.fixed_dictionaries(
        {"dataframe_split": st.fixed_dictionaries({"data": rows}, optional={"columns": st.lists(words) | anything})}
    ),
    st.fixed_dictionaries({"instances": rows}, optional=more),
    st.fixed_dictionaries({"inputs": columns | rows}, optional=more),
    st.fixed_dictionaries({"examples": rows}, optional={"context": columns | anything}),
    st.fixed_dictionaries({"features": rows | columns | hard}, optional=more),
    tensors,
)


def written(value) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


junk = st.sampled_from([b"NaN", b"-Infinity", b"[" * 3000, b"9" * 5000, b"1e400", b'"\\ud800"', b"//"])
mutated = st.builds(
    lambda body, place, junk: body[: place % (len(body) + 1)] + junk + body[place % (len(body) + 1) :],
    bodies.map(written),
    st.integers(0, 10**6),
    st.binary(max_size=4) | junk,
)
nothing = st.binary(max_size=300) | st.text(max_size=99).map(str.encode)
raw = st.one_of(bodies.map(written), bodies.map(written), mutated, nothing)
kinds = st.sampled_from(
    [
        *(["application/json"] * 6),
        *("application/json; charset=utf-8", "application/json; charset=utf-16", "text/csv", "application/x-ndjson"),
        *("application/octet-stream", "application/vnd.apache.parquet", "application/x-www-form-urlencoded"),
        *("image/png", "", ";;="),
    ]
)
paths = st.sampled_from(
    [
        *("/invocations", "/predict", "/models/line/invocations", "/models/mlp/predict"),
        *("/models/people/versions/4/predict", "/v2/models/people/infer", "/v2/models/line/infer"),
        *("/v2/models/mlp/versions/3/infer", "/v2/repository/index", "/v1/models/people:predict"),
        *("/v1/models/people:classify", "/v1/models/line:regress", "/v1/models/line:explain"),
        *("/v1/models/mlp/labels/champion:predict", "/predictions/people", "/predictions/line"),
        "/explanations/people/4",
    ]
)
known = ("v1", "v2", "models", "people", "line", "versions", "labels", "3", "infer", "ready", "metadata", "docs", ":")
segments = st.sampled_from([*known, ""]) | st.text(max_size=6)
methods = st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"])


@pytest.mark.parametrize("part", range(4))
def test_bodies(server, session, memory, part):
    """What is nearly right, and what is nothing at all."""
    url = f"http://127.0.0.1:{server.port}"
    length = st.none() | st.integers(-1, 400).map(str) | st.text("0123456789x+", max_size=8)

    @seed(part)
    @often(round(0.7 * COUNT / 4))
    @given(paths, raw, kinds, st.sampled_from([None, None, None, "gzip", "deflate", "br"]), length)
    def fuzz(path, body, kind, encoding, length):
        headers = {"Content-Type": kind, "X-Request-Key": str(len(body))}
        if encoding:
            headers["Content-Encoding"] = encoding
            body = gzip.compress(body) if encoding == "gzip" else body
        if length and path.startswith("/v2"):
            headers["Inference-Header-Content-Length"] = length
        found = session.post(url + path, data=body, headers=headers)
        answered(found, path, body)

    fuzz()
    assert memory() < GROWTH


def test_paths(server, session, memory):
    url = f"http://127.0.0.1:{server.port}"

    @seed(1)
    @often(round(0.1 * COUNT))
    @given(
        st.lists(segments, max_size=6), st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"])
    )
    def fuzz(parts, method):
        path = "/" + "/".join(quote(part.encode("utf-8", "replace"), safe=":") for part in parts)
        found = session.request(method, url + path, data=b"{}" if method == "POST" else None)
        assert found.status_code < 500, (method, path, found.text)

    fuzz()
    assert memory() < GROWTH
    # Both what is answered and what is refused were among all of this.
    assert session.statuses[200] > 0.02 * COUNT
    assert session.statuses[400] > 0.1 * COUNT
    assert not [status for status in session.statuses if status >= 500]
    statuses = dict(sorted(session.statuses.items()))
    print(f"{sum(statuses.values())} requests: {statuses}; the greatest worker grew by {memory():,} bytes")


def answered(found: requests.Response, path: str, body: bytes) -> None:
    told = (path, found.status_code, found.headers, found.text[:500], base64.b64encode(body[:2000]))
    assert found.status_code in (200, 400, 413, 415), told
    if found.status_code == 200:
        assert path == "/v2/repository/index" or found.headers["X-Model-Version"], told
        if "Inference-Header-Content-Length" not in found.headers:
            found.json()
    else:
        said = found.json()
        names = {"error_code", "message"} if not path.startswith("/v") else {"error"}
        if path.startswith(("/predictions", "/explanations")):
            names = {"code", "type", "message"}
        assert set(said) == names, told
        assert "Traceback" not in found.text, told
