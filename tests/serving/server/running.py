"""The server's application on a real socket, in a thread of the test, without supervisor, follower and cache."""

import asyncio
import contextlib
import json
import queue
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvloop

from serving.server.app import App
from serving.server.guard.admission import Admission
from serving.server.http.listener import Listener
from serving.server.routes import router
from serving.server.settings import ServerSettings
from serving.server.state import Served


@dataclass(frozen=True)
class Answer:
    """What came back; the names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Running:
    """A server that runs."""

    def __init__(self, app: App, port: int, loop: asyncio.AbstractEventLoop):
        self.app, self.port, self.loop = app, port, loop
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for a path."""
        return self.ask("GET", path, None, headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """Send a body: bytes as they are, anything else as JSON. ``content_type`` is the header Content-Type."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers = {"content_type": "application/json", **headers}
        return self.ask("POST", path, body, headers)

    def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        """Send a request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data=body, headers=named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())


@contextlib.contextmanager
def running(served: Served, settings: ServerSettings | None = None, **app: Any) -> Iterator[Running]:
    """Serve until the block ends."""
    settings = settings or ServerSettings()
    parts = {
        "admission": Admission(),
        "observe": lambda *_: None,
        "new_id": lambda given: "",
        "shadow": lambda *_: None,
        **app,
    }
    made = App(settings, served, router=router(settings), **parts)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    ready: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        stop = asyncio.Event()
        ready.put((asyncio.get_running_loop(), stop))
        await Listener(made).serve(listener, stop, grace=10)

    def work() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=work)
    thread.start()
    loop, stop = ready.get(timeout=10)
    try:
        listener.listen()
        yield Running(made, listener.getsockname()[1], loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        listener.close()
