"""`serve --record`: what is answered is in the prediction log, whoever is killed and whatever is full or away.

Tests share servers: one that was asked by every protocol, one of champions with challengers, and one that meets with
troubles, each of which ends with its test; the last kills it.
"""

import json
import re
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from serving.__main__ import cli
from serving.functions.sampling import sampled
from tests import stores
from tests.serving.prediction_log.brokers import broker
from tests.serving.server import cards
from tests.serving.server.loads import BODY, Load
from tests.serving.server.servers import MIXED, NUMBERS, Server, wait
from tests.serving.server.warm import warm

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


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of ``troubled``."""
    return tmp_path_factory.mktemp("troubled") / "log"


@pytest.fixture(scope="module")
def troubled(folders: dict[str, Path], log: Path) -> Iterator[Server]:
    """A server whose log meets with troubles; each test ends its own."""
    with recording(log.parent / "server", log, folders["sums"]) as server:
        yield server.ready("sums")


def test_what_is_answered_is_recorded_or_counted_as_dropped(troubled: Server):
    before, dropped = accounted(troubled), metric(troubled, "serving_record_dropped_total")
    (recorder,) = troubled.children("recording.process")
    recorder.suspend()
    # Blanks are quickly read, and handed over as they are.
    large = json.dumps({"dataframe_records": [NUMBERS] * 100}).encode() + b" " * 1_900_000
    for _ in range(6):
        assert troubled.post("/invocations", large).status == 200
    assert troubled.get("/ready").status == 200
    assert metric(troubled, "serving_record_dropped_total") > dropped
    recorder.resume()
    wait(lambda: accounted(troubled) == before + 600, lambda: f"{accounted(troubled)}\n{troubled.err}")


def removed(server: Server, log: Path, id: str) -> list[dict[str, Any]]:
    """Remove a log, and wait until it is there again with what was spooled, a row of this id too; all rows it had."""
    recorded = metric(server, "serving_record_rows_total")
    server.post("/invocations", BODY, {"X-Request-Id": id})
    wait(lambda: metric(server, "serving_record_rows_total") == recorded + 1, lambda: server.err)
    before = rows(log)
    shutil.rmtree(log)
    wait(lambda: bool(rows(log, f"request_id = '{id}'")), lambda: server.err)
    return before + rows(log)


def test_a_log_that_is_removed_is_made_again_with_the_rows_that_were_spooled(troubled: Server, log: Path):
    removed(troubled, log, "first")
    assert {row["request_id"] for row in removed(troubled, log, "second")} >= {"first", "second"}
    assert rows(log, "request_id = 'first'") == []  # its file was finished, and somebody has removed it
    assert metric(troubled, "serving_record_up") == 1


def test_a_log_that_cannot_be_written_stops_no_answer_and_is_told_once(troubled: Server, log: Path):
    recorded, told = metric(troubled, "serving_record_rows_total"), len(troubled.err)
    shutil.rmtree(log)
    log.write_text("no folder")
    for number in range(5):
        assert troubled.post("/invocations", BODY, {"X-Request-Id": f"waits-{number}"}).status == 200
        assert troubled.get("/ready").status == 200
    wait(lambda: "cannot be written" in troubled.err[told:], lambda: troubled.err)
    wait(lambda: metric(troubled, "serving_record_up") == 0, lambda: troubled.err)
    (said,) = re.findall(r"the prediction log in \S+ cannot be written: (.*);", troubled.err[told:])
    assert said in ("Not a directory", "File exists")
    log.unlink()
    wait(lambda: metric(troubled, "serving_record_up") == 1, lambda: troubled.err)
    assert "the prediction log is written again" in troubled.err[told:]
    wait(lambda: metric(troubled, "serving_record_rows_total") == recorded + 5, lambda: troubled.err)
    found = removed(troubled, log, "then")
    assert [row["request_id"] for row in found if row["request_id"].startswith("waits")] == [
        f"waits-{number}" for number in range(5)
    ]


def test_a_full_disk_is_told_and_answers_go_on(troubled: Server):
    """The limit of a file's size stands for the disk: what is beyond it cannot be written."""
    (recorder,) = troubled.children("recording.process")
    told, (_, most) = len(troubled.err), recorder.rlimit(resource.RLIMIT_FSIZE)
    recorder.rlimit(resource.RLIMIT_FSIZE, (20_000, most))
    many = {"dataframe_split": {"columns": list(NUMBERS), "data": [[1.5, 2.5]] * 3000}}
    assert troubled.post("/invocations", many).status == 200
    wait(lambda: "cannot be written: File too large" in troubled.err[told:], lambda: troubled.err)
    wait(lambda: metric(troubled, "serving_record_up") == 0, lambda: troubled.err)
    assert troubled.post("/invocations", BODY).status == 200
    assert troubled.err[told:].count("cannot be written") == 1
    recorder.rlimit(resource.RLIMIT_FSIZE, (most, most))
    wait(lambda: metric(troubled, "serving_record_up") == 1, lambda: troubled.err)


def test_workers_and_recorder_are_killed_and_nothing_but_what_was_in_flight_is_lost(
    troubled: Server, log: Path, folders: dict[str, Path], tmp_path: Path
):
    server = troubled
    removed(server, log, "here")
    assert accounted(server) == metric(server, "serving_rows_total")
    there, recorded = len(rows(log)), metric(server, "serving_record_rows_total")
    with Load(server, "/invocations", lambda *_: True, clients=1) as load:
        load.more(100)
        for _ in range(2):
            before = metric(server, "serving_record_rows_total")
            wait(lambda before=before: metric(server, "serving_record_rows_total") > before, lambda: server.err)
            replaced(server, "recording.process")
            load.more(100)
    wait(lambda: accounted(server) >= metric(server, "serving_rows_total"), lambda: server.err)
    assert metric(server, "serving_record_dropped_total") > 0
    # A killed worker takes with it what it had not handed over, and no more.
    replaced(server, "worker")
    server.ready("sums")
    for _ in range(20):
        assert server.post("/invocations", BODY).status == 200
    wait(lambda: accounted(server) >= metric(server, "serving_rows_total") - 1, lambda: server.err)
    kept = metric(server, "serving_record_rows_total")
    server.process.send_signal(signal.SIGSTOP)  # it starts no others
    for module in ("recording.process", "worker", "follower"):
        for process in server.children(module):
            process.kill()
    server.kill()
    assert len(rows(log)) - there < kept - recorded
    # Whoever records next finishes what was begun.
    with recording(tmp_path / "next", log, folders["sums"]) as server:
        wait(lambda: not list(log.glob("_recording/*.arrows")), lambda: server.err)
    found = rows(log, columns="request_id, row, time, feature_age")
    # The counts are written once a second, so that there may be more.
    assert len(found) - there >= kept - recorded
    assert len({(row["request_id"], row["row"]) for row in found}) == len(found)


def test_a_database_gets_the_same_rows(folders: dict[str, Path], tmp_path: Path, postgresql: str):
    import sqlalchemy

    with recording(tmp_path / "server", postgresql, folders["sums"], folders["visits"]) as server:
        server.ready("sums", "visits")
        server.post("/models/visits/invocations", {"dataframe_records": [MIXED]}, {"X-Request-Id": "one"})
        server.post("/models/sums/invocations", BODY)
        wait(lambda: metric(server, "serving_record_rows_total") == 2, lambda: server.err)
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


def test_a_broker_that_is_away_stops_nothing_and_gets_what_waited(folders: dict[str, Path], tmp_path: Path):
    port = stores.free_port()
    secret = {"SERVING_RECORD_HEADERS": "Authorization: Bearer s3cret"}
    url = f"http://127.0.0.1:{port}/predictions"
    with recording(tmp_path / "server", url, folders["sums"], env=secret) as server:
        server.ready("sums")
        for number in range(5):
            assert server.post("/invocations", BODY, {"X-Request-Id": f"id-{number}"}).status == 200
        server.says("the prediction log cannot be posted to http://127.0.0.1: ConnectionError")
        wait(lambda: metric(server, "serving_record_up") == 0, lambda: server.err)
        assert server.get("/ready").status == 200
        assert server.err.count("cannot be posted") == 1
        with broker(port, 413) as found:
            wait(lambda: metric(server, "serving_record_up") == 1, lambda: server.err)
            # The first event was refused; its rows are counted.
            assert server.post("/invocations", BODY, {"X-Request-Id": "last"}).status == 200
            wait(lambda: bool(found.rows), lambda: server.err)
            wait(lambda: accounted(server) == 6, lambda: server.err)
            dropped = re.search(r'serving_record_dropped_total{[^}]*reason="refused"[^}]*} (\d+)', _metrics(server))
            assert dropped is not None
            assert int(dropped[1]) + len(found.rows) == 6
            assert found.rows[-1]["request_id"] == "last"
            assert found.posted[-1][0]["authorization"] == "Bearer s3cret"
        assert server.stop() == 0
        assert "s3cret" not in server.err + server.out


def _metrics(server: Server) -> str:
    return server.get("/metrics").body.decode()


@pytest.fixture(scope="module")
def challenged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The log of half of the requests to a champion with a shadow, and to one with a canary; the ids of all."""
    folder = tmp_path_factory.mktemp("challenged")
    pair = {name: cards.people(seed) for seed, name in enumerate(("champion", "challenger"))}
    served = cards.served(
        cards.model("shadowed", pair["champion"], challenger=pair["challenger"], mode="shadow", weight=1.0),
        cards.model("shared", pair["champion"], challenger=pair["challenger"], mode="canary", weight=0.5),
    )
    ids: list[str] = []
    with warm(served, folder, "--record", "log", "--record-share", "0.5") as server:
        server.ready("shadowed", "shared")

        def both() -> bool:
            for model in ("shadowed", "shared"):
                for _ in range(20):
                    ids.append(f"{model}-{len(ids)}")
                    body = {"dataframe_records": [cards.PERSON]}
                    headers = {"X-Request-Id": ids[-1], "X-Request-Key": ids[-1]}
                    assert server.post(f"/models/{model}/invocations", body, headers).status == 200
            return (
                re.search(r'serving_record_rows_total\{[^}]*role="shadow"[^}]*\} [1-9]\d', _metrics(server)) is not None
            )

        wait(both, lambda: server.err)
        assert server.stop() == 0
    return folder / "log", ids


def test_a_share_is_chosen_by_the_request_id(challenged: tuple[Path, list[str]]):
    log, ids = challenged
    found = rows(log, "role <> 'shadow'")
    assert [row["request_id"] for row in found] == [id for id in ids if sampled(id, 0.5)]
    assert {row["sampling"] for row in found} == {0.5}


def test_champion_and_shadow_record_the_same_requests(challenged: tuple[Path, list[str]]):
    log, _ = challenged
    champion = {row["request_id"]: row for row in rows(log, "role = 'champion' and model = 'shadowed'")}
    shadow = {row["request_id"]: row for row in rows(log, "role = 'shadow'")}
    assert shadow.keys() <= champion.keys()
    assert len(shadow) > 10
    for id, row in shadow.items():
        assert (row["version"], champion[id]["version"]) == ("4", "3")
        for version, one in ((0, champion[id]), (1, row)):
            likely = cards.people(version).probabilities_row(cards.PERSON)
            assert [one["probability_no"], one["probability_yes"]] == pytest.approx(likely, rel=1e-12)


def test_a_canary_is_recorded_as_the_version_that_answered(challenged: tuple[Path, list[str]]):
    log, _ = challenged
    found = rows(log, "model = 'shared'")
    assert {(row["version"], row["role"]) for row in found} == {("3", "champion"), ("4", "challenger")}
    for row in found:
        likely = cards.people(int(row["version"]) - 3).probabilities_row(cards.PERSON)
        assert row["probability_yes"] == pytest.approx(likely[1], rel=1e-12)
        assert row["prediction"] == cards.people(int(row["version"]) - 3).predict_row(cards.PERSON)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--record-hash", "email"], "needs --record"),
        (["--record", "log", "--record-hash", "email"], "--record-key FILE, or the variable SERVING_RECORD_KEY"),
        (["--record", "nothing://user:pw@host/x"], "no driver for this database"),
        (["--record", "/dev/null/log"], "the folder cannot be made: Not a directory"),
        (["--record", "https:///x"], "expected a broker's URL such as https://HOST/PATH"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["serve", str(folders["sums"]), "--port", "0", *words])
    assert done.exit_code == 2
    assert said in done.stderr
    assert "pw@" not in done.stderr
    assert not (tmp_path / ".serving-cache").exists()
