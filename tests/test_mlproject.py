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

from pipelines.__main__ import cli
from tests.pipelines import tables

ROOT = Path(__file__).resolve().parents[1]
ENTRY_POINTS = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
#: What a person asks for at a terminal, and a project run has no use for.
FLAGS = {"--help", "--debug", "--json"}


def test_every_command_is_an_entry_point() -> None:
    assert {name for name, entry in ENTRY_POINTS.items() if "-m pipelines" in entry["command"]} == set(cli.commands)


@pytest.mark.parametrize("name", cli.commands)
def test_an_entry_point_has_the_options_and_defaults_of_its_command(name: str) -> None:
    command, entry = cli.commands[name], ENTRY_POINTS[name]
    options = {
        param.opts[0]: param
        for param in command.params
        if isinstance(param, click.Option) and param.opts[0] not in FLAGS
    }
    parameters = {f"--{key.replace('_', '-')}": value for key, value in entry["parameters"].items()}

    assert list(parameters) == list(options)
    assert entry["command"].split() == [
        *("python", "-m", "pipelines", name),
        *(word for key in entry["parameters"] for word in (f"--{key.replace('_', '-')}", f"{{{key}}}")),
    ]
    context = click.Context(command)
    for option, param in options.items():
        if param.required:
            assert "default" not in parameters[option], option
            continue
        default = parameters[option]["default"]
        given = param.type_cast_value(context, ("",) if param.multiple else str(default))
        missing = param.type_cast_value(context, ("",) if param.multiple else "")
        assert given == missing, option


@pytest.mark.parametrize("name", cli.commands)
def test_every_option_says_what_it_means(name: str) -> None:
    command = cli.commands[name]
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
