"""What is measured: predictions beside the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from registry.metrics.names import CLASSIFICATION, REGRESSION, names


@dataclass(frozen=True)
class CodedAnswers:
    """What a version predicted for rows whose truth is known.

    Parameters
    ----------
    truth : shape (n_rows,): numbers of a regression; of a classification the places of the labels among the classes.
    predicted : shape (n_rows,), likewise.
    probabilities : shape (n_rows, n_classes); NaN if the version gives labels alone, None for a regression.
    positive : the place of the class, one of two, that precision, recall, f1 and roc_auc are of. None: of more than two
        classes these are means over the classes that occur, as scikit-learn's macro averages are, and roc_auc is the
        mean of each class against the rest.
    """

    truth: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None = None
    positive: int | None = None

    def __len__(self) -> int:
        return len(self.truth)

    def __getitem__(self, rows: np.ndarray | slice) -> "CodedAnswers":
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return CodedAnswers(self.truth[rows], self.predicted[rows], probabilities, self.positive)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics of its task."""
        return names(REGRESSION if self.probabilities is None else CLASSIFICATION)

    @property
    def places(self) -> Sequence[int]:
        """The places of the classes that precision, recall, f1 and roc_auc are of."""
        assert self.probabilities is not None
        return range(self.probabilities.shape[1]) if self.positive is None else [self.positive]


def joined(parts: Sequence[CodedAnswers]) -> CodedAnswers:
    """Answers of one task and the same classes that came in parts, one at least."""
    if len(parts) == 1:
        return parts[0]
    likely = [part.probabilities for part in parts if part.probabilities is not None]
    return CodedAnswers(
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.predicted for part in parts]),
        np.concatenate(likely) if likely else None,
        parts[0].positive,
    )
