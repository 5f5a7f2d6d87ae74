"""A real server as a process of its own, models for it, and ways to ask it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from serving.scorecard import Input, Scorecard
from serving.scorecard import compile as compile_pipeline

ROOT = Path(__file__).resolve().parents[3]
#: How long a server may take to come up on a busy machine, in seconds.
PATIENCE = 60.0

#: A row that the model of ``regression`` answers, and one that the model of ``classification`` does.
NUMBERS = {"age": 40.0, "weight": 71.5}
MIXED = {"age": 40.0, "visits": 3, "member": True, "region": "north"}


def regression(answer: float = 0.0) -> Scorecard:
    """A model of two numbers: ``2 age + weight + answer``."""
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    table = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=list(NUMBERS))
    cast = FunctionTransformer(np.asarray, kw_args={"dtype": "float64"})
    pipeline = make_pipeline(cast, LinearRegression()).fit(table, 2 * table["age"] + table["weight"] + answer)
    return compile_pipeline(pipeline, [Input("age", "number", null=False), Input("weight", "number", null=False)])


def classification() -> Scorecard:
    """A model with columns of all kinds: a number, a whole number, a yes or no, and a text with missing values."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    random = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "age": random.normal(40, 10, 200),
            "visits": random.integers(0, 9, 200).astype("float64"),
            "member": random.integers(0, 2, 200).astype("float64"),
            "region": random.choice(["north", "south", "west"], 200),
        }
    )
    columns = ColumnTransformer(
        [
            ("numbers", SimpleImputer(), ["age", "visits"]),
            ("member", "passthrough", ["member"]),
            ("region", OneHotEncoder(handle_unknown="ignore"), ["region"]),
        ]
    )
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=500))
    pipeline.fit(table, np.where(table["age"] + 5 * table["member"] > 43, "yes", "no"))
    inputs = [
        Input("age", "number"),
        Input("visits", "number", integer=True),
        Input("member", "boolean", null=False),
        Input("region", "category"),
    ]
    return compile_pipeline(pipeline, inputs)


def model(folder: Path, card: Scorecard | None, example: Mapping[str, Any] | None = None) -> Path:
    """The folder of a model as the server reads it: a scorecard, unless there is none, and an input example."""
    folder.mkdir(parents=True)
    about = {"flavors": {"python_function": {"loader_module": "none"}}}
    if example is not None:
        about |= {"saved_input_example_info": {"artifact_path": "input_example.json", "type": "dataframe"}}
        content = {"columns": list(example), "data": [list(example.values())]}
        (folder / "input_example.json").write_text(json.dumps(content))
    (folder / "MLmodel").write_text(json.dumps(about))  # JSON is YAML
    if card is not None:
        (folder / "scorecard.json").write_text(card.dumps(), encoding="utf-8")
    return folder


@dataclass
class Answer:
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def said(self) -> str:
        """The message of an error."""
        found = self.json
        assert set(found) == {"error_code", "message"}, found
        return found["message"]


@dataclass
class Server:
    """``python -m serving serve``; use it in a ``with``.

    Parameters
    ----------
    words : of the command line, but for the port, which is one that is free.
    env : further variables.
    """

    words: list[str]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = 0

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        names = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "serving", "serve", "--port", str(self.port), *self.words],
            cwd=self.folder,
            env={**names, "PYTHONPATH": str(ROOT), **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._out: list[bytes] = []
        self._err: list[bytes] = []
        pipes = ((self.process.stdout, self._out), (self.process.stderr, self._err))
        self._readers = [threading.Thread(target=_drain, args=pipe, daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()
        self.port = int(self.says(r"serving on https?://\S+:(\d+) ")[1])

    @property
    def out(self) -> str:
        """What it has written to standard output."""
        return b"".join(self._out).decode()

    @property
    def err(self) -> str:
        """What it has said."""
        return b"".join(self._err).decode()

    def says(self, pattern: str, *, within: float = PATIENCE) -> re.Match:
        """Wait until what it says matches."""
        deadline = time.monotonic() + within
        while not (found := re.search(pattern, self.err)):
            assert time.monotonic() < deadline, f"{pattern!r} is not in:\n{self.err}"
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.err}"
            time.sleep(0.02)
        return found

    def ready(self, *models: str) -> "Server":
        """Wait until it is ready, and serves the models."""

        def answers() -> bool:
            try:
                found = self.get("/models", timeout=5)
            except (OSError, http.client.HTTPException):
                return False
            names = {one["name"] for one in found.json["models"]} if found.status == 200 else set()
            return bool(names) and names >= set(models)

        wait(answers, lambda: self.err)
        return self

    def get(self, path: str, headers: Mapping[str, str] | None = None, *, timeout: float = 30, **more) -> Answer:
        """Ask with a connection of its own."""
        return self.ask("GET", path, headers=headers, timeout=timeout, **more)

    def post(self, path: str, content: Any, headers: Mapping[str, str] | None = None, *, timeout: float = 30) -> Answer:
        """Post bytes as they are, and anything else as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.ask("POST", path, body, {"Content-Type": "application/json", **(headers or {})}, timeout=timeout)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 30,
    ) -> Answer:
        """Ask with a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, dict(headers or {}))
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        finally:
            connection.close()

    def raw(self, content: bytes, *, timeout: float = 30, shut: bool = False) -> bytes:
        """Send bytes, and read until the server closes; ``shut`` ends our side first."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(content)
            if shut:
                connection.shutdown(socket.SHUT_WR)
            found = b""
            while True:
                try:
                    more = connection.recv(65536)
                except ConnectionResetError:
                    return found
                if not more:
                    return found
                found += more

    def children(self, module: str) -> list[psutil.Process]:
        """Its processes that run a module: ``worker``, ``follower``."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            try:
                if f"serving.server.{module}" in child.cmdline():
                    found.append(child)
            except psutil.Error:
                continue
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM, *, within: float = PATIENCE) -> int:
        """Tell it to stop; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(within)
        for reader in self._readers:
            reader.join(5)
        return code

    def kill(self) -> None:
        """End it with all of its processes."""
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            family = []
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for one in family:
            try:
                one.kill()
            except psutil.Error:
                continue
        for reader in self._readers:
            reader.join(5)


def wait(holds: Callable[[], bool], told: Callable[[], str] = lambda: "", *, within: float = PATIENCE) -> float:
    """Wait until something holds; how many seconds it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within, f"not within {within:g} s: {told()}"
        time.sleep(0.02)
    return time.monotonic() - began


def _drain(pipe, into: list[bytes]) -> None:
    with pipe:
        for line in pipe:
            into.append(line)
