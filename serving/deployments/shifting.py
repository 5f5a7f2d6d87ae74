"""Move a deployment's requests to another version: at once, or a share of them first, judged by what is measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from registry import logs
from registry.cli.text import one_line

from . import metrics, traffic
from .aws import Cloud
from .completed import CompletedSteps
from .errors import ABORTED, DeploymentError
from .metrics import Bounds, HandlerMetrics
from .traffic import AliasTraffic

_log = logs.get_logger(__name__)

#: Tells whether a version is still wanted.
IsCurrent = Callable[[], bool]

#: How often the metrics are read, in seconds: the cloud counts by the minute.
_LOOK = 30.0


@dataclass(frozen=True)
class Trial:
    """How a version is tried before it gets all requests.

    Parameters
    ----------
    share : of the requests that it gets meanwhile, between 0 and 1.
    bake : how long, in seconds.
    again : whether one that was taken back is tried once more.
    """

    share: float
    bake: int
    bounds: Bounds = field(default_factory=Bounds)
    again: bool = False


def always() -> bool:
    """The version is wanted."""
    return True


def shift(
    cloud: Cloud,
    name: str,
    version: str,
    trial: Trial | None,
    completed: CompletedSteps,
    *,
    own: Mapping[str, HandlerMetrics] = MappingProxyType({}),
    is_current: IsCurrent = always,
) -> AliasTraffic:
    """Give a version the requests; go on where an earlier process stopped.

    A version that the requests came from is given them back at once: it was tried when it came.

    Parameters
    ----------
    trial : None for all requests at once.
    own : by version, where the handler's own metrics are.
    is_current : whether the version is still wanted; asked while it is tried.

    Returns
    -------
    where they go now.

    Raises
    ------
    DeploymentError
        if the trial went wrong, and was taken back; or somebody else moves the requests.
    """
    pointed = traffic.read(cloud, name)
    if pointed is None:
        first = AliasTraffic(version)
        traffic.point(cloud, name, first, instead=None)
        completed.done(f"all requests go to version {version}")
        return first
    now = pointed.traffic
    if now.version == version and not now.trying:
        return now
    if trial is None or version in (now.version, now.before):
        to = now.move(version)
        traffic.point(cloud, name, to, instead=pointed)
        completed.done(f"all requests go to version {version}")
        return to
    if now.refused == version and not trial.again:
        raise DeploymentError(
            f"version {version} of {name!r} was tried and taken back because of its metrics; "
            "-C again=true tries it once more",
            ABORTED,
        )
    if now.trying == version and now.since and now.share == trial.share:
        _log.info("version %s is being tried already: resuming", version)
    else:
        # Who may not read the metrics is told so before a request goes to a version that nobody could judge.
        metrics.read(cloud, name, (version, now.version), since=cloud.clock(), own=own)
        started = now.try_out(version, share=trial.share, bake=trial.bake, now=cloud.clock())
        traffic.point(cloud, name, started, instead=pointed)
        completed.done(f"{trial.share:.4g} of the requests go to version {version}, for {trial.bake} s")
    try:
        return _bake(cloud, name, version, trial, own, is_current, completed)
    except KeyboardInterrupt:
        _log.warning(
            "interrupted: version %s goes on getting %.4g of the requests; run the same command again to "
            "resume, or -C rollback=true to end it at once",
            version,
            trial.share,
        )
        raise


def back(cloud: Cloud, name: str, completed: CompletedSteps) -> AliasTraffic:
    """Roll back: end a trial, or else give the requests back to the version that had them before.

    Raises
    ------
    DeploymentError
        if there is nothing to go back to.
    """
    pointed = traffic.read(cloud, name)
    if pointed is None:
        raise DeploymentError(f"{name!r} is not finished, so there is nothing to go back to; run `create` again")
    now = pointed.traffic
    to = now.go_back()
    if to == now:
        if now.left or now.refused:
            _log.info("it was rolled back from version %s already: nothing to do", now.left or now.refused)
            return now
        raise DeploymentError(
            f"{name!r} has no version to go back to: version {now.version} was the first; "
            "update it to another one (--model-uri)"
        )
    traffic.point(cloud, name, to, instead=pointed)
    completed.done(f"all requests go to version {to.version} again, none to version {to.left}")
    return to


def _bake(
    cloud: Cloud,
    name: str,
    version: str,
    trial: Trial,
    own: Mapping[str, HandlerMetrics],
    is_current: IsCurrent,
    completed: CompletedSteps,
) -> AliasTraffic:
    """Look at the metrics until the trial is over, then finish it or take it back."""
    last = ""
    while True:
        pointed = traffic.read(cloud, name)
        if pointed is None or version not in (pointed.traffic.trying, pointed.traffic.version):
            raise traffic.moved(name, pointed)
        now = pointed.traffic
        if now.trying is None:
            _log.info("all requests go to version %s: another process finished it", version)
            return now
        if not is_current():
            traffic.point(cloud, name, now.go_back(), instead=pointed)
            raise DeploymentError(
                f"version {version} of {name!r} was taken back: its model is no longer the one that was asked for; "
                f"all requests go to version {now.version} again",
                ABORTED,
            )
        left = now.since + trial.bake - cloud.clock()
        measured = metrics.read(cloud, name, (version, now.version), since=now.since, own=own)
        new, old = measured[version], measured[now.version]
        wrong = metrics.objection(new, old, trial.bounds, over=left <= 0)
        if wrong:
            to = now.take_back()
            traffic.point(cloud, name, to, instead=pointed)
            raise DeploymentError(
                f"version {version} of {name!r} was taken back: {one_line(wrong)}; "
                f"all requests go to version {now.version} again",
                ABORTED,
            )
        if left <= 0:
            to = now.move(version)
            traffic.point(cloud, name, to, instead=pointed)
            if not new.requests:
                _log.warning("no request came to version %s while it was tried", version)
            completed.done(f"all requests go to version {version}")
            return to
        told = f"version {version}: {new.said()}; version {now.version}: {old.said()}"
        if told != last:
            _log.info("%s; %.0f s left", told, left)
            last = told
        cloud.sleep(min(left, _LOOK))
