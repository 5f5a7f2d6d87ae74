"""A simulated SageMaker: a server that speaks its runtime's API, over a scorecard in the place of a container."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from serving.contract import reply
from serving.scorecard import Scorecard

NAME = "Live-1"


@dataclass
class Simulated:
    """A simulated endpoint.

    Parameters
    ----------
    turns : what the next calls are answered with, in place of the model: a status, a body and the type of AWS's error
        (``ThrottlingException``), or of none.
    asked : the bodies that came, as JSON.
    raw : other bodies that came, with their type and what they accept.
    kind : the type of the model's answers.
    """

    card: Scorecard
    turns: list[tuple[int, bytes, str | None]] = field(default_factory=list)
    asked: list[dict] = field(default_factory=list)
    raw: list[tuple[str, str, bytes]] = field(default_factory=list)
    kind: str = "application/json"
    address: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """What leads boto3 here."""
        return {
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.address,
            "AWS_ACCESS_KEY_ID": "simulated",
            "AWS_SECRET_ACCESS_KEY": "simulated",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "ENDPOINT_NAME": NAME,
        }

    def error(self, kind: str, status: int, **more: object) -> None:
        """Let the next call fail as AWS says it."""
        self.turns.append((status, json.dumps({"Message": "no", **more}).encode(), kind))

    def answer(self, body: object) -> None:
        """Let the model answer the next call with something else."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.turns.append((200, content, None))

    def reply(self, path: str, kind: str, body: bytes, accept: str = "") -> tuple[int, bytes, str | None]:
        """What a call is answered with: status, body, type of the error."""
        if path != f"/endpoints/{NAME}/invocations":
            said = {"Message": f"Endpoint {path} of account 123456789012 not found."}
            return 400, json.dumps(said).encode(), "ValidationError"
        if kind == "application/json":
            self.asked.append(json.loads(body))
        else:
            self.raw.append((kind, accept, body))
        if self.turns:
            return self.turns.pop(0)
        status, payload = reply(self.card, body, kind)
        if status == 200:
            return 200, json.dumps(payload).encode(), None
        said = {"Message": "Received client error", "OriginalStatusCode": status, "OriginalMessage": "..."}
        return 424, json.dumps(said).encode(), "ModelError"


@contextmanager
def simulated(card: Scorecard) -> Iterator[Simulated]:
    """Run a simulated endpoint."""
    endpoint = Simulated(card)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content, error = endpoint.reply(
                self.path, self.headers["Content-Type"], body, self.headers.get("Accept", "")
            )
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if error else endpoint.kind)
            self.send_header("Content-Length", str(len(content)))
            if error:
                self.send_header("x-amzn-errortype", error)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        endpoint.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield endpoint
        finally:
            server.shutdown()
