"""The pictures and the model card of a version, as files of its run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from pipelines import card, coefficients, pictures
from pipelines.coefficients import Coefficient
from pipelines.dataset import Dataset
from pipelines.evaluation.comparison import Comparison
from pipelines.evaluation.metrics import Answers
from pipelines.splitting import Split
from registry.evidence import Evidence

PICTURES = "pictures"
CARD = "model_card.html"


def draw(
    pipeline: Pipeline,
    dataset: Dataset,
    split: Split,
    answers: Answers,
    *,
    threshold: float | None,
    seed: int,
    training_rows: int | None,
    covariance: np.ndarray | None,
    folder: Path,
) -> tuple[list[Coefficient], dict[str, bytes]]:
    """Draw the pictures of held-out answers, and of what the model learned, into a folder.

    Parameters
    ----------
    dataset, split : of the table, or of a sample of it.
    training_rows : how many rows the pipeline was fitted on; None if they are the split's.
    covariance : of the fitted intercept and weights; None to find it by the rows.

    Returns
    -------
    what the model learned (coefficients by the training rows, else importances), and each picture's bytes by name.
    """
    if answers.classes:
        figures = pictures.classification(
            answers.target, answers.probabilities, answers.predicted, answers.classes, answers.positive, threshold
        )
    else:
        figures = pictures.regression(answers.target, answers.predicted, target=dataset.target_name)
    table, target = dataset.features.iloc[split.training], dataset.target.iloc[split.training]
    learned = coefficients.table(
        pipeline, table, target, seed=seed, positive=answers.positive, total_rows=training_rows, covariance=covariance
    )
    score = coefficients.score_name(pipeline, dataset.target_name)
    if learned:
        figures |= pictures.coefficients(learned, score=score)
    else:
        held, truth = dataset.features.iloc[split.holdout], dataset.target.iloc[split.holdout]
        learned = coefficients.importances(pipeline, held, truth, seed=seed)
        figures |= pictures.coefficients(learned, score=score, importance=True)
    paths = pictures.write(figures, folder / PICTURES)
    return learned, {path.stem: path.read_bytes() for path in paths}


def write_card(
    folder: Path,
    document: Evidence,
    *,
    run_id: str,
    model_uri: str,
    example: Mapping[str, Any] | None,
    drawn: Mapping[str, bytes] | None = None,
    learned: Sequence[Coefficient] = (),
    score: str = "score",
    against: Comparison | None = None,
    docs: str | None = None,
) -> Path:
    """Write the model card into a folder; its path.

    Parameters
    ----------
    example : a row that the model takes, as JSON has it; None if none is known.
    """
    text = card.render(
        document,
        pictures=drawn,
        coefficients=learned,
        score=score,
        data_docs_link=docs,
        champion=against,
        model_uri=model_uri,
        run_id=run_id,
        example=example,
    )
    path = folder / CARD
    path.write_text(text, encoding="utf-8")
    return path
