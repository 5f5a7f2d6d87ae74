"""Threads that write the access log and share the counts of a worker, a few times a second."""

import threading

from registry.troubles import Troubles
from serving.server.log import say
from serving.server.telemetry.access_log import AccessLog
from serving.server.telemetry.metrics import Metrics

#: Seconds between two writes; a worker that is killed loses its counts and log lines since the last one.
EVERY = 0.2

# Seconds that the last write may take.
_PATIENCE = 2.0

#: An idle worker publishes its counts in every so many intervals, which shows that it is running.
IDLE = 10


class Flusher:
    """Flushes the log and publishes the metrics until it is closed.

    Parameters
    ----------
    log : None if there is none.
    inside : returns the number of requests that the worker has begun and not answered.
    connections : returns the number of its open connections.
    """

    def __init__(self, metrics: Metrics, log: AccessLog | None, inside=lambda: 0, connections=lambda: 0):
        self._metrics, self._log, self._inside, self._connections = metrics, log, inside, connections
        self._over = threading.Event()
        self._idle = 0
        self._dropped = 0
        self._troubles = Troubles(say)
        # Two threads: a log that nobody reads must not stop the metrics, which show that.
        self._threads = [
            threading.Thread(target=self._run, args=(step,), daemon=True, name=f"serving-{name}")
            for name, step in (("metrics", self._publish), ("log", self._flush))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Write the rest and stop; the reader of the log is not waited for long."""
        self._over.set()
        for thread in self._threads:
            thread.join(_PATIENCE)
        self._metrics.counts.close()

    def _run(self, step) -> None:
        over = False
        while not over:
            over = self._over.wait(EVERY)
            try:
                step(over)
                self._troubles.over(step.__name__, "metrics and log are written again")
            except OSError as error:
                # A full disk, for example, does not stop the server.
                self._troubles.has(step.__name__, f"metrics or log cannot be written: {error.strerror}")

    def _publish(self, last: bool) -> None:
        if self._log is not None and (lost := self._log.dropped - self._dropped):
            self._dropped += lost
            self._metrics.counts.count("serving_log_lines_dropped", str(self._metrics.counts.slot), by=lost)
        self._idle += 1
        if self._metrics.counts.fresh or self._idle >= IDLE or last:
            self._idle = 0
            self._metrics.publish(in_flight=self._inside(), connections=self._connections())

    def _flush(self, last: bool) -> None:
        if self._log is not None:
            self._log.flush()
