"""What a journal remembers of a training that was stopped."""

import contextlib
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.streaming import journal
from pipelines.streaming.journal import Journal


def test_what_was_found_is_not_found_again_unless_something_else_is_asked(tmp_path: Path) -> None:
    found = Journal(tmp_path)
    assert found.remember(("at", 1), lambda: "first") == "first"
    assert Journal(tmp_path).remember(("at", 1), lambda: "second") == "first"
    assert Journal(tmp_path).remember(("at", 2), lambda: "second") == "second"
    assert Journal(tmp_path).inside("other").remember(("at", 1), lambda: "third") == "third"


def test_files_that_another_scan_has_written_over_are_written_again(tmp_path: Path) -> None:
    file = tmp_path / "sides"
    one, other = Journal(tmp_path).inside("one"), Journal(tmp_path).inside("other")
    for within, text in ((one, "one"), (other, "other"), (one, "one again")):
        assert within.remember_files("scan", lambda text=text: file.write_text(text) and text) == text
        assert file.read_text() == text
    assert one.remember_files("scan", lambda: "not asked") == "one again"


def test_a_result_that_cannot_be_read_is_found_again(tmp_path: Path) -> None:
    Journal(tmp_path).remember("a", lambda: 1)
    for path in tmp_path.glob("*.found"):
        path.write_bytes(b"no pickle")
    assert Journal(tmp_path).remember("a", lambda: 2) == 2


@pytest.mark.parametrize(("error", "stays"), [(None, False), (PipelineError("refused"), False), (OSError(), True)])
def test_a_journal_stays_where_the_training_may_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None, stays: bool
) -> None:
    monkeypatch.setattr(journal.tempfile, "tempdir", str(tmp_path))
    with contextlib.suppress(PipelineError, OSError), journal.opened("facts") as found:
        found.remember("a", lambda: 1)
        with journal.opened("facts") as second:  # at the same time
            assert second.folder != found.folder
        if error:
            raise error
    assert found.folder.exists() == stays
    assert not second.folder.exists()
