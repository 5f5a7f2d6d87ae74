"""A thread that writes what a worker has counted and logged, a few times a second."""

import threading

from serving.server.log import Troubles
from serving.server.telemetry.access_log import AccessLog
from serving.server.telemetry.metrics import Metrics

#: Seconds between two writes; what a worker that is killed had counted and logged since is lost.
EVERY = 0.2

#: Counts are published so many times less often where nothing happens: that the worker lives is news, too.
IDLE = 10


class Beat:
    """Flushes the log and publishes the metrics until it is closed.

    Parameters
    ----------
    metrics, log : None where there is none.
    inside : tells how many requests the worker has begun and not answered.
    connections : tells how many connections it has open.
    """

    def __init__(self, metrics: Metrics | None, log: AccessLog | None, inside=lambda: 0, connections=lambda: 0):
        self._metrics, self._log, self._inside, self._connections = metrics, log, inside, connections
        self._over = threading.Event()
        self._idle = 0
        self._dropped = 0
        self._troubles = Troubles()
        # Two threads: a log that nobody reads must not keep the metrics from telling so.
        self._threads = [
            threading.Thread(target=self._run, args=(step,), daemon=True, name=f"serving-{name}")
            for name, step in (("metrics", self._publish), ("log", self._flush))
        ]
        for thread in self._threads:
            thread.start()

    def close(self, *, patience: float = 2.0) -> None:
        """Write what is left, and stop; a log that nobody reads is waited for ``patience`` seconds."""
        self._over.set()
        for thread in self._threads:
            thread.join(patience)
        if self._metrics is not None:
            self._metrics.tally.close()

    def _run(self, step) -> None:
        over = False
        while not over:
            over = self._over.wait(EVERY)
            try:
                step(over)
                self._troubles.over(step.__name__, "metrics and log are written again")
            except OSError as error:
                # A full disk, say: the requests go on.
                self._troubles.has(step.__name__, f"metrics or log cannot be written: {error.strerror}")

    def _publish(self, last: bool) -> None:
        if self._metrics is None:
            return
        if self._log is not None and (lost := self._log.dropped - self._dropped):
            self._dropped += lost
            self._metrics.tally.count("serving_log_lines_dropped", str(self._metrics.tally.slot), by=lost)
        self._idle += 1
        if self._metrics.tally.fresh or self._idle >= IDLE or last:
            self._idle = 0
            self._metrics.publish(in_flight=self._inside(), connections=self._connections())

    def _flush(self, last: bool) -> None:
        if self._log is not None:
            self._log.flush()
