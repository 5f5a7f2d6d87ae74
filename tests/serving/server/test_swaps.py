"""Under load versions are swapped and processes killed: no answer is wrong, and none is missing that need not be."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.server.cache import Cache, CachedModel, CachedVersion, StateDocument
from serving.server.settings import ServerSettings, cache_folder
from serving.server.source import source
from serving.server.worker import LOOK
from tests import stores
from tests.patience import soon
from tests.serving.server import registries, servers
from tests.serving.server.loads import Load
from tests.serving.server.registries import Registry
from tests.serving.server.servers import Server, wait

#: What each version answers to a row of zeros.
ANSWERS = {"wine/1": 1.0, "wine/2": 2.0}
CLIENTS = 16


def right(label: str, value: float) -> bool:
    """Whether an answer is its version's."""
    return abs(value - ANSWERS[label]) < 1e-9


class Tracking:
    """A tracking server that can be killed, and started again at the same address."""

    def __init__(self, place: Path):
        self._place, self.port = place, stores.free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self._place}/tracking.db"]
        command += ["--artifacts-destination", str(self._place / "artifacts")]
        env = {**os.environ, **stores.LEAN_SERVER}
        with (self._place / "tracking.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self._place, env=env, stdout=log, stderr=log, start_new_session=True
            )
        wait(
            lambda: stores.answers(f"{self.address}/health"), lambda: (self._place / "tracking.log").read_text()[-999:]
        )

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    found = Tracking(tmp_path_factory.mktemp("tracking"))
    found.start()
    yield found
    found.kill()


@pytest.fixture(scope="module")
def registry(tracking: Tracking, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Two versions of ``wine``, of which the first is in Production."""
    made = registries.on_server(tracking.address, tmp_path_factory.mktemp("registry"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.env.items():
            patch.setenv(name, value)
        for answer in (1, 2):
            made.version("wine", servers.regression(answer), servers.NUMBERS)
        made.promote("wine", "1")
    return made


@pytest.fixture(autouse=True)
def here(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in registry.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def followed(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two workers that follows the registry."""
    with Server(["-w", "2", "--log", "no"], tmp_path_factory.mktemp("server"), registry.env) as server:
        yield server.ready("wine")


def served(server: Server) -> str:
    """The version that a new connection is answered by."""
    return server.post("/models/wine/invocations", {"instances": [[0, 0]]}).headers.get("x-model-version", "")


def settled(server: Server) -> str:
    """The version that the state tells of, once both workers serve it."""
    (state,) = (server.folder / ".serving-cache").glob("state-*")
    (kept,) = StateDocument.loads(state.read_bytes()).models
    wait(lambda: all(served(server) == f"wine/{kept.champion.version}" for _ in range(16)), lambda: server.err)
    time.sleep(3 * LOOK)  # a worker that nobody asked looks as often as the others
    return f"wine/{kept.champion.version}"


def test_promotion_and_rollback_are_served_within_five_seconds(registry: Registry, followed: Server) -> None:
    # Few clients: the time is the follower's, which on a small machine would wait for theirs.
    with Load(followed, "/models/wine/invocations", right, clients=2) as load:
        load.more()
        registry.promote("wine", "2")
        assert wait(lambda: all(served(followed) == "wine/2" for _ in range(8)), lambda: followed.err) < soon(5)
        load.more()
        registry.rollback("wine")
        assert wait(lambda: all(served(followed) == "wine/1" for _ in range(8)), lambda: followed.err) < soon(5)
    assert (load.failed, load.mixed) == ([], [])
    assert set(load.answered) == {"wine/1", "wine/2"}


def test_a_move_by_hand_is_judged_and_served_within_five_seconds(registry: Registry, followed: Server) -> None:
    """As with the registry's own pages, while ``registry watch`` looks as often as the shipped policy says."""
    before = served(followed)
    command = [sys.executable, "-m", "registry", "watch"]
    log = registry.folder / "watch.log"
    env = {**os.environ, "PYTHONPATH": str(servers.ROOT)}
    with log.open("wb") as out:
        watch = subprocess.Popen(command, cwd=registry.folder, env=env, stdout=out, stderr=out)
    try:
        wait(lambda: "watching every" in log.read_text(), log.read_text)
        taken = []
        for number in ("2", "1", "2"):
            registry.by_hand("wine", number, "Production")
            taken.append(wait(lambda to=f"wine/{number}": served(followed) == to, lambda: followed.err))
        assert max(taken) < soon(5), taken
    finally:
        watch.kill()
        watch.wait()
    assert before in ("wine/1", "wine/2")


def test_a_worker_that_is_killed_costs_what_it_was_about_and_comes_back(followed: Server) -> None:
    with Load(followed, "/models/wine/invocations", right, clients=CLIENTS) as load:
        for _ in range(2):
            load.more()
            before = len(load.failed)
            worker = followed.children("worker")[0]
            busy = len([one for one in worker.net_connections() if one.status == "ESTABLISHED"])
            worker.kill()
            wait(lambda gone=worker: len(followed.children("worker")) == 2 and not gone.is_running())
            load.more(200)
            # Each client has one request under way at most.
            assert len(load.failed) - before <= busy
    assert load.mixed == []
    assert set(load.failed) <= {"ConnectionResetError", "BrokenPipeError"}
    assert "worker 0 ended by signal 9; it is restarted" in followed.err


def test_a_follower_that_is_killed_costs_nothing_and_follows_again(registry: Registry, followed: Server) -> None:
    before = settled(followed)
    with Load(followed, "/models/wine/invocations", right, clients=CLIENTS) as load:
        (follower,) = followed.children("follower")
        follower.kill()
        load.more(200)
        registry.promote("wine", "2" if before == "wine/1" else "1")
        wait(lambda: served(followed) != before, lambda: followed.err)
    assert (load.failed, load.mixed) == ([], [])


def test_a_registry_that_is_killed_costs_nothing(registry: Registry, followed: Server, tracking: Tracking) -> None:
    before = settled(followed)
    with Load(followed, "/models/wine/invocations", right, clients=CLIENTS) as load:
        load.more()
        tracking.kill()
        try:
            followed.says("does not answer.*; it is tried again, and what is served stays")
            load.more(200)
        finally:
            tracking.start()
        assert set(load.answered) == {before}
        followed.says("the registry answers again")
        registry.promote("wine", "2" if before == "wine/1" else "1")
        wait(lambda: served(followed) != before, lambda: followed.err)
    assert (load.failed, load.mixed) == ([], [])


def test_without_its_registry_a_server_starts_from_its_cache(
    registry: Registry, followed: Server, tmp_path: Path
) -> None:
    away = {**registry.env, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{stores.free_port()}"}
    old = next((followed.folder / ".serving-cache").glob("state-*")).read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", away["MLFLOW_TRACKING_URI"])
        cache = Cache(tmp_path / ".serving-cache", source(ServerSettings()))
        cache.make()
        cache._state.write_bytes(old)
        for path in (followed.folder / ".serving-cache" / "cards").iterdir():
            (tmp_path / ".serving-cache" / "cards" / path.name).write_bytes(path.read_bytes())
    with Server(["--log", "no"], tmp_path, away) as server:
        server.ready("wine")
        assert served(server) == f"wine/{StateDocument.loads(old).models[0].champion.version}"
        server.says("does not answer")
        assert server.get("/ready").status == 200


def test_two_servers_share_a_cache_and_one_goes_on_for_the_other(
    registry: Registry, followed: Server, tmp_path: Path
) -> None:
    cache = str(followed.folder / ".serving-cache")
    with Server(["--cache", cache, "--log", "no"], tmp_path, registry.env) as second:
        second.ready("wine")
        second.says("another server writes this cache")
        with Server(["--cache", cache], tmp_path, registry.env) as third:
            third.ready("wine")
        before = settled(followed)
        registry.promote("wine", "2" if before == "wine/1" else "1")
        wait(lambda: served(second) == served(followed) != before)


def test_a_swap_every_half_second_fails_and_mixes_nothing(tmp_path: Path) -> None:
    """As fast as the cache can be written, without a registry: what is swapped is the workers' state."""
    one, two = servers.regression(1), servers.regression(2)
    models = [servers.model(tmp_path / name, card) for name, card in (("wine", one), ("other", two))]
    with Server([*map(str, models), "-w", "2", "--log", "no"], tmp_path) as server:
        server.ready("wine")
        settings = ServerSettings(uris=tuple(map(str, models)), cache=str(tmp_path / ".serving-cache"))
        cache = Cache(cache_folder(settings), source(settings))
        generation = cache.read().generation
        with Load(
            server, "/models/wine/invocations", lambda label, value: label == "wine/0" or right(label, value)
        ) as load:
            end = time.monotonic() + 6
            while time.monotonic() < end:
                generation += 1
                card, number = ((one, "1"), (two, "2"))[generation % 2]
                cache.write(
                    StateDocument((CachedModel("wine", CachedVersion(number, "Production", card.digest)),), generation)
                )
                time.sleep(0.25)
    assert (load.failed, load.mixed) == ([], [])
    assert min(load.answered["wine/1"], load.answered["wine/2"]) > 50
    assert load.slowest < 2
