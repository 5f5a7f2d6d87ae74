"""``python -m pipelines``: from a table to an evaluated, registered model version."""

from dataclasses import fields
from functools import reduce

import click

from registry.cli.commands import Group, Names, Option, Switch, merged, option, pairs, run, switch

_SEED = option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Seed for folds, bootstrap and estimator.")
_EXPERIMENT = option("--experiment", help="MLflow experiment. [default: MLflow's]")
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
_intervals = option("--intervals", "resamples", type=click.IntRange(0), default=1000,
                    help="Bootstrap resamples for the confidence intervals; 0 for none.")  # fmt: skip
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


@cli.command()
@_SEED
@_EXPERIMENT
@_JSON
def main(seed: int, experiment: str | None, as_json: bool) -> None:
    """Train the two default models: `linear` on diabetes and `logistic` on breast cancer."""
    from pipelines import terminal
    from pipelines.training import train_defaults

    terminal.show(train_defaults(seed=seed, experiment=experiment), as_json=as_json)


@cli.command()
@_table
@option("--estimator", default="auto", help="linear, ridge, lasso, elastic-net, huber, poisson, linear-svr, logistic, "
        "linear-svm or mlp. [auto: linear or logistic]")  # fmt: skip
@_training
@_JSON
def train(as_json: bool, **given) -> None:
    """Train a model on a table, evaluate it on held-out rows, and register the version."""
    from pipelines import terminal
    from pipelines.training import train as train_one

    terminal.show([train_one(_settings(given))], as_json=as_json)


@cli.command()
@_table
@option("--estimator", default="auto", help="Estimator to tune, or several to choose from: ridge,lasso. "
        "[auto: ridge and elastic-net, or logistic]")  # fmt: skip
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
    terminal.show_search(tune_one(search), as_json=as_json)


@cli.command()
@option(
    "--model", required=True, help="models:/NAME/3, models:/NAME@champion, models:/NAME/Staging, or NAME: its newest."
)
@option("--data", required=True, help="The table to evaluate on; see `train`.")
@option("--query", help="For a database: a table's name, or a SELECT, which is stored with the run.")
@_read
@option("--target", help="Target column. [default: as in training]")
@option("--rows", type=click.Choice(["auto", "all", "holdout"]), default="auto",
        help="Rows to evaluate on. [auto: those held out if any row was trained on, else all]")  # fmt: skip
@option("--against", default="champion", help="Version to compare with on the same rows; or none.")
@_sensitive
@option("--positive", help="Positive class. [default: as in training]")
@_intervals
@_SEED
@_JSON
def evaluate(as_json: bool, **given) -> None:
    """Evaluate a registered version on a table, next to the champion, and store the evidence with its run."""
    from pipelines import terminal
    from pipelines.evaluation.evaluate import EvaluationRequest
    from pipelines.evaluation.evaluate import evaluate as evaluate_one
    from pipelines.sources import ReadOptions

    request = EvaluationRequest(options=_take(ReadOptions, given), **given)
    terminal.show_evaluation(evaluate_one(request), as_json=as_json)


@cli.command()
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
    terminal.show_check(checked, as_json=as_json)


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
