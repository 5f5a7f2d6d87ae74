"""Counting: in one worker, over many, and over those that died."""

import itertools
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.server.telemetry.counters import BOUNDS, MOST, OTHER, WorkerCounts, buckets, total


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def requests(told, **wanted) -> float:
    """How many requests with these labels all told of."""
    names = ("protocol", "model", "version", "status")
    return sum(
        sum(buckets(found))
        for key, found in total(told).answers.items()
        if wanted.items() <= dict(zip(names, key, strict=True)).items()
    )


@given(st.lists(st.floats(0, 100, allow_nan=False), max_size=50))
def test_each_request_is_in_one_bucket_the_first_that_holds_it(times):
    tally = WorkerCounts()
    for seconds in times:
        tally.observe("mlflow", "m", "1", 200, seconds, 1)
    found = tally.counts.answers.get(("mlflow", "m", "1", 200), [0.0] * (len(BOUNDS) + 3))
    assert found[0] == len(times)
    assert found[1] == pytest.approx(sum(times))
    below = list(itertools.accumulate(buckets(found)))
    assert below == [sum(seconds <= bound for seconds in times) for bound in (*BOUNDS, float("inf"))]


def test_workers_are_summed(folder):
    tallies = [WorkerCounts(folder) for _ in range(3)]
    assert [tally.slot for tally in tallies] == [0, 1, 2]
    for number, tally in enumerate(tallies):
        for _ in range(number + 1):
            tally.observe("mlflow", "m", "1", 200, 0.001, 2)
        tally.count("serving_refused", "busy", "", by=10)
        tally.publish()
    for tally in tallies:
        told = tally.all()
        assert requests(told) == 6
        assert total(told).events == {("serving_refused", "busy", ""): 30}
        assert [one.slot for one in told] == [0, 1, 2]
        assert all(one.lives for one in told)


def test_what_the_asked_worker_has_not_published_counts_too(folder):
    mine, other = WorkerCounts(folder), WorkerCounts(folder)
    mine.observe("mlflow", "m", "1", 200, 0.001, 1)
    other.observe("mlflow", "m", "1", 200, 0.001, 1)
    assert requests(mine.all()) == 1
    other.publish()
    assert requests(mine.all()) == 2


def test_the_next_worker_goes_on_with_the_counts_of_one_that_was_killed(folder):
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        tally = WorkerCounts(folder)
        for _ in range(5):
            tally.observe("mlflow", "m", "1", 200, 0.001, 1)
        tally.publish()
        os.write(write, b"x")
        threading.Event().wait()
    os.read(read, 1)
    beside = WorkerCounts(folder)
    assert beside.slot == 1
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert requests(beside.all()) == 5
    after = WorkerCounts(folder)
    assert after.slot == 0
    after.observe("mlflow", "m", "1", 200, 0.001, 1)
    assert requests(after.all()) == 6
    after.publish()
    assert requests(beside.all()) == 6


def test_a_place_is_free_when_its_worker_has_closed(folder):
    for _ in range(5):
        tally = WorkerCounts(folder)
        assert tally.slot == 0
        tally.observe("mlflow", "m", "1", 200, 0.001, 1)
        tally.close()
    assert requests(WorkerCounts(folder).all()) == 5
    assert len(list(folder.glob("*.counts"))) == 1


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x90", b"\x94\xcb" + b"\0" * 40])
def test_a_file_that_is_none_of_ours_is_passed_over(folder, content):
    first, second = WorkerCounts(folder), WorkerCounts(folder)
    first.observe("mlflow", "m", "1", 200, 0.001, 1)
    second.publish()
    (folder / "worker-1.counts").write_bytes(content)
    assert requests(first.all()) == 1


def test_counts_may_be_read_while_they_grow(folder):
    tally = WorkerCounts(folder)
    over = threading.Event()
    failed: list[Exception] = []

    def reads() -> None:
        try:
            while not over.is_set():
                tally.publish()
                tally.all()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=reads)
    thread.start()
    for number in range(20_000):
        tally.observe("mlflow", f"m{number % 700}", "1", 200, 0.001, 1)
        tally.count("serving_swaps", f"m{number % 300}", "0")
    over.set()
    thread.join()
    assert not failed
    assert requests(tally.all()) == 20_000


def test_there_are_only_so_many_series():
    tally = WorkerCounts()
    for number in range(MOST + 500):
        tally.observe("mlflow", f"m{number}", "1", 200, 0.001, 1)
        tally.count("serving_swaps", f"m{number}", "0")
    assert len(tally.counts.answers) == MOST + 1
    assert requests(tally.all(), model=OTHER) == 500
    assert tally.counts.events["serving_swaps", OTHER, OTHER] == 500


def test_a_name_that_cannot_be_written_is_counted_under_another(folder):
    tally = WorkerCounts(folder)
    tally.observe("mlflow", "\udcff", "1", 200, 0.001, 1)
    tally.count("serving_swaps", "\udcff", "0")
    tally.publish()
    assert requests(WorkerCounts(folder).all(), model=OTHER) == 1
