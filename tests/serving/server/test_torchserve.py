"""TorchServe's inference API."""

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
    cards.model("line", cards.line()),
)
PERSON = cards.PERSON
ROW = list(PERSON.values())


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(SERVED, ServerSettings(max_rows=1000)) as found:
        yield found


ANSWERED = {
    "a row": (PERSON, "yes"),
    "a row as a list": (ROW, "yes"),
    "rows": ([PERSON, PERSON], ["yes", "yes"]),
    "rows as lists": ([ROW], ["yes"]),
    "data": ({"data": PERSON}, "yes"),
    "data, a list": ({"data": ROW}, "yes"),
    "data, lists": ({"data": [ROW, ROW]}, ["yes", "yes"]),
    "body": ({"body": [PERSON]}, ["yes"]),
    "an envelope in it": ({"data": {"instances": [PERSON]}}, {"predictions": ["yes"]}),
    "columns": ({"data": {name: [value] for name, value in PERSON.items()}}, ["yes"]),
    "kserve": ({"instances": [{"data": ROW}, {"body": ROW}]}, {"predictions": ["yes", "yes"]}),
    "instances": ({"instances": [PERSON]}, {"predictions": ["yes"]}),
    "inputs": ({"inputs": [ROW]}, {"predictions": ["yes"]}),
    "split": ({"dataframe_split": {"columns": list(PERSON), "data": [ROW]}}, {"predictions": ["yes"]}),
    "features": ({"features": ROW}, "yes"),
}


@pytest.mark.parametrize(("body", "expected"), ANSWERED.values(), ids=list(ANSWERED))
def test_answered(server, body, expected):
    found = server.post("/predictions/people", body)
    assert found.json == expected
    assert (found.status, found.headers["x-model-version"]) == (200, "people/3")


def test_documented_with_curl(server, tmp_path):
    """``-T`` puts a file; ``-d`` says that it is a form."""
    (tmp_path / "person.json").write_text(json.dumps(PERSON))
    url = f"{server.url}/predictions/people"
    for words in (("-T", str(tmp_path / "person.json")), ("-X", "POST", "-d", json.dumps({"data": PERSON}))):
        done = subprocess.run([need("curl"), "-s", url, *words], capture_output=True, check=True, timeout=30)
        assert done.stdout == b'"yes"'


def curl(server, *words: str, path: str = "people"):
    command = [need("curl"), "-s", f"{server.url}/predictions/{path}", "-w", "\\n%{http_code}", *words]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30)
    content, _, status = done.stdout.rpartition(b"\n")
    return int(status), json.loads(content)


def test_a_form_with_a_file(server, tmp_path):
    """``curl -F data=@FILE``, as TorchServe's documentation has it."""
    files = {
        "row.json": json.dumps(PERSON),
        "rows.json": json.dumps([PERSON, PERSON]),
        "split.json": json.dumps({"dataframe_split": {"columns": list(PERSON), "data": [ROW]}}),
        "rows.jsonl": json.dumps(PERSON) + "\n" + json.dumps(PERSON) + "\n",
        "rows.csv": "age,number of rooms,owner,été\n51.5,3,true,red\n",
        "unnamed": json.dumps(ROW),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    expected = {
        "row.json": "yes",
        "rows.json": ["yes", "yes"],
        "split.json": {"predictions": ["yes"]},
        "rows.jsonl": ["yes", "yes"],
        "rows.csv": ["yes"],
        "unnamed": "yes",
    }
    for name, answer in expected.items():
        assert curl(server, "-F", f"data=@{tmp_path / name}") == (200, answer)
        assert curl(server, "-F", f"body=@{tmp_path / name};type=application/octet-stream") == (200, answer)
    assert curl(server, "-F", f"data=@{tmp_path}/rows.csv;type=text/csv;filename=x") == (200, ["yes"])


def test_a_form_with_fields(server):
    no, yes = cards.people().probabilities_row(PERSON)
    params = ("-F", 'params={"output": "probabilities"}')
    assert curl(server, "--form-string", f"data={json.dumps(PERSON)}", *params) == (200, {"no": no, "yes": yes})
    fields = [word for name, value in PERSON.items() for word in ("--form-string", f"{name}={value}")]
    assert curl(server, *fields) == (200, "yes")
    assert curl(server, *fields, *params) == (200, {"no": no, "yes": yes})


def test_a_form_by_requests(server):
    requests = pytest.importorskip("requests")
    url = f"{server.url}/predictions/people"
    file = ("rows.json", json.dumps([PERSON]), "application/json")
    assert requests.post(url, files={"data": file}, timeout=30).json() == ["yes"]
    explained = requests.post(f"{server.url}/explanations/people", files={"data": file}, timeout=30).json()
    assert explained == [json.loads(json.dumps(cards.people().explain_row(PERSON)))]


FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="data"; filename="a"\r\n\r\n%s\r\n'
MALFORMED = {
    "no boundary": ("multipart/form-data", PART % b"{}" + b"--x--\r\n", "with a boundary, found none"),
    "nothing": (FORM, b"", "expected 1 to"),
    "no end": (FORM, PART % b"{}", "expected 1 to"),
    "no name": (FORM, b"--x\r\nContent-Disposition: form-data\r\n\r\n{}\r\n--x--", "form-data with a name"),
    "no head": (FORM, b"--x\r\n{}\r\n--x--", "expected its headers"),
    "twice": (FORM, PART % b"{}" + PART % b"{}" + b"--x--\r\n", "found two of one name"),
    "many": (FORM, (PART % b"{}") * 1000 + b"--x--\r\n", "expected 1 to 12 parts"),
    "no JSON": (FORM, PART % b"\xff\xd8" + b"--x--\r\n", "not UTF-8"),
    "another part": (
        FORM,
        PART % b"{}" + (PART % b"1").replace(b'"data"', b'"age"') + b"--x--\r\n",
        "expected data and params, found another part",
    ),
    "base64": (
        FORM,
        (PART % b"e30=").replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n") + b"--x--",
        "found another encoding",
    ),
}


@pytest.mark.parametrize(("kind", "body", "message"), MALFORMED.values(), ids=list(MALFORMED))
def test_a_form_that_is_refused(server, kind, body, message):
    found = server.post("/predictions/people", body, content_type=kind)
    assert (found.status, found.json["code"], found.json["type"]) == (400, 400, "BadRequestException")
    assert message in found.json["message"]


def test_csv(server):
    body = b'age,number of rooms,owner,\xc3\xa9t\xc3\xa9\n51.5,3,true,"red"\n,1,false,red\n'
    found = server.post("/predictions/people", body, content_type="text/csv")
    other = cards.people().predict_row({"age": None, "number of rooms": 1, "owner": False, "été": "red"})
    assert found.json == ["yes", other]


def test_probabilities(server):
    no, yes = cards.people().probabilities_row(PERSON)
    params = {"params": {"output": "probabilities"}}
    assert server.post("/predictions/people", {"data": PERSON, **params}).json == {"no": no, "yes": yes}
    assert server.post("/predictions/people", {**PERSON, **params}).json == {"no": no, "yes": yes}
    assert server.post("/predictions/people", {"instances": [PERSON], **params}).json["predictions"][0]["yes"] == yes


def test_explanations(server):
    expected = json.loads(json.dumps(cards.people().explain_row(PERSON)))
    assert server.post("/explanations/people", {"data": PERSON}).json == expected
    assert server.post("/explanations/people", {"instances": [PERSON]}).json == {"predictions": [expected]}


def test_a_version(server):
    asked = {"data": PERSON, "params": {"output": "probabilities"}}
    found = server.post("/predictions/people/4", asked)
    assert found.headers["x-model-version"] == "people/4"
    assert list(found.json.values()) == cards.people(1).probabilities_row(PERSON)


def test_columns_that_are_named_like_wrappers():
    import numpy as np
    from sklearn.linear_model import LinearRegression

    from serving.scorecard import Input
    from serving.scorecard import compile as compile_pipeline

    table = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    card = compile_pipeline(
        LinearRegression().fit(table, [0.0, 1.0, 10.0]), [Input("data", "number"), Input("params", "number")]
    )
    with running(cards.served(cards.model("odd", card))) as server:
        for body in ({"data": 2, "params": 3}, {"data": {"data": 2, "params": 3}}, {"body": [2, 3]}):
            assert server.post("/predictions/odd", body).json == pytest.approx(32.0)


REFUSED = {
    "not JSON": ("line", b"{", 400, "BadRequestException", "the body is not JSON"),
    "number": ("line", 7, 400, "BadRequestException", "found a number"),
    "text": ("line", {"x": "a"}, 400, "BadRequestException", "column 'x': expected a number, found text"),
    "column": ("line", {"y": 1}, 400, "BadRequestException", "column 'x': the column is required"),
    "nothing": ("line", {}, 400, "BadRequestException", "expected at least one row|column 'x'"),
    "two forms": ("line", {"instances": [], "X": []}, 400, "BadRequestException", "expected one of the keys"),
    "rows": ("line", [[1.0]] * 1001, 413, "RequestEntityTooLargeException", "at most 1,000 rows"),
    "output": ("line", {"x": 1, "params": {"output": 1}}, 400, "BadRequestException", "output is one of"),
    "model": ("nobody", {"x": 1}, 404, "ModelNotFoundException", "no such model is served"),
    "version": ("line/9", {"x": 1}, 404, "ModelNotFoundException", "this version of model 'line' is not served"),
}


@pytest.mark.parametrize(("name", "body", "status", "type", "message"), REFUSED.values(), ids=list(REFUSED))
def test_refused(server, name, body, status, type, message):
    found = server.post(f"/predictions/{name}", body)
    assert (found.status, found.json["code"], found.json["type"]) == (status, status, type)
    assert re.search(message, found.json["message"])


def test_methods_and_types(server):
    found = server.get("/predictions/line")
    assert (found.status, found.json["type"]) == (405, "MethodNotAllowedException")
    assert server.post("/predictions/line", b"x", content_type="image/png").status == 415
    assert server.post("/predictions/line/1/2", {"x": 1}).status == 404


def test_ping_is_healthy(server):
    assert server.get("/ping").json == {"status": "Healthy"}
