"""Metrics as Prometheus reads them, and the files that ask for them: a dashboard and alerts."""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from registry.last_report import LastReport
from serving.server import telemetry
from serving.server.guard.admission import Admission
from serving.server.page.figures import by_model, quantile
from serving.server.state import Served, ServedModel
from serving.server.telemetry.counters import BOUNDS, RECORDER, WorkerCounts, total
from serving.server.telemetry.metrics import Metrics
from serving.server.traffic import ShadowComparison
from serving.server.version_facts import VersionFacts
from tests.serving.server import cards

FOLDER = Path(telemetry.__file__).parent
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
ALERTS = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
HOSTILE = 'a "quoted"\\\nname{le="+Inf"} 7\n# HELP x'


#: Two alerts, a minute after 1970 began.
MONITORED = VersionFacts(monitored=LastReport("1970-01-01T00:01:00+00:00", 2, "2 alerts", 500, "run"))


def served(*models: ServedModel, **facts) -> Served:
    return cards.served(*models, **facts)


def samples(
    metrics: Metrics, what: Served, *, age: float | None = None, parse=plain, accept: str | None = None
) -> dict:
    body, _ = metrics.exposition(what, age=age, accept=accept)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(body.decode())
        for sample in family.samples
    }


#: Where processes share their counts.
SHARED = tempfile.TemporaryDirectory()


def everything() -> tuple[Metrics, Served]:
    """Metrics in which everything that can happen has happened, and what is served."""
    folder = Path(tempfile.mkdtemp(dir=SHARED.name))
    metrics = Metrics(folder)
    recorder = WorkerCounts(folder, RECORDER)
    recorder.count("serving_record_rows", "line", "3", "champion", by=7)
    recorder.close()
    metrics.unrecorded("busy", 2)
    before = served(cards.model("line", cards.line()))
    model = cards.model("line", cards.line(3.0), challenger=cards.line(), mode="canary", weight=0.25)
    after = served(replace(model, champion=replace(model.champion, facts=MONITORED)))
    metrics.swapped(before, after)
    for status in (200, 400, 429, 500):
        metrics.counts.observe("mlflow", "line", "3", status, 0.001, 1)
    metrics.counts.observe("", "", "", 200, 0.001)
    metrics.refused("busy", "ann")
    metrics.compared("line", "3", "4", ShadowComparison(rows=5))
    metrics.closed("idle")
    metrics.counts.count("serving_log_lines_dropped", "0", by=3)
    metrics.publish(in_flight=2)
    return metrics, after


def test_requests_errors_rows_and_latency_are_told_by_model_and_version():
    metrics = Metrics()
    for version, rows in (("3", 10), ("3", 5), ("4", 1)):
        metrics.counts.observe("mlflow", "line", version, 200, 0.0004, rows)
    metrics.counts.observe("v2", "line", "3", 200, 2.0, 1)
    metrics.counts.observe("mlflow", "line", "", 400, 0.0004)
    metrics.counts.observe("mlflow", "line", "", 429, 0.00001)
    found = samples(metrics, served())

    def requests(**labels) -> float:
        return found.get(("serving_requests_total", *sorted(labels.items())), 0)

    assert requests(protocol="mlflow", model="line", version="3", status="200") == 2
    assert requests(protocol="mlflow", model="line", version="4", status="200") == 1
    assert requests(protocol="mlflow", model="line", version="", status="400") == 1
    assert requests(protocol="mlflow", model="line", version="", status="429") == 1
    assert found["serving_rows_total", ("model", "line"), ("version", "3")] == 16
    assert found["serving_rows_total", ("model", "line"), ("version", "4")] == 1
    # What was turned away took no time, and is none of the latency.
    labels = (("model", "line"), ("protocol", "mlflow"))
    assert found["serving_request_seconds_count", *labels] == 4
    assert found["serving_request_seconds_sum", *labels] == pytest.approx(0.0016)
    assert found["serving_request_seconds_bucket", ("le", "0.00025"), *labels] == 0
    assert found["serving_request_seconds_bucket", ("le", "0.0005"), *labels] == 4
    assert found["serving_request_seconds_bucket", ("le", "+Inf"), *labels] == 4


def test_what_is_served_and_what_is_not_is_told():
    metrics, after = everything()
    found = samples(metrics, served(*after.models.values()), age=12.5)
    labels = (("mode", "canary"), ("model", "line"))
    assert found["serving_model_info", *labels, ("role", "champion"), ("stage", "Production"), ("version", "3")] == 1
    assert found["serving_model_info", *labels, ("role", "challenger"), ("stage", "Staging"), ("version", "4")] == 1
    assert found["serving_challenger_weight", *labels] == 0.25
    # The challenger was never monitored.
    monitored = {name: value for name, value in found.items() if name[0].startswith("serving_monitor_")}
    of = (("model", "line"), ("version", "3"))
    assert monitored == {
        ("serving_monitor_alerts", *of): 2,
        ("serving_monitor_timestamp_seconds", *of): 60,
    }
    assert found["serving_swaps_total", ("model", "line"), ("worker", "0")] == 1
    assert (
        found["serving_compared_total", ("challenger", "4"), ("champion", "3"), *labels[1:], ("outcome", "same")] == 5
    )
    assert found["serving_refused_total", ("key", "ann"), ("reason", "busy")] == 1
    assert found["serving_worker_in_flight", ("worker", "0")] == 2
    assert found["serving_worker_resident_bytes", ("worker", "0")] > 1e6
    assert found["serving_registry_age_seconds",] == 12.5
    assert found["serving_model_refused", ("model", "line")] == 0
    refused = Served({}, None, 2, {"line": "it does not load"})
    assert samples(metrics, refused)["serving_model_refused", ("model", "line")] == 1
    # A server of files follows no registry.
    assert ("serving_registry_age_seconds",) not in samples(metrics, refused)


def test_the_door_tells_of_those_that_it_refuses():
    metrics = Metrics()
    admission = Admission(most=0, refused=metrics.refused)
    for _ in range(3):
        with pytest.raises(Exception, match="more requests than it can answer"):
            admission.admit("ask", [])
    assert samples(metrics, served())["serving_refused_total", ("key", ""), ("reason", "busy")] == 3


def test_a_hostile_name_stays_a_label():
    metrics = Metrics()
    metrics.counts.observe("mlflow", HOSTILE, "1", 200, 0.001, 1)
    what = served(cards.model(HOSTILE, cards.line()))
    labels = (("model", HOSTILE), ("protocol", "mlflow"), ("status", "200"), ("version", "1"))
    assert samples(metrics, what)["serving_requests_total", *labels] == 1
    accept = "application/openmetrics-text; version=1.0.0"
    assert samples(metrics, what, parse=openmetrics, accept=accept)["serving_requests_total", *labels] == 1


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, b"text/plain; version=0.0.4"),
        ("", b"text/plain; version=0.0.4"),
        ("*/*", b"text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", b"application/openmetrics-text; version=1.0.0"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", b"text/plain; version=1.0.0"),
        ("application/openmetrics-text; version=x.y", b""),
        ("text/plain; version=; escaping=", b""),
        (";;;=,=;" * 100, b""),
    ],
)
def test_any_accept_header_gets_metrics(accept, kind):
    metrics, what = everything()
    body, found = metrics.exposition(what, accept=accept)
    assert b"serving_requests_total" in body
    assert found.startswith(kind)


def test_a_quantile_is_what_prometheus_makes_of_the_buckets():
    tally = WorkerCounts()
    for seconds in [0.0003] * 90 + [0.004] * 10:
        tally.observe("mlflow", "m", "1", 200, seconds, 1)
    figures = by_model(total(tally.all()), ["m"])["m"]
    # histogram_quantile: rank 50 of 90 between 0.25 and 0.5 ms; rank 99, 9 of 10 between 2.5 and 5 ms.
    assert figures.quantile(0.5) == pytest.approx(0.00025 + 0.00025 * 50 / 90)
    assert figures.quantile(0.99) == pytest.approx(0.0025 + 0.0025 * 9 / 10)
    assert quantile([0.0] * (len(BOUNDS) + 1), 0.5) is None
    assert quantile([0.0] * len(BOUNDS) + [1.0], 0.5) == BOUNDS[-1]


def test_the_page_counts_predictions_of_models_that_are_served():
    tally = WorkerCounts()
    tally.observe("mlflow", "m", "1", 200, 0.001, 4)
    tally.observe("v2", "m", "2", 200, 0.001, 4)
    tally.observe("mlflow", "m", "", 429, 0.001, 0)
    tally.observe("mlflow", "m", "", 503, 0.001, 0)
    tally.observe("", "m", "1", 200, 0.001, 0)
    tally.observe("mlflow", "gone", "1", 200, 0.001, 4)
    (one,) = by_model(total(tally.all()), ["m"]).values()
    assert (one.requests, one.rejected, one.failed, one.rows) == (4, 1, 1, 8)
    assert one.versions == {"1": 1, "2": 1}
    assert sum(one.latency) == 2


# ---- The files ----


def queries() -> list[tuple[str, str]]:
    found = []
    for panel in DASHBOARD["panels"]:
        found += [(panel["title"], target["expr"]) for target in panel["targets"]]
    found += [(note["name"], note["expr"]) for note in DASHBOARD["annotations"]["list"]]
    found += [(rule["alert"], rule["expr"]) for group in ALERTS["groups"] for rule in group["rules"]]
    return found


def selectors(text: str) -> list[tuple[str, set[str]]]:
    """The metrics that a query names, each with the labels that it matches or groups by."""
    for name in re.findall(r"\$(\w+)", text):
        assert name in {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
    parsed = promql_parser.parse(text.replace("$__rate_interval", "1m").replace("$", ""))
    found: list[tuple[str, set[str]]] = []
    grouped: set[str] = set()

    def visit(node):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            grouped.update(node.modifier.labels)
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name, {match.name for match in node.matchers.matchers}))
        return True

    promql_parser.walk(parsed, visit)
    return [(name, labels | grouped) for name, labels in found]


@pytest.mark.parametrize(("where", "query"), queries(), ids=[where for where, _ in queries()])
def test_each_query_asks_for_what_the_server_tells(where, query):
    metrics, what = everything()
    told: dict[str, set[str]] = {"up": {"job", "instance"}}
    for name, *labels in samples(metrics, what, age=1.0):
        # Prometheus adds the job and the instance.
        told.setdefault(name, {"job", "instance"}).update(label for label, _ in labels)
    found = selectors(query)
    assert found
    for name, labels in found:
        assert name in told, where
        assert labels <= told[name], (where, name)


def test_the_dashboard_shows_every_metric():
    metrics, what = everything()
    told = {re.sub("_(bucket|count|sum)$", "", name) for name, *_ in samples(metrics, what, age=1.0)}
    shown = {re.sub("_bucket$", "", name) for _, query in queries() for name, _ in selectors(query)}
    rest = {"serving_start_time_seconds", "serving_registry_success_time_seconds", "serving_challenger_weight"}
    assert told - shown == rest


def test_the_panels_do_not_overlap():
    taken = set()
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_no_worker_imports_the_library_of_metrics_before_it_is_asked_for_them():
    code = "import sys; import serving.server.telemetry.recorder; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
