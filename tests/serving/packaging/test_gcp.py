"""The package for Google Cloud Functions: its files, its name, its settings."""

import shlex
import subprocess
from pathlib import Path

import pytest

from serving.errors import ServingError
from tests.serving.packaging import made

TARGET = "gcp-functions"


def test_it_is_a_function_of_the_framework(tmp_path: Path) -> None:
    built = made.built(made.model(tmp_path), TARGET, tmp_path / "function")
    assert (tmp_path / "function" / "requirements.txt").read_text() == "functions-framework==3.10.2\n"
    assert "def answer(request" in (tmp_path / "function" / "main.py").read_text()
    assert "plan.json" in (tmp_path / "function" / ".gcloudignore").read_text()
    assert built.size < 200_000


@pytest.mark.parametrize("name", ["3d", "-made", "made-", "a" * 50, "Made", "made_up"])
def test_names_that_google_does_not_take_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ServingError, match="option name: up to 49 lower-case letters"):
        made.plan(made.model(tmp_path), TARGET, name=name)


def test_a_name_is_made_of_the_models(tmp_path: Path) -> None:
    assert made.plan(made.model(tmp_path, name="x" * 80), TARGET).name == "x" * 49
    with pytest.raises(ServingError, match="found '3d-shapes'; give -C name="):
        made.plan(made.model(tmp_path, name="3D shapes"), TARGET)


def test_the_command_is_googles_own_and_says_all_settings(tmp_path: Path) -> None:
    keys = f"{made.KEY_DIGEST},{'0' * 64}"
    account = "made-runner@project-1.iam.gserviceaccount.com"
    plan = made.plan(
        made.model(tmp_path),
        TARGET,
        memory="512",
        min_instances="1",
        open="yes",
        api_keys=keys,
        service_account=account,
    )
    [command] = plan.commands
    words = shlex.split(command)
    assert words[:4] == ["gcloud", "functions", "deploy", "made"]
    told = {"--gen2", "--trigger-http", "--entry-point=answer", "--memory=512Mi", "--min-instances=1", "--timeout=30s"}
    assert told | {"--allow-unauthenticated", f"--service-account={account}"} <= set(words)
    # With commas as they are, gcloud would see two variables.
    assert words[-1] == f"--set-env-vars=^@^API_KEYS={keys}"
    # It is pasted into a shell.
    script = f"gcloud() {{ printf '%s\\n' \"$@\"; }}; {command}"
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert said.stdout.splitlines() == words[1:]
    assert not any("anyone with the URL" in note for note in plan.notes)


def test_by_default_google_asks_who_it_is(tmp_path: Path) -> None:
    plan = made.plan(made.model(tmp_path), TARGET)
    assert "--no-allow-unauthenticated" in plan.commands[0]
    assert any("without roles" in note for note in plan.notes)
    assert any("anyone with the URL" in note for note in made.plan(made.model(tmp_path), TARGET, open="yes").notes)


def test_no_more_instances_are_started_than_there_may_be(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="max_instances=2 is less than min_instances=3"):
        made.plan(made.model(tmp_path), TARGET, min_instances="3", max_instances="2")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("region", "Europe", "a region such as europe-west1"),
        ("memory", "64", "a whole number from 128"),
        ("runtime", "python27", "one of python311"),
        ("timeout", "0", "a whole number from 1"),
        ("service_account", "me@example.com", "gserviceaccount"),
    ],
)
def test_settings_that_google_does_not_take_are_refused(tmp_path: Path, option: str, value: str, said: str) -> None:
    with pytest.raises(ServingError, match=f"gcp-functions: option {option}: expected .*{said}"):
        made.plan(made.model(tmp_path), TARGET, **{option: value})
