"""The model card: what is known about one version, as one HTML page that needs nothing else."""

from pipelines.card.page import render

__all__ = ["render"]
