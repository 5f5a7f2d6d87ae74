"""``python -m pipelines``: from a table to an evaluated, registered model version."""

if __name__ == "__main__":  # importing takes a moment
    from registry.cli import early

    early.listen()

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial, reduce

import click

from registry.cli.commands import (
    Group,
    Memory,
    Names,
    Option,
    Switch,
    merged,
    option,
    pairs,
    policy_option,
    run,
    switch,
)

_SEED = option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Seed for folds, bootstrap and estimator.")
_EXPERIMENT = option("--experiment", help="MLflow experiment. [default: the model's name]")
_JSON = click.option("--json", "as_json", is_flag=True, cls=Option, help="Print the result as JSON.")


def _names(name: str, *, help: str):
    """An option that takes names of columns, or words, and may be given several times."""
    return option(name, type=Names(), multiple=True, callback=lambda ctx, param, value: merged(value), help=help)


def _all(*options):
    """Several options as one decorator, in this order."""
    return lambda command: reduce(lambda decorated, one: one(decorated), reversed(options), command)


# Named as those of ``pandas.read_csv``.
_read = _all(
    option("--sep", help=r"Delimiter of a text file: ';', '|', \t, or \s+ for blanks. [default: detected]"),
    option("--decimal", help="Decimal mark of numbers in text: . or , [default: detected]"),
    option("--thousands", help="Thousands separator: , . ' or a blank. [default: detected]"),
    option("--encoding", help="Encoding of a text file: utf-8, cp1252, utf-16, ... [default: detected]"),
    option("--header", type=Switch(), help="Whether the first line holds column names. [default: detected]"),
    _names("--missing", help="Words that mean a missing value, beside NA, null, ? and the like: '-,none'."),
    option("--skip-rows", type=click.IntRange(0), help="Lines to skip at the start of a text file."),
)
_table = _all(
    option("--data", required=True, help="The table: a file (CSV, TSV, Parquet, JSON lines; .gz), a SQLAlchemy URL, "
           "s3://bucket/key, or one of scikit-learn: diabetes, breast_cancer, iris, wine, digits, linnerud."),
    option("--target", help="The column to predict. [default: target, label, class or y]"),
    option("--query", help="For a database: a table's name, or a SELECT, which is stored with the run."),
    _read,
    option("--task", type=click.Choice(["auto", "regression", "classification"]), default="auto",
           help="[auto: inferred from the estimator or the target]"),
    _names("--drop", help="Columns to exclude: a,b. Quote a name that holds a comma: '\"a, b\"'."),
    _names("--keep", help="Columns to include even if they look like identifiers or dates."),
    _names("--id", help="Columns that identify a row and so decide whether it is held out. [default of --id, --group "
             "and --time: those of the model's earlier versions]"),
    option("--group", help="Column of groups; the rows of a group stay on one side of the split."),
    option("--time", help="Column of times; the latest rows are held out."),
    option("--test-size", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.2,
           help="Share of rows to hold out."),
)  # fmt: skip
_memory = option("--memory", type=Memory(), help="Memory that --engine auto reckons with, such as 8G; a quarter of it "
                 "is for converting text files and for parts in work. [default: this machine's]")  # fmt: skip
_engine = _all(
    option("--engine", type=click.Choice(["auto", "memory", "stream"]), default="auto",
           help="memory loads the table; stream reads it in parts, a few times. [auto: stream for a folder, and for a "
           "file that would take more than a third of the memory]"),
    _memory,
)  # fmt: skip
_intervals = option("--intervals", "resamples", type=click.IntRange(0), default=1000,
                    help="Bootstrap resamples for the confidence intervals; 0 for none.")  # fmt: skip
_engine = _all(
    option("--engine", type=click.Choice(["auto", "memory", "stream"]), default="auto",
           help="memory loads the table; stream reads it in parts, a few times. [auto: stream for a folder, and for a "
           "file that would take more than a third of the memory]"),
    option("--memory", type=Memory(), help="Memory that --engine auto reckons with, such as 8G; a quarter of it is for "
           "converting text files. [default: this machine's]"),
)  # fmt: skip
_sensitive = _names("--sensitive", help="Columns to break the metrics down by.")
_training = _all(
    option("--param", "parameters", multiple=True, callback=lambda ctx, param, value: pairs(value, "--param"),
           help="Parameters of the estimator: alpha=0.1."),
    option("--name", help="Registered model, a name without / : . % \" ' @ ? #. [default: from the table]"),
    _EXPERIMENT,
    _SEED,
    option("--folds", type=click.IntRange(0), default=5, help="Cross-validation folds; 0 for none."),
    _intervals,
    option("--pictures", type=Switch(), default="yes", help="Whether to draw pictures for the model card."),
    option("--suite", default="auto", help="Expectation suite: a file, the name of a shipped suite, or none. "
           "[auto: the table's own, else that of the Production version, else a drafted one]"),
    _sensitive,
    option("--positive", help="Positive class. [default: the second of two]"),
    option("--class-weight", help="balanced, or class weights: bad=5,good=1. Quote a class that holds a comma: "
           "'\"a, b\"=5,c=1'."),
    option("--threshold", help="Decision threshold: 0.3, recall=0.9, or cost=1:20 (false alarm : miss)."),
)  # fmt: skip


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Train linear and logistic models on tables, evaluate them, and register them in MLflow."""


@cli.command(
    examples="""
    lifecycle main
    """
)
@_SEED
@_EXPERIMENT
@_JSON
def main(seed: int, experiment: str | None, as_json: bool) -> None:
    """Train the two default models: `linear` on diabetes and `logistic` on breast cancer."""
    from pipelines import terminal
    from pipelines.training import train_defaults

    terminal.show(train_defaults(seed=seed, experiment=experiment), as_json=as_json)


@cli.command(
    examples="""
    lifecycle train --data customers.csv --target churn --id customer
    lifecycle train --data s3://bucket/prices.parquet --target price --estimator ridge --param alpha=0.1
    lifecycle train --data postgresql://db/shop --query "SELECT * FROM orders" --target returned
    lifecycle train --data customers.csv --target churn --pipeline features:build
    lifecycle train --data table:sales.orders --target returned --engine spark --spark-remote sc://spark.example
    """
)
@_table
@option("--estimator", default="auto", help="linear, ridge, lasso, elastic-net, huber, poisson, gamma, tweedie, "
        "linear-svr, logistic, linear-svm or mlp. [auto: linear or logistic]")  # fmt: skip
@option("--pipeline", metavar="MODULE:FUNCTION", help="Your own pipeline: a function in the working folder that "
        "returns an unfitted scikit-learn pipeline. It may take numeric, categorical, task and seed.")  # fmt: skip
@option("--engine", type=click.Choice(["auto", "memory", "stream", "spark"]), default="auto",
        help="memory loads the table; stream reads it in parts, a few times; spark has a cluster read it, --data being "
        "an address of Spark's or table:NAME. [auto: stream for a folder, and for a file that would take more than a "
        "third of the memory]")  # fmt: skip
@_memory
@option("--spark-conf", multiple=True, help="Setting of Spark: spark.master=yarn; may be given several times.")
@option("--spark-remote", help="Spark Connect server to train on: sc://HOST:15002.")
@_training
@_JSON
def train(as_json: bool, spark_conf: tuple[str, ...], spark_remote: str | None, **given) -> None:
    """Train a model on a table, evaluate it on held-out rows, and register the version."""
    from pipelines import terminal
    from pipelines.training import train as train_one
    from serving.batch.spark.settings import SparkSettings

    given["spark"] = SparkSettings.read(spark_conf, spark_remote)
    with _target_named():
        terminal.show([train_one(_settings(given))], as_json=as_json)


@cli.command(
    examples="""
    lifecycle tune --data diabetes --estimator ridge,lasso --trials 30
    lifecycle tune --data customers.csv --target churn --search C=0.01:10:log --metric roc_auc
    """
)
@_table
@option("--estimator", default="auto", help="Estimator to tune, or several to choose from: ridge,lasso. "
        "[auto: ridge and elastic-net, or logistic]")  # fmt: skip
@_engine
@option("--trials", type=click.IntRange(1), default=30, help="Trials, including those of an interrupted search.")
@option("--timeout", type=click.FloatRange(0), help="Seconds after which no new trial starts.")
@option("--metric", help="Cross-validated metric to optimise. [default: rmse or log_loss]")
@option("--search", multiple=True, help="Values to try for a parameter, instead of the defaults: "
        "alpha=0.001:10:log, l1_ratio=0:1, or C=0.1,1,10.")  # fmt: skip
@option("--storage", default="sqlite:///tuning.db", help="Optuna database, from which an interrupted search resumes.")
@option("--study", help="Name of the study in it. [default: derived from the model and the settings]")
@_training
@_JSON
def tune(as_json: bool, **given) -> None:
    """Search an estimator's parameters by cross-validation, then train and register the best."""
    from pipelines import terminal
    from pipelines.tuning import space_options
    from pipelines.tuning.search import tune as tune_one
    from pipelines.tuning.search_plan import Search

    space = space_options.parse(given.pop("search"))
    search = Search(_settings(given), space=space, **given)
    with _target_named():
        terminal.show_search(tune_one(search), as_json=as_json)


@cli.command(
    examples="""
    lifecycle evaluate --model models:/churn/3 --data customers.csv
    lifecycle evaluate --model models:/plain/1 --data table.csv --target y --unseen yes
    lifecycle evaluate --model churn --data 'sales/*.parquet' --sensitive region
    """
)
@option(
    "--model", required=True, help="models:/NAME/3, models:/NAME@champion, models:/NAME/Staging, or NAME: its newest."
)
@option("--data", required=True, help="The table to evaluate on; see `train`.")
@option("--query", help="For a database: a table's name, or a SELECT, which is stored with the run.")
@_read
@_engine
@option("--target", help="Target column. [default: as in training]")
@option("--rows", type=click.Choice(["auto", "all", "holdout"]), default="auto",
        help="Rows to evaluate on. [auto: those held out if any row was trained on, else all]")  # fmt: skip
@option("--against", default="champion", help="Version to compare with on the same rows; or none.")
@_sensitive
@option("--positive", help="Positive class. [default: as in training]")
@switch(
    "--unseen",
    help="Declare that a model logged without this platform was not trained on these rows; your name is recorded.",
)
@switch("--replace", help="Replace the evidence by which the gates judge a model logged without this platform.")
@_intervals
@_SEED
@_JSON
def evaluate(as_json: bool, **given) -> None:
    """Evaluate a registered version on a table, next to the champion, and store the evidence with its run.

    A model that was logged without this platform is adopted: its own code is run, in a process of its own, to get its
    answers and to compile a scorecard, which is stored with the evidence and then served.
    """
    from pipelines import terminal
    from pipelines.evaluation.evaluate import EvaluationRequest
    from pipelines.evaluation.evaluate import evaluate as evaluate_one
    from pipelines.sources import ReadOptions

    request = EvaluationRequest(options=_take(ReadOptions, given), **given)
    terminal.show_evaluation(evaluate_one(request), as_json=as_json)


@cli.command(
    examples="""
    lifecycle validate --data customers.csv --suite expectations/customers.json
    lifecycle validate --data customers.csv --target churn --profile yes --output expectations/customers.json
    """
)
@option("--data", required=True, help="The table to check; see `train`.")
@option("--query", help="For a database: a table's name, or a SELECT, which is stored with the run.")
@_read
@option("--target", help="Target column; a drafted suite is stricter about it.")
@option("--suite", default="auto", help="A file, or the name of a shipped suite. "
        "[auto: the table's own, else that of the Production version]")  # fmt: skip
@switch("--profile", "draft", help="Draft a suite from the training rows and check the held-out rows with it.")
@option("--output", help="File of the drafted suite. [default: pipelines/expectations/NAME.json]")
@switch("--overwrite", help="Replace an existing suite.")
@option("--name", help="Name of the registered model and of the drafted suite. [default: from the table]")
@_EXPERIMENT
@_JSON
def validate(as_json: bool, **given) -> None:
    """Check a table against its expectation suite, or draft a suite."""
    from pipelines import terminal
    from pipelines.sources import ReadOptions
    from pipelines.validation.check import CriticalFailure, check

    try:
        checked = check(options=_take(ReadOptions, given), **given)
    except CriticalFailure as error:
        terminal.show_check(error.checked, as_json=as_json)
        raise
    terminal.show_check(checked, as_json=as_json, data=given["data"], target=given["target"])


@cli.command(
    examples="""
    lifecycle monitor --model churn --data predictions --since 7d --window 1d
    lifecycle monitor --model models:/churn/3 --data today.csv --report report.html
    lifecycle monitor --model churn --data predictions --outcomes churned.csv --on request_id
    lifecycle monitor --data predictions --since 7d --window 1d --watch 1h
    lifecycle monitor --model churn --data predictions --since 7d --window 1d --reference same-weekday
    """
)
@option("--model", help="models:/NAME/3, models:/NAME@champion, models:/NAME/Staging, or NAME: its version in "
        "Production, else its newest. [default, with --watch: every model in Production]")  # fmt: skip
@option("--data", required=True, help="What the version met: the folder of a prediction log, Parquet files (a folder, "
        "or a pattern), or any table; see `train`.")  # fmt: skip
@option("--query", help="For a database: a table's name, or a SELECT.")
@_read
@option("--time", help="Column of times of a plain table; a prediction log has its own.")
@option("--since", help="Only rows from then on: 2026-11-30, 2026-11-30T12:00 (UTC), or how long ago: 7d.")
@option("--until", help="Only rows before then.")
@option("--window", help="Length of a window: 1h, 1d, 7d, or month. [default: one window]")
@option("--reference", default="training", help="What windows are compared with: training; previous, the window "
        "before; same-hour, same-weekday or same-month of the past; or a table or a log.")  # fmt: skip
@option("--outcomes", help="Table of the truth, known later: a file, a database URL or s3://.")
@_names("--on", help="Columns that join it: request_id, or those that identify a row.")
@option("--target", help="Column of the outcomes that holds the truth. [default: the version's target]")
@option("--outcome-time", help="Column of the outcomes that tells when each came: the metrics by its age.")
@_names("--group", help="Columns, of the data or the outcomes, to break the metric down by.")
@option("--suite", default="auto", help="Expectation suite for the last window: a file, the name of a shipped suite, "
        "or none. [auto: that of the version's training]")  # fmt: skip
@option("--report", metavar="FILE", help="Write the HTML report to this file, too.")
@option("--watch", metavar="INTERVAL", help="Go on as a service with a report now and at each interval: 15m, 1h, 1d.")
@_EXPERIMENT
@policy_option
@_JSON
def monitor(watch: str | None, as_json: bool, **given) -> int:
    """Compare what a version meets and answers with its evidence, or with earlier rows.

    An alert is a change that is certain, and large enough to matter; the exit code is then 1. The numbers and an HTML
    report are logged to MLflow, the version is tagged with the verdict, and the commands and webhooks of the policy's
    block `monitor:` are told of alerts.

    With --watch, each report is on the version that --model means then, and on the period that --since means then. An
    alert is told when it begins and when it is over. A report that fails is tried again at the next interval. Several
    services with the same options may run: one works, the others stand by. Ctrl-C or SIGTERM ends it, with exit code 0.
    """
    from pipelines.errors import PipelineError
    from pipelines.monitoring import command, terminal
    from pipelines.sources import ReadOptions

    given["options"] = _take(ReadOptions, given)
    if watch:
        _watch(watch, given, as_json=as_json)
        return 0
    if given["model"] is None:
        raise PipelineError("--model: expected NAME or models:/NAME/VERSION; only --watch takes all in Production")
    found = command.monitor(**given)
    terminal.show(found, as_json=as_json)
    return 1 if found.report.alerts else 0


def _watch(every: str, given: dict, *, as_json: bool) -> None:
    """Run `monitor` as a service."""
    from pipelines.monitoring import terminal
    from pipelines.monitoring.service import MonitorService
    from registry import client, ledger, logs
    from registry.cli import interrupts, log_output

    with ledger.open() as opened, log_output.shown(logs.timed_line):
        show = partial(terminal.show_line, as_json=as_json)
        service = MonitorService(opened, every, show=show, asked=given)
        client.connect()
        try:
            service.run()
        except KeyboardInterrupt:
            # This is how it ends, and no failure.
            interrupts.close()
            logs.get_logger("pipelines.monitoring").info("stopped monitoring")


@cli.command(
    examples="""
    lifecycle init churn --ci github
    """
)
@click.argument("folder", metavar="DIR")
@option("--ci", type=click.Choice(["github", "gitlab"]), help="Add a workflow for this system. [default: none]")
@option("--from", "source", metavar="VERSION_OR_PATH_OR_URL", help="How the project installs this package: a version, "
        "a checkout, a wheel, a URL. [default: as it is installed here]")  # fmt: skip
def init(folder: str, ci: str | None, source: str | None) -> None:
    """Write a small project into the new or empty folder DIR: a table, a model, a policy, tests.

    `make train` in it trains the model; everything in it is there to be changed.
    """
    from pipelines import terminal
    from pipelines.project.init import init as write

    terminal.show_project(write(folder, ci=ci, source=source))


@contextmanager
def _target_named() -> Iterator[None]:
    """Where no target was named and none is obvious, add the command that names the likely one."""
    from pipelines.errors import PipelineError, TargetNeeded
    from registry.cli import next_steps

    try:
        yield
    except TargetNeeded as error:
        raise PipelineError(f"{error}: {next_steps.again('--target', error.likely)}") from None


def _settings(given: dict):
    """What a user asks of a training run, taken out of the options that were given."""
    from pipelines.dataset import Roles
    from pipelines.planning import Settings
    from pipelines.sources import ReadOptions

    given |= {"options": _take(ReadOptions, given), "roles": _take(Roles, given)}
    return _take(Settings, given)


def _take(kind, given: dict):
    """A dataclass made of the options that are called as its fields; they are taken out of those that were given."""
    return kind(**{field.name: given.pop(field.name) for field in fields(kind) if field.name in given})


if __name__ == "__main__":
    run(cli)
