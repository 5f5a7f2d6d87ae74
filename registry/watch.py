"""The watch: sees by polling what was changed by hand in the registry, and has it settled."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from registry import hooks, logs, reconcile, stages
from registry.cli import interrupts
from registry.client import one_try
from registry.errors import RegistryError
from registry.lease import STANDBY, Lease
from registry.ledger import NOTED, Ledger, LedgerEntry
from registry.reconcile import WATCH, Settled
from registry.troubles import Troubles

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.policy import Policies

_log = logs.get_logger(__name__)

#: The lease that elects one of several watchers, and how long it lasts without being renewed, in seconds.
LEASE, LEASE_SECONDS = "watch", 5.0
#: How often every model is compared with the ledger, whether it looks changed or not; in seconds.
SWEEP = 600.0
#: The model of the ledger's row that says since when there is a watch: of none.
EVERY = ""


class Watch:
    """A watcher of a registry.

    Parameters
    ----------
    poll : seconds between two looks; by default what the policy says.
    """

    def __init__(
        self,
        client: "MlflowClient",
        ledger: Ledger,
        policies: "Policies",
        *,
        poll: float | None = None,
    ):
        self._client, self._ledger, self._policies = client, ledger, policies
        self._poll = policies.poll if poll is None else poll
        self._lease = Lease(ledger, LEASE, max(LEASE_SECONDS, 2 * self._poll))
        # What was seen last of each model, and when all of them were compared with the ledger.
        self._traces: dict[str, Any] = {}
        self._swept: float | None = None
        # Models that are not settled yet, and those whose transitions are to be followed.
        self._due: set[str] = set()
        self._unfollowed: set[str] = set()
        self._following: dict[str, threading.Thread] = {}
        self._trusting = False
        self._troubles = Troubles(_log.warning, _log.info)

    def once(self) -> list[Settled]:
        """Read the whole registry, settle what is to be settled, and let follow what follows.

        Raises
        ------
        RegistryError
            where registry or ledger fail.
        """
        self._sweep()
        found = []
        for name in sorted(self._due):
            found += self._settle(name)
        self._began()
        for name in sorted(self._unfollowed):
            hooks.catch_up(self._ledger, name, self._policies.for_model(name).follow)
        return found

    def run(self) -> None:
        """Watch until interrupted; what fails is logged once, and tried again."""
        with self._lease.resigning():
            while True:
                began = time.monotonic()
                with self._troubled("watch"), one_try():
                    if self._lead():
                        self.look()
                pause = self._poll if self._lease.leading else min(self._poll, STANDBY)
                time.sleep(max(0.0, pause - (time.monotonic() - began)))

    def look(self) -> list[Settled]:
        """Look for what has changed since the last time, and settle it.

        A model that cannot be settled is logged, and tried again the next time.

        Raises
        ------
        RegistryError
            where registry or ledger cannot be read.
        """
        if self._swept is None or time.monotonic() - self._swept >= SWEEP:
            self._sweep()
        else:
            self._glance()
        found: list[Settled] = []
        for name in sorted(self._due):
            with self._troubled(name):
                if self._lease.leading and not self._lead():
                    # It took so long that another watcher has taken over.
                    return found
                found += self._settle(name)
        if not self._due:
            self._began()
        self._follow()
        return found

    def _lead(self) -> bool:
        """Take or renew the lease; whether this watcher is the one."""
        elected = self._lease.elected()
        if elected:
            _log.info("watching every %g s, with %s", self._poll, self._ledger.title)
            # What the one before has left is found by comparing all.
            self._swept = None
        return elected is not None

    def _settle(self, name: str) -> list[Settled]:
        found: list[Settled] = []
        if self._drifted(name):
            policy = self._policies.for_model(name)
            # What is begun is finished, should the process be told to stop meanwhile.
            with interrupts.held():
                found = reconcile.settle(self._client, self._ledger, name, policy, trusting=self._trusting)
            interrupts.check()
            self._unfollowed.add(name)
        for one in found:
            _log.info(one.words)
        self._due.discard(name)
        return found

    def _drifted(self, name: str) -> bool:
        """Whether there may be something to settle: what it costs to know is no lock."""
        try:
            state = stages.read(self._client, name)
        except stages.NoModel:
            return False
        return reconcile.drifted(state, self._ledger.entries(name)) or bool(self._ledger.unanchored(name))

    def _follow(self) -> None:
        """Let commands and webhooks run aside: what is changed by hand meanwhile does not wait for them."""
        for name in sorted(self._unfollowed):
            if name in self._following and self._following[name].is_alive():
                continue
            self._unfollowed.discard(name)
            thread = threading.Thread(target=self._caught_up, args=(name,), daemon=True)
            self._following[name] = thread
            thread.start()

    def _caught_up(self, name: str) -> None:
        with self._troubled(f"follow {name}"):
            for one in hooks.catch_up(self._ledger, name, self._policies.for_model(name).follow):
                came = "done" if one.followed else f"failed {one.tries} times: {one.said}"
                _log.info("%s, ledger %s: %s: %s", name, one.transition, one.follower, came)

    def _began(self) -> None:
        """Write down that somebody watches from now on, where nobody did before."""
        if not self._trusting:
            return
        said = "began to watch; what was in the registry then was taken as it was"
        self._ledger.append(
            LedgerEntry(WATCH, NOTED, model=EVERY, version="", source="", target="", actor=WATCH, reason=said)
        )
        self._trusting = False

    def _sweep(self) -> None:
        """Have every model compared with the ledger."""
        self._trusting = not self._ledger.entries(EVERY)
        self._glance()
        self._due = set(self._traces)
        self._unfollowed |= {name for name in self._traces if self._policies.for_model(name).follow}
        self._swept = time.monotonic()

    def _glance(self) -> None:
        """Read all models; one that is not as it was seen last is due."""
        traces = stages.traces(self._client)
        self._due |= {name for name, trace in traces.items() if self._traces.get(name) != trace}
        self._traces = traces

    @contextlib.contextmanager
    def _troubled(self, what: str) -> Iterator[None]:
        """Log what fails once, not at every look, and that it is over."""
        try:
            yield
        except RegistryError as error:
            self._troubles.has(what, str(error), after="; it is tried again")
        else:
            self._troubles.over(what, "the registry answers again" if what == "watch" else f"{what}: it works again")
