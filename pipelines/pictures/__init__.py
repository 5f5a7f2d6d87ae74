"""The pictures of a judged model: arrays in, matplotlib figures out, without pyplot and its global state."""

from pipelines.pictures.classifiers import classification
from pipelines.pictures.files import write
from pipelines.pictures.forest import coefficients
from pipelines.pictures.look import BLUE, GREY, INK, PALE, PALETTE, RED, plain
from pipelines.pictures.regressors import regression

__all__ = [
    "BLUE",
    "GREY",
    "INK",
    "PALE",
    "PALETTE",
    "RED",
    "classification",
    "coefficients",
    "plain",
    "regression",
    "write",
]
