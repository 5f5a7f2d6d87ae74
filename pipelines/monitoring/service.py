"""The monitoring service: a report at each interval, on one model or on every model in Production."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.errors import PipelineError
from pipelines.monitoring import command, notifying, windows
from pipelines.monitoring.notifying import Monitored
from registry import client, logs, stages
from registry.cli import interrupts
from registry.cli.commands import told
from registry.client import one_try
from registry.errors import RegistryError
from registry.lease import STANDBY, Lease
from registry.ledger import Ledger
from registry.troubles import Troubles

_log = logs.get_logger(__name__)

#: How long the lease that elects one of several services lasts without being renewed, in seconds.
LEASE_SECONDS = 30.0


class MonitorService:
    """Makes reports until it is interrupted.

    Parameters
    ----------
    every : the interval: ``1h``.
    show : is given each report.
    asked : the options of :func:`pipelines.monitoring.command.monitor`; ``model`` is None for all in Production.

    Raises
    ------
    PipelineError
        if the options are refused, or do not go together.
    """

    def __init__(self, ledger: Ledger, every: str, *, show: Callable[[Monitored], None], asked: Mapping[str, Any]):
        self._every, self._show, self._asked = windows.seconds("--watch", every), show, dict(asked)
        self._model, self._title = asked["model"], every
        command.check(**asked)
        if self._model is None and asked.get("report"):
            raise PipelineError("--report FILE is of one model: name it by --model, or leave --report out")
        # Where the page is written, and by which policy is judged, does not say what is watched.
        self._watched = notifying.identity({n: v for n, v in asked.items() if v and n not in ("report", "policy")})
        self._lease = Lease(ledger, f"monitor {self._watched}", LEASE_SECONDS)
        self._troubles = Troubles(_log.warning, _log.info)

    def run(self) -> None:
        """Make a report now and at each interval; what fails is logged, and tried again at the next one.

        Several services with the same options elect one that works; the others stand by.
        """
        due = time.monotonic()
        with self._lease.resigning():
            while True:
                elected = self._elected()
                if elected:
                    whom = self._model or "every model in Production"
                    _log.info("monitoring %s every %s", whom, self._title)
                    due = time.monotonic()
                if elected is not None and time.monotonic() >= due:
                    # A report that took longer than the interval leaves out those that it has missed.
                    due += self._every * ((time.monotonic() - due) // self._every + 1)
                    self._reports(datetime.now(UTC) + timedelta(seconds=due - time.monotonic()))
                pause = STANDBY if elected is None else min(LEASE_SECONDS / 3, due - time.monotonic())
                time.sleep(max(0.0, pause))

    def _elected(self) -> bool | None:
        """Ask for the lease, as :meth:`Lease.elected`; a ledger that is away is told once."""
        try:
            elected = self._lease.elected(who="monitoring service of the same options")
        except RegistryError as error:
            self._troubles.has("ledger", str(error), after="; reports wait for it")
            return None
        self._troubles.over("ledger", "the ledger answers again")
        return elected

    def _reports(self, following: datetime) -> None:
        """Make the reports of this interval.

        Parameters
        ----------
        following : when the next ones are due.
        """
        with self._lease.renewed():
            models: list[str] = [self._model] if self._model else []
            if not models:
                with self._tried("the registry cannot be read", following), one_try():
                    models = stages.in_production(client.connect())
                    if not models:
                        _log.info("no model is in Production; looked for again at %s", _shown(following))
            for model in models:
                with self._tried(model, following):
                    made = command.monitor(**{**self._asked, "model": model}, watched=self._watched)
                    self._show(made)

    @contextmanager
    def _tried(self, what: str, following: datetime) -> Iterator[None]:
        """Log what fails, in one line, and go on."""
        try:
            yield
        except Exception as error:  # whatever it is: the next report may be fine, and nobody is there to start it again
            # A library may have made another error of an interrupt.
            interrupts.check()
            _log.warning("%s: %s; tried again at %s", what, told(error), _shown(following))


def _shown(moment: datetime) -> str:
    return f"{moment:%H:%M} UTC" if moment.date() == datetime.now(UTC).date() else f"{moment:%Y-%m-%d %H:%M} UTC"
