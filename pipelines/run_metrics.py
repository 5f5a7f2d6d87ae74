"""What the metrics of an MLflow run are called: plain on the held-out rows, else behind the word that says of what.

MLflow's pages show metrics of one prefix in a section of their own.
"""

from collections.abc import Mapping

from registry.evidence.document import FoldMetric

#: The ends of a metric's 95 % interval.
ENDS = ("low", "high")
#: Of a search: how many trials there are, were pruned and failed.
TRIALS, PRUNED, FAILED = "search/trials", "search/pruned", "search/failed"
#: Of a check: how many expectations were evaluated, and how many were not met.
EXPECTATIONS, UNMET = "suite/expectations", "suite/failed"

#: Names as a reader looks for them, and what each means.
MEANINGS: Mapping[str, str] = {
    "`mse`, `rmse`, `r2`, `mae`": "A regression on the held-out rows.",
    "`accuracy`, `precision`, `recall`, `f1`, `roc_auc`, `log_loss`": "A classifier on the held-out rows.",
    "`holdout/rmse_low`, `holdout/rmse_high`": "The ends of the 95 % interval of `rmse`; so for each metric.",
    "`baseline/rmse`": "A dummy that looks at no column, on the same rows.",
    "`cv/rmse`, `cv/rmse_std`": "Mean and standard deviation over the folds of the training rows. Of a search, the "
    "best mean so far, after each trial.",
    "`training/rmse`": "The model on the rows that it was fitted on.",
    f"`{TRIALS}`, `{PRUNED}`, `{FAILED}`": "How many trials a search made, and how many were pruned and failed.",
    "`psi/COLUMN`, `missing/COLUMN`, `unknown/COLUMN`, `mean/COLUMN`": "What `monitor` found in a window: the PSI "
    "beyond chance, shares of rows, the mean. The time of each value is the end of its window.",
    "`score/mean`, `score/std`, `shift/COLUMN`": "The score in a window, and how far a column moved its mean.",
    "`group/METRIC of COLUMN GROUP`": "The metric of a group of rows, over all windows.",
    "`within_7d/share`, `within_7d/rmse`": "The share of a window's rows whose outcome was known within 7 days, and a "
    "metric on them; so for 1 and 30 days.",
    "`version_2/disagree`, `version_2/distance`, `version_2/rmse_difference`": "A version that answered the same rows: "
    "the share of other labels, the mean distance of numbers, and its metric less the monitored version's.",
    "`live/rmse`": "A metric on the rows of a window whose outcome is known.",
    f"`{EXPECTATIONS}`, `{UNMET}`": "How many expectations `validate` evaluated, and how many were not met.",
}


def held_out(metric: str, end: str) -> str:
    """An end of the interval of a metric on the held-out rows."""
    return f"holdout/{metric}_{end}"


def baseline(metric: str) -> str:
    """A metric of the dummy that looks at no column."""
    return f"baseline/{metric}"


def training(metric: str) -> str:
    """A metric on the rows that the model was fitted on."""
    return f"training/{metric}"


def mean(metric: str) -> str:
    """A metric's mean over the folds."""
    return f"cv/{metric}"


def cross_validated(metrics: Mapping[str, FoldMetric]) -> dict[str, float | None]:
    """Mean and standard deviation of each metric over the folds, by their names."""
    values: dict[str, float | None] = {}
    for name, over in metrics.items():
        values |= {mean(name): over.mean, f"{mean(name)}_std": over.std}
    return values
