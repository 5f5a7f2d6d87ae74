"""The metrics of the server in Prometheus' formats."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

from serving.server.memory import taken
from serving.server.pyfunc.model import PyfuncModel
from serving.server.state import Served
from serving.server.telemetry.counters import (
    BOUNDS,
    UP,
    Counts,
    WorkerCounts,
    WorkerSnapshot,
    buckets,
    recorder,
    total,
)
from serving.server.traffic import ShadowComparison

#: Statuses of requests that were turned away, which would make the latency look better than it is.
QUICK = frozenset({401, 403, 404, 405, 408, 429, 503})

#: Counters of events other than answers: name, labels, help.
EVENTS = {
    "serving_refused": (
        ("reason", "key"),
        "Requests refused before their body was read: unauthenticated, denied, limited (by rate), busy (shed).",
    ),
    "serving_swaps": (("model", "worker"), "How often a worker switched to another version of a model."),
    "serving_compared": (
        ("model", "champion", "challenger", "outcome"),
        "Rows that a challenger in shadow was asked, by outcome.",
    ),
    "serving_connections_closed": (
        ("reason",),
        "Connections that the server closed: idle (too long without a request), crowded (to make room for others), "
        "slow, malformed, unread (the client does not read its answers).",
    ),
    "serving_log_lines_dropped": (("worker",), "Access log lines that were dropped because nobody read them in time."),
    "serving_record_rows": (("model", "version", "role"), "Rows written to the prediction log."),
    "serving_record_dropped": (
        ("reason",),
        "Rows missing in the prediction log: busy (the recorder did not keep up), lost (it ended), unreadable, "
        "unwritable (a full disk, a database or a broker that is away), refused (by the broker).",
    ),
}

#: Gauges of each worker: name, help.
GAUGES = {
    "serving_worker_in_flight": "Requests that a worker is answering.",
    "serving_worker_connections": "Open connections of a worker.",
    "serving_worker_generation": "Number of the state document that a worker serves; workers differ only for a moment.",
    "serving_worker_resident_bytes": "Resident memory of a worker.",
}

_NONE = "none"
_ACCEPT = re.compile(r"[\w/;=,.+* -]*", re.ASCII)


class Metrics:
    """Counts the events of this worker, and exposes the metrics of all workers.

    Parameters
    ----------
    folder : where the workers share their counts; None for the metrics of this process only.
    """

    def __init__(self, folder: Path | None = None):
        self.counts, self._folder = WorkerCounts(folder), folder

    def refused(self, reason: str, key: str) -> None:
        """Count a request that was not admitted."""
        self.counts.count("serving_refused", reason, key)

    def closed(self, reason: str) -> None:
        """Count a connection that the server closed."""
        self.counts.count("serving_connections_closed", reason)

    def swapped(self, before: Served, after: Served) -> None:
        """Count the models whose champion has changed."""
        # Before the count, which another thread may publish at once.
        self.counts.gauges["serving_worker_generation"] = after.generation
        for name, model in after.models.items():
            old = before.models.get(name)
            if old is not None and old.champion.card.digest != model.champion.card.digest:
                self.counts.count("serving_swaps", name, str(self.counts.slot))
        self.counts.fresh = True

    def compared(self, model: str, champion: str, challenger: str, comparison: ShadowComparison) -> None:
        """Count the rows of a comparison by their outcome."""
        outcomes = {"same": comparison.rows - comparison.different, "different": comparison.different}
        for outcome, rows in (outcomes | {"failed": comparison.failed, "dropped": comparison.dropped}).items():
            if rows:
                self.counts.count("serving_compared", model, champion, challenger, outcome, by=rows)

    def unrecorded(self, reason: str, rows: int) -> None:
        """Count rows that are missing in the prediction log."""
        self.counts.count("serving_record_dropped", reason, by=rows)

    def publish(self, *, in_flight: int = 0, connections: int = 0) -> None:
        """Share the counts and gauges with the other workers."""
        self.counts.gauges["serving_worker_in_flight"] = in_flight
        self.counts.gauges["serving_worker_connections"] = connections
        self.counts.gauges["serving_worker_resident_bytes"] = taken()
        self.counts.publish()

    def exposition(self, served: Served, *, age: float | None = None, accept: str | None = None) -> tuple[bytes, bytes]:
        """All metrics, and the media type of the format that the client accepts.

        This takes milliseconds, and imports a library the first time: call it in a thread.

        Parameters
        ----------
        age : seconds since the registry was last reached; None if the server follows none.
        """
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest

        try:
            # Part of what is accepted comes back in a header.
            encode, kind = choose_encoder(accept if accept and _ACCEPT.fullmatch(accept) else "")
        except (TypeError, ValueError):  # an invalid version
            encode, kind = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
        families = _Families(self.counts.all(), served, age, self.counts.since, recorder(self._folder))
        return encode(families), kind.encode()


class _Families:
    """A collector for ``prometheus_client``."""

    def __init__(
        self,
        snapshots: list[WorkerSnapshot],
        served: Served,
        age: float | None,
        since: float,
        recorder: WorkerSnapshot | None,
    ):
        self._snapshots, self._served, self._age, self._since = snapshots, served, age, since
        self._recorder = recorder

    def collect(self) -> Iterator:
        recording = [self._recorder] if self._recorder is not None else []
        counts = total([*self._snapshots, *recording])
        yield from _answers(counts)
        yield from _events(counts)
        yield from _models(self._served)
        yield from _lanes(self._served)
        yield from self._process()

    def _process(self) -> Iterator:
        from prometheus_client.core import GaugeMetricFamily

        running = [snapshot for snapshot in self._snapshots if snapshot.lives]
        yield GaugeMetricFamily("serving_workers", "Running workers.", value=len(running))
        for name, what in GAUGES.items():
            family = GaugeMetricFamily(name, what, labels=("worker",))
            for snapshot in running:
                if name in snapshot.gauges:
                    family.add_metric((str(snapshot.slot),), snapshot.gauges[name])
            yield family
        yield GaugeMetricFamily(
            "serving_start_time_seconds", "Start of the server, in seconds since 1970.", value=self._since
        )
        up = GaugeMetricFamily(UP, "1 while the recorder runs and can write the prediction log.")
        if self._recorder is not None:
            up.add_metric((), 1.0 if self._recorder.lives and self._recorder.gauges.get(UP, 1.0) else 0.0)
        yield up
        if self._age is not None:
            yield GaugeMetricFamily(
                "serving_registry_age_seconds",
                "Seconds since the registry last answered: how outdated the served versions may be.",
                value=self._age,
            )
            yield GaugeMetricFamily(
                "serving_registry_success_time_seconds",
                "Time of the registry's last answer, in seconds since 1970.",
                value=time.time() - self._age,
            )


def _answers(counts: Counts) -> Iterator:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    requests = CounterMetricFamily(
        "serving_requests",
        "Answered requests, by version and status.",
        labels=("protocol", "model", "version", "status"),
    )
    rows = CounterMetricFamily("serving_rows", "Scored rows.", labels=("model", "version"))
    latency = HistogramMetricFamily(
        "serving_request_seconds",
        "Time to answer a request, from when it was taken up (a small one: from when it had arrived completely); "
        "refused requests are not counted.",
        labels=("protocol", "model"),
    )
    scored: dict[tuple[str, str], float] = {}
    taken: dict[tuple[str, str], list[float]] = {}
    for (protocol, model, version, status), found in sorted(counts.answers.items()):
        labels = (protocol or _NONE, model)
        requests.add_metric((*labels, version, str(status)), sum(buckets(found)))
        if found[0]:
            scored[model, version] = scored.get((model, version), 0) + found[0]
        if status not in QUICK:
            mine = taken.get(labels)
            taken[labels] = [a + b for a, b in zip(mine, found, strict=True)] if mine else found
    for (model, version), number in scored.items():
        rows.add_metric((model, version), number)
    for labels, found in taken.items():
        below, points = 0.0, []
        for bound, number in zip((*map(str, BOUNDS), "+Inf"), buckets(found), strict=True):
            below += number
            points.append((bound, below))
        latency.add_metric(labels, points, found[1])
    yield from (requests, rows, latency)


def _events(counts: Counts) -> Iterator:
    from prometheus_client.core import CounterMetricFamily

    families = {name: CounterMetricFamily(name, what, labels=labels) for name, (labels, what) in EVENTS.items()}
    for (name, *labels), number in sorted(counts.events.items()):
        families[name].add_metric(labels, number)
    yield from families.values()


def _lanes(served: Served) -> Iterator:
    """The processes of versions without a scorecard."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = ("model", "version", "lane")
    what = "1 while a lane (a process for a version without a scorecard) is running."
    up = GaugeMetricFamily("serving_lane_up", what, labels=labels)
    memory = GaugeMetricFamily("serving_lane_resident_bytes", "Resident memory of a lane.", labels=labels)
    starts = CounterMetricFamily("serving_lane_starts", "How often a lane was started.", labels=labels)
    for name, model in served.models.items():
        for version in (model.champion, model.challenger):
            if version is None or not isinstance(version.card, PyfuncModel):
                continue
            for lane in version.card.places.states():
                values = (name, version.version, str(lane.number))
                up.add_metric(values, 1 if lane.up else 0)
                memory.add_metric(values, lane.memory)
                starts.add_metric(values, lane.starts)
    yield from (up, memory, starts)


def _models(served: Served) -> Iterator:
    from prometheus_client.core import GaugeMetricFamily

    info = GaugeMetricFamily(
        "serving_model_info",
        "1 for each served version, champion or challenger.",
        labels=("model", "version", "stage", "role", "mode"),
    )
    weight = GaugeMetricFamily(
        "serving_challenger_weight", "Share of the requests that the challenger receives.", labels=("model", "mode")
    )
    refused = GaugeMetricFamily(
        "serving_model_refused", "1 if the model, or its newest version, is not served.", labels=("model",)
    )
    alerts = GaugeMetricFamily(
        "serving_monitor_alerts",
        "Alerts in the last report of `monitor` on a version; none if it was never monitored, or had too few rows.",
        labels=("model", "version"),
    )
    monitored = GaugeMetricFamily(
        "serving_monitor_timestamp_seconds",
        "Time of the last report of `monitor` on a version, in seconds since 1970.",
        labels=("model", "version"),
    )
    for name, model in served.models.items():
        for role, version in (("champion", model.champion), ("challenger", model.challenger)):
            if version is None:
                continue
            info.add_metric((name, version.version, version.stage, role, model.traffic.mode), 1)
            if (last := version.facts.monitored) is not None:
                monitored.add_metric((name, version.version), last.timestamp)
                if last.alerts is not None:
                    alerts.add_metric((name, version.version), last.alerts)
        weight.add_metric((name, model.traffic.mode), model.traffic.weight)
        refused.add_metric((name,), 1 if model.refused else 0)
    for name in served.refused:
        refused.add_metric((name,), 1)
    yield from (info, weight, refused, alerts, monitored)
