"""`serve --record`: what is answered is in the prediction log, whoever is killed and whatever is full or away."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.serving.server import registries, servers
from tests.serving.server.loads import BODY, Load
from tests.serving.server.servers import MIXED, NUMBERS, Server, wait

KEY = "0123456789abcdef"


def rows(log: Path, where: str = "true", columns: str = "*") -> list[dict[str, Any]]:
    """The rows of a log, as DuckDB reads its folder."""
    if not list(log.rglob("*.parquet")):
        return []
    table = duckdb.sql(
        f"select {columns} from read_parquet('{log}/**/*.parquet', union_by_name=true) where {where} order by time, row"
    )
    return table.to_arrow_table().to_pylist()


def metric(server: Server, name: str) -> float:
    """The sum of a metric."""
    text = server.get("/metrics").body.decode()
    return sum(float(value) for value in re.findall(rf"(?m)^{name}(?:{{[^}}]*}})? (\S+)$", text))


def accounted(server: Server) -> float:
    """How many rows are recorded, or counted as dropped."""
    return metric(server, "serving_record_rows_total") + metric(server, "serving_record_dropped_total")


def recording(folder: Path, log: Path | str, *paths: Path, **more: Any) -> Server:
    """A server that records; not started."""
    folder.mkdir(exist_ok=True)
    words = [*map(str, paths), "--record", str(log), *more.pop("words", ())]
    return Server(words, folder, **more)


def replaced(server: Server, module: str) -> None:
    """Kill the process that runs a module, and wait until another does."""
    (dead,) = server.children(module)
    dead.kill()
    wait(lambda: [process.pid for process in server.children(module)] not in ([], [dead.pid]), lambda: server.err)


@pytest.fixture(scope="module")
def asked(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a server that was asked by every protocol, and stopped."""
    folder = tmp_path_factory.mktemp("asked")
    log = folder / "log"
    words = ["--default", "sums", "--record-hash", "region"]
    with recording(folder / "server", log, *folders.values(), words=words, env={"SERVING_RECORD_KEY": KEY}) as server:
        server.ready("sums", "visits")
        _ask(server)
        for process in server.children("worker"):
            mapped = Path(f"/proc/{process.pid}/maps").read_text()
            assert "libarrow" not in mapped
        (recorder,) = server.children("recording.process")
        assert recorder.nice() > 10
        assert server.stop() == 0
    return log


def _ask(server: Server) -> None:
    def ask(id: str, path: str, content: Any, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = server.post(path, content, {"X-Request-Id": id, **named})
        assert answer.status == status, answer.body

    sums = {"dataframe_records": [NUMBERS, {"age": "1", "weight": 2}]}
    ask("records", "/invocations", sums)
    ask("split", "/invocations", {"dataframe_split": {"columns": ["weight", "age"], "data": [[71.5, 40]]}})
    ask("csv", "/invocations", b" age,weight\n40,71.5\n", Content_Type="text/csv")
    ask("short", "/predict", {"features": [40, 71.5]})
    ask("many", "/invocations", {"inputs": {"age": [1.0] * 3000, "weight": [2.0] * 3000}})
    tensors = [{"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in NUMBERS.items()]
    ask("v2", "/v2/models/sums/infer", {"inputs": tensors})
    binary = np.array([40.0, 71.5]).tobytes()
    head = [{"name": name, "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}} for name in NUMBERS]
    text = json.dumps({"inputs": head}).encode()
    kind = {"Content_Type": "application/octet-stream", "Inference_Header_Content_Length": str(len(text))}
    ask("v2-binary", "/v2/models/sums/infer", text + binary, **kind)
    ask("v1", "/v1/models/sums:predict", {"instances": [NUMBERS]})
    ask("torchserve", "/predictions/sums", [NUMBERS])
    ask("classes", "/models/visits/invocations", {"dataframe_records": [MIXED]})
    ask("likely", "/models/visits/invocations", {"dataframe_records": [MIXED], "params": {"output": "probabilities"}})
    ask("why", "/models/visits/invocations", {"dataframe_records": [MIXED], "params": {"output": "explain"}})
    missing = {"age": None, "visits": None, "member": "true", "region": None}
    ask("missing", "/models/visits/invocations", {"dataframe_records": [missing]})
    ask("refused", "/invocations", {"dataframe_records": [{"age": "secret", "weight": 1}]}, 400)
    ask("nowhere", "/models/none/invocations", {}, 404)


def test_every_protocol_is_recorded_with_the_same_features(asked: Path):
    for id in ("split", "csv", "short", "v2", "v2-binary", "v1", "torchserve"):
        (row,) = rows(asked, f"request_id = '{id}'")
        assert (row["feature_age"], row["feature_weight"], row["row"], row["status"]) == (40.0, 71.5, 0, 200), id
        assert row["prediction"] == "151.5", id  # text, since the other model's labels are
        assert (row["model"], row["version"], row["role"], row["sampling"]) == ("sums", "0", "champion", 1.0)
        assert 0 < row["latency_ms"] < 60_000
    first, second = rows(asked, "request_id = 'records'")
    assert (first["row"], second["row"], second["feature_age"]) == (0, 1, 1.0)
    assert len(rows(asked, "request_id = 'many'")) == 3000


def test_labels_probabilities_and_what_a_request_did_not_ask_for(asked: Path):
    found = [rows(asked, f"request_id = '{id}'")[0] for id in ("classes", "likely", "why")]
    for row in found:
        assert row["prediction"] == "yes"
        assert row["probability_yes"] == pytest.approx(0.8219995183449501, rel=1e-12)
        assert row["probability_no"] + row["probability_yes"] == pytest.approx(1)
        assert (row["feature_age"], row["feature_visits"], row["feature_member"]) == (40.0, 3, True)
    (row,) = rows(asked, "request_id = 'missing'")
    assert (row["feature_age"], row["feature_visits"], row["feature_member"], row["feature_region"]) == (
        *(None, None, True, None),
    )


def test_a_hashed_column_never_reaches_the_disk(asked: Path):
    import hashlib
    import hmac

    (row,) = rows(asked, "request_id = 'classes'")
    assert row["feature_region"] == hmac.new(KEY.encode(), b"north", hashlib.sha256).hexdigest()[:32]
    for file in asked.rglob("*"):
        assert file.is_dir() or b"north" not in file.read_bytes()


def test_a_failed_request_is_one_row_without_data_and_an_unknown_model_none(asked: Path):
    (row,) = rows(asked, "request_id = 'refused'")
    assert (row["row"], row["status"], row["prediction"], row["feature_age"]) == (None, 400, None, None)
    assert rows(asked, "request_id = 'nowhere'") == []


def test_types_of_columns_and_readers_of_the_folder(asked: Path):
    import pandas as pd

    file = next((asked / "model=visits").rglob("*.parquet"))
    types = {field.name: str(field.type) for field in pq.read_schema(file)}
    assert types["time"] == "timestamp[us, tz=UTC]"
    assert types["feature_age"] == "double"
    assert types["feature_visits"] == "int64"
    assert types["feature_member"] == "bool"
    assert types["feature_region"] == "string"
    assert list(types)[:9] == [
        *("request_id", "row", "time", "model", "version", "role", "status", "latency_ms", "sampling"),
    ]
    assert set(pd.read_parquet(asked / "model=visits")["model"]) == {"visits"}


def test_workers_and_recorder_are_killed_and_nothing_but_what_was_in_flight_is_lost(
    folders: dict[str, Path], tmp_path: Path
):
    log = tmp_path / "log"
    with recording(tmp_path / "server", log, folders["sums"]) as server:
        server.ready("sums")
        with Load(server, "/invocations", lambda *_: True, clients=4) as load:
            load.more(200)
            for _ in range(2):
                before = metric(server, "serving_record_rows_total")
                wait(lambda before=before: metric(server, "serving_record_rows_total") > before, lambda: server.err)
                replaced(server, "recording.process")
                load.more(200)
        wait(lambda: accounted(server) >= metric(server, "serving_rows_total"), lambda: server.err)
        assert metric(server, "serving_record_dropped_total") > 0
        # A killed worker takes with it what it had not handed over, and no more.
        replaced(server, "worker")
        server.ready("sums")
        assert server.post("/invocations", BODY).status == 200
        wait(lambda: accounted(server) >= metric(server, "serving_rows_total") - 1, lambda: server.err)
        kept = metric(server, "serving_record_rows_total")
        server.process.send_signal(signal.SIGSTOP)  # it starts no others
        for module in ("recording.process", "worker", "follower"):
            for process in server.children(module):
                process.kill()
        server.kill()
    assert len(rows(log)) < kept
    # Whoever records next finishes what was begun.
    with recording(tmp_path / "next", log, folders["sums"]) as server:
        server.ready("sums")
        wait(lambda: not list(log.glob("_recording/*.arrows")), lambda: server.err)
        assert server.stop() == 0
    found = rows(log, columns="request_id, row, time, feature_age")
    # The counts are written once a second, so that there may be more.
    assert len(found) >= kept
    assert len({row["request_id"] for row in found}) == len(found)


def test_what_is_answered_is_recorded_or_counted_as_dropped(folders: dict[str, Path], tmp_path: Path):
    with recording(tmp_path / "server", tmp_path / "log", folders["sums"]) as server:
        server.ready("sums")
        (recorder,) = server.children("recording.process")
        recorder.suspend()
        large = json.dumps({"dataframe_split": {"columns": ["age", "weight"], "data": [[1.5, 2.5]] * 90_000}}).encode()
        for _ in range(12):
            assert server.post("/invocations", large).status == 200
        assert server.get("/ready").status == 200
        assert metric(server, "serving_record_dropped_total") > 0
        recorder.resume()
        wait(lambda: accounted(server) == 12 * 90_000, lambda: f"{accounted(server)}\n{server.err}")


def test_a_log_that_cannot_be_written_stops_no_answer_and_is_told_once(folders: dict[str, Path], tmp_path: Path):
    log = tmp_path / "log"
    with recording(tmp_path / "server", log, folders["sums"]) as server:
        server.ready("sums")
        assert server.post("/invocations", BODY).status == 200
        wait(lambda: metric(server, "serving_record_rows_total") == 1)
        log.rename(tmp_path / "aside")
        log.write_text("no folder")
        # Today's spool is still there; another model's would have to be made. A new day would do the same.
        replaced(server, "recording.process")
        for _ in range(5):
            assert server.post("/invocations", BODY).status == 200
            assert server.get("/ready").status == 200
        server.says(r"the prediction log in \S+ cannot be written: (Not a directory|File exists)")
        wait(lambda: metric(server, "serving_record_up") == 0)
        assert server.err.count("cannot be written") == 1
        log.unlink()
        server.says("the prediction log is written again")
        wait(lambda: metric(server, "serving_record_rows_total") == 6, lambda: server.err)
        assert metric(server, "serving_record_up") == 1
        assert server.stop() == 0
    assert len(rows(log)) == 5


def test_a_full_disk_is_told_and_rows_are_dropped_but_answers_go_on(folders: dict[str, Path], tmp_path: Path):
    """The limit of a file's size stands for the disk: what is beyond it cannot be written."""
    log = tmp_path / "log"
    with recording(tmp_path / "server", log, folders["sums"]) as server:
        server.ready("sums")
        (recorder,) = server.children("recording.process")
        recorder.rlimit(1, (20_000, 20_000))  # RLIMIT_FSIZE
        with Load(server, "/invocations", lambda *_: True, clients=2) as load:
            load.more(500)
            server.says(r"the prediction log in \S+ cannot be written: File too large")
            load.more(50)
        assert not load.failed
        wait(lambda: metric(server, "serving_record_up") == 0)
        assert server.stop() == 0
        assert server.err.count("cannot be written") == 1


def test_a_share_is_chosen_by_the_request_id(folders: dict[str, Path], tmp_path: Path):
    from serving.functions.sampling import sampled

    log = tmp_path / "log"
    with recording(tmp_path / "server", log, folders["sums"], words=["--record-share", "0.25"]) as server:
        server.ready("sums")
        for number in range(80):
            server.post("/invocations", BODY, {"X-Request-Id": f"id-{number}"})
        assert server.stop() == 0
    found = rows(log)
    assert {row["request_id"] for row in found} == {f"id-{n}" for n in range(80) if sampled(f"id-{n}", 0.25)}
    assert {row["sampling"] for row in found} == {0.25}


def test_a_database_gets_the_same_rows(folders: dict[str, Path], tmp_path: Path, postgresql: str):
    import sqlalchemy

    with recording(tmp_path / "server", postgresql, folders["sums"], folders["visits"]) as server:
        server.ready("sums", "visits")
        server.post("/models/visits/invocations", {"dataframe_records": [MIXED]}, {"X-Request-Id": "one"})
        server.post("/models/sums/invocations", BODY)
        wait(lambda: metric(server, "serving_record_rows_total") == 2, lambda: server.err)
        assert server.stop() == 0
        password = sqlalchemy.make_url(postgresql).password
        assert not password or password not in server.err
    engine = sqlalchemy.create_engine(postgresql)
    with engine.connect() as connection:
        (row,) = connection.execute(sqlalchemy.text("select * from prediction_log_visits")).mappings()
    engine.dispose()
    assert (row["request_id"], row["feature_region"], row["feature_member"], row["prediction"]) == (
        *("one", "north", True, "yes"),
    )
    assert row["time"].tzinfo is not None


def test_a_database_that_is_away_stops_nothing(folders: dict[str, Path], tmp_path: Path):
    url = "postgresql://ann:s3cret@127.0.0.1:9/log"
    with recording(tmp_path / "server", url, folders["sums"]) as server:
        server.ready("sums")
        for _ in range(5):
            assert server.post("/invocations", BODY).status == 200
        server.says("the prediction log in .* cannot be written")
        wait(lambda: metric(server, "serving_record_up") == 0)
        assert server.get("/ready").status == 200
        assert "s3cret" not in server.err
        assert server.stop() == 0


@pytest.fixture
def registry(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> registries.Registry:
    found = registries.on_sqlite(empty_store, tmp_path)
    for name, value in found.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    found.version("wine", servers.regression(1), NUMBERS)
    found.version("wine", servers.regression(2), NUMBERS)
    found.promote("wine", "1")
    found.promote("wine", "2", "Staging")
    return found


def test_champion_and_shadow_record_the_same_requests(registry: registries.Registry, tmp_path: Path):
    log, policy = tmp_path / "log", tmp_path / "policy.yaml"
    policy.write_text("by_hand: flag\nserve: {traffic: shadow, weight: 1.0}\n")
    words = ["--policy", str(policy), "--record-share", "0.5"]
    with recording(tmp_path / "server", log, words=words, env=registry.env) as server:
        wait(lambda: server.get("/ready").status == 200, lambda: server.err, within=4 * servers.PATIENCE)
        wait(lambda: "challenger" in server.get("/metrics").body.decode())

        def both() -> bool:
            for _ in range(20):
                assert server.post("/models/wine/invocations", BODY).status == 200
            text = server.get("/metrics").body.decode()
            return re.search(r'serving_record_rows_total\{[^}]*role="shadow"[^}]*\} [1-9]\d', text) is not None

        wait(both, lambda: server.err)
        assert server.stop() == 0
    champion = {row["request_id"]: row for row in rows(log, "role = 'champion'")}
    shadow = {row["request_id"]: row for row in rows(log, "role = 'shadow'")}
    assert shadow.keys() <= champion.keys()
    assert len(shadow) > 10
    for id, row in shadow.items():
        assert (row["version"], champion[id]["version"]) == ("2", "1")
        assert row["prediction"] == pytest.approx(champion[id]["prediction"] + 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--record-hash", "email"], "needs --record"),
        (["--record", "log", "--record-hash", "email"], "--record-key FILE, or the variable SERVING_RECORD_KEY"),
        (["--record", "nothing://user:pw@host/x"], "no driver for this database"),
        (["--record", "/dev/null/log"], "the folder cannot be made: Not a directory"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(folders, tmp_path: Path, words: list[str], said: str):
    found = subprocess.run(
        [os.sys.executable, "-m", "serving", "serve", str(folders["sums"]), "--port", "0", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(servers.ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.returncode == 2
    assert said in found.stderr
    assert "pw@" not in found.stderr
