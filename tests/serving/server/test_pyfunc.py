"""Versions without a scorecard are answered by MLflow in lanes, whatever the models do."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from serving.cli.ask import ask
from serving.errors import ServingError
from tests.serving.server import pyfuncs, servers
from tests.serving.server.pyfuncs import Function, columns, custom, tensor
from tests.serving.server.servers import NUMBERS, Answer, Server, wait

ROWS = [[30.0, 50.0], [50.0, 70.0]]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("lanes")
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    image = ModelSignature(Schema([tensor("float32", -1, 2, 2)]))
    return {
        "forest": pyfuncs.forest(folder / "forest"),
        "unruly": pyfuncs.unruly(folder / "unruly"),
        "image": custom(folder / "image", Function(lambda data, _: data.mean(axis=(1, 2))), image),
        "table": custom(
            folder / "table",
            Function(lambda frame, _: frame.assign(label=["x"] * len(frame))),
            ModelSignature(columns(a="double")),
        ),
        "sums": servers.model(folder / "sums", servers.regression(), NUMBERS),
    }


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prediction log of ``server``."""
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def server(paths: dict[str, Path], log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    words = [*map(str, paths.values()), "--pyfunc", "yes", "--pyfunc-memory", "1500MiB", "--time-limit", "4"]
    words += ["--pyfunc-pending", "8", "--default", "forest", "--record", str(log), "--record-minutes", "0.02"]
    with Server(words, tmp_path_factory.mktemp("server")) as found:
        yield loaded(found, *paths)


def loaded(server: Server, *names: str) -> Server:
    """Wait until models answer."""
    wait(lambda: all(ready(server, name) for name in names), lambda: server.err, within=4 * servers.PATIENCE)
    return server


def ready(server: Server, name: str) -> bool:
    return server.get(f"/models/{name}/ping").status == 200  # 503 while nothing is served yet


def unruly(server: Server, do: str, x: float = 1.0, **more: Any) -> Answer:
    return server.post("/models/unruly/invocations", {"dataframe_records": [{"x": x, "do": do}]}, **more)


def pid(server: Server) -> int:
    answer = unruly(server, "pid")
    assert answer.status == 200, answer.body
    return answer.json["predictions"][0]


def test_every_protocol_gives_the_same_answer(server: Server) -> None:
    (one, two) = server.post("/models/forest/invocations", {"instances": ROWS}).json["predictions"]
    flat = [value for row in ROWS for value in row]
    infer = {"inputs": [{"name": "rows", "datatype": "FP64", "shape": [2, 2], "data": flat}]}
    assert server.post("/v2/models/forest/infer", infer).json["outputs"][0]["data"] == [one, two]
    assert server.post("/v1/models/forest:predict", {"instances": ROWS}).json == {"predictions": [one, two]}
    assert server.post("/v1/models/forest:predict", {"inputs": ROWS}).json == {"outputs": [one, two]}
    assert server.post("/predictions/forest", ROWS).json == [one, two]
    assert server.post("/predict", ROWS[0]).json == {"prediction": one}
    assert server.post("/predict", {"features": {"weight": 50.0, "age": 30.0}}).json == {"prediction": one}
    csv = server.post("/invocations", b"weight;age\n50;30\n", {"Content-Type": "text/csv"})
    assert csv.json == {"predictions": [one]}
    assert csv.headers["x-model-version"] == "forest/0"


def test_a_model_without_a_scorecard_is_recorded_with_the_types_of_its_signature(server: Server, log: Path) -> None:
    records = {"dataframe_records": [{"age": 50.0, "weight": 70.0}, {"age": "30", "weight": 50}]}
    tensors = [("age", 30.0), ("weight", 50.0)]
    infer = [{"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in tensors]
    asked = {
        "forest-rows": ("/models/forest/invocations", records),
        "forest-v2": ("/v2/models/forest/infer", {"inputs": infer}),
        "unruly": ("/models/unruly/invocations", {"dataframe_records": [{"x": 2, "do": "double"}]}),
        "image": ("/models/image/invocations", {"inputs": [[[1.0, 2.0], [3.0, 4.0]]]}),
        "table": ("/models/table/invocations", {"dataframe_records": [{"a": 1.5}]}),
        "refused": ("/models/forest/invocations", {"dataframe_records": [{"age": "secret", "weight": 50}]}),
    }
    answers = {
        id: server.post(path, body, {"X-Request-Id": id}).json.get("predictions") for id, (path, body) in asked.items()
    }

    def found(id: str) -> list[dict[str, Any]]:
        if not list(log.rglob("*.parquet")):
            return []
        files = f"read_parquet('{log}/**/*.parquet', union_by_name=true)"
        return duckdb.sql(f"from {files} where request_id = '{id}' order by row").to_arrow_table().to_pylist()

    wait(lambda: all(found(id) for id in asked), lambda: server.err)
    first, second = found("forest-rows")
    assert [(row["feature_age"], row["feature_weight"]) for row in (first, second)] == [(50.0, 70.0), (30.0, 50.0)]
    assert [float(row["prediction"]) for row in (first, second)] == answers["forest-rows"]
    (v2,) = found("forest-v2")
    assert (v2["feature_age"], v2["feature_weight"], v2["prediction"]) == (30.0, 50.0, second["prediction"])
    (unruly,) = found("unruly")
    assert (unruly["feature_x"], unruly["feature_do"], unruly["role"]) == (2.0, "double", "champion")
    assert [float(unruly["prediction"])] == answers["unruly"]
    (image,) = found("image")  # of tensors there are no features
    assert json.loads(image["prediction"]) == answers["image"][0]
    (table,) = found("table")
    assert (table["feature_a"], json.loads(table["prediction"])) == (1.5, answers["table"][0])
    (refused,) = found("refused")
    assert (refused["row"], refused["status"], refused["feature_age"]) == (None, 400, None)


def test_a_large_request_is_answered_in_order(server: Server) -> None:
    rows = [[float(20 + place % 40), 50.0] for place in range(20_000)]
    found = server.post("/models/forest/invocations", {"instances": rows}).json["predictions"]
    assert len(found) == len(rows)
    assert found[:40] * 2 == found[40:120]
    assert found[7] == server.post("/predict", rows[7]).json["prediction"]


def test_tensors_of_any_rank(server: Server) -> None:
    image = [[1, 2], [3, 6]]
    assert server.post("/models/image/invocations", {"inputs": [image, image]}).json == {"predictions": [3.0, 3.0]}
    assert server.post("/models/image/predict", {"features": image}).json == {"prediction": 3.0}
    assert server.post("/v1/models/image:predict", {"instances": [image]}).json == {"predictions": [3.0]}
    infer = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 6]}]}
    assert server.post("/v2/models/image/infer", infer).json["outputs"][0]["data"] == [3.0]
    refused = server.post("/models/image/invocations", {"inputs": [[1, 2]]})
    assert (refused.status, refused.said) == (
        400,
        "expected tensor of float32 [-1, 2, 2]; found data that does not fit",
    )


def test_a_table_that_a_model_answers(server: Server) -> None:
    found = server.post("/models/table/invocations", {"dataframe_records": [{"a": 1}, {"a": 2}]})
    assert found.json == {"predictions": [{"a": 1.0, "label": "x"}, {"a": 2.0, "label": "x"}]}
    infer = {"inputs": [{"name": "a", "datatype": "FP64", "shape": [2], "data": [1, 2]}]}
    outputs = server.post("/v2/models/table/infer", infer).json["outputs"]
    assert [(one["name"], one["datatype"], one["data"]) for one in outputs] == [
        ("a", "FP64", [1.0, 2.0]),
        ("label", "BYTES", ["x", "x"]),
    ]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([[1, "many"]], "row 0, column 'weight': expected a number, found text"),
        ([{"age": 1}], "column 'weight': the column is required"),
        ({"features": [1, 2], "params": {"output": "probabilities"}}, "answers predictions alone"),
        ({"features": [1, 2], "params": {"output": "explain"}}, "answers predictions alone"),
    ],
)
def test_what_does_not_fit_the_signature_is_refused(server: Server, body: Any, says: str) -> None:
    answer = server.post("/models/forest/predict", body)
    assert answer.status == 400
    assert says in answer.said


def test_what_is_served_is_shown(server: Server) -> None:
    models = {one["name"]: one for one in server.get("/models").json["models"]}
    assert {name: one["served_by"] for name, one in models.items()} == {
        **dict.fromkeys(("forest", "unruly", "image", "table"), "pyfunc"),
        "sums": "scorecard",
    }
    forest = server.get("/models/forest").json
    assert [one["name"] for one in forest["inputs"]] == ["age", "weight"]
    assert server.post("/predict", forest["example"]["age"]).status == 400
    example = {"dataframe_records": [forest["example"]]}
    assert server.post("/invocations", example).status == 200
    metrics = server.get("/metrics").body.decode()
    assert 'serving_lane_resident_bytes{lane="0",model="forest",version="0"}' in metrics
    assert 'serving_lane_up{lane="0",model="forest",version="0"} 1.0' in metrics
    for name in ("forest", "image"):
        assert server.get(f"/?model={name}").status == 200
        assert server.get(f"/v2/models/{name}").json["platform"] == "mlflow_pyfunc"
        assert server.get(f"/v1/models/{name}/metadata").status == 200
    document = server.get("/openapi.json").json
    assert "/models/image/invocations" in document["paths"]
    assert server.get("/postman.json").status == 200


def test_a_model_that_raises_tells_its_type_and_none_of_the_data(server: Server) -> None:
    answer = unruly(server, "raise")
    assert (answer.status, answer.said) == (500, "the model failed on this request (ValueError)")
    server.says(r"the model failed: ValueError at .*unruly\.py:\d+ predict")
    assert "a secret of the request" not in server.err
    assert unruly(server, "nothing", 2.0).json == {"predictions": [4.0]}


def test_a_model_that_calls_exit_fails_and_stays(server: Server) -> None:
    before = pid(server)
    assert unruly(server, "exit").said == "the model failed on this request (SystemExit)"
    assert pid(server) == before


def test_what_a_model_prints_is_in_no_log(server: Server) -> None:
    assert unruly(server, "print").status == 200
    pid(server)
    assert "written" not in server.out
    assert "printed" not in server.out
    assert "told" not in server.err
    for line in server.out.splitlines():
        json.loads(line)


def test_nan_is_null_in_json(server: Server) -> None:
    assert unruly(server, "nan").json == {"predictions": [None]}


def test_a_child_that_a_model_forks_answers_nobody(server: Server) -> None:
    before = pid(server)
    assert unruly(server, "fork", 2.0).json == {"predictions": [4.0]}
    assert [pid(server) for _ in range(3)] == [before] * 3


def dies(server: Server, do: str, *, status: int) -> None:
    """Have the model end its process; other models do not notice, and it comes back."""
    before = pid(server)
    began = time.monotonic()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(unruly(server, do)))
    asking.start()
    while asking.is_alive():
        assert server.post("/models/sums/predict", [1, 2]).status == 200
        assert server.post("/models/forest/predict", ROWS[0]).status == 200
    asking.join()
    assert answers[0].status == status, answers[0].body
    assert time.monotonic() - began < servers.PATIENCE
    wait(lambda: unruly(server, "pid").status == 200, lambda: server.err, within=2 * servers.PATIENCE)
    assert pid(server) != before
    assert not psutil.pid_exists(before)


def test_a_model_that_ends_its_process_is_started_again(server: Server) -> None:
    dies(server, "die", status=503)
    server.says("unruly/0: its process ended with exit code 3; it is started again")


def test_a_model_that_leaks_is_started_again(server: Server) -> None:
    dies(server, "leak", status=503)
    server.says("it needed more than the 1,500 MiB of --pyfunc-memory")


def test_a_model_that_hangs_is_late_and_started_again(server: Server) -> None:
    dies(server, "sleep", status=504)
    server.says("the model took longer than the 4 s of --time-limit")


def test_children_of_a_model_end_with_it(server: Server) -> None:
    before = pid(server)
    assert unruly(server, "child").status == 200
    children = psutil.Process(before).children(recursive=True)
    assert children
    os.kill(before, signal.SIGKILL)
    wait(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
    loaded(server, "unruly")


def test_a_slow_model_sheds_what_it_cannot_answer(server: Server) -> None:
    answers: list[Answer] = []
    asking = [threading.Thread(target=lambda: answers.append(unruly(server, "sleep"))) for _ in range(12)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    shed = [answer for answer in answers if answer.status == 503]
    assert len(shed) >= 4, [answer.status for answer in answers]
    assert all(answer.headers["retry-after"] == "1" for answer in shed)
    loaded(server, "unruly")


def test_a_killed_lane_costs_only_the_requests_that_it_had(server: Server) -> None:
    over, answers = threading.Event(), []

    def ask() -> None:
        while not over.is_set():
            answers.append(server.post("/models/forest/predict", ROWS[0]))

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    (lane,) = lanes(server, "forest")
    lane.kill()
    loaded(server, "forest")
    count = len(answers)
    wait(lambda: any(answer.status == 200 for answer in answers[count:]))
    over.set()
    for thread in asking:
        thread.join()
    assert {answer.status for answer in answers} <= {200, 503}
    assert len({answer.body for answer in answers if answer.status == 200}) == 1
    told = {answer.said for answer in answers if answer.status == 503}
    assert told <= {
        "the model's process ended, and is started again; try again in 1 s",
        "the model is not served now: its process ended by signal 9",
        "the model is being loaded; try again in 1 s",
    }


def lanes(server: Server, name: str) -> list[psutil.Process]:
    """The processes of a model's lanes."""
    digest = server.get(f"/models/{name}").json["digest"].removeprefix("sha256:")
    children = psutil.Process(server.process.pid).children()
    return [child for child in children if any(digest in word for word in child.cmdline())]


def test_nothing_is_left_of_a_server(paths: dict[str, Path], tmp_path: Path) -> None:
    with Server([str(paths["unruly"]), "--pyfunc", "yes"], tmp_path) as server:
        loaded(server, "unruly")
        family = psutil.Process(server.process.pid).children(recursive=True)
        os.kill(server.process.pid, signal.SIGKILL)
        wait(lambda: not any(one.is_running() and one.status() != "zombie" for one in family))


def test_a_model_is_said_to_be_served_once_it_answers(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()  # MLflow loads a model to save it
    model = pyfuncs.unruly(tmp_path / "slow", wait=gate)
    gate.unlink()
    body = json.dumps({"dataframe_records": [{"x": 1.0, "do": ""}]})
    with Server([str(model), "--pyfunc", "yes"], tmp_path) as server:
        server.says("slow: version 0 is being loaded")
        url = f"http://127.0.0.1:{server.port}"
        wait(lambda: server.get("/models/slow").status == 200, lambda: server.err)
        with pytest.raises(ServingError, match="is being loaded"):
            ask(url, model="slow", body=body)
        assert "is served" not in server.err
        asking = threading.Timer(1.0, gate.touch)  # while the client waits
        asking.start()
        answer, version = ask(url, model="slow", body=body, wait=4 * servers.PATIENCE)
        asking.join()
        assert (json.loads(answer), version) == ({"predictions": [2.0]}, "slow/0")
        server.says("slow: version 0 is served")


def test_without_the_option_the_message_names_it(paths: dict[str, Path], tmp_path: Path) -> None:
    with Server([str(paths["forest"]), str(paths["sums"])], tmp_path) as server:
        server.ready("sums")
        assert "start the server with `--pyfunc yes`" in server.get("/models").json["refused"]["forest"]


def test_a_model_that_does_not_load_is_told_and_tried_again(paths: dict[str, Path], tmp_path: Path) -> None:
    folder = pyfuncs.unruly(tmp_path / "wants")
    code = next(folder.rglob("*.py"))
    code.write_text("import nowhere_to_be_found\n" + code.read_text())
    (folder / "requirements.txt").write_text("nowhere-to-be-found==1.2.3\n")
    with Server([str(folder), str(paths["sums"]), "--pyfunc", "yes"], tmp_path) as server:
        server.ready("sums")
        server.says(r"wants/0: it needs the package .* wants nowhere-to-be-found==1.2.3", within=120)
        (found,) = (one for one in server.get("/models").json["models"] if one["name"] == "wants")
        assert "nowhere-to-be-found==1.2.3" in found["refused"]
        assert server.post("/models/wants/predict", [1, "a"]).status == 503
        assert server.get("/ready").status == 200
        code.write_text(code.read_text().replace("import nowhere_to_be_found\n", ""))
        cached = next((tmp_path / ".serving-cache" / "models").rglob("*.py"))
        cached.write_text(code.read_text())
        loaded(server, "wants")
        assert server.err.count("which is not installed here") == 1
