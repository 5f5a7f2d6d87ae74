"""A promotion that is clicked in MLflow's own pages changes what the running server answers."""

import contextlib
import time
from pathlib import Path

import pytest

from tests import stores
from tests.browser.test_promotion_ui import click_stage
from tests.patience import soon
from tests.registry.watching import program, said
from tests.serving.server import registries, servers
from tests.serving.server.servers import Server

#: From the click to the first answer of the other version, in seconds.
SOON = soon(5)


def test_a_click_changes_who_answers(page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(stores.tracking_server(tmp_path))
        registry = registries.on_server(address, tmp_path)
        for name, value in registry.env.items():
            monkeypatch.setenv(name, value)
        for answer in (1, 2):
            registry.version("wine", servers.regression(answer), servers.NUMBERS)
        registry.promote("wine", "1")
        _, log = stack.enter_context(program(tmp_path, env=registry.env))
        said(log, "watching every", within=60)
        (tmp_path / "server").mkdir()
        server = stack.enter_context(Server(["--log", "no"], tmp_path / "server", registry.env)).ready("wine")

        def asked() -> tuple[int, str, float]:
            answer = server.post("/models/wine/invocations", {"instances": [[0, 0]]})
            return answer.status, answer.headers["x-model-version"], round(answer.json["predictions"][0], 9)

        assert asked() == (200, "wine/1", 1.0)
        click_stage(page, address, "wine", "2", "Production")
        clicked, answers = time.monotonic(), []
        while not answers or answers[-1][1] == "wine/1":
            assert time.monotonic() - clicked < 60, server.err
            answers.append(asked())
            time.sleep(0.05)
        taken = time.monotonic() - clicked
        assert set(answers) == {(200, "wine/1", 1.0), (200, "wine/2", 2.0)}
        assert taken < SOON, taken
