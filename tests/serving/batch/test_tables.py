"""Delta and Iceberg tables as input: their own state, with what was deleted, renamed and added."""

import base64
import json
import struct
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression

from serving import batch
from serving.batch import ScoreRequest
from serving.errors import ServingError
from serving.scorecard import compile
from tests.command import failed, run

X = [1.0, 2.0, 3.0, 4.0]


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a model that answers x times 10."""
    table = pd.DataFrame({"x": X})
    path = tmp_path_factory.mktemp("card") / "card.json"
    path.write_text(compile(LinearRegression().fit(table, table["x"] * 10)).dumps())
    return str(path)


def scored(card: str, source: object, out: Path) -> tuple[batch.request.Scored, list]:
    done = batch.score(ScoreRequest(card, str(source), str(out), overwrite=True))
    return done, sorted(round(value) for value in pd.read_parquet(out)["prediction"])


class TestDelta:
    @pytest.fixture
    def table(self, tmp_path: Path) -> Path:
        from deltalake import write_deltalake

        path = tmp_path / "sales"
        write_deltalake(path, pa.table({"x": X, "day": ["a", "b", "a", "b"]}), partition_by=["day"])
        return path

    def test_partitions_deleted_rows_and_added_columns(self, card: str, table: Path, tmp_path: Path) -> None:
        from deltalake import DeltaTable, write_deltalake

        DeltaTable(table).delete("x = 2")
        more = pa.table({"x": [7.0], "day": ["c"], "town": ["York"]})
        write_deltalake(table, more, mode="append", schema_mode="merge")
        done, answers = scored(card, table, tmp_path / "out.parquet")
        assert answers == [10, 30, 40, 70]
        assert [file.input_version for file in done.files] == ["delta version 2"]
        kept = pd.read_parquet(tmp_path / "out.parquet")
        assert sorted(kept["day"]) == ["a", "a", "b", "c"]
        assert kept["town"].dropna().tolist() == ["York"]

    def test_an_earlier_version(self, card: str, table: Path, tmp_path: Path) -> None:
        from deltalake import DeltaTable

        DeltaTable(table).delete("x = 2")
        assert scored(card, f"delta:{table}@0", tmp_path / "out.parquet")[1] == [10, 20, 30, 40]
        assert scored(card, f"{table}@0", tmp_path / "out.parquet")[1] == [10, 20, 30, 40]
        with pytest.raises(ServingError, match="is no Delta table that can be read"):
            scored(card, f"delta:{table}@9", tmp_path / "out.parquet")

    def test_rows_that_a_deletion_vector_marks_are_gone(self, card: str, tmp_path: Path) -> None:
        from deltalake import write_deltalake

        table = tmp_path / "marked"
        write_deltalake(table, pa.table({"x": X}))
        commit(
            table,
            {"protocol": protocol("deletionVectors")},
            {"remove": {"path": added(table)["path"], "deletionTimestamp": 1, "dataChange": True}},
            {"add": {**added(table), "deletionVector": deletion_vector([1, 3])}},
        )
        assert scored(card, table, tmp_path / "out.parquet")[1] == [10, 30]

    def test_a_renamed_column(self, card: str, tmp_path: Path) -> None:
        from deltalake import write_deltalake

        table = tmp_path / "renamed"
        write_deltalake(table, pa.table({"old": X}))
        known = {"delta.columnMapping.id": 1, "delta.columnMapping.physicalName": "old"}
        fields = [{"name": "x", "type": "double", "nullable": True, "metadata": known}]
        mapping = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "1"}
        before = next(line["metaData"] for line in actions(table) if "metaData" in line)
        schema = json.dumps({"type": "struct", "fields": fields})
        commit(
            table,
            {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}},
            {"metaData": {**before, "configuration": mapping, "schemaString": schema}},
        )
        assert scored(card, table, tmp_path / "out.parquet")[1] == [10, 20, 30, 40]

    def test_a_feature_that_is_not_known_is_refused_by_name(self, card: str, tmp_path: Path) -> None:
        from deltalake import write_deltalake

        table = tmp_path / "newer"
        write_deltalake(table, pa.table({"x": X}))
        commit(table, {"protocol": protocol("timeTravelBackwards")})
        with pytest.raises(ServingError, match="timeTravelBackwards"):
            scored(card, table, tmp_path / "out.parquet")
        assert not (tmp_path / "out.parquet").exists()

    def test_tables_in_a_folder_of_files_are_refused(self, card: str, table: Path, tmp_path: Path) -> None:
        for source in (tmp_path, table / "day=a" / "*.parquet"):
            with pytest.raises(ServingError, match="is a Delta table"):
                scored(card, source, tmp_path / "out")

    def test_a_table_without_rows(self, card: str, table: Path, tmp_path: Path) -> None:
        from deltalake import DeltaTable

        DeltaTable(table).delete()
        assert scored(card, table, tmp_path / "out.parquet")[1] == []


class TestIceberg:
    @pytest.fixture
    def table(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        from pyiceberg.catalog import load_catalog
        from pyiceberg.utils.config import Config

        for name, value in {"URI": f"sqlite:///{tmp_path}/catalog.db", "WAREHOUSE": f"file://{tmp_path}/house"}.items():
            monkeypatch.setenv(f"PYICEBERG_CATALOG__TEST__{name}", value)
        monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())  # it reads the environment once
        catalog = load_catalog("test")
        catalog.create_namespace("shop")
        rows = pa.table({"x": X, "town": ["a", "b", "c", "d"]})
        table = catalog.create_table("shop.sales", schema=rows.schema)
        table.append(rows)
        return table

    def test_by_catalog_by_metadata_and_by_folder(self, card: str, table, tmp_path: Path) -> None:
        table.delete("x = 2")
        table.append(pa.table({"x": [7.0], "town": ["e"]}))
        with table.update_schema() as update:
            update.rename_column("town", "city")
        snapshot = table.current_snapshot().snapshot_id
        metadata = table.metadata_location.removeprefix("file://")
        folder = Path(metadata).parents[1]
        for source in ("iceberg:test.shop.sales", metadata, f"iceberg:{metadata}", folder):
            done, answers = scored(card, source, tmp_path / "out.parquet")
            assert answers == [10, 30, 40, 70]
            assert [file.input_version for file in done.files] == [f"iceberg snapshot {snapshot}"]
        assert sorted(pd.read_parquet(tmp_path / "out.parquet")["city"]) == ["a", "c", "d", "e"]

    def test_an_earlier_snapshot(self, card: str, table, tmp_path: Path) -> None:
        before = table.current_snapshot().snapshot_id
        table.delete("x = 2")
        assert scored(card, f"iceberg:test.shop.sales@{before}", tmp_path / "out.parquet")[1] == [10, 20, 30, 40]

    @pytest.mark.parametrize(
        ("source", "says"),
        [
            ("iceberg:test.shop.nothing", "is no Iceberg table that can be read"),
            ("iceberg:elsewhere.shop.sales", "is no Iceberg table that can be read"),
            ("iceberg:sales", "expected CATALOG.NAMESPACE.TABLE"),
            ("iceberg:test.shop.sales@1", "is no Iceberg table that can be read"),
        ],
    )
    def test_what_is_not_there(self, source: str, says: str, card: str, table, tmp_path: Path) -> None:
        with pytest.raises(ServingError, match=says):
            scored(card, source, tmp_path / "out.parquet")


@pytest.mark.parametrize(("package", "source"), [("deltalake", "delta:t"), ("pyiceberg.catalog", "iceberg:a.b.c")])
def test_a_package_that_is_missing_is_named(
    package: str, source: str, card: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ServingError, match=r"pip install 'model-lifecycle\[(delta|iceberg)\]'"):
        scored(card, source, tmp_path / "out.parquet")


def test_the_command_says_that_there_is_no_such_table(card: str, tmp_path: Path) -> None:
    done = run("score", card, "--input", "delta:t", "--output", "o.parquet", folder=tmp_path, package="serving")
    failed(done, says="expected a folder with _delta_log")


def actions(table: Path) -> list[dict]:
    """What the first commit of a Delta table says."""
    return [json.loads(line) for line in (table / "_delta_log" / f"{0:020}.json").read_text().splitlines()]


def added(table: Path) -> dict:
    return next(line["add"] for line in actions(table) if "add" in line)


def commit(table: Path, *lines: dict) -> None:
    (table / "_delta_log" / f"{1:020}.json").write_text("\n".join(map(json.dumps, lines)))


def protocol(feature: str) -> dict:
    return {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [feature], "writerFeatures": [feature]}


def deletion_vector(rows: list[int]) -> dict:
    """The mark of deleted rows in a Delta table, as its protocol writes a short one into the log."""
    from pyroaring import BitMap64

    content = struct.pack("<i", 1681511377) + BitMap64(rows).serialize()
    ours = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
    z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    packed = base64.b85encode(content + b"\0" * (-len(content) % 4)).translate(bytes.maketrans(ours, z85))
    return {
        "storageType": "i",
        "pathOrInlineDv": packed.decode(),
        "sizeInBytes": len(content),
        "cardinality": len(rows),
    }
