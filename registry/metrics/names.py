"""What the metrics of a model are called, and which way is better."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

REGRESSION = "regression"
CLASSIFICATION = "classification"


@dataclass(frozen=True)
class Metric:
    """What a metric is called, and which way is better.

    Parameters
    ----------
    name : in evidence, policies and MLflow.
    label : for people.
    headline : whether it is among the few that are shown where there is little room.
    lowest : the smallest value that it can have.
    """

    name: str
    label: str
    higher_is_better: bool
    headline: bool = False
    lowest: float = 0.0

    def possible(self, value: float) -> float:
        """The nearest value that the metric can have."""
        return max(min(value, 1.0) if self.higher_is_better else value, self.lowest)


#: The metrics of each task, in the order in which they are shown.
METRICS: Mapping[str, tuple[Metric, ...]] = {
    REGRESSION: (
        Metric("mse", "MSE", False, headline=True),
        Metric("rmse", "RMSE", False, headline=True),
        Metric("r2", "R²", True, headline=True, lowest=-math.inf),
        Metric("mae", "MAE", False),
    ),
    CLASSIFICATION: (
        Metric("accuracy", "Accuracy", True, headline=True),
        Metric("precision", "Precision", True),
        Metric("recall", "Recall", True),
        Metric("f1", "F1", True),
        Metric("roc_auc", "ROC AUC", True, headline=True),
        Metric("log_loss", "Log loss", False, headline=True),
    ),
}
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metrics in METRICS.values() for metric in metrics}


def names(task: str) -> tuple[str, ...]:
    """The names of a task's metrics."""
    return tuple(metric.name for metric in METRICS[task])


def headlines(task: str) -> tuple[str, ...]:
    """The names of those metrics of a task that are shown where there is little room."""
    return tuple(metric.name for metric in METRICS[task] if metric.headline)


def is_error(name: str) -> bool:
    """Whether a metric is known of which less is better."""
    return name in BY_NAME and not BY_NAME[name].higher_is_better
