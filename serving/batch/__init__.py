"""Batch scoring: score a table where it lies, and write the answers as files."""

from serving.batch.job import score
from serving.batch.request import ScoreRequest

__all__ = ["ScoreRequest", "score"]
