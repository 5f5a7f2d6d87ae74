"""``python -m pipelines``: from a table to a judged, registered model version."""

import click

from registry.cli.commands import Group, Names, Option, Switch, merged, option, pairs, run, switch

_SEED = option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Seed of folds, bootstrap and estimator.")
_EXPERIMENT = option("--experiment", help="MLflow experiment. [default: MLflow's]")
_JSON = click.option("--json", "as_json", is_flag=True, cls=Option, help="Print the result as JSON.")


def _read(command):
    """The options that say how a delimited file is written, named as those of ``pandas.read_csv``."""
    for one in reversed(
        (
            option("--sep", help=r"Between two values of a delimited file: ';', '|', \t, or \s+ for blanks. [found]"),
            option("--decimal", help="The decimal mark of numbers in text: . or , [found]"),
            option("--thousands", help="The mark between groups of digits: , . ' or a blank. [found]"),
            option("--encoding", help="Of a text file: utf-8, cp1252, utf-16, ... [found: UTF-8, else cp1252]"),
            option("--header", type=Switch(), help="Whether the first line names the columns: yes or no. [found]"),
        )
    ):
        command = one(command)
    return command


def _options(given: dict):
    """The options of :func:`_read`, taken out of all that were given."""
    from pipelines.sources import ReadOptions

    return ReadOptions(**{name: given.pop(name) for name in ("sep", "decimal", "thousands", "encoding", "header")})


def _table(command):
    """The options that say which table, and what its columns are for."""
    for one in reversed(
        (
            option("--data", required=True, help="A file (CSV, TSV, Parquet, JSON lines; .gz), a SQLAlchemy URL, "
                   "s3://bucket/key, or a table of scikit-learn: diabetes, breast_cancer, iris, wine, digits."),
            option("--target", help="The column to predict. [default: target, label, class or y]"),
            option("--query", help="With a database: the name of a table, or a SELECT, which is kept with the run."),
            _read,
            option("--task", type=click.Choice(["auto", "regression", "classification"]), default="auto",
                   help="Inferred from the estimator or the target unless given."),
            option("--drop", type=Names(), multiple=True,
                   help="Columns to leave out: a,b. A name with a comma in double quotes: '\"a, b\"'."),
            option("--keep", type=Names(), multiple=True,
                   help="Columns to keep though they look like identifiers, or like dates."),
            option("--id", "row_id", type=Names(), multiple=True,
                   help="Columns that name a row; its place in the holdout hangs on them. [default, and of the next "
                   "two: as the model's earlier versions have it]"),
            option("--group", help="Column of what belongs together: all on one side of the split."),
            option("--time", help="Column of when a row was seen: the latest rows are held out."),
            option("--test-size", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.2,
                   help="Share of the rows to hold out."),
        )
    ):  # fmt: skip
        command = one(command)
    return command


def _judged(command):
    """The options that say how a model is made and judged; those of the table are :func:`_table`'s."""
    for one in reversed(
        (
            option("--param", multiple=True, help="The estimator's own parameters: alpha=0.1."),
            option("--name", help="Registered model, without any of / : . % \" ' @ ? #. [default: after the table]"),
            _EXPERIMENT,
            _SEED,
            option("--folds", type=click.IntRange(0), default=5,
                   help="Folds of cross-validation; 0 switches it off."),
            option("--intervals", type=click.IntRange(0), default=1000,
                   help="Bootstrap resamples behind the intervals; 0: none."),
            option("--pictures", type=Switch(), default="yes", help="Draw the pictures."),
            option("--suite", default="auto", help="Expectation suite: a file, the name of a shipped one, or none. "
                   "[auto: the table's own, else that of the version in Production, else drafted]"),
            option("--sensitive", type=Names(), multiple=True,
                   help="Columns by whose values the metrics are shown apart."),
            option("--positive", help="The positive one of two classes. [default: the second]"),
            option("--class-weight", help="balanced, or weights: bad=5,good=1. A class with a comma in double "
                   "quotes: '\"a, b\"=5,c=1'."),
            option("--threshold",
                   help="When to answer the positive class: 0.3, recall=0.9, or cost=1:20 (false alarm : miss)."),
        )
    ):  # fmt: skip
        command = one(command)
    return command


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Train linear and logistic models on tables, judge them, and register what was made of them in MLflow."""


@cli.command()
@_SEED
@_EXPERIMENT
@_JSON
def main(seed: int, experiment: str | None, as_json: bool) -> None:
    """Train the two default models: `linear` on diabetes and `logistic` on breast cancer."""
    from pipelines import terminal
    from pipelines.training import train_defaults

    terminal.show(
        train_defaults(seed=seed, experiment=experiment, say=terminal.say, progress=terminal.progress), as_json=as_json
    )


@cli.command()
@_table
@option("--estimator", default="auto", help="linear, ridge, lasso, elastic-net, huber, poisson, linear-svr, logistic, "
        "linear-svm or mlp. [auto: linear or logistic]")  # fmt: skip
@_judged
@_JSON
def train(as_json: bool, **given) -> None:
    """Train one model on a table, judge it on held-out rows, and register the version."""
    from pipelines import terminal
    from pipelines.training import train as train_one

    terminal.show([train_one(_settings(given), say=terminal.say, progress=terminal.progress)], as_json=as_json)


@cli.command()
@_table
@option("--estimator", default="auto", help="What to tune, or several to choose between: ridge,lasso. "
        "[auto: ridge and elastic-net, or logistic]")  # fmt: skip
@option("--trials", type=click.IntRange(1), default=30, help="Trials in all, those of an interrupted search included.")
@option("--timeout", type=click.FloatRange(0), help="Seconds after which no further trial is begun.")
@option("--metric", help="What to optimise, cross-validated. [default: rmse or log_loss]")
@option("--search", multiple=True, help="What to try of a parameter, instead of what is usual: "
        "alpha=0.001:10:log, l1_ratio=0:1, or C=0.1,1,10.")  # fmt: skip
@option("--storage", default="sqlite:///tuning.db", help="Optuna's database, where an interrupted search goes on.")
@option("--study", help="Its name there. [default: after the model and all that is asked]")
@_judged
@_JSON
def tune(as_json: bool, **given) -> None:
    """Search an estimator's parameters by cross-validation, and train and register the winner."""
    from pipelines import terminal
    from pipelines.tuning import spaces, view
    from pipelines.tuning.planning import Search
    from pipelines.tuning.search import tune as tune_one

    search = Search(
        settings=_settings(given),
        trials=given["trials"],
        timeout=given["timeout"],
        metric=given["metric"],
        storage=given["storage"],
        study=given["study"],
        space=spaces.parse(given["search"]),
    )
    view.show(tune_one(search, bar=view.bar, say=terminal.say, progress=terminal.progress), as_json=as_json)


@cli.command()
@option(
    "--model", required=True, help="models:/NAME/3, models:/NAME@champion, models:/NAME/Staging, or NAME: its newest."
)
@option("--data", required=True, help="The table to judge by; see `train`.")
@option("--query", help="With a database: the name of a table, or a SELECT, which is kept with the run.")
@_read
@option("--target", help="The column that holds the truth. [default: as in training]")
@option("--rows", type=click.Choice(["auto", "all", "holdout"]), default="auto",
        help="auto: of a table with rows that the version was trained on those held out, of another all.")  # fmt: skip
@option("--against", default="champion", help="The version to judge beside, on the same rows; or none.")
@option("--sensitive", type=Names(), multiple=True, help="Columns by whose values the metrics are shown apart.")
@option("--positive", help="The positive one of two classes. [default: as in training]")
@option("--intervals", type=click.IntRange(0), default=1000, help="Bootstrap resamples behind the intervals; 0: none.")
@_SEED
@_JSON
def evaluate(as_json: bool, **given) -> None:
    """Judge a registered version on a table, beside the champion, and keep the evidence with its run."""
    from pipelines import terminal
    from pipelines.evaluation.evaluate import EvaluationRequest
    from pipelines.evaluation.evaluate import evaluate as evaluate_one

    request = EvaluationRequest(
        model=given["model"],
        data=given["data"],
        query=given["query"],
        options=_options(given),
        target=given["target"],
        rows=given["rows"],
        against=given["against"],
        sensitive=merged(given["sensitive"]),
        positive=given["positive"],
        resamples=given["intervals"],
        seed=given["seed"],
    )
    terminal.show_evaluation(evaluate_one(request, say=terminal.say), as_json=as_json)


@cli.command()
@option("--data", required=True, help="The table to check; see `train`.")
@option("--query", help="With a database: the name of a table, or a SELECT, which is kept with the run.")
@_read
@option("--target", help="The target's column, about which a drafted suite is stricter.")
@option("--suite", default="auto", help="A file, or the name of a shipped suite. "
        "[auto: the table's own, else that of the version in Production]")  # fmt: skip
@switch("--profile", help="Draft a suite from the training rows, judged on the held-out ones.")
@option("--output", help="Where a drafted suite is written. [default: pipelines/expectations/NAME.json]")
@switch("--overwrite", help="Replace a suite that is there.")
@option("--name", help="Registered model, and the drafted suite. [default: after the table]")
@_EXPERIMENT
@_JSON
def validate(as_json: bool, **given) -> None:
    """Check a table against its expectation suite, or draft the suite."""
    from pipelines import terminal
    from pipelines.validation.check import check

    given["draft"] = given.pop("profile")
    given["options"] = _options(given)
    check(**given, say=terminal.say, show=lambda checked: terminal.show_check(checked, as_json=as_json))


def _settings(given: dict):
    from pipelines.planning import Settings

    return Settings(
        data=given["data"],
        query=given["query"],
        options=_options(given),
        roles=_roles(given),
        estimator=given["estimator"],
        parameters=pairs(given["param"], "--param"),
        name=given["name"],
        experiment=given["experiment"],
        seed=given["seed"],
        test_size=given["test_size"],
        folds=given["folds"],
        resamples=given["intervals"],
        suite=given["suite"],
        positive=given["positive"],
        class_weight=given["class_weight"],
        threshold=given["threshold"],
        pictures=given["pictures"],
    )


def _roles(given: dict):
    from pipelines.dataset import Roles

    return Roles(
        target=given["target"],
        task=given["task"],
        drop=merged(given["drop"]),
        keep=merged(given["keep"]),
        id=merged(given["row_id"]),
        group=given["group"],
        time=given["time"],
        sensitive=merged(given.get("sensitive") or ()),
    )


if __name__ == "__main__":
    run(cli)
