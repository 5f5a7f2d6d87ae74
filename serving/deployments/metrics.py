"""What the cloud measured of two versions that share the requests, and whether the new one may go on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from .aws import Cloud
from .traffic import ALIAS

NAMESPACE = "AWS/Lambda"
_PERIOD = 60
_STATISTICS = {"requests": ("Invocations", "Sum"), "errors": ("Errors", "Sum"), "p99": ("Duration", "p99")}


@dataclass(frozen=True)
class VersionMetrics:
    """What was seen of a version.

    Parameters
    ----------
    requests, errors : how many there were.
    p99 : milliseconds that all but 1 of 100 requests take at most: the mean over the minutes, weighted with their
        requests. None where there was no request.
    """

    requests: int = 0
    errors: int = 0
    p99: float | None = None

    @property
    def rate(self) -> float:
        """Errors a request."""
        return self.errors / self.requests if self.requests else 0.0

    def said(self) -> str:
        """In words."""
        if not self.requests:
            return "no request yet"
        noun = "request" if self.requests == 1 else "requests"
        latency = f", p99 {self.p99:.4g} ms" if self.p99 is not None else ""
        return f"{self.requests:,} {noun}, {self.errors:,} failed{latency}"


@dataclass(frozen=True)
class HandlerMetrics:
    """Where the handler's own metrics of a version are: CloudWatch's namespace, and what ``Version`` is there."""

    namespace: str
    label: str


@dataclass(frozen=True)
class Bounds:
    """What a version that is tried may do at most.

    Parameters
    ----------
    errors : its share of failed requests may be so much higher than the other version's.
    p99 : in milliseconds. None for twice the other version's, but never less than ``SLOW``.
    requests : it has to have answered so many by the end.
    """

    errors: float = 0.01
    p99: float | None = None
    requests: int = 0


#: A p99 below this is never too slow, unless a bound says so; in milliseconds.
SLOW = 100.0
_SLOWER = 2.0
#: Fewer requests than this are judged only at the end.
_FEW = 10


def objection(new: VersionMetrics, old: VersionMetrics, bounds: Bounds, *, over: bool) -> str | None:
    """Why a version that is tried is to be taken back; None where it may go on.

    Parameters
    ----------
    over : whether this is the end of the trial: then few requests have to do.
    """
    if over and new.requests < bounds.requests:
        return f"it answered {new.requests:,} requests, of at least {bounds.requests:,} that were wanted"
    if not new.requests or (new.requests < _FEW and not over):
        return None
    most = old.rate + bounds.errors
    if new.rate > most:
        return (
            f"{new.errors:,} of its {new.requests:,} requests failed ({new.rate:.2%}); "
            f"at most {most:.2%} may, for {old.rate:.2%} of the other version's do"
        )
    if new.p99 is not None:
        slowest = bounds.p99 if bounds.p99 is not None else max(SLOW, _SLOWER * (old.p99 or 0))
        if new.p99 > slowest:
            return f"its p99 is {new.p99:,.4g} ms; at most {slowest:,.4g} ms are allowed"
    return None


def read(
    cloud: Cloud,
    name: str,
    versions: tuple[str, ...],
    *,
    since: float,
    own: Mapping[str, HandlerMetrics] = MappingProxyType({}),
) -> dict[str, VersionMetrics]:
    """What was measured of versions that an alias sends requests to.

    A request that the handler answers with a status of 500 is no error to Lambda, and one that times out is none to
    the handler: whoever counts more is believed.

    Parameters
    ----------
    since : seconds since 1970. The cloud counts by the minute, and tells a minute one or two later.
    own : by version, where the handler's own metrics are; those of two versions of one label are not told apart, and
        not read.
    """
    labels = [one.label for one in own.values()]
    own = {version: own[version] for version in versions if version in own and labels.count(own[version].label) == 1}
    queries = [
        _query(f"{what}_{version}", NAMESPACE, metric, dimensions(name, version), statistic)
        for version in versions
        for what, (metric, statistic) in _STATISTICS.items()
    ]
    queries += [
        _query(f"own_{version}", one.namespace, "Errors", _dimensions(Function=name, Version=one.label), "Sum")
        for version, one in own.items()
    ]
    found = cloud.pages(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults",
        MetricDataQueries=queries,
        StartTime=datetime.fromtimestamp(since // _PERIOD * _PERIOD, UTC),
        EndTime=datetime.fromtimestamp(cloud.clock() // _PERIOD * _PERIOD + _PERIOD, UTC),
    )
    minutes: dict[str, dict[datetime, float]] = {}
    for result in found:
        minutes.setdefault(result["Id"], {}).update(zip(result["Timestamps"], result["Values"], strict=True))
    return {version: _measured(minutes, version) for version in versions}


def _query(name: str, namespace: str, metric: str, about: list[dict[str, str]], statistic: str) -> dict[str, Any]:
    measured = {"Namespace": namespace, "MetricName": metric, "Dimensions": about}
    return {"Id": name, "MetricStat": {"Metric": measured, "Period": _PERIOD, "Stat": statistic}}


def dimensions(name: str, version: str) -> list[dict[str, str]]:
    """By which the cloud tells apart the versions that an alias sends requests to."""
    return _dimensions(FunctionName=name, Resource=f"{name}:{ALIAS}", ExecutedVersion=version)


def _dimensions(**named: str) -> list[dict[str, str]]:
    return [{"Name": key, "Value": value} for key, value in named.items()]


def _measured(minutes: dict[str, dict[datetime, float]], version: str) -> VersionMetrics:
    requests, slow = minutes.get(f"requests_{version}", {}), minutes.get(f"p99_{version}", {})
    weights = {minute: requests.get(minute, 0) or 1 for minute in slow}
    total = sum(weights.values())
    p99 = sum(slow[minute] * weight for minute, weight in weights.items()) / total if total else None
    errors = max(sum(minutes.get(f"{what}_{version}", {}).values()) for what in ("errors", "own"))
    return VersionMetrics(round(sum(requests.values())), round(errors), p99)
