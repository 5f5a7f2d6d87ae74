"""A broker of CloudEvents on this machine, which keeps what it takes."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cloudevents.http import CloudEvent, from_http


@dataclass
class Broker:
    """What was posted to it.

    Parameters
    ----------
    answers : the statuses of the next posts; 202 once there are no more.
    events : those that it took, in order; ``posted`` are all of them, as headers and body.
    """

    url: str = ""
    answers: list[int] = field(default_factory=list)
    events: list[CloudEvent] = field(default_factory=list)
    posted: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of all events."""
        return [row for event in self.events for row in event.data]


@contextlib.contextmanager
def broker(port: int = 0, *answers: int) -> Iterator[Broker]:
    """A broker that runs while the block does."""
    found = Broker(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.posted.append((headers, body))
            status = found.answers.pop(0) if found.answers else 202
            if status == 202:
                found.events.append(from_http(headers, body))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/predictions"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
