"""Exact fits of linear models over blocks of rows: a few passes over the table, one small matrix in memory."""

from pipelines.solving.problem import Block, Blocks, Fit, IteratedBlocks, Objective, SolvingError
from pipelines.solving.residuals import Squares
from pipelines.solving.solve import Solver, fit, fit_path

__all__ = [
    "Block",
    "Blocks",
    "Fit",
    "IteratedBlocks",
    "Objective",
    "Solver",
    "SolvingError",
    "Squares",
    "fit",
    "fit_path",
]
