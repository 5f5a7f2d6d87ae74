"""Files of the log: they appear whole, and what was spooled survives whatever ends its process."""

import datetime
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.prediction_log.parquet import ParquetSink
from serving.prediction_log.schema import LoggedFeature, LogSchema
from serving.prediction_log.sink import LogError
from tests.effort import times

DAY = datetime.date(2026, 11, 30)
ROOT = Path(__file__).parents[3]


def schema(model: str = "churn", version: str = "1") -> LogSchema:
    return LogSchema(model, version, (LoggedFeature("x", "double"),))


def batch(of: LogSchema, *values: float) -> pa.RecordBatch:
    arrow = of.arrow()
    moment = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC)
    same = {"row": 0, "time": moment, "model": of.model, "version": of.version}
    rows = [{"request_id": f"r{value}", **same, "feature_x": value} for value in values]
    return pa.RecordBatch.from_pylist(rows, schema=arrow)


def logged(folder: Path) -> list[float]:
    """The values in the finished files, which have the names that readers look for."""
    files = sorted(folder.glob("model=*/date=*/*.parquet"))
    return sorted(ds.dataset([str(file) for file in files]).to_table()["feature_x"].to_pylist()) if files else []


def test_a_file_appears_when_its_time_has_come_and_holds_all_batches(tmp_path: Path):
    sink = ParquetSink(tmp_path, seconds=0)
    sink.write(schema(), DAY, batch(schema(), 1.0, 2.0))
    sink.write(schema(), DAY, batch(schema(), 3.0))
    assert logged(tmp_path) == []
    sink.tick()
    assert logged(tmp_path) == [1.0, 2.0, 3.0]
    assert [path.name for path in (tmp_path / "_recording").iterdir()] == []


def test_versions_and_days_have_files_of_their_own_and_any_name_a_folder(tmp_path: Path):
    import duckdb

    sink = ParquetSink(tmp_path, seconds=3600)
    for name in ("churn", "café/../x y", ".."):
        sink.write(schema(name), DAY, batch(schema(name), 1.0))
    sink.write(schema("churn", "2"), DAY, batch(schema("churn", "2"), 2.0))
    sink.write(schema(), DAY + datetime.timedelta(1), batch(schema(), 3.0))
    sink.close()
    assert len(list(tmp_path.glob("model=churn/date=2026-11-30/*.parquet"))) == 2
    assert len(list(tmp_path.glob("model=churn/date=2026-12-01/*.parquet"))) == 1
    assert {path.parent.parent.parent for path in tmp_path.rglob("*.parquet")} == {tmp_path}
    names = duckdb.sql(f"select distinct model from read_parquet('{tmp_path}/**/*.parquet', union_by_name=true)")
    assert {name for (name,) in names.fetchall()} == {"churn", "café/../x y", ".."}


@settings(max_examples=times(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(0, 9), min_size=1, max_size=4), st.data())
def test_a_spool_that_is_cut_anywhere_gives_its_whole_batches(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], data: st.DataObject
):
    folder = tmp_path_factory.mktemp("log")
    sink = ParquetSink(folder, seconds=3600)
    sizes = []
    for value in values:
        sink.write(schema(), DAY, batch(schema(), value))
        (spool,) = (folder / "_recording").glob("*.arrows")
        sizes.append(spool.stat().st_size)
    other = folder / "copy"
    (other / "_recording").mkdir(parents=True)
    whole = spool.read_bytes()
    first = sizes[0] - (sizes[1] - sizes[0] if len(sizes) > 1 else len(batch(schema(), values[0]).serialize()))
    cut = data.draw(st.integers(first, len(whole)))
    (other / "_recording" / spool.name).write_bytes(whole[:cut])
    ParquetSink(other, seconds=3600).tick()
    assert logged(other) == sorted(value for value, size in zip(values, sizes, strict=True) if size <= cut)
    assert not list(other.glob("_recording/*.arrows"))
    shutil.rmtree(folder)


WRITER = """
import sys, time, datetime, pathlib
sys.path[:0] = [{root!r}, {here!r}]
from test_parquet import DAY, ParquetSink, batch, schema
sink = ParquetSink(pathlib.Path(sys.argv[1]), seconds=0.05)
number = 0.0
while True:
    sink.write(schema(), DAY, batch(schema(), number))
    print(number, flush=True)
    sink.tick()
    number += 1
"""


def test_a_writer_that_is_killed_at_any_moment_loses_nothing_and_repeats_nothing(tmp_path: Path):
    script = WRITER.format(root=str(ROOT), here=str(Path(__file__).parent))
    total = 0
    for round in range(times(20) // 3):
        folder = tmp_path / str(round)
        writer = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(10 + round % 5):
            writer.stdout.readline()
        time.sleep(0.003 * round)
        writer.send_signal(signal.SIGKILL)
        said = [float(line) for line in writer.stdout.read().split()]
        writer.wait()
        ParquetSink(folder, seconds=3600).tick()
        found = logged(folder)
        assert found == [float(number) for number in range(len(found))]
        assert len(found) >= 10 + round % 5
        assert not said or found[-1] >= said[-1]
        total += len(found)
    assert total > 0


def test_a_spool_of_a_process_that_lives_is_left_alone(tmp_path: Path):
    living = ParquetSink(tmp_path, seconds=3600)
    living.write(schema(), DAY, batch(schema(), 1.0))
    other = ParquetSink(tmp_path, seconds=3600)
    other.tick()
    assert logged(tmp_path) == []
    living.close()
    assert logged(tmp_path) == [1.0]


def test_a_log_that_is_removed_while_it_is_written_is_made_again_with_all_its_rows(tmp_path: Path):
    log = tmp_path / "log"
    sink = ParquetSink(log, seconds=3600)
    sink.write(schema(), DAY, batch(schema(), 1.0))
    shutil.rmtree(log)
    sink.write(schema(), DAY, batch(schema(), 2.0))
    sink.tick()
    sink.write(schema(), DAY, batch(schema(), 3.0))
    sink.close()
    assert logged(log) == [1.0, 2.0, 3.0]


def test_what_is_no_spool_is_put_aside(tmp_path: Path):
    (tmp_path / "_recording").mkdir()
    (tmp_path / "_recording" / "x.arrows").write_bytes(b"no arrow")
    ParquetSink(tmp_path, seconds=1).tick()
    assert [path.name for path in (tmp_path / "_recording").iterdir()] == ["x.unreadable"]


def test_a_batch_that_does_not_fit_leaves_the_ones_before(tmp_path: Path):
    """The limit of a file's size stands for a full disk."""
    script = f"""
import sys, resource, signal, pathlib
sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
from test_parquet import DAY, LogError, ParquetSink, batch, schema
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = ParquetSink(pathlib.Path(sys.argv[1]), seconds=0)
sink.write(schema(), DAY, batch(schema(), 1.0))
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, resource.RLIM_INFINITY))
try:
    sink.write(schema(), DAY, batch(schema(), *([2.0] * 10_000)))
except LogError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink.write(schema(), DAY, batch(schema(), 3.0))
sink.close()
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"the prediction log in {tmp_path} cannot be written: File too large\n"
    assert logged(tmp_path) == [1.0, 3.0]


def test_a_folder_that_is_none_is_said_without_data(tmp_path: Path):
    (tmp_path / "log").write_text("")
    with pytest.raises(LogError, match=r"cannot be written: (Not a directory|File exists)"):
        ParquetSink(tmp_path / "log", seconds=1).write(schema(), DAY, batch(schema(), 1.0))


def test_old_days_are_removed_and_nothing_else(tmp_path: Path):
    sink = ParquetSink(tmp_path, seconds=3600)
    for day in (DAY, DAY - datetime.timedelta(1), DAY - datetime.timedelta(40)):
        sink.write(schema(), day, batch(schema(), float(day.day)))
    sink.close()
    for name in ("model=churn/date=2020-01-01/notes.txt", "model=churn/date=2020-99-01/a.parquet", "other/a.parquet"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("kept")
    sink.expire(DAY)
    assert sorted(path.name for path in (tmp_path / "model=churn").iterdir()) == [
        *("date=2020-01-01", "date=2020-99-01", "date=2026-11-30"),
    ]
    assert (tmp_path / "other" / "a.parquet").read_text() == "kept"
    assert os.listdir(tmp_path / "model=churn" / "date=2020-01-01") == ["notes.txt"]
