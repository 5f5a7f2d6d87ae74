"""Versions with and without a scorecard replace each other under load: by promotion, rollback, canary and shadow."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.server import pyfuncs, registries, servers
from tests.serving.server.registries import Registry
from tests.serving.server.servers import NUMBERS, Answer, Server, wait

PATH = "/models/wine/invocations"
#: Seconds that a version may take to be loaded on a busy machine.
PATIENCE = 4 * servers.PATIENCE


@pytest.fixture(scope="module")
def registry(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Versions of ``wine``: 1 has a scorecard, 2 is a forest, 3 does not load. The first is in Production."""
    folder = tmp_path_factory.mktemp("registry")
    found = registries.on_sqlite(empty_store, folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.env.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        found.version("wine", servers.regression(1), NUMBERS)
        found.version("wine", None, model=pyfuncs.forest(folder / "forest", 1000))
        broken = pyfuncs.forest(folder / "broken", 2000)
        (broken / "model.pkl").write_bytes(b"no pickle")
        found.version("wine", None, model=broken)
        found.promote("wine", "1")
        yield found


@pytest.fixture(scope="module")
def policy(registry: Registry) -> Path:
    path = registry.folder / "policy.yaml"
    path.write_text("by_hand: flag\n")
    return path


@pytest.fixture(scope="module")
def server(registry: Registry, policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    words = ["--pyfunc", "yes", "--policy", str(policy), "--log", "no"]
    with Server(words, tmp_path_factory.mktemp("server"), registry.env) as found:
        wait(lambda: found.get("/ready").status == 200, lambda: found.err, within=PATIENCE)
        yield found


class Asking:
    """Clients that ask all the time; use it in a ``with``: at its end all answers are right, and none is missing."""

    def __init__(self, server: Server):
        self._server, self._over = server, threading.Event()
        self._answers: list[Answer] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]

    def __enter__(self) -> "Asking":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        wrong = [answer for answer in self._answers if not _right(answer)]
        assert not wrong, wrong[:3]

    @property
    def versions(self) -> set[str]:
        """Those that have answered."""
        return {answer.headers["x-model-version"] for answer in self._answers}

    def _ask(self) -> None:
        while not self._over.is_set():
            self._answers.append(self._server.post(PATH, {"instances": [[0, 0]]}))
            time.sleep(0.01)  # the machine has other things to do


def _right(answer: Answer) -> bool:
    """Whether an answer to a row of zeros is its version's."""
    if answer.status != 200:
        return False
    least = {"wine/1": 0.5, "wine/2": 1000.0}[answer.headers["x-model-version"]]
    return least <= answer.json["predictions"][0] < least + 999


def served(server: Server) -> set[str]:
    """The versions that answer."""
    return {server.post(PATH, {"instances": [[0, number]]}).headers["x-model-version"] for number in range(16)}


def becomes(server: Server, *labels: str) -> None:
    wait(lambda: served(server) == set(labels), lambda: server.err, within=PATIENCE)


def test_versions_replace_each_other_without_a_failed_request(registry: Registry, server: Server) -> None:
    with Asking(server) as asking:
        registry.promote("wine", "2")
        becomes(server, "wine/2")
        registry.rollback("wine")
        becomes(server, "wine/1")
        registry.promote("wine", "2")  # its lane may be there still
        becomes(server, "wine/2")
        registry.promote("wine", "1")
        becomes(server, "wine/1")
    assert asking.versions == {"wine/1", "wine/2"}


def test_a_version_that_does_not_load_is_told_and_the_one_before_goes_on(registry: Registry, server: Server) -> None:
    def refused() -> str:
        return server.get("/models").json["models"][0]["refused"]

    registry.promote("wine", "3")
    wait(lambda: refused().startswith("version 3 is not served: it cannot be loaded"), refused, within=PATIENCE)
    assert served(server) == {"wine/1"}
    registry.promote("wine", "1")
    wait(lambda: refused() == "", refused, within=PATIENCE)


def test_canary_and_shadow_of_a_forest_beside_a_scorecard(registry: Registry, server: Server, policy: Path) -> None:
    registry.promote("wine", "2", "Staging")
    policy.write_text("by_hand: flag\nserve: {traffic: canary, weight: 0.5}\n")
    becomes(server, "wine/1", "wine/2")
    policy.write_text("by_hand: flag\nserve: {traffic: shadow, weight: 1.0}\n")
    becomes(server, "wine/1")
    different = re.compile(r'compared_total\{[^}]*challenger="2"[^}]*outcome="different"[^}]*\} [1-9]')

    def compared() -> bool:
        served(server)
        return different.search(server.get("/metrics").body.decode()) is not None

    wait(compared, lambda: server.err, within=PATIENCE)
    assert 'outcome="failed"' not in server.get("/metrics").body.decode()
