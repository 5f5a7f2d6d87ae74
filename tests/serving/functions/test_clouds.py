"""Functions of Azure and Google: what they answer at which path, with which headers, and what they log."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serving.contract import reply
from serving.functions.sampling import hashed, plain
from serving.functions.web import label
from serving.prediction_log.lines import collect
from serving.server.model_lookup import version_header
from tests.serving.contract import cases
from tests.serving.contract.cases import NAMES, ROWS
from tests.serving.functions import clouds
from tests.serving.functions.clouds import Answer, Request
from tests.serving.packaging import made

Ask = Callable[[list[Request]], list[Answer]]
#: The answers, and the lines of the log, of each cloud.
Guarded = dict[str, tuple[list[Answer], list[str]]]

JSON = {"Content-Type": "application/json"}
BODY = json.dumps({"dataframe_split": {"columns": NAMES, "data": ROWS}}).encode()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Builds for both clouds, with keys and without."""
    folder = tmp_path_factory.mktemp("functions")
    model = made.model(folder)
    for cloud in ("azure", "gcp"):
        made.built(model, f"{cloud}-functions", folder / cloud)
    return {"azure": folder / "azure", "google": folder / "gcp"}


@pytest.fixture(scope="module", params=["azure", "google"])
def cloud(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Iterator[Ask]:
    """A cloud that can be asked."""
    if request.param == "azure":
        yield lambda requests: clouds.azure(folders["azure"], requests).answers
        return
    with clouds.google(folders["google"]) as running:
        yield lambda requests: [running.ask(one) for one in requests]


def test_it_answers_by_the_contract_and_says_who_it_is(cloud: Ask) -> None:
    [found] = cloud([Request(BODY, headers=JSON)])
    status, payload = reply(cases.scorecard("labels"), BODY, "application/json")
    assert (found.status, found.json) == (status, payload)
    assert found.headers["content-type"] == "application/json"
    assert found.headers["x-model-version"] == "made/3"


def test_bodies_may_be_compressed_and_long_answers_are_where_they_may_be(cloud: Ask) -> None:
    many = json.dumps({"dataframe_split": {"columns": NAMES, "data": ROWS * 3_000}}).encode()
    packed = gzip.compress(many)
    plain, short, long = cloud(
        [
            Request(many, headers=JSON),
            Request(BODY, headers=JSON | {"Accept-Encoding": "gzip"}),
            Request(packed, headers=JSON | {"Content-Encoding": "gzip", "Accept-Encoding": "br, gzip"}),
        ]
    )
    assert "content-encoding" not in plain.headers | short.headers
    assert (long.headers["content-encoding"], long.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert len(long.body) < len(plain.body) / 20
    assert json.loads(gzip.decompress(long.body)) == plain.json


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", "/predict", 200, None),
        ("POST", "/invocations?x=1", 200, None),
        ("GET", "/invocations", 405, "POST"),
        ("PUT", "/invocations", 405, "POST"),
        ("GET", "/ping", 200, None),
        ("GET", "/health", 200, None),
        ("HEAD", "/ping", 200, None),
        ("HEAD", "/nothing", 404, None),
        ("POST", "/ping", 405, "GET, HEAD"),
        ("DELETE", "/version", 405, "GET, HEAD"),
        ("GET", "/", 404, None),
        ("GET", "/nothing/at/all", 404, None),
        ("POST", "/invocations/more", 404, None),
        ("GET", "/%2e%2e/etc/passwd", 404, None),
        ("GET", "/%F0%9F%98%80", 404, None),
    ],
)
def test_paths_and_methods(cloud: Ask, method: str, path: str, status: int, allow: str | None) -> None:
    [found] = cloud([Request(BODY, method, path, JSON)])
    assert (found.status, found.headers.get("allow")) == (status, allow)
    assert found.headers["content-type"] == "application/json"
    if method == "HEAD":
        assert found.body == b""
    elif status >= 400:
        assert set(found.json) == {"error_code", "message"}


@given(st.text(st.characters(codec="utf-8"), min_size=1))
@example("é % \\ \n \x7f ~ '")
def test_any_models_name_is_told_as_the_server_tells_it(name: str) -> None:
    assert label({"model": name, "version": "3"}).encode("ascii") == version_header(f"{name}/3")


def test_what_has_no_name_is_told_by_its_digest() -> None:
    assert label({"model": None, "version": None, "digest": "sha256:" + "ab" * 32}) == "sha256:abababababab"


def test_version_tells_which_it_is(cloud: Ask) -> None:
    [found] = cloud([Request(method="GET", path="/version")])
    assert found.json == {"model": "made", "version": "3", "digest": cases.scorecard("labels").digest}


@pytest.fixture(scope="module")
def guarded(folders: dict[str, Path]) -> Guarded:
    """What the functions with keys and a prediction log answer, and the lines that they log."""
    known = JSON | {"x-api-key": made.KEY}
    requests = [
        Request(BODY, headers=JSON | {"X-Request-Id": "stranger"}),
        Request(BODY, headers=JSON | {"X-API-Key": "another"}),
        Request(BODY, headers=known | {"X-Request-Id": "good"}),
        Request(b"[[1, 2]]", headers=JSON | {"Authorization": f"Bearer {made.KEY}", "X-Request-Id": "bad"}),
        Request(method="GET", path="/version"),
        Request(method="GET", path="/ping"),
    ]
    recorded = made.plan(
        made.model(folders["azure"]), "gcp-functions", record="stdout", record_columns="age,x.y", record_hash="age"
    )
    environment = dict(recorded.environment) | {"RECORD_KEY": "k" * 16}
    environment["API_KEYS"] = f"{'0' * 64},{made.KEY_DIGEST}"
    asked = clouds.azure(folders["azure"], requests, environment=environment)
    with clouds.google(folders["google"], environment=environment) as running:
        google = [running.ask(one) for one in requests]
        lines = running.process.out.read_text().splitlines()
    return {"azure": (asked.answers, [text for _, text in asked.lines]), "google": (google, lines)}


@pytest.mark.parametrize("name", ["azure", "google"])
def test_a_key_is_asked_for_at_all_but_the_health(name: str, guarded: Guarded) -> None:
    found, _ = guarded[name]
    assert [one.status for one in found] == [401, 401, 200, 400, 401, 200]
    assert found[0].json["error_code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("name", ["azure", "google"])
def test_rows_are_in_the_log_of_a_function_that_records_them(name: str, guarded: Guarded, tmp_path: Path) -> None:
    answers, lines = guarded[name]
    # As Application Insights and Cloud Logging export them.
    field = {"azure": lambda line: {"message": line}, "google": lambda line: {"jsonPayload": json.loads(line)}}[name]
    exported = [json.dumps(field(line)) for line in lines if line.startswith("{")]
    (tmp_path / "log.jsonl").write_text("\n".join(exported))
    done = collect([str(tmp_path / "log.jsonl")], str(tmp_path / "log"))
    assert (done.rows, done.broken) == (len(ROWS) + 1, 0)
    files = f"read_parquet('{tmp_path}/log/**/*.parquet')"
    rows = duckdb.sql(f"from {files} order by request_id, row").to_arrow_table().to_pylist()
    bad, *good = rows
    assert (bad["request_id"], bad["status"], bad["row"], bad["feature_x.y"]) == ("bad", 400, None, None)
    assert {row["request_id"] for row in good} == {"good"}
    assert [row["prediction"] for row in good] == answers[2].json["predictions"]
    card = cases.scorecard("labels")
    for row, raw in zip(good, ROWS, strict=True):
        read = {item.name: item.read(value, card.cleaning) for item, value in zip(card.inputs, raw, strict=True)}
        assert {column for column in row if column.startswith("feature_")} == {"feature_age", "feature_x.y"}
        assert row["feature_age"] == (None if read["age"] is None else hashed(b"k" * 16, plain(read["age"])))
        assert row["feature_x.y"] == read["x.y"]


def test_the_log_tells_of_requests_and_holds_none_of_the_data(folders: dict[str, Path]) -> None:
    secret = "a category that nobody may see"
    good = json.dumps({"dataframe_split": {"columns": NAMES, "data": [[31, 4, True, secret]] * 2}}).encode()
    bad = json.dumps({"instances": [[31, secret, True, "a"]]}).encode()
    requests = [Request(good, headers=JSON), Request(bad, headers=JSON), Request(b"", "GET", "/no/" + "x" * 40)]
    asked = clouds.azure(folders["azure"], requests)
    with clouds.google(folders["google"]) as running:
        for one in requests:
            running.ask(one)
        google = running.lines[1:]  # the first was asked until it answered
    azure = [json.loads(text) for _, text in asked.lines]
    for lines in (azure, google):
        told = [(line["message"], line["status"], line["rows"]) for line in lines[-3:]]
        assert told == [("answered", 200, 2), ("refused", 400, 0), ("refused", 404, 0)]
        assert {(line["model"], line["version"], line["severity"]) for line in lines} == {("made", "3", "INFO")}
        assert all(line["latency_ms"] >= 0 for line in lines)
        assert secret not in json.dumps(lines)
    assert [line["cold_start"] for line in azure] == [True, False, False]
    assert {level for level, _ in asked.lines} == {"INFO"}


def test_a_fault_of_ours_is_an_error_in_the_log_without_its_words(folders: dict[str, Path], tmp_path: Path) -> None:
    made.built(made.model(tmp_path), "azure-functions", tmp_path / "broken")
    file = next((tmp_path / "broken").glob("scorecard_1_*/contract/answers.py"))
    file.write_text(file.read_text() + "\n\ndef answers(*_, **__):\n    raise RuntimeError('31 years old')\n")
    asked = clouds.azure(tmp_path / "broken", [Request(BODY, headers=JSON)])
    assert asked.answers[0].status == 500
    assert asked.answers[0].json["error_code"] == "INTERNAL_ERROR"
    [(level, text)] = asked.lines
    line = json.loads(text)
    assert (level, line["severity"], line["error"]) == ("ERROR", "ERROR", "RuntimeError")
    assert any(place.startswith("answers.py:") for place in line["at"])
    assert "31 years" not in text + asked.answers[0].body.decode()


def test_nothing_is_imported_but_the_standard_library_and_the_package(folders: dict[str, Path]) -> None:
    for name in clouds.azure(folders["azure"], []).imported:
        top = name.partition(".")[0]
        assert top in sys.stdlib_module_names or top == "function_app" or top.startswith("scorecard_1_"), name
    # Google's: in a process that has nothing of the kind, and a stand-in for the one name that it takes of Google.
    script = (
        "import sys, types; sys.path.insert(0, sys.argv[1]); framework = types.ModuleType('functions_framework'); "
        "framework.http = lambda function: function; sys.modules['functions_framework'] = framework; import main"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", script, str(folders["google"])], check=True)
