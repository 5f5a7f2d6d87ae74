"""The folder that the workers of a server share: made for it, and removed after it, also after one that was killed."""

import os
import signal
from pathlib import Path

import pytest

from serving.server.telemetry.shared_folder import shared


def test_a_folder_is_private_and_goes_with_its_server(tmp_path):
    with shared(str(tmp_path)) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "counts").touch()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_server_left_is_removed_by_the_next_and_a_living_one_is_left_alone(tmp_path):
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        with shared(str(tmp_path)) as folder:
            (folder / "counts").touch()
            os.write(write, str(folder).encode())
            signal.pause()
    left = Path(os.read(read, 4096).decode())
    with shared(str(tmp_path)) as mine:
        assert left.is_dir()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with shared(str(tmp_path)):
            assert not left.exists()
            assert mine.is_dir()


def test_what_is_no_folder_of_ours_stays(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "owner").touch()
    (tmp_path / "serving-link").symlink_to(elsewhere)
    (tmp_path / "serving-file").touch()
    (tmp_path / "serving-notes").mkdir()
    with shared(str(tmp_path)):
        pass
    assert {one.name for one in tmp_path.iterdir()} == {"serving-link", "serving-file", "serving-notes"}
    assert (elsewhere / "owner").exists()
