"""What a fitted pipeline learned about each column: coefficients in raw units with intervals, or importances."""

from pipelines.coefficients.coefficient import INTERCEPT, LEVEL, Coefficient
from pipelines.coefficients.linear import score_name
from pipelines.coefficients.permutation import importances
from pipelines.coefficients.raw_units import table

__all__ = ["INTERCEPT", "LEVEL", "Coefficient", "importances", "score_name", "table"]
