"""Rates: what is let through, by whom, and in how many processes."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import ServingError
from serving.server.guard.rates import Rate, Rates, caller

SECOND = 1_000_000_000
ANN, BOB = caller("key", "ann"), caller("key", "bob")


@pytest.mark.parametrize(
    ("text", "rate", "written"),
    [
        ("100/s", Rate(100, 1, 100), "100/s"),
        (" 6000 / minute ", Rate(6000, 60, 6000), "6000/m"),
        ("5/hour:2", Rate(5, 3600, 2), "5/h:2"),
        ("10/s:50", Rate(10, 1, 50), "10/s:50"),
        ("10/s:10", Rate(10, 1, 10), "10/s"),
    ],
)
def test_a_rate_is_read_and_written(text, rate, written):
    assert Rate.parse(text) == rate
    assert str(rate) == written


@pytest.mark.parametrize(
    "text", ["", "100", "0/s", "-1/s", "1.5/s", "1/s:0", "1/day", "1/s:", "9" * 10 + "/s", "١/s", "1/s\n1"]
)
def test_a_rate_that_is_none_is_refused(text):
    with pytest.raises(ServingError, match="a rate is written as 100/s"):
        Rate.parse(text)


def test_a_burst_passes_and_then_one_each_step():
    rates, rate, now = Rates(), Rate.parse("10/s:3"), 5 * SECOND
    assert [rates.take(ANN, rate, now=now) for _ in range(3)] == [0.0] * 3
    assert rates.take(ANN, rate, now=now) == pytest.approx(0.1)
    assert rates.take(ANN, rate, now=now + SECOND // 10 - 1) == pytest.approx(1e-9)
    assert rates.take(ANN, rate, now=now + SECOND // 10) == 0.0
    assert rates.take(ANN, rate, now=now + SECOND // 10) > 0
    # After a rest the whole burst passes again, and no more.
    assert [bool(rates.take(ANN, rate, now=now + 9 * SECOND)) for _ in range(4)] == [False, False, False, True]


def test_what_was_refused_is_not_counted():
    rates, rate = Rates(), Rate.parse("1/s")
    assert rates.take(ANN, rate, now=SECOND) == 0.0
    for _ in range(100):
        assert rates.take(ANN, rate, now=SECOND) == pytest.approx(1.0)
    assert rates.take(ANN, rate, now=2 * SECOND) == 0.0


def test_callers_do_not_count_for_each_other():
    rates, rate = Rates(), Rate.parse("1/s")
    assert rates.take(ANN, rate, now=SECOND) == 0.0
    assert rates.take(BOB, rate, now=SECOND) == 0.0
    assert caller("key", "ann") != caller("client", "ann")


@given(
    st.integers(1, 50),
    st.sampled_from([1, 60]),
    st.integers(1, 50),
    st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=200),
)
def test_in_no_span_of_time_do_more_pass_than_burst_and_rate_allow(count, period, burst, pauses):
    rates, rate = Rates(), Rate(count, period, burst)
    now, passed = 10**12, []
    for pause in pauses:
        now += pause
        wait = rates.take(ANN, rate, now=now)
        assert wait >= 0
        if wait == 0.0:
            passed.append(now)
        else:
            # The time that is told is the right one: then it passes, and not before.
            copy = Rates()
            copy._memory[:] = rates._memory[:]
            due = now + round(wait * SECOND)
            assert copy.take(ANN, rate, now=due - 1) > 0
            assert copy.take(ANN, rate, now=due) == 0.0
    step = period * SECOND // count
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + (passed[last] - passed[first]) // step
    rates.close()


def test_a_key_that_gets_a_faster_rate_need_not_wait_for_the_old_one():
    rates = Rates()
    assert rates.take(ANN, Rate.parse("1/h"), now=SECOND) == 0.0
    assert rates.take(ANN, Rate.parse("10/s"), now=SECOND) <= 0.1


def test_a_flood_of_callers_takes_no_more_memory_and_no_place_from_those_who_wait(tmp_path):
    rates, rate = Rates(tmp_path / "rates"), Rate.parse("1/h")
    before = (tmp_path / "rates").stat().st_size
    for number in range(10_000):
        assert rates.take(caller("client", str(number)), rate, now=SECOND) == 0.0
    # Most are still known: the memory holds more than came.
    known = sum(rates.take(caller("client", str(number)), rate, now=SECOND) > 0 for number in range(0, 10_000, 20))
    assert known > 490
    # Those whose time has passed make room.
    assert rates.take(ANN, rate, now=3601 * SECOND) == 0.0
    assert rates.take(ANN, rate, now=3601 * SECOND) > 0
    assert (tmp_path / "rates").stat().st_size == before < 2**20
    rates.close()


def _hammer(path: Path, begin, passed) -> None:
    rates, rate, found = Rates(path), Rate.parse("500/h"), 0
    begin.wait()
    for _ in range(600):
        found += rates.take(ANN, rate) == 0.0
    passed.put(found)


def test_the_rate_is_exact_over_processes(tmp_path):
    context = multiprocessing.get_context("fork")
    begin, passed = context.Barrier(3), context.SimpleQueue()
    workers = [context.Process(target=_hammer, args=(tmp_path / "rates", begin, passed)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [passed.get() for _ in workers]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sum(found) == 500


def test_a_process_that_is_killed_with_the_lock_leaves_it(tmp_path):
    path = tmp_path / "rates"
    began = tmp_path / "began"
    if (child := os.fork()) == 0:
        import fcntl

        rates = Rates(path)
        fcntl.lockf(rates._file, fcntl.LOCK_EX)  # all of it
        began.touch()
        time.sleep(60)
        os._exit(1)
    while not began.exists():
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    rates = Rates(path)
    assert rates.take(ANN, Rate.parse("1/s")) == 0.0
    rates.close()
