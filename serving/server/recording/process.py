"""The recorder: takes requests from the workers and writes their rows to the prediction log.

``python -m serving.server.recording.process SOCKET LIFE``: the file descriptors of the listening socket, and of a pipe
that closes when no more requests come. It has a lower priority than the workers, and ends once they have: their last
requests are recorded.
"""

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pyarrow import RecordBatch

from registry.troubles import Troubles
from serving.prediction_log.choice import recorded_columns
from serving.prediction_log.destinations import opened
from serving.prediction_log.rows import RowBuffer
from serving.prediction_log.sink import LogError, Sink
from serving.server.log import say
from serving.server.recording.channel import REFUSED, UNREADABLE, UNWRITABLE, VERSIONS
from serving.server.recording.messages import ACKNOWLEDGED, Handover, Introduction, MessageReader
from serving.server.recording.versions import RecordedVersion, VersionCache
from serving.server.settings import SETTINGS, ServerSettings
from serving.server.telemetry.counters import RECORDER, UP, WorkerCounts

#: Niceness relative to the workers.
NICE = 19
#: Seconds between two writes, and the number of rows that is written before.
FLUSH, MOST_ROWS = 0.5, 50_000
#: Seconds between two looks at what is due, and at old rows.
TICK, EXPIRE = 1.0, 3600.0
#: Maximum size of the batches that wait for a log that cannot be written, in bytes.
WAITING = 32 * 2**20
# Seconds after which what comes is read again, however many batches wait; at the end, after which they are dropped.
LONGEST, LAST = 1.0, 10.0
# Bytes of one read.
_READ = 256 * 1024
# Seconds that the workers may take to end after a signal, beyond their grace.
_MARGIN = 5.0


class Peer:
    """A connection of a worker.

    Parameters
    ----------
    taken : messages with requests that were read, and whose rows are not written yet.
    """

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self.reader = MessageReader()
        self.versions: dict[int, RecordedVersion] = {}
        self.taken = 0

    def acknowledge(self) -> None:
        """Tell the worker what was taken."""
        if self.taken:
            with contextlib.suppress(OSError):
                self.connection.send(ACKNOWLEDGED.pack(self.taken))
            self.taken = 0


class RecorderProcess:
    """The recorder.

    Parameters
    ----------
    listener : the socket that workers connect to.
    life : descriptor of a pipe that closes when no more requests come.
    """

    def __init__(self, settings: ServerSettings, sink: Sink, listener: socket.socket, life: int):
        self._settings, self._sink, self._listener, self._life = settings, sink, listener, life
        self._counts = WorkerCounts(Path(settings.metrics_folder), RECORDER)
        self._troubles = Troubles(say)
        self._versions = VersionCache(settings, recorded_columns(settings), say)
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, Peer] = {}
        # Buffers of rows by version and day.
        self._buffers: dict[tuple[RecordedVersion, date], RowBuffer] = {}
        self._rows = 0
        # Batches that could not be written yet.
        self._pending: list[tuple[RecordedVersion, date, RecordBatch]] = []
        # What of the log fails now: to write rows, or what is due.
        self._failing: set[str] = set()
        self._ending = 0.0

    def run(self) -> int:
        """Record until no more requests come, and all workers have ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        selector = self._selector
        self._listener.setblocking(False)
        selector.register(self._listener, selectors.EVENT_READ)
        selector.register(self._life, selectors.EVENT_READ)
        written = ticked = time.monotonic()
        expired = -EXPIRE
        while True:
            for key, _ in selector.select(self._pause(written)):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj == self._life:
                    selector.unregister(self._life)
                    self._end()
                else:
                    self._read(self._peers[key.fileobj])  # type: ignore[index]
            now = time.monotonic()
            if self._rows >= MOST_ROWS or now - written >= FLUSH:
                written = now
                self._flush()
            if now - ticked >= TICK:
                ticked = now
                self._maintain(due=now - expired >= EXPIRE)
                if now - expired >= EXPIRE:
                    expired = now
            if self._ending and (not self._peers or now >= self._ending):
                break
        self._flush(last=True)
        self._drop_pending()
        self._sink.close()
        self._counts.close()
        return 0

    def _end(self, *_: object) -> None:
        if not self._ending:
            self._ending = time.monotonic() + self._settings.grace + _MARGIN

    def _pause(self, written: float) -> float:
        return max(0.0, min(FLUSH, written + FLUSH - time.monotonic()))

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setblocking(False)
            self._peers[connection] = Peer(connection)
            self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.connection.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(peer.connection)
            del self._peers[peer.connection]
            peer.connection.close()
            return
        for content, body in peer.reader.feed(data):
            if isinstance(content, Introduction):
                self._introduce(peer, content)
                continue
            peer.taken += 1
            for handover in content:
                self._take(peer, handover, body)

    def _introduce(self, peer: Peer, introduction: Introduction) -> None:
        peer.versions.pop(introduction.number - 2 * VERSIONS, None)
        try:
            peer.versions[introduction.number] = self._versions.get(introduction)
        except Exception as error:
            # Requests to it are counted as dropped, one by one.
            label = f"{introduction.model}/{introduction.version}"
            self._troubles.has(label, f"record: {label} cannot be recorded: {type(error).__name__}")

    def _take(self, peer: Peer, handover: Handover, body: bytes) -> None:
        """Add a request's rows to those of its version and day."""
        rows = handover.rows or 1
        version = peer.versions.get(handover.version)
        if version is None:
            self._drop(UNREADABLE, rows)
            return
        # Milliseconds that a clock may jump over midnight do not matter: the time in the row says the day.
        key = version, datetime.fromtimestamp(handover.time // 1_000_000, UTC).date()
        buffer = self._buffers.get(key)
        if buffer is None:
            buffer = self._buffers[key] = version.buffer()
        try:
            version.add(buffer, handover, body)
        except Exception as error:
            # What was answered can be read; if not, an answer is not the place to say so.
            self._troubles.has(
                version.label, f"record: a request to {version.label} cannot be recorded: {type(error).__name__}"
            )
            self._drop(UNREADABLE, rows)
            return
        self._rows += rows

    def _flush(self, *, last: bool = False) -> None:
        """Write what waits; then tell the workers that it was taken."""
        buffers, self._buffers, self._rows = self._buffers, {}, 0
        for (version, day), buffer in buffers.items():
            if not len(buffer):
                continue
            try:
                batch = buffer.batch()
            except Exception as error:
                self._troubles.has(
                    version.label, f"record: rows of {version.label} cannot be recorded: {type(error).__name__}"
                )
                self._drop(UNREADABLE, len(buffer))
                continue
            if sum(one.nbytes for *_, one in self._pending) + batch.nbytes > WAITING and self._pending:
                self._drop(UNWRITABLE, batch.num_rows)
            else:
                self._pending.append((version, day, batch))
        self._write(LAST if last else LONGEST)
        if self._counts.fresh:
            self._publish()  # what is acknowledged is counted, also if this process is killed now
        for peer in self._peers.values():
            peer.acknowledge()

    def _write(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._pending and time.monotonic() < until:
            version, day, batch = self._pending[0]
            try:
                written = self._sink.write(version.schema, day, batch)
            except LogError as error:
                self._failed("write", error)
                return
            self._pending.pop(0)
            self._worked("write")
            self._counts.count(
                "serving_record_rows", version.schema.model, version.schema.version, version.role, by=written
            )
            if refused := batch.num_rows - written:
                self._drop(REFUSED, refused)
                self._troubles.has("refused", "record: the broker refuses events; their rows are dropped")

    def _maintain(self, *, due: bool) -> None:
        try:
            self._sink.tick()
            if due and self._settings.record_days:
                self._sink.expire(datetime.now(UTC).date() - timedelta(days=self._settings.record_days))
            self._worked("maintain")
        except LogError as error:
            self._failed("maintain", error)
        self._publish()

    def _publish(self) -> None:
        with contextlib.suppress(OSError):
            self._counts.publish()

    def _failed(self, what: str, error: LogError) -> None:
        if not self._failing:
            say(f"{error}; answers go on, and rows that do not fit into memory are dropped")
        self._failing.add(what)
        self._counts.gauges[UP] = 0.0

    def _worked(self, what: str) -> None:
        if what in self._failing and len(self._failing) == 1:
            say("the prediction log is written again")
        self._failing.discard(what)
        self._counts.gauges[UP] = 0.0 if self._failing else 1.0

    def _drop_pending(self) -> None:
        for _, _, batch in self._pending:
            self._drop(UNWRITABLE, batch.num_rows)

    def _drop(self, reason: str, rows: int) -> None:
        self._counts.count("serving_record_dropped", reason, by=rows)


def main() -> int:
    """Run the process."""
    os.nice(NICE)
    settings = ServerSettings.loads(os.environ[SETTINGS])
    assert settings.record is not None  # otherwise it is not started
    listener = socket.socket(fileno=int(sys.argv[1]))
    sink = opened(settings.record, minutes=settings.record_minutes)
    return RecorderProcess(settings, sink, listener, int(sys.argv[2])).run()


if __name__ == "__main__":
    sys.exit(main())
