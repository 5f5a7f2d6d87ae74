"""The watch: sees by polling what was changed by hand in the registry, and has it settled."""

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from registry import hooks, reconcile, stages
from registry.cli import interrupts
from registry.client import one_try, pages, speaking
from registry.errors import RegistryError
from registry.ledger import NOTED, Ledger, LedgerEntry
from registry.reconcile import WATCH, Settled

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

    from registry.policy import Policies

#: The lease that elects one of several watchers, and how long it lasts without being renewed, in seconds.
LEASE, LEASE_SECONDS = "watch", 5.0
#: How often every model is compared with the ledger, whether it looks changed or not; in seconds.
SWEEP = 600.0
#: The model of the ledger's row that says since when there is a watch: of none.
EVERY = ""

# How often one that stands by asks for the lease, in seconds.
_STANDBY = 1.0


class Watch:
    """A watcher of a registry.

    Parameters
    ----------
    poll : seconds between two looks; by default what the policy says.
    say : is told what was seen and done, a line each.
    """

    def __init__(
        self,
        client: "MlflowClient",
        ledger: Ledger,
        policies: "Policies",
        *,
        poll: float | None = None,
        say: Callable[[str], object] = lambda text: None,
    ):
        self._client, self._ledger, self._policies, self._say = client, ledger, policies, say
        self._poll = policies.poll if poll is None else poll
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._leading: bool | None = None
        # What was seen last of each model, and when all of them were compared with the ledger.
        self._traces: dict[str, Any] = {}
        self._swept: float | None = None
        # Models that are not settled yet, and those whose transitions are to be followed.
        self._due: set[str] = set()
        self._unfollowed: set[str] = set()
        self._following: dict[str, threading.Thread] = {}
        self._trusting = False
        self._troubles: dict[str, str] = {}

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

    def run(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Watch until told to stop; what fails is said once, and tried again.

        Parameters
        ----------
        until : asked before every look.
        """
        try:
            while not until():
                began = time.monotonic()
                with self._troubled("watch"), one_try():
                    if self._lead():
                        self.look()
                pause = self._poll if self._leading else min(self._poll, _STANDBY)
                time.sleep(max(0.0, pause - (time.monotonic() - began)))
        finally:
            # Whoever stands by need not wait for the lease to run out.
            with interrupts.held(), contextlib.suppress(RegistryError):
                self._ledger.release(LEASE, self._holder)

    def look(self) -> list[Settled]:
        """Look for what has changed since the last time, and settle it.

        A model that cannot be settled is said, and tried again the next time.

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
                if self._leading and not self._lead():
                    # It took so long that another watcher has taken over.
                    return found
                found += self._settle(name)
        if not self._due:
            self._began()
        self._follow()
        return found

    def _lead(self) -> bool:
        """Take or renew the lease; whether this watcher is the one."""
        leads = self._ledger.lease(LEASE, self._holder, max(LEASE_SECONDS, 2 * self._poll))
        if leads and not self._leading:
            self._say(f"watching every {self._poll:g} s, with {self._ledger.title}")
            # What the one before has left is found by comparing all.
            self._swept = None
        if not leads and self._leading is not False:
            self._say("another watcher is at it; standing by")
        self._leading = leads
        return leads

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
            self._say(one.words)
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
                self._say(f"{name}, ledger {one.transition}: {one.follower}: {came}")

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
        with speaking():
            traces = {model.name: _trace(model) for model in pages(self._client.search_registered_models)}
        self._due |= {name for name, trace in traces.items() if self._traces.get(name) != trace}
        self._traces = traces

    @contextlib.contextmanager
    def _troubled(self, what: str) -> Iterator[None]:
        """Say what fails once, not at every look, and that it is over."""
        try:
            yield
        except RegistryError as error:
            if self._troubles.get(what) != str(error):
                self._say(f"{error} (trying on)")
            self._troubles[what] = str(error)
        else:
            if self._troubles.pop(what, None):
                self._say("it answers again" if what == "watch" else f"{what}: it works again")


def _trace(model: "RegisteredModel") -> tuple:
    """What of a model changes when a stage or an alias does: its time with the one, itself with the other."""
    newest = sorted((one.current_stage, str(one.version)) for one in model.latest_versions)
    return model.last_updated_timestamp, newest, dict(model.aliases)
