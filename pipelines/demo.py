"""``make run``: the life of two models from a table to a cloud function, told step by step."""

import contextlib
import json
import platform
import shlex
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry.cli.commands import Group, run
from serving.errors import ServingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from pipelines.training import Trained
    from registry.ledger import Ledger

#: The model that runs elsewhere, the folder of its package, and a table with its answers.
PACKAGED, FOLDER = "diabetes", Path("build/diabetes")
TABLE, SCORES = Path("build/patients.parquet"), Path("build/scores.parquet")
#: Seconds that a server may take until it serves both models, on a slow machine.
PATIENCE = 120.0

_REASON = "trained by make run"
_STEPS = 5
_WIDTH = 100


@click.group(cls=Group, invoke_without_command=True)
def cli() -> None:
    """Train two models, promote them, serve them, ask them, and run one as an AWS Lambda function."""
    began = time.monotonic()
    names = [one.name for one in _train()]
    _promote(names)
    with _server(names) as url:
        answers = {name: _ask(url, name) for name in names}
    _elsewhere(*answers[PACKAGED])
    _tell_next(time.monotonic() - began)


def _train() -> "Sequence[Trained]":
    """Train both models, and show their metrics."""
    _head(
        1,
        "Train two models, each on a table that comes with scikit-learn",
        """An expectation suite checks the table. Almost a quarter of the rows is held out; the metrics on these are
        logged to MLflow beside those of a baseline, with pictures and a model card. `mlflow run .` does the same.""",
        "python -m pipelines main",
    )
    from pipelines import terminal
    from pipelines.training import train_defaults

    trained = train_defaults(seed=0, experiment=None)
    click.echo("\n" + "\n".join(terminal.metrics_table(trained)))
    return trained


def _promote(names: Sequence[str]) -> None:
    """Take the newest version of each model through its gates: to Staging, and to Production if that is vacant."""
    _head(
        2,
        "Promote them through the gates",
        """Gates read what training measured: was the table checked, is the model better than the baseline, does it
        answer the same wherever it runs, is it no worse than the version in Production? A ledger records every
        move.""",
        f"python -m registry promote {names[0]} latest --stage Staging --reason '{_REASON}'",
    )
    from registry import ledger, stages
    from registry.client import connect

    client = connect()
    with ledger.open() as book:
        for name in names:
            newest = _move(client, book, name, stages.STAGING, _REASON)
            if there := stages.read(client, name).in_stage(stages.PRODUCTION):
                click.echo(
                    f"{name}: version {there[0].number} stays the champion in Production; a person decides whether "
                    f"version {newest}, the challenger, replaces it"
                )
            else:
                _move(client, book, name, stages.PRODUCTION, "the first version")


def _move(client: "MlflowClient", book: "Ledger", name: str, stage: str, reason: str) -> str:
    """Promote the newest version of a model; its number."""
    from registry import judging, policy, promotion, stages

    rules = policy.read(None).for_model(name)
    moved = promotion.promote(
        client,
        book,
        name,
        stages.read(client, name).version("latest").number,
        stage=stage,
        reason=reason,
        actor=promotion.who(),
        judge=judging.StageJudge(client, name, rules, stage).judge_or_fail,
        followers=rules.follow,
    )
    verdict = moved.verdict.summary() if moved.verdict else "was there before"
    click.echo(f"{name}: version {moved.plan.version} {verdict}, and is in {stage}")
    return moved.plan.version


@contextlib.contextmanager
def _server(names: Sequence[str]) -> Iterator[str]:
    """The address of a server of all models in Production, once each of these answers."""
    from serving.cli.ask import ask

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    _head(
        3,
        "Serve what is in Production",
        """The server follows the registry: a promotion or a rollback takes effect within seconds, without a restart. It
        takes MLflow's requests, and those of KServe, TensorFlow Serving and TorchServe.""",
        f"python -m serving serve --port {port}",
    )
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as cache:
        words = ["serve", "--port", str(port), "--cache", cache, "--log", "no"]
        process = subprocess.Popen([sys.executable, "-m", "serving", *words])
        url = f"http://127.0.0.1:{port}"
        try:
            for name in names:
                ask(url, model=name, wait=PATIENCE)
            yield url
        finally:
            process.terminate()
            process.wait()


def _ask(url: str, name: str) -> tuple[str, str]:
    """Ask a model about the row of its input example; the request, and the answer."""
    from serving import models
    from serving.cli.ask import ask

    if name == PACKAGED:
        _head(
            4,
            "Ask the server",
            "Each model is asked about the example that was logged with it, which is no row of the table.",
            f"python -m serving ask {url} --model {name}",
        )
    model = models.find(f"models:/{name}@champion")
    body = json.dumps({"dataframe_records": [dict(model.example(model.portable()))]})
    answer, version = ask(url, model=name, body=body)
    click.echo(f"{version} answers {answer}  ({_meaning(name, json.loads(answer)['predictions'][0])})")
    return body, answer


def _meaning(name: str, prediction: float) -> str:
    """What a prediction says, in words."""
    from pipelines.sources import bundled

    words = bundled.read(name).class_names
    if not words:
        return "disease progression after a year, on the table's scale from 25 to 346"
    return f"class {prediction:g} is {words[f'{prediction:g}']}"


def _elsewhere(body: str, answer: str) -> None:
    """Score a whole table, and run the model as a function of AWS Lambda."""
    _head(
        5,
        "Run the same version elsewhere",
        """A whole table is scored inside DuckDB. For AWS Lambda, the version becomes a zip of readable Python that
        needs no other package; it runs here in the emulator of AWS's own images, asked what the server was asked.""",
        f"python -m serving score models:/{PACKAGED}@champion --input {TABLE} --output {SCORES} --overwrite",
        f"python -m serving package models:/{PACKAGED}@champion --target aws-lambda -o {FOLDER} --overwrite",
    )
    TABLE.parent.mkdir(exist_ok=True)
    _score()
    _package(body, answer)


def _score() -> None:
    """Score all rows of the table."""
    from sklearn.datasets import load_diabetes

    from serving import batch

    load_diabetes(as_frame=True, scaled=False).frame.to_parquet(TABLE)
    done = batch.score(
        batch.ScoreRequest(f"models:/{PACKAGED}@champion", str(TABLE), str(SCORES), overwrite=True),
    )
    click.echo(f"{SCORES}: {done.rows} rows, {done.rejected} rejected, by {done.version} in {done.engine}")


def _package(body: str, answer: str) -> None:
    """Package the model for AWS Lambda, and compare the function's answer with the server's."""
    from serving import packaging
    from serving.packaging import emulator
    from serving.packaging.aws_lambda.events import http_event

    planned = packaging.plan(f"models:/{PACKAGED}@champion", "aws-lambda")
    built = packaging.build(planned, FOLDER, overwrite=True)
    click.echo(f"{FOLDER / built.path.name}: {built.size:,} bytes; AWS Lambda takes 52,428,800")
    if platform.system() != "Linux":
        click.echo("its answer is compared with the server's on Linux alone")
        return
    with emulator.running(built.path, emulator=_emulator()) as function:
        found = function.invoke(http_event(body))["body"]
    click.echo(f"server  {answer}\nLambda  {found}\n{'equal' if found == answer else 'DIFFERENT'}")
    if found != answer:
        raise ServingError("the Lambda function answers otherwise than the server, which it must not; please report it")


def _emulator() -> Path | None:
    from serving.packaging import emulator

    try:
        return emulator.find(fetch=True)
    except ServingError as error:
        click.echo(f"{error}; AWS's runtime client runs the function without it", err=True)
        return None


def _tell_next(seconds: float) -> None:
    click.echo(f"\nThat took {seconds:.0f} s. What to open next:\n")
    activate = Path(sys.prefix) / "bin" / "activate"
    here = activate.relative_to(Path.cwd()) if activate.is_relative_to(Path.cwd()) else activate
    for command, purpose in (
        ("make ui", "MLflow's pages: the runs, their model cards, and the registry to promote in"),
        ("make notebooks", "the same steps in notebooks, with pictures"),
        (f". {shlex.quote(str(here))}", "then `lifecycle --help`; `lifecycle train --data your.csv --target column`"),
    ):
        click.echo(f"  {command:26}  {purpose}")


def _head(number: int, title: str, why: str, *commands: str) -> None:
    """The head of a step: what happens, why, and the commands that do it."""
    title = f"{number}/{_STEPS}  {title}"
    click.echo("\n" + click.style(title, bold=True) + "\n" + "-" * len(title))
    click.echo(textwrap.fill(" ".join(why.split()), _WIDTH))
    click.echo("\n" + "\n".join(f"$ {command}" for command in commands))


if __name__ == "__main__":
    run(cli)
