"""The model of this project. Change it, and train again: `make train`."""

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def build(numeric: list[str], categorical: list[str]) -> Pipeline:
    """Return an unfitted pipeline that takes a DataFrame with these columns.

    `lifecycle train` calls it with the names of the columns that hold numbers (float64; true and false are 1 and 0) and
    those that hold text. Missing values are NaN. A function may also take `task` ("regression" or "classification") and
    `seed`. What the platform can express as a scorecard runs anywhere; other steps need scikit-learn where they answer.
    """
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
            ("categories", OneHotEncoder(handle_unknown="ignore"), categorical),
        ]
    )
    return Pipeline([("columns", columns), ("model", LogisticRegression(C=1.0, max_iter=1000))])
