"""The metrics on the page: for each model, over all workers, since the server started."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from serving.server.state import Served
from serving.server.telemetry.counters import BOUNDS, Counts, WorkerSnapshot, buckets, total
from serving.server.telemetry.metrics import QUICK


@dataclass
class Figures:
    """Metrics of a model.

    Parameters
    ----------
    requests, rejected, failed : number of all requests, and of those answered with 4xx and 5xx.
    rows : number of rows that were scored.
    latency : number of requests in each bucket of ``BOUNDS``, and beyond.
    versions : number of requests that each version answered.
    """

    requests: float = 0
    rejected: float = 0
    failed: float = 0
    rows: float = 0
    latency: list[float] = field(default_factory=lambda: [0.0] * (len(BOUNDS) + 1))
    versions: dict[str, float] = field(default_factory=dict)

    def add(self, other: "Figures") -> None:
        """Add the metrics of another model."""
        self.requests += other.requests
        self.rejected += other.rejected
        self.failed += other.failed
        self.rows += other.rows
        self.latency = [a + b for a, b in zip(self.latency, other.latency, strict=True)]

    def quantile(self, share: float) -> float | None:
        """Latency quantile in seconds, interpolated; None without requests."""
        return quantile(self.latency, share)


@dataclass(frozen=True)
class Live:
    """All metrics at one moment.

    Parameters
    ----------
    since : when the server started, in seconds since 1970.
    age : seconds since the registry was last reached; None if the server follows none.
    """

    models: dict[str, Figures]
    workers: int
    since: float
    age: float | None
    generation: int

    def everything(self) -> Figures:
        """The sum over the models."""
        found = Figures()
        for one in self.models.values():
            found.add(one)
        return found

    def to_dict(self) -> dict:
        """The metrics as JSON."""
        return {
            "time": time.time(),
            "since": self.since,
            "age": self.age,
            "workers": self.workers,
            "generation": self.generation,
            "bounds": BOUNDS,
            "models": [
                {**asdict(figures), "name": name, "versions": list(figures.versions.items())}
                for name, figures in self.models.items()
            ],
        }


def live_figures(snapshots: list[WorkerSnapshot], served: Served, *, since: float, age: float | None) -> Live:
    """The metrics of the served models."""
    return Live(
        by_model(total(snapshots), served.models),
        sum(snapshot.lives for snapshot in snapshots),
        since,
        age,
        served.generation,
    )


def by_model(counts: Counts, names: Iterable[str]) -> dict[str, Figures]:
    """The metrics of each model."""
    found = {name: Figures() for name in names}
    for (protocol, model, version, status), entry in counts.answers.items():
        if not protocol or model not in found:
            continue
        one, times = found[model], buckets(entry)
        number = sum(times)
        one.requests += number
        one.rejected += number if 400 <= status < 500 else 0
        one.failed += number if status >= 500 else 0
        one.rows += entry[0]
        if status not in QUICK:
            one.latency = [a + b for a, b in zip(one.latency, times, strict=True)]
        if version:
            one.versions[version] = one.versions.get(version, 0) + number
    return found


def quantile(latency: Sequence[float], share: float) -> float | None:
    """A quantile of a histogram as Prometheus' ``histogram_quantile`` computes it, linear within a bucket."""
    total = sum(latency)
    if not total:
        return None
    wanted, below = share * total, 0.0
    for place, bound in enumerate(BOUNDS):
        if latency[place] and below + latency[place] >= wanted:
            lower = BOUNDS[place - 1] if place else 0.0
            return lower + (bound - lower) * (wanted - below) / latency[place]
        below += latency[place]
    return BOUNDS[-1]
