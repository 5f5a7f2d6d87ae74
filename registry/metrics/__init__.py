"""The metrics of a model: their names, which way is better, and their values.

Every metric that is shown, compared or kept in evidence is computed here, and agrees with scikit-learn's of that name.
"""

from registry.metrics.answers import CodedAnswers, joined
from registry.metrics.measuring import MetricSums, measure, middle, weighted
from registry.metrics.names import (
    BY_NAME,
    CLASSIFICATION,
    METRICS,
    REGRESSION,
    Metric,
    headlines,
    is_error,
    names,
)

__all__ = [
    "BY_NAME",
    "CLASSIFICATION",
    "METRICS",
    "REGRESSION",
    "CodedAnswers",
    "Metric",
    "MetricSums",
    "headlines",
    "is_error",
    "joined",
    "measure",
    "middle",
    "names",
    "weighted",
]
