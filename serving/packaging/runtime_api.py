"""The part of AWS Lambda that hands events to a function and takes its answers.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import contextlib
import http.server
import queue
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from registry.waiting import attempts
from serving.errors import ServingError

#: Seconds that an answer is waited for.
PATIENCE = 30


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A runtime client that was killed closes its connection as it may."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class RuntimeApi:
    """A server on this machine that AWS's runtime client asks for events.

    Attributes
    ----------
    answered : when the last answer came, by ``time.perf_counter``.
    """

    def __init__(self) -> None:
        self.answered = 0.0
        self._events: queue.Queue[bytes] = queue.Queue()
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._count = 0
        self._server = _Server(("127.0.0.1", 0), self._requests())
        self.port = self._server.server_port

    def __enter__(self) -> "RuntimeApi":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, event: bytes) -> None:
        """Have an event ready."""
        self._events.put(event)

    def ask(self, event: bytes, *, alive=lambda: True) -> bytes:
        """The answer to an event.

        Raises
        ------
        ServingError
            if there is none in time, or the function is not alive.
        """
        self.put(event)
        return self.answer(alive=alive)

    def answer(self, *, alive=lambda: True) -> bytes:
        """The next answer; raises as ``ask`` does."""
        for _ in attempts(PATIENCE, every=0):
            with contextlib.suppress(queue.Empty):
                return self._answers.get(timeout=0.1)
            if not alive() and self._answers.empty():
                raise ServingError("the function ended before it answered; its log says more")
        raise ServingError(f"the function was silent for {PATIENCE} s")

    def _requests(self) -> type[http.server.BaseHTTPRequestHandler]:
        api = self

        class Requests(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                event = api._events.get()
                api._count += 1
                headers = {
                    "Lambda-Runtime-Aws-Request-Id": f"00000000-0000-4000-8000-{api._count:012d}",
                    "Lambda-Runtime-Deadline-Ms": str(int((time.time() + PATIENCE) * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:local:000000000000:function:local",
                    "Content-Type": "application/json",
                }
                self._reply(200, event, headers)

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                api.answered = time.perf_counter()
                api._answers.put(content)
                self._reply(202, b"", {})

            def _reply(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
                # A runtime client that was killed does not read its answer.
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    for name, value in {**headers, "Content-Length": str(len(content))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Requests
