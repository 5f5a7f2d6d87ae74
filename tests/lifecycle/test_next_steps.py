"""What each command prints under "Next:" is pasted, one after the other, from the training to an answer."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from registry.cli import next_steps
from tests import stores
from tests.command import BARE, Command, Done, failed, run
from tests.patience import soon
from tests.pipelines import tables

PACKAGES = {"train": "pipelines", "evaluate": "pipelines", "tune": "pipelines", "ask": "serving", "serve": "serving"}


@pytest.fixture
def folder(tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside of any git checkout, with a table."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    tables.linear(tmp_path / "a table.csv", rows=400)
    return tmp_path


def suggested(done: Done) -> list[str]:
    """The lines under "Next:", without the activation of the environment."""
    lines = done.out.partition("\nNext:\n")[2].splitlines()
    assert lines, done
    return [line.strip() for line in lines if not line.strip().startswith(". ")]


def paste(line: str, folder: Path) -> Done:
    """Run a line that was suggested, as the command that it names."""
    program, name, *words = shlex.split(line, comments=True)
    assert program == "lifecycle", line
    return run(name, *words, folder=folder, package=PACKAGES.get(name, "registry"))


def test_from_the_training_to_an_answer(folder: Path):
    trained = run("train", "--data", "a table.csv", *BARE[:-2], folder=folder)
    assert trained.code == 0, trained.err
    assert "this folder has no git commit, which the policy asks for in Production" in trained.err
    judge, promote, pages = suggested(trained)
    assert pages.startswith("lifecycle ui")

    # Without a commit the gates refuse, and say what helps: the lines that do without one.
    for refused in (paste(judge, folder), paste(promote, folder)):
        assert refused.code == 1, refused
        remedies = suggested(refused)
        assert f"# or, to do without a commit, these 2 lines in {folder}/policy.yaml:" in remedies
        again = shlex.join(["lifecycle", "train", "--data", "a table.csv", "--target", "target", *BARE[:-2]])
        assert f"{again} --name a-table" in remedies
    start = remedies.index(f"# or, to do without a commit, these 2 lines in {folder}/policy.yaml:")
    lines = [line.removeprefix("#   ") for line in remedies[start + 1 : start + 3]]
    (folder / "policy.yaml").write_text("\n".join(lines) + "\n")
    assert (folder / "policy.yaml").read_text() == "lineage:\n  commit: optional\n"

    (promote, *_) = suggested(paste(remedies[-1], folder))
    promoted = paste(promote, folder)
    assert promoted.code == 0, promoted.err
    assert "policy: policy.yaml" in promoted.err
    serve, ask = suggested(promoted)
    port = stores.free_port()
    words = [*shlex.split(serve, comments=True)[1:], "--port", str(port), "--log", "no"]
    with Command(*words, package="serving", folder=folder) as server:
        server.wait_for("ask it: ", timeout=soon(60))
        answer = paste(ask.replace("8080", str(port)), folder)
        assert answer.code == 0, answer.err
        assert "answered by a-table/1" in answer.err


def test_json_has_nothing_beside_the_result(folder: Path):
    done = run("train", "--data", "a table.csv", "--json", *BARE, folder=folder)
    assert done.code == 0, done.err
    assert "Next:" not in done.out + done.err


def test_a_target_that_is_missing_is_named_with_the_whole_command(folder: Path):
    rows = "".join(f"{row * 7 % 20},{'yes' if row % 3 else 'no'}\n" for row in range(60))
    (folder / "t.csv").write_text(f"months,churned\n{rows}")
    line = failed(run("train", "--data", "t.csv", "--sep", "", *BARE, folder=folder), says="--target is needed")
    command = re.search(r"probably 'churned': (lifecycle .*)$", line)
    assert command is not None, line
    assert command[1] == shlex.join(["lifecycle", "train", "--data", "t.csv", *BARE, "--target", "churned"])
    assert paste(command[1], folder).code == 0


def test_the_environment_is_activated_first_where_its_programs_are_not_found(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    next_steps.show([next_steps.Step(next_steps.command("registry", "list"))])
    assert capsys.readouterr().out == f"\nNext:\n  . {sys.prefix}/bin/activate\n  lifecycle list\n"
