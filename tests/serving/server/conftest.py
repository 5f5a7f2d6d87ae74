"""Servers that tests share: real ones, over models in folders, or over a registry with a ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.server import servers
from tests.serving.server.servers import Server


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models in folders: ``sums`` (two numbers) and ``visits`` (columns of all kinds, two classes)."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "sums": servers.model(folder / "sums", servers.regression(), servers.NUMBERS),
        "visits": servers.model(folder / "visits", servers.classification(), servers.MIXED),
    }


@pytest.fixture(scope="module")
def server(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of both models, ``sums`` the default, without keys; one for all tests of a module."""
    words = [str(folders["sums"]), str(folders["visits"]), "--default", "sums", "--read-limit", "3"]
    with Server(words, tmp_path_factory.mktemp("server")) as found:
        yield found.ready("sums", "visits")
