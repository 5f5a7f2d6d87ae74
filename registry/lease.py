"""A lease of the ledger elects one of several processes that do the same work, and is renewed while that one works."""

import contextlib
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from registry import logs
from registry.cli import interrupts
from registry.errors import RegistryError
from registry.ledger import Ledger

_log = logs.get_logger(__name__)

#: How often a process that stands by asks for the lease, in seconds.
STANDBY = 1.0


class Lease:
    """This process's claim to a lease.

    Parameters
    ----------
    name : of the lease; processes that give the same name elect one of them.
    seconds : how long it lasts without being renewed: who is killed is succeeded after that time.
    """

    def __init__(self, ledger: Ledger, name: str, seconds: float):
        self._ledger, self._name, self._seconds = ledger, name, seconds
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        #: Whether this process had the lease when it last asked; None before.
        self.leading: bool | None = None

    def take(self) -> bool:
        """Take or renew the lease; False if another process has it.

        Raises
        ------
        RegistryError
            if the ledger does not answer.
        """
        leads = self._ledger.lease(self._name, self._holder, self._seconds)
        self.leading = leads
        return leads

    def elected(self, *, who: str = "watcher") -> bool | None:
        """Take or renew the lease: True if this process has just been elected, False if it still is, None if it is not.

        That it stands by is logged once.

        Parameters
        ----------
        who : what the process is called in that line.

        Raises
        ------
        RegistryError
            if the ledger does not answer.
        """
        before = self.leading
        if self.take():
            return not before
        if before is not False:
            _log.info("another %s is active; standing by", who)
        return None

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the lease from a thread while the block works."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(self._seconds / 4):
                # It is tried again; at worst, somebody else does the work a second time.
                with contextlib.suppress(RegistryError):
                    self._ledger.lease(self._name, self._holder, self._seconds)

        renewing = threading.Thread(target=renew, daemon=True)
        renewing.start()
        try:
            yield
        finally:
            over.set()
            renewing.join()

    def release(self) -> None:
        """Let another process have the lease at once, without waiting for it to run out.

        Raises
        ------
        RegistryError
            if the ledger does not answer.
        """
        self._ledger.release(self._name, self._holder)

    @contextmanager
    def resigning(self) -> Iterator[None]:
        """Release the lease at the end of the block, however it ends; a ledger that is away lets it run out."""
        try:
            yield
        finally:
            with interrupts.held(), contextlib.suppress(RegistryError):
                self.release()


@contextmanager
def held(ledger: Ledger, name: str, seconds: float) -> Iterator[bool]:
    """Hold a lease for the block, renewed meanwhile; False if another process has it.

    Raises
    ------
    RegistryError
        if the ledger does not answer.
    """
    lease = Lease(ledger, name, seconds)
    if not lease.take():
        yield False
        return
    try:
        with lease.renewed():
            yield True
    finally:
        lease.release()
