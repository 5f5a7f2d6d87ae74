"""``python -m serving``: serve, score, export and package model versions."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from registry.cli.commands import Group, Names, Switch, option, policy_option, switch
from registry.cli.commands import run as run_program
from serving.server.guard.keys_command import keys


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Serve, export and package model versions."""


cli.add_command(keys)


@cli.command()
@click.argument("model_uri")
@option(
    "--format",
    "form",
    default="scorecard",
    help="scorecard (the JSON document), python (one file that imports only math), sql (one SELECT), onnx (a float64 "
    "graph), pmml (4.4), javascript (an ES module) or c (one C99 file).",
)
@option("--output", "-o", help="The file to write. [default: standard output]")
@switch("--overwrite", help="Replace a file that is there.")
@option(
    "--dialect",
    help="sql: duckdb, postgres, sqlite or spark; bigquery, snowflake or mysql, which no test runs. [default: duckdb]",
)
@option("--table", help="sql: the table to read, as in that dialect: rows, sales.rows. [default: data]")
@option("--keep", type=Names(), help="sql: columns of the table to give beside the answers, with commas.")
@switch("--quantize", help="onnx: compute an MLP's layers in whole numbers of 8 bits, and tell what that costs.")
def export(model_uri: str, form: str, output: str | None, overwrite: bool, quantize: bool, **given) -> None:
    """Write MODEL_URI (models:/NAME/3, models:/NAME@champion, a path) as a file that answers without MLflow."""
    from serving.exporting import export as write

    options = {name: value for name, value in given.items() if value}
    if quantize:
        options["quantize"] = True
    content = write(model_uri, form, output=Path(output) if output else None, overwrite=overwrite, options=options)
    if quantize:
        from serving.scorecard.exports.onnx import quantization_loss

        click.echo(quantization_loss(content), err=True)
    if output:
        click.echo(f"{output}: {len(content):,} bytes", err=True)
    else:
        sys.stdout.buffer.write(content)


def setting(*names: str, variables: tuple[str, ...] = (), **given) -> Callable:
    """An option of ``serve`` with an environment variable, such as ``SERVING_PORT`` for ``--port``."""
    own = "SERVING_" + names[0].removeprefix("--").replace("-", "_").upper()
    return option(*names, envvar=[own, *variables], show_envvar=True, **given)


_SIZE = click.IntRange(1)


class Memory(click.ParamType):
    """A size of memory, as Docker and Kubernetes write it."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from serving.server.memory import parse_size

        try:
            return value if isinstance(value, int) else parse_size(value)
        except ValueError:
            self.fail(f"expected a size such as 256MiB or 1G, found {value!r}", param, ctx)


@cli.command()
@click.argument("model_uri", nargs=-1)
@setting("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 for all addresses of this machine.")
@setting(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    variables=("AIP_HTTP_PORT",),
    help="Port to listen on; 0 for any free port.",
)
@setting("--workers", "-w", type=click.IntRange(1, 256), default=1, help="Number of worker processes.")
@setting("--default", help="Model that answers at /invocations and /predict. [default: the only one, if there is one]")
@setting(
    "--cache",
    default=".serving-cache",
    help="Folder of the cache of served models.",
)
@policy_option
@setting("--poll", type=click.FloatRange(0.1, 4), default=0.5, help="Seconds between two polls of the registry.")
@option("--keys", envvar="SERVING_KEYS_FILE", show_envvar=True, help="File of API keys; see `keys`.")
@setting(
    "--open",
    type=Switch(),
    default="no",
    is_flag=False,
    flag_value="yes",
    help="Serve other machines although no keys are set.",
)
@setting("--rate", help="Rate limit of each key (without keys, of each address): 100/s, 6000/m. [default: none]")
@setting("--tls-cert", help="TLS certificate (PEM), for HTTPS.")
@setting("--tls-key", help="Key of the certificate (PEM).")
@setting("--max-body", type=_SIZE, default=16 * 1024 * 1024, help="Maximum size of a request, in bytes.")
@setting("--max-rows", type=_SIZE, default=100_000, help="Maximum number of rows of a request.")
@setting(
    "--max-memory",
    type=Memory(),
    default="256MiB",
    help="Memory limit of a worker, such as 512MiB. Requests that need more are refused (413, or 503 to retry later).",
)
@setting("--max-pending", type=_SIZE, default=256, help="Maximum number of unanswered requests of a worker.")
@setting("--time-limit", type=click.FloatRange(0.01), default=30, help="Timeout of a large request, in seconds.")
@setting("--read-limit", type=click.FloatRange(1), default=60, help="Timeout for a request to arrive, in seconds.")
@setting("--keep-alive", type=click.IntRange(0), default=75, help="Timeout of an idle connection, in seconds.")
@setting("--grace", type=click.FloatRange(0), default=30, help="Seconds to finish requests at shutdown.")
@setting("--health-route", variables=("AIP_HEALTH_ROUTE",), help="Additional path for /ping.")
@setting("--predict-route", variables=("AIP_PREDICT_ROUTE",), help="Additional path for /invocations.")
@setting("--metrics", type=Switch(), default="yes", help="Provide /metrics.")
@setting("--open-metrics", type=Switch(), default="no", help="Allow /metrics without a key although keys are set.")
@setting("--log", type=Switch(), default="yes", help="Log requests as JSON lines on standard output.")
def serve(model_uri: tuple[str, ...], **options) -> int:
    """Serve over HTTP: every model that is in Production, or only each MODEL_URI.

    A promotion or rollback takes effect within seconds, without a restart. MODEL_URI is models:/NAME/3,
    models:/NAME@champion, runs:/RUN/model or a path; NAME=MODEL_URI gives it another name.
    """
    from registry.cli import interrupts
    from serving.server.settings import ServerSettings
    from serving.server.supervisor import run

    ended = run(ServerSettings(uris=tuple(filter(None, model_uri)), **options))
    interrupts.close()
    return ended


@cli.command()
@click.argument("url")
@option("--model", help="Model to ask. [default: the server's default model]")
@option("--body", help="Request: JSON, @FILE, or - for standard input. [default: the model's example]")
@option("--wait", type=click.FloatRange(0), default=0, help="Seconds to wait until the model is served.")
def ask(url: str, model: str | None, body: str | None, wait: float) -> None:
    """Send a request to the server at URL (http://127.0.0.1:8080); SERVING_KEY holds the API key, if it needs one."""
    from serving.cli.ask import ask as ask_server
    from serving.cli.request_text import text

    answer, version = ask_server(url, model=model, body=text(body, "--body") if body else None, wait=wait)
    click.echo(f"answered by {version}", err=True)
    click.echo(answer)


@cli.command()
@click.argument("model_uri")
@option(
    "--target",
    required=True,
    help="Where it is for: aws-lambda, azure-functions, gcp-functions, sagemaker-proxy, docker or kubernetes.",
)
@option("--output", "-o", help="The folder to write. [default: none; then --dry-run is needed]")
@option(
    "--config", "-C", multiple=True, help="An option of the target, as NAME=VALUE; --dry-run shows what it comes to."
)
@switch("--dry-run", help="Show the plan: what goes in, sizes against limits, settings, permissions; write nothing.")
@switch("--allow-ungated", help="Also a version whose gates did not pass, or that is not registered.")
@switch("--overwrite", help="Replace an earlier package in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def package(
    model_uri: str,
    target: str,
    output: str | None,
    config: tuple[str, ...],
    dry_run: bool,
    allow_ungated: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make of MODEL_URI (models:/NAME/3, models:/NAME@champion, a path) what a target deploys: planned, then built."""
    from registry.cli.commands import pairs
    from serving.packaging import commands

    commands.package(
        model_uri,
        target,
        pairs(config, "--config"),
        output=output,
        dry_run=dry_run,
        allow_ungated=allow_ungated,
        overwrite=overwrite,
        as_json=as_json,
    )


@cli.command()
@click.argument("package")
@option("--body", help="A request: JSON, @FILE, or - for standard input. [default: the model's example]")
@option("--event", help="In place of a request, a whole event of Lambda: JSON, @FILE, or -.")
@switch("--fetch", help="Fetch AWS's emulator (8 MB, from the package index) where this machine has none.")
@option("--env", multiple=True, help="A variable of the function, as NAME=VALUE.")
def invoke(package: str, body: str | None, event: str | None, fetch: bool, env: tuple[str, ...]) -> None:
    """Run PACKAGE, an aws-lambda zip or its folder, in AWS's own emulator here, and print its answer to a request."""
    from registry.cli.commands import pairs
    from serving.packaging import commands

    commands.invoke(package, body=body, event=event, fetch=fetch, environment=pairs(env, "--env"))


if __name__ == "__main__":
    run_program(cli)
