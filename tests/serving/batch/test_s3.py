"""Objects of S3 as input and output, by real HTTP: whole or not there, and one line where S3 refuses."""

import contextlib
import io
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer

from registry import s3
from serving import batch
from serving.batch import ScoreRequest, s3_files
from serving.errors import ServingError
from tests.command import run
from tests.serving.batch.test_score import good, meanwhile, saved
from tests.serving.scorecard import portable

BUCKET = "s3://tables"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def settings(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3's settings, and the endpoint as MLflow has it."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")


@pytest.fixture
def store(endpoint: str, settings: None) -> Iterator[Any]:
    """A client of S3, with the empty bucket ``tables``."""
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="tables")
    yield client
    bucket = boto3.resource("s3", endpoint_url=endpoint).Bucket("tables")
    bucket.objects.all().delete()
    bucket.delete()


@pytest.fixture
def card(tmp_path: Path) -> str:
    return saved(portable.scorecard("binary"), tmp_path)


def put(store: Any, key: str, table: pd.DataFrame | None = None) -> None:
    store.put_object(Bucket="tables", Key=key, Body=(good(3) if table is None else table).to_csv(index=False).encode())


def keys(store: Any) -> list[str]:
    return [one["Key"] for one in store.list_objects_v2(Bucket="tables").get("Contents", [])]


def content(store: Any, key: str) -> pd.DataFrame:
    return pd.read_csv(store.get_object(Bucket="tables", Key=key)["Body"])


def scored(card: str, source: str, out: object, **more: Any) -> batch.request.Scored:
    return batch.score(ScoreRequest(card, source, str(out), **more))


def bad(count: int) -> pd.DataFrame:
    table = good(count).astype(object)
    table.loc[0, "amount"] = "x"
    return table


def test_an_object_becomes_an_object_with_its_rejects_beside_it(store: Any, card: str) -> None:
    put(store, "in/rows 1.csv", bad(3))
    done = scored(card, f"{BUCKET}/in/rows 1.csv", f"{BUCKET}/out/answers.csv")
    assert (done.rows, done.rejected) == (3, 1)
    assert keys(store) == ["in/rows 1.csv", "out/answers.csv", "out/answers.rejects.csv"]
    assert len(content(store, "out/answers.csv")) == 2
    assert done.files[0].rejects == f"{BUCKET}/out/answers.rejects.csv"
    put(store, "in/rows 1.csv")
    with pytest.raises(ServingError, match="is there already"):
        scored(card, f"{BUCKET}/in/rows 1.csv", f"{BUCKET}/out/answers.csv")
    assert scored(card, "S3://tables/in/rows 1.csv", f"{BUCKET}/out/answers.csv", overwrite=True).rejected == 0
    assert "out/answers.rejects.csv" not in keys(store)


@pytest.mark.parametrize("bad_rows", [True, False])
def test_of_two_jobs_with_one_object_the_quicker_one_wins(bad_rows: bool, store: Any, card: str) -> None:
    put(store, "late.csv", bad(2))
    put(store, "quick.csv", bad(3) if bad_rows else good(3))
    out = f"{BUCKET}/out.csv"
    with (
        meanwhile(lambda: scored(card, f"{BUCKET}/quick.csv", out)),
        pytest.raises(ServingError, match="was written by another job meanwhile"),
    ):
        scored(card, f"{BUCKET}/late.csv", out, engine="numpy")
    assert len(content(store, "out.csv")) == 3 - bad_rows
    assert ("out.rejects.csv" in keys(store)) == bad_rows


@pytest.mark.parametrize("size", [3, 9 * 2**20], ids=["at once", "in parts"])
def test_the_store_itself_refuses_to_replace_what_came_into_being_a_moment_ago(size: int, store: Any) -> None:
    for content in (b"1", b"2"):
        with contextlib.suppress(s3.S3Error), s3.speaking(), s3.exclusive(store):
            store.upload_fileobj(io.BytesIO(content * size), "tables", "out.csv")
    assert store.get_object(Bucket="tables", Key="out.csv")["Body"].read(1) == b"1"


def test_a_prefix_is_a_folder_with_a_manifest(store: Any, card: str, tmp_path: Path) -> None:
    for day in (1, 2):
        put(store, f"in/day=2026-11-0{day}/part.csv", bad(day))
    put(store, "in/_temporary/part.csv")
    put(store, "in/.hidden.csv")
    store.put_object(Bucket="tables", Key="in/day=2026-11-01/")
    done = scored(card, f"{BUCKET}/in", f"{BUCKET}/out")
    assert (done.rows, done.rejected, len(done.files)) == (3, 2, 2)
    assert [key for key in keys(store) if key.startswith("out/")] == [
        "out/_rejects/day=2026-11-01/part.csv",
        "out/_rejects/day=2026-11-02/part.csv",
        "out/_scored.json",
        "out/day=2026-11-01/part.csv",
        "out/day=2026-11-02/part.csv",
    ]
    put(store, "in/day=2026-11-02/part.csv", good(5))
    again = scored(card, f"{BUCKET}/in/", f"{BUCKET}/out/")
    assert [file.done_before for file in again.files] == [True, False]
    assert scored(card, f"{BUCKET}/in", tmp_path / "out").rows == 6
    assert (tmp_path / "out" / "day=2026-11-01" / "part.csv").exists()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("in/*.csv", ["a.csv"]),
        ("in/day=[12]/*.csv", ["day=1/b.csv", "day=2/c.csv"]),
        ("in/**/*.csv", ["a.csv", "day=1/b.csv", "day=2/c.csv", "day=3/x/d.csv"]),
        ("in/day=3/**", ["x/d.csv"]),
        ("in/_tmp/*.csv", ["e.csv"]),
        ("in/?.csv", ["a.csv"]),
    ],
)
def test_patterns_match_as_in_a_shell(pattern: str, found: list[str], store: Any) -> None:
    for key in ("a.csv", "day=1/b.csv", "day=2/c.csv", "day=3/x/d.csv", "_tmp/e.csv", "notes.pdf"):
        put(store, f"in/{key}")
    assert [file.relative.as_posix() for file in s3_files.find(f"{BUCKET}/{pattern}").files] == found


def test_a_key_with_the_signs_of_patterns(store: Any, card: str) -> None:
    put(store, "in/a[1]*.csv")
    assert scored(card, f"{BUCKET}/in/a[1]*.csv", f"{BUCKET}/out.parquet").rows == 3


@pytest.mark.parametrize(
    ("source", "out", "says"),
    [
        ("s3://nowhere/a.csv", f"{BUCKET}/o.csv", "no such bucket"),
        (f"{BUCKET}/nothing.csv", f"{BUCKET}/o.csv", "expected objects that end with"),
        (f"{BUCKET}/a.csv", "s3://nowhere/o.csv", "s3://nowhere/o.csv: no such bucket"),
        (f"{BUCKET}/a.csv", f"{BUCKET}/a.csv", "is the input itself"),
        (f"{BUCKET}/a.csv", f"{BUCKET}/", "expected a name that ends with"),
        (f"{BUCKET}/a.pdf", f"{BUCKET}/o.csv", "expected a name that ends with"),
        ("s3://", f"{BUCKET}/o.csv", "expected an address such as s3://bucket/key"),
        (f"{BUCKET}/odd/", f"{BUCKET}/out", "has an empty part, or one of dots"),
        (f"{BUCKET}/empty.csv", f"{BUCKET}/o.csv", "empty.csv is empty"),
        ("gs://tables/a.csv", f"{BUCKET}/o.csv", "expected a file, a folder, a pattern or s3://bucket/key"),
    ],
)
def test_what_s3_has_not_is_one_line(source: str, out: str, says: str, store: Any, card: str) -> None:
    for key in ("a.csv", "a.pdf", "odd/../../x.csv"):
        put(store, key)
    store.put_object(Bucket="tables", Key="empty.csv", Body=b"")
    before = keys(store)
    with pytest.raises(ServingError, match=says) as error:
        scored(card, source, out, overwrite=True)
    assert "\n" not in str(error.value)
    assert keys(store) == before


def test_an_endpoint_that_is_away_stops_the_job(
    store: Any, card: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(ServingError, match=r"a\.csv: cannot be fetched: Could not connect"):
        scored(card, f"{BUCKET}/a.csv", tmp_path / "o.csv")
    good(2).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ServingError, match=r"o\.csv: cannot be .*: Could not connect"):
        scored(card, str(tmp_path / "t.csv"), f"{BUCKET}/o.csv")


def test_wrong_keys_are_refused(object_store: Any, card: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in object_store.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    good(2).to_csv(tmp_path / "t.csv", index=False)
    for source, out in ((f"{BUCKET}/a.csv", str(tmp_path / "o.csv")), (str(tmp_path / "t.csv"), f"{BUCKET}/o.csv")):
        with pytest.raises(ServingError, match="access refused; check the credentials") as error:
            scored(card, source, out)
        assert "wrong" not in str(error.value)
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ServingError, match="Unable to locate credentials"):
        scored(card, f"{BUCKET}/a.csv", tmp_path / "o.csv")


class _Dying(socketserver.ThreadingTCPServer):
    """A connection to S3 that is cut after so many bytes of an answer, or of what is sent."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: tuple[str, int], *, answered: int, sent: int) -> None:
        self.target, self.answered, self.sent = target, answered, sent
        super().__init__(("127.0.0.1", 0), _Cut)


class _Cut(socketserver.BaseRequestHandler):
    server: _Dying

    def handle(self) -> None:
        with socket.create_connection(self.server.target) as other:
            back = threading.Thread(target=self._copy, args=(other, self.request, self.server.answered), daemon=True)
            back.start()
            self._copy(self.request, other, self.server.sent)
            back.join()

    def _copy(self, source: socket.socket, target: socket.socket, most: int) -> None:
        with contextlib.suppress(OSError):
            while most > 0 and (chunk := source.recv(min(most, 65_536))):
                target.sendall(chunk)
                most -= len(chunk)
            for one in (source, target):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def dying(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Reach S3 by connections that die."""
    servers = []

    def start(**limits: int) -> None:
        host, _, port = endpoint.rpartition("//")[2].partition(":")
        servers.append(_Dying((host, int(port)), **limits))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{servers[-1].server_address[1]}")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("limits", [{"answered": 50_000, "sent": 10**9}, {"answered": 10**9, "sent": 50_000}])
def test_a_connection_that_dies_in_the_middle_leaves_nothing(
    limits: dict[str, int], store: Any, card: str, dying: Callable[..., None], tmp_path: Path
) -> None:
    put(store, "a.csv", good(20_000))
    good(20_000).to_csv(tmp_path / "t.csv", index=False)
    dying(**limits)
    source, out = (f"{BUCKET}/a.csv", str(tmp_path / "o.csv"))
    if limits["sent"] < limits["answered"]:
        source, out = str(tmp_path / "t.csv"), f"{BUCKET}/o.csv"
    with pytest.raises(ServingError, match=r"(a|o)\.csv: cannot be (fetched|written)") as error:
        scored(card, source, out)
    assert "\n" not in str(error.value)
    assert keys(store) == ["a.csv"]
    assert sorted(os.listdir(tmp_path)) == ["card.json", "t.csv"]


def test_an_object_that_vanishes_or_changes_after_it_was_listed(store: Any, card: str, tmp_path: Path) -> None:
    put(store, "in/a.csv")
    put(store, "in/b.csv")
    (gone, changed) = s3_files.find(f"{BUCKET}/in").files
    store.delete_object(Bucket="tables", Key="in/a.csv")
    put(store, "in/b.csv", good(4))
    with pytest.raises(ServingError, match=r"in/a\.csv: no such bucket or key"), gone.fetched():
        pass
    with pytest.raises(ServingError, match="changed while it was fetched"), changed.fetched():
        pass


def test_what_mlflow_adds_to_each_upload_is_added(store: Any, card: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, "a.csv")
    monkeypatch.setenv("MLFLOW_S3_UPLOAD_EXTRA_ARGS", '{"ServerSideEncryption": "aws:kms"}')
    scored(card, f"{BUCKET}/a.csv", f"{BUCKET}/o.csv")
    assert store.head_object(Bucket="tables", Key="o.csv")["ServerSideEncryption"] == "aws:kms"


def test_a_large_object_is_written_in_parts_and_shown_at_the_end(store: Any, card: str, tmp_path: Path) -> None:
    good(150_000).to_csv(tmp_path / "t.csv", index=False)
    scored(card, str(tmp_path / "t.csv"), f"{BUCKET}/o.csv")
    assert "-" in store.head_object(Bucket="tables", Key="o.csv")["ETag"]
    assert len(content(store, "o.csv")) == 150_000
    assert not store.list_multipart_uploads(Bucket="tables").get("Uploads")


def test_a_delta_table_in_s3(store: Any, tmp_path: Path, endpoint: str) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    from serving.batch import inputs

    options = {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    write_deltalake(f"{BUCKET}/sales", pa.table({"x": [1.0, 2.0]}), storage_options=options)
    for given in (f"{BUCKET}/sales", f"delta:{BUCKET}/sales", f"{BUCKET}/sales@0"):
        (table,) = inputs.find(given).files
        assert table.version == "delta version 0"
        with table.fetched() as file:
            assert pd.read_parquet(file.path)["x"].tolist() == [1.0, 2.0]


def test_the_command(store: Any, card: str, tmp_path: Path) -> None:
    put(store, "a.csv")
    done = run(
        "score", card, "--input", f"{BUCKET}/a.csv", "--output", f"{BUCKET}/o.csv", folder=tmp_path, package="serving"
    )
    assert done.code == 0, done.err
    assert f"{BUCKET}/o.csv: 3 rows" in done.out
