"""MLproject and the command line are one: the same options with the same defaults, and `mlflow run` runs them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import mlflow
import pytest
import yaml

import pipelines.__main__
import registry.__main__
import serving.__main__
from tests.pipelines import tables

ROOT = Path(__file__).resolve().parents[1]
ENTRY_POINTS = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
PACKAGES = {"pipelines": pipelines.__main__.cli, "registry": registry.__main__.cli, "serving": serving.__main__.cli}
#: Every command, as (package, name); a group of commands is for a person at a terminal.
COMMANDS = [
    (package, name)
    for package, cli in PACKAGES.items()
    for name, command in cli.commands.items()
    if not isinstance(command, click.Group)
]
#: What a person asks for at a terminal, and a project run has no use for.
FLAGS = {"--help", "--debug", "--json"}


def words(command: click.Command) -> dict[str, click.Parameter]:
    """A command's arguments and options by what an entry point calls them."""
    return {
        param.opts[0].removeprefix("--").replace("-", "_"): param
        for param in command.params
        if param.opts[0] not in FLAGS
    }


def test_every_command_is_an_entry_point() -> None:
    assert set(ENTRY_POINTS) == {name for _, name in COMMANDS}


@pytest.mark.parametrize(("package", "name"), COMMANDS)
def test_an_entry_point_has_the_words_and_defaults_of_its_command(package: str, name: str) -> None:
    command, entry = PACKAGES[package].commands[name], ENTRY_POINTS[name]
    params = words(command)

    assert list(entry["parameters"]) == list(params)
    expected = ["python", "-m", package, name]
    for key, param in params.items():
        expected += [f"{{{key}}}"] if isinstance(param, click.Argument) else [param.opts[0], f"{{{key}}}"]
    assert entry["command"].split() == expected
    context = click.Context(command)
    for key, param in params.items():
        if param.required:
            assert "default" not in entry["parameters"][key], key
            continue
        default = str(entry["parameters"][key]["default"])
        if isinstance(param, click.Argument):
            assert default == "", key
            continue
        given = param.type_cast_value(context, ("",) if param.multiple else default)
        assert given == param.type_cast_value(context, ("",) if param.multiple else ""), key


@pytest.mark.parametrize(("package", "name"), COMMANDS)
def test_every_option_says_what_it_means(package: str, name: str) -> None:
    command = PACKAGES[package].commands[name]
    assert command.help
    assert all(param.help for param in command.params if isinstance(param, click.Option))


@pytest.mark.parametrize("manager", ["local", "uv"])
def test_mlflow_run_trains_and_registers(manager: str, tracking: str, tmp_path: Path) -> None:
    project = tmp_path / "a project"
    project.mkdir()
    for name in ("MLproject", "conda.yaml"):
        shutil.copyfile(ROOT / name, project / name)
    for package in ("pipelines", "registry", "serving"):
        shutil.copytree(ROOT / package, project / package, ignore=shutil.ignore_patterns("__pycache__"))
    table = tables.linear(tmp_path / "made table.csv")
    words = ["-e", "train", "-P", f"data={table}", "-P", "estimator=ridge", "-P", "param=alpha=0.5", "-P", "suite=none"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "run", str(project), "--env-manager", manager, *words],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    client = mlflow.MlflowClient()
    version = client.get_model_version("made table".replace(" ", "-"), "1")
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.project.entryPoint"] == "train"
    assert run.data.params["estimator.alpha"] == "0.5"
    assert "rmse" in run.data.metrics
    assert len(client.search_runs(["0"])) == 1
