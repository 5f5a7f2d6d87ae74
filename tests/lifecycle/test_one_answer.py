"""A raw CSV row gives one answer through ``evaluate``, pyfunc and ``mlflow models serve``."""

import csv
import io
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from pipelines import sources, versions
from pipelines.dataset import Roles
from pipelines.evaluation import asking
from pipelines.planning import Settings
from pipelines.training import train
from registry.client import connect
from tests import stores
from tests.pipelines import tables

QUICK = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False}


class Served:
    """A version behind ``mlflow models serve``, and the raw rows to ask it."""

    def __init__(self, address: str, path: Path):
        self.address, self.path = address, path

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.path.read_text())))

    def post(self, body: str, kind: str) -> tuple[int, dict]:
        request = urllib.request.Request(
            f"{self.address}/invocations", body.encode(), {"Content-Type": kind}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, default_store: None) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    shutil.copyfile(empty_store, folder / "mlflow.db")
    port = stores.free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        path = tables.hostile(folder / "raw.csv")
        train(Settings(str(path), name="made", roles=Roles(target="outcome"), **QUICK))
        command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/made/1", "--env-manager", "local",
                   "-h", stores.HOST, "-p", str(port)]  # fmt: skip
        # `mlflow models serve` looks for uvicorn on the PATH.
        path_with_ours = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with stores.process(command, folder=folder, env={"PATH": path_with_ours}) as server:
            address = f"http://{stores.HOST}:{port}"
            server.wait(lambda: stores.answers(f"{address}/ping"))
            yield Served(address, path)


def test_a_raw_row_gives_one_answer_everywhere(served: Served, tmp_path: Path) -> None:
    # `?` is a missing value to us and an error to MLflow's own reader of CSV.
    raw = [row for row in served.rows() if "?" not in row.values()]
    text = _csv(raw)
    inputs = [column.name for column in mlflow.models.get_model_info("models:/made/1").signature.inputs]

    table = sources.parse(text.encode(), "raw.csv", "raw.csv")
    with ExitStack() as running:
        registered = versions.fetch(connect(), "models:/made/1", tmp_path)
        version, _ = asking.beside(registered, table, "outcome", running)
        frame = version.read(table)
        ours = version.answer(frame).predictions.tolist()
    loaded = mlflow.pyfunc.load_model("models:/made/1")
    schema = loaded.metadata.get_input_schema()
    typed = pd.read_csv(io.StringIO(text), dtype=dict(zip(schema.input_names(), schema.pandas_types(), strict=True)))
    status, as_csv = served.post(text, "text/csv")

    assert len(raw) > 300
    assert set(ours) == {"yes", "no"}
    assert loaded.predict(typed[inputs]).tolist() == ours
    assert (status, as_csv["predictions"]) == (200, ours)
    for body in (
        {"dataframe_records": json.loads(typed[inputs].to_json(orient="records"))},
        {"dataframe_split": json.loads(typed[inputs].to_json(orient="split", index=False))},
    ):
        status, answer = served.post(json.dumps(body), "application/json")
        assert (status, answer["predictions"]) == (200, ours)
    native = mlflow.sklearn.load_model("models:/made/1")
    np.testing.assert_array_equal(native.predict(frame), ours)


def _csv(rows: list[dict[str, str]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def test_probabilities_and_explanations_are_served_by_a_parameter(served: Served) -> None:
    body = {"dataframe_records": [_record()]}

    status, found = served.post(json.dumps({**body, "params": {"output": "probabilities"}}), "application/json")
    assert status == 200
    (row,) = found["predictions"]
    assert row["yes"] + row["no"] == pytest.approx(1)

    status, found = served.post(json.dumps({**body, "params": {"output": "explain"}}), "application/json")
    (explained,) = found["predictions"]
    total = explained["baseline"] + sum(term["contribution"] for term in explained["terms"])
    assert total == pytest.approx(explained["score"], abs=1e-9)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"age": 40}, 200),
        ({"age": 40.0}, 200),
        ({"age": None}, 200),
        ({"region": "never seen"}, 200),
        ({"region": None}, 200),
        ({"region": "  north "}, 200),
        ({"owns.car": False}, 200),
        ({"age": 40.5}, 400),
        ({"age": "forty"}, 400),
        ({tables.ODD: float("inf")}, 400),
    ],
)
def test_good_rows_are_answered_and_bad_ones_refused(served: Served, change: dict, status: int) -> None:
    found, answer = served.post(json.dumps({"dataframe_records": [{**_record(), **change}]}), "application/json")

    assert found == status
    if status == 200:
        assert answer["predictions"][0] in ("yes", "no")


def _record() -> dict:
    return {"age": 30, tables.ODD: 1000001.5, tables.COMMA: 1.7, "owns.car": True, "region": "north"}
