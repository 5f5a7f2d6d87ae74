"""What MLflow itself makes of a model: the answers of its pipeline by its signature, or one line that says why not."""

from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression, LogisticRegression

from serving.errors import InputError, ServingError
from serving.models import native
from serving.models.files import Files, Folder
from serving.scorecard import Input

pytestmark = pytest.mark.filterwarnings("ignore:.*integer column:UserWarning")

TABLE = pd.DataFrame({"age": [20, 30, 40, 50], "income": [1.5, 2.5, 1.0, 3.0]})
LABELS = np.array(["no", "no", "yes", "yes"])


def saved(folder: Path, fitted: object, signature: object) -> Files:
    mlflow.sklearn.save_model(fitted, str(folder), signature=signature, pip_requirements=["scikit-learn"])
    return Folder(folder)


def test_a_classifier_answers_as_its_pipeline_does(tmp_path: Path) -> None:
    fitted = LogisticRegression().fit(TABLE, LABELS)
    loaded = native.load(saved(tmp_path / "m", fitted, infer_signature(TABLE, LABELS)), "it")

    assert loaded.inputs == (Input("age", "number", integer=True, null=False), Input("income", "number"))
    assert loaded.classes == ("no", "yes")
    assert loaded.probabilities
    typed = TABLE.astype("float64")  # as evaluation reads a table
    assert loaded.predict(typed).tolist() == fitted.predict(TABLE).tolist()
    assert loaded.probabilities(typed).tolist() == fitted.predict_proba(TABLE).tolist()


def test_a_missing_value_is_refused_where_the_signature_has_no_place_for_it(tmp_path: Path) -> None:
    fitted = LinearRegression().fit(TABLE, [1.0, 2.0, 3.0, 4.0])
    loaded = native.load(saved(tmp_path / "m", fitted, infer_signature(TABLE, [1.0])), "it")

    assert (loaded.classes, loaded.probabilities) == ((), None)
    with pytest.raises(InputError, match="row 1, column 'age': a value is required, found none"):
        loaded.predict(TABLE.assign(age=[20.0, np.nan, 40.0, 50.0]))


@pytest.mark.parametrize(
    ("signature", "says"),
    [
        (lambda: None, "the model has no signature of named columns"),
        (lambda: infer_signature(TABLE.to_numpy(), [1.0]), "the model has no signature of named columns"),
        (
            lambda: infer_signature(TABLE.assign(day=pd.Timestamp("2026-01-01")), [1.0]),
            "column 'day' is datetime; expected",
        ),
    ],
    ids=["none", "tensor", "dates"],
)
def test_a_signature_that_no_table_fits_is_told(signature: Callable[[], object], says: str, tmp_path: Path) -> None:
    files = saved(tmp_path / "m", LinearRegression().fit(TABLE, [1.0, 2.0, 3.0, 4.0]), signature())

    with pytest.raises(ServingError, match=says) as caught:
        native.load(files, "wine version 1")

    assert str(caught.value).startswith("wine version 1 cannot be asked: ")
