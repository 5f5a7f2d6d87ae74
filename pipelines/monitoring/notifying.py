"""Who is told of alerts: the commands and webhooks of the policy's block ``monitor:``, and the version's own tag."""

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.monitoring import wording
from pipelines.monitoring.checks import TOO_FEW, WindowCheck
from pipelines.monitoring.recording import Recorded
from pipelines.monitoring.report import MonitorReport
from registry import hook_calls, last_report, logs, stages
from registry.client import speaking
from registry.errors import RegistryError
from registry.hook_calls import Message
from registry.last_report import LastReport
from registry.policy import Hook
from registry.redaction import inside, url

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logs.get_logger(__name__)

#: The tag of a version that holds the open alerts each hook was told of; after it comes what is watched.
TOLD_TAG = "monitor.told."
#: So many alerts are in the variable MONITOR_ALERTS, for a program's variables are limited; the document has all.
_MOST = 50


@dataclass(frozen=True)
class Monitored:
    """A report that was made, and where it is.

    Parameters
    ----------
    file : the page that was asked for; None without one.
    """

    report: MonitorReport
    recorded: Recorded
    file: Path | None = None

    @property
    def alerts(self) -> dict[str, list[WindowCheck]]:
        """The alerts by what they are of, whatever window they are in: ``missing values of age``."""
        return {wording.what(alert.last): list(alert.checks) for alert in self.report.alerting}

    def over(self, before: Sequence[str]) -> list[str]:
        """Of the alerts that there were before, those that are over; if there are too few rows to tell, it is not."""
        alerts = self.alerts
        tested = {wording.what(check) for check in self.report.checks if check.verdict != TOO_FEW}
        # A comparison may be missing because it has too few rows; if all others have enough, it was given up.
        few = any(check.verdict == TOO_FEW for check in self.report.checks)
        return [what for what in before if what not in alerts and (what in tested or not few)]


def identity(asked: Mapping[str, Any]) -> str:
    """A short name for what is watched: the same for services that were started with the same options."""
    text = json.dumps(inside(asked), sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def mark(client: "MlflowClient", made: Monitored) -> None:
    """Tag the version with the verdict, for the registry's list and the model server.

    Whoever may monitor need not have the right to write into the registry: that is logged.
    """
    report = made.report
    last = LastReport(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        alerts=None if report.undecided else len(report.alerting),
        verdict=report.verdict,
        rows=report.rows,
        run_id=made.recorded.run_id,
    )
    try:
        with speaking():
            client.set_model_version_tag(report.model, report.version, last_report.TAG, last.dumps())
    except RegistryError as error:
        _log.warning("the registry does not show that %s %s was monitored: %s", report.model, report.version, error)


def tell(made: Monitored) -> None:
    """Tell every hook of the alerts of a report, if it has any."""
    alerts = made.alerts
    for title, hook in hook_calls.titled(made.report.rules.follow).items() if alerts else ():
        _send(title, hook, _message(made, list(alerts), []))


def tell_changes(client: "MlflowClient", made: Monitored, watched: str) -> None:
    """Tell every hook of the alerts that have begun, and of those that are over, since it was last told.

    What a hook was told is a tag of the version, so that it survives a restart. A hook that fails is told with the next
    report. The alerts of a version are over when another one is watched in its place.

    Parameters
    ----------
    watched : names what is watched; see :func:`identity`.

    Raises
    ------
    RegistryError
        if the registry does not answer.
    """
    report, hooks = made.report, hook_calls.titled(made.report.rules.follow)
    for version in stages.versions(client, report.model):
        told = _Told(client, report.model, version.number, TOLD_TAG + watched, version.tags)
        for title in told.titles - hooks.keys():
            told.keep(title, [])
        if version.number == report.version:
            for title, hook in hooks.items():
                told.keep(title, _tell_changes(made, title, hook, told.of(title)))
        else:
            for title in told.titles:
                told.keep(title, _tell_end(made, version.number, title, hooks[title], told.of(title)))


class _Told:
    """The open alerts of a version that each hook was told of, by the hook's title; a tag of the version.

    A tag that was changed by hand counts as none.
    """

    def __init__(self, client: "MlflowClient", model: str, version: str, tag: str, tags: Mapping[str, str]):
        self._client, self._where, self._told = client, (model, version, tag), {}
        with contextlib.suppress(msgspec.DecodeError):
            self._told = msgspec.json.decode(tags.get(tag, ""), type=dict[str, list[str]])

    @property
    def titles(self) -> frozenset[str]:
        """The hooks that know of open alerts."""
        return frozenset(self._told)

    def of(self, title: str) -> list[str]:
        """The open alerts that a hook was told of."""
        return self._told.get(title, [])

    def keep(self, title: str, alerts: Sequence[str]) -> None:
        """Write at once what a hook was told: whatever interrupts the next, this one is not told again."""
        if list(alerts) == self.of(title):
            return
        self._told = {**self._told, title: list(alerts)}
        if not alerts:
            del self._told[title]
        model, version, tag = self._where
        with speaking():
            if self._told:
                self._client.set_model_version_tag(model, version, tag, json.dumps(self._told, ensure_ascii=False))
            else:
                self._client.delete_model_version_tag(model, version, tag)


def _tell_changes(made: Monitored, title: str, hook: Hook, before: Sequence[str]) -> list[str]:
    """Tell a hook what has changed since before; the open alerts that it then knows of."""
    begun, over = [what for what in made.alerts if what not in before], made.over(before)
    if (begun or over) and not _send(title, hook, _message(made, begun, over)):
        return list(before)
    return [what for what in before if what not in over] + begun


def _tell_end(made: Monitored, version: str, title: str, hook: Hook, before: Sequence[str]) -> list[str]:
    """Tell a hook that a version is no longer watched; the open alerts that it still has to be told of."""
    verdict = f"no longer monitored: version {made.report.version} is"
    message = _message(made, [], list(before), version=version, verdict=verdict)
    return [] if _send(title, hook, message) else list(before)


def _send(title: str, hook: Hook, message: Message) -> bool:
    """Send a message; whether it arrived. If not, that is logged."""
    said = hook_calls.deliver(hook, message)
    if said:
        tried = "once" if hook.tries == 1 else f"{hook.tries} times"
        _log.warning("%s could not be told (tried %s): %s", title, tried, said)
    else:
        _log.info("told %s", title)
    return not said


def _message(
    made: Monitored, begun: Sequence[str], over: Sequence[str], *, version: str = "", verdict: str = ""
) -> Message:
    """What a hook is told.

    Parameters
    ----------
    begun, over : what the alerts are of.
    version, verdict : if they are not those of the report.
    """
    report, recorded = made.report, made.recorded
    alerts = [check for what in begun for check in made.alerts[what]]
    body = {
        "event": "alert" if begun else "over",
        "model": report.model,
        "version": version or report.version,
        "verdict": verdict or report.verdict,
        "rows": report.rows,
        "source": url(report.source),
        "alerts": [_plain(check) for check in alerts],
        "over": list(over),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "run_id": recorded.run_id,
        "report": recorded.page,
        "url": recorded.url,
        "file": str(made.file.absolute()) if made.file else None,
    }
    body = inside(body)
    variables = {
        "MODEL_NAME": report.model,
        "MODEL_VERSION": body["version"],
        "MONITOR_EVENT": body["event"],
        "MONITOR_VERDICT": body["verdict"],
        "MONITOR_ALERTS": json.dumps(body["alerts"][:_MOST], ensure_ascii=False),
        "MONITOR_OVER": json.dumps(body["over"][:_MOST], ensure_ascii=False),
        "MONITOR_RUN_ID": recorded.run_id,
        "MONITOR_REPORT": body["file"] or recorded.page,
        "MONITOR_URL": body["url"] or "",
    }
    return Message(f"monitor-{recorded.run_id}-{time.time_ns() // 1_000_000}", body, variables)


def _plain(check: WindowCheck) -> dict[str, Any]:
    told = f"{wording.what(check)}: {wording.found(check)} ({check.window}, {check.rows:,} rows)"
    return {"summary": told, **msgspec.to_builtins(check)}
