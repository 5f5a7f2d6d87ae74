"""Whether a version that is tried may go on, by what was measured; and what is read of CloudWatch (simulated)."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from serving.deployments import metrics
from serving.deployments.aws import Cloud
from serving.deployments.metrics import Bounds, HandlerMetrics, VersionMetrics, objection
from tests.serving.deployments.made import NAME, Time, measured, put
from tests.serving.deployments.simulated import Simulated

GOOD = VersionMetrics(1000, 0, 5.0)


@pytest.mark.parametrize(
    ("new", "old", "bounds", "says"),
    [
        (VersionMetrics(100, 2, 5), GOOD, Bounds(), "2 of its 100 requests failed (2.00%); at most 1.00% may"),
        (VersionMetrics(100, 1, 5), GOOD, Bounds(), None),
        (VersionMetrics(100, 2, 5), VersionMetrics(1000, 20, 5), Bounds(), None),
        (VersionMetrics(100, 1, 5), GOOD, Bounds(errors=0), "at most 0.00% may"),
        (VersionMetrics(100, 0, 101), GOOD, Bounds(), "its p99 is 101 ms; at most 100 ms are allowed"),
        (VersionMetrics(100, 0, 99), GOOD, Bounds(), None),
        (VersionMetrics(100, 0, 450), VersionMetrics(1000, 0, 200), Bounds(), "at most 400 ms are allowed"),
        (VersionMetrics(100, 0, 350), VersionMetrics(1000, 0, 200), Bounds(), None),
        (VersionMetrics(100, 0, 21), GOOD, Bounds(p99=20), "at most 20 ms are allowed"),
        (VersionMetrics(0, 0, None), GOOD, Bounds(), None),
        (VersionMetrics(3, 3, 5), GOOD, Bounds(), None),  # so few are judged at the end
    ],
)
def test_what_is_objected_to_while_it_is_tried(
    new: VersionMetrics, old: VersionMetrics, bounds: Bounds, says: str | None
):
    found = objection(new, old, bounds, over=False)
    assert (says is None and found is None) or (found and says in found)


def test_at_the_end_few_requests_have_to_do_and_too_few_are_objected_to():
    assert "3 of its 3 requests failed" in objection(VersionMetrics(3, 3, 5), GOOD, Bounds(), over=True)
    assert objection(VersionMetrics(), GOOD, Bounds(), over=True) is None
    wanted = objection(VersionMetrics(99, 0, 5), GOOD, Bounds(requests=100), over=True)
    assert wanted == "it answered 99 requests, of at least 100 that were wanted"
    assert objection(VersionMetrics(99, 0, 5), GOOD, Bounds(requests=100), over=False) is None


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1e4), st.booleans())
def test_one_that_does_as_well_as_the_other_is_never_objected_to(requests: int, errors: int, p99: float, over: bool):
    seen = VersionMetrics(requests, min(errors, requests), p99 if requests else None)
    assert objection(seen, seen, Bounds(), over=over) is None


def test_the_minutes_of_each_version_are_read_and_the_others_are_not(aws: Simulated, cloud: Cloud, passing: Time):
    since = passing.now
    measured(aws.address, "2", now=since - 300, requests=50, errors=50, p99=900)  # before it began
    measured(aws.address, "2", now=since, requests=30, errors=1, p99=10)
    passing.now += 60
    measured(aws.address, "2", now=passing.now, requests=10, errors=2, p99=50)
    measured(aws.address, "1", now=passing.now, requests=400, p99=4)
    measured(aws.address, "2", now=passing.now, requests=1000, errors=1000, name="another")
    found = metrics.read(cloud, NAME, ("2", "1"), since=since)
    assert found == {"2": VersionMetrics(40, 3, 20.0), "1": VersionMetrics(400, 0, 4.0)}


def test_nothing_is_measured_where_no_request_came(aws: Simulated, cloud: Cloud, passing: Time):
    assert metrics.read(cloud, NAME, ("2", "1"), since=passing.now) == {"2": VersionMetrics(), "1": VersionMetrics()}


def test_errors_that_only_the_handler_saw_are_counted(aws: Simulated, cloud: Cloud, passing: Time):
    def own(label: str, errors: int) -> None:
        named = [{"Name": "Function", "Value": NAME}, {"Name": "Version", "Value": label}]
        put(aws.address, "Scores", named, passing.now, Errors=errors)

    measured(aws.address, "2", now=passing.now, requests=40, errors=3)
    measured(aws.address, "1", now=passing.now, requests=400)
    own("7", 9)
    own("6", 1)
    told = {"2": HandlerMetrics("Scores", "7"), "1": HandlerMetrics("Scores", "6")}
    found = metrics.read(cloud, NAME, ("2", "1"), since=passing.now, own=told)
    assert (found["2"].errors, found["1"].errors) == (9, 1)
    # Two versions of one model's version write to one place.
    told = {"2": HandlerMetrics("Scores", "7"), "1": HandlerMetrics("Scores", "7")}
    assert metrics.read(cloud, NAME, ("2", "1"), since=passing.now, own=told)["2"].errors == 3
