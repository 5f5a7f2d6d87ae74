"""What a person writes without this project: read, split, fit once, measure, log; the peer of ``train``."""

import sys

import mlflow
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

table = pd.read_parquet(sys.argv[1])
target = table.pop("target")
train, test, train_target, test_target = train_test_split(table, target, test_size=0.2, random_state=0)
numbers = Pipeline(
    [
        ("cast", FunctionTransformer(np.asarray, kw_args={"dtype": "float64"}, feature_names_out="one-to-one")),
        ("impute", SimpleImputer(strategy="median", add_indicator=True)),
        ("scale", StandardScaler()),
    ]
)
features = ColumnTransformer([("numbers", numbers, list(table.columns))])
model = Pipeline([("features", features), ("estimator", LinearRegression())])
with mlflow.start_run():
    model.fit(train, train_target)
    said = model.predict(test)
    mse = mean_squared_error(test_target, said)
    mlflow.log_metrics({"mse": mse, "rmse": mse**0.5})
    mlflow.log_metrics({"mae": mean_absolute_error(test_target, said), "r2": r2_score(test_target, said)})
    mlflow.sklearn.log_model(
        model,
        name="model",
        registered_model_name="bare",
        pip_requirements=["scikit-learn", "mlflow"],
        signature=mlflow.models.infer_signature(test[:5], said[:5]),
        skops_trusted_types=["numpy.asarray", "numpy.dtype"],
    )
