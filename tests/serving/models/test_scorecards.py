"""The scorecard of any model that MLflow keeps: its own, or one compiled from the scikit-learn pipeline in it."""

import json
import logging
import pickle
import tempfile
from pathlib import Path

import mlflow
import mlflow.statsmodels
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pipelines import versions
from registry.client import connect
from serving import flavor, models
from serving.errors import ScorecardError, ServingError
from serving.exporting import export
from serving.packaging import plan
from serving.scorecard import Input, Scorecard, compile
from serving.server.cache import Cache
from serving.server.follower import admission

pytestmark = pytest.mark.filterwarnings("ignore:.*integer column:UserWarning")

DRAW = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "age": DRAW.integers(18, 90, 200),
        "income, monthly": DRAW.normal(3e3, 1e3, 200),
        "region": DRAW.choice(["north", "south"], 200),
        "owns.car": DRAW.integers(0, 2, 200).astype(bool),
    }
)
NUMBERS = TABLE[["age", "income, monthly"]]
LABELS = np.where(TABLE["age"] + TABLE["income, monthly"] / 100 > 85, "yes", "no")
AMOUNTS = (2 * TABLE["age"] + TABLE["income, monthly"].abs() + 100 * TABLE["owns.car"]).to_numpy()
ENCODED = ColumnTransformer(
    [("numbers", StandardScaler(), list(NUMBERS)), ("regions", OneHotEncoder(handle_unknown="ignore"), ["region"])]
)
PASSED = ColumnTransformer([("regions", OneHotEncoder(), ["region"])], remainder="passthrough")
LOGARITHM = TransformedTargetRegressor(LinearRegression(), func=np.log, inverse_func=np.exp)

#: What people log: (fitted, the table it was fitted on).
LOGGED = {
    "a bare estimator": (LogisticRegression(max_iter=5000).fit(NUMBERS, LABELS), NUMBERS),
    "columns": (Pipeline([("columns", ENCODED), ("model", LogisticRegression())]).fit(TABLE, LABELS), TABLE),
    "columns passed": (Pipeline([("columns", PASSED), ("model", Ridge())]).fit(TABLE, AMOUNTS), TABLE),
    "a target in logarithms": (
        Pipeline([("scale", StandardScaler()), ("m", LOGARITHM)]).fit(NUMBERS, AMOUNTS),
        NUMBERS,
    ),
    "no names": (
        make_pipeline(StandardScaler(), LinearRegression()).fit(NUMBERS.to_numpy(), AMOUNTS),
        NUMBERS.to_numpy(),
    ),
}


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)


def save(path: Path, fitted, table, *, signature: bool = True, serialization: str = "skops") -> str:
    """Save a model as people do who do not know this project."""
    mlflow.sklearn.save_model(
        fitted,
        str(path),
        signature=infer_signature(table, fitted.predict(table)) if signature else None,
        pip_requirements=["scikit-learn"],
        serialization_format=serialization,
    )
    return str(path)


@pytest.mark.parametrize("signature", [True, False])
@pytest.mark.parametrize("name", LOGGED)
def test_a_pipeline_logged_by_other_means_is_compiled(name: str, signature: bool, tmp_path: Path) -> None:
    fitted, table = LOGGED[name]
    card = models.find(save(tmp_path / "model", fitted, table, signature=signature)).portable()

    names = [column.name for column in card.inputs]
    # Without a signature nothing says that the column is a yes or no; scikit-learn takes 0 and 1.
    table = table if signature or name != "columns passed" else table.astype({"owns.car": float})
    rows = pd.DataFrame(table, columns=names) if isinstance(table, np.ndarray) else table
    answers = [card.predict_row(row) for row in rows.to_dict("records")]

    expected = fitted.predict(table)
    if isinstance(answers[0], str):
        assert answers == expected.tolist()
        assert set(answers) == {"yes", "no"}
    else:
        np.testing.assert_allclose(answers, expected, rtol=1e-11)


def test_the_signature_says_which_columns_are_whole_numbers_and_yes_or_no(tmp_path: Path) -> None:
    card = models.find(save(tmp_path / "model", *LOGGED["columns passed"])).portable()

    assert card.inputs == (
        Input("age", "number", integer=True, null=False),
        Input("income, monthly", "number", null=False),
        Input("region", "category", null=False),
        Input("owns.car", "boolean", null=False),
    )


def test_a_tensor_signature_names_nothing_and_the_columns_are_numbered(tmp_path: Path) -> None:
    card = models.find(save(tmp_path / "model", *LOGGED["no names"])).portable()

    assert [column.name for column in card.inputs] == ["x0", "x1"]


def test_a_step_that_cannot_be_said_is_named_with_what_to_do_instead(tmp_path: Path) -> None:
    forest = Pipeline([("scale", StandardScaler()), ("trees", RandomForestClassifier(3))]).fit(NUMBERS, LABELS)
    uri = save(tmp_path / "model", forest, NUMBERS.astype(float), serialization="cloudpickle")

    with pytest.raises(ServingError, match=r"trees \(RandomForestClassifier\).*mlflow models serve") as caught:
        models.find(uri).portable()

    assert str(caught.value).startswith(f"{uri} has no scorecard, and none can be made: ")
    assert str(caught.value).count("mlflow models serve") == 1


def test_a_model_of_statsmodels_has_one(tmp_path: Path) -> None:
    table = NUMBERS.astype(float).assign(target=np.arange(len(NUMBERS)) * 1.5)
    results = statsmodels.formula.api.ols('target ~ age + np.log1p(Q("income, monthly") ** 2)', table).fit()
    uri = str(tmp_path / "model")
    signature = infer_signature(table[list(NUMBERS)], results.predict(table))
    mlflow.statsmodels.save_model(results, uri, signature=signature, pip_requirements=["mlflow", "statsmodels"])

    card = models.find(uri).portable()

    assert card.predict(table) == pytest.approx(mlflow.pyfunc.load_model(uri).predict(table[list(NUMBERS)]), rel=1e-9)


def test_a_model_of_another_library_is_refused(tmp_path: Path) -> None:
    class Doubles(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input: list[float], params=None) -> list[float]:
            return [2 * x for x in model_input]

    uri = str(tmp_path / "model")
    mlflow.pyfunc.save_model(uri, python_model=Doubles(), pip_requirements=["mlflow"])

    with pytest.raises(
        ServingError, match="no sklearn or statsmodels flavor to make one of; serve it with `serve --pyfunc yes`"
    ):
        models.find(uri).portable()


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, str]:
    """A model of this project's flavor, and its scorecard's text."""
    fitted, table = LOGGED["columns"]
    card = compile(fitted)
    path = tmp_path / "own"
    shape = flavor.signature(card.inputs, card.classes or (), card)
    flavor.save_model(str(path), fitted, card, shape, table[[one.name for one in card.inputs]].head(3))
    return path, card.dumps()


def test_a_model_that_carries_its_scorecard_is_not_compiled_again(own: tuple[Path, str]) -> None:
    path, text = own
    for file in path.glob("model.*"):
        file.unlink()

    assert models.find(str(path)).portable().dumps() == text


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b'"intercepts": [', b'"intercepts": [1', 1),
        lambda content: content.replace(b"{", b"\xff{", 1),
        lambda content: b"",
        lambda content: json.dumps({"format": "something else"}).encode(),
    ],
)
def test_a_damaged_scorecard_is_refused_by_name_and_not_made_anew(own: tuple[Path, str], damage) -> None:
    path, text = own
    damaged = damage(text.encode())
    assert damaged != text.encode()
    (path / "scorecard.json").write_bytes(damaged)

    with pytest.raises(ScorecardError, match=rf"^{path}: its scorecard.json is refused: "):
        models.find(str(path)).portable()


class Gone:
    """What is in a pickle of a package that is not here."""

    def __reduce__(self):
        return _away, ()


def _away():
    raise ModuleNotFoundError("No module named 'gone'", name="gone")


def test_a_model_that_does_not_load_here_says_what_to_install(tmp_path: Path) -> None:
    fitted, table = LOGGED["a bare estimator"]
    uri = save(tmp_path / "model", fitted, table, serialization="pickle")
    (tmp_path / "model" / "model.pkl").write_bytes(pickle.dumps(Gone()))
    with pytest.raises(
        ServingError, match=r"cannot be loaded: it needs the module 'gone', which is not here, and its "
    ):
        models.find(uri).portable()

    (tmp_path / "model" / "MLmodel").write_text("flavors: [\n")
    with pytest.raises(ServingError, match="cannot be loaded"):
        models.find(uri).portable()


def test_a_folder_without_a_model_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="is no MLflow model: it has neither MLmodel nor scorecard"):
        models.find(str(tmp_path)).portable()


def test_every_command_has_the_same_answer(tracking: str, tmp_path: Path) -> None:
    """Exporter, packager, server and evaluation: of a version with a scorecard, and of one without."""
    fitted, table = LOGGED["columns"]
    card = compile(fitted)
    example = table[[column.name for column in card.inputs]].head(3)
    with mlflow.start_run():
        info = flavor.log_model(fitted, card, inputs=card.inputs, classes=card.classes or (), example=example)
        mlflow.register_model(info.model_uri, "ours")
        mlflow.sklearn.log_model(
            fitted,
            name="model",
            signature=infer_signature(table, fitted.predict(table)),
            pip_requirements=["scikit-learn"],
            serialization_format="skops",
            registered_model_name="theirs",
        )
    cache = Cache(tmp_path / "cache", "test")
    cache.make()

    def portable(uri: str) -> set[str]:
        """The digests of the scorecards that are exported and packaged."""
        return {
            Scorecard.loads(export(uri, "scorecard").decode()).digest,
            plan(uri, "aws-lambda", options={"front": "none"}, allow_ungated=True).digest,
        }

    def kept(uri: str) -> Scorecard | None:
        """What evaluation says the version has."""
        return versions.fetch(connect(), uri, tmp_path / uri.replace("/", "_")).model.scorecard

    assert portable("models:/ours/1") == {card.digest}
    assert admission.admit(cache, models.find("models:/ours/1"), "1", called="version 1").card == card.digest
    assert kept("models:/ours/1").digest == card.digest  # type: ignore[union-attr]

    assert len(portable("models:/theirs/1")) == 1
    assert models.find("models:/theirs/1").scorecard is None
    assert kept("models:/theirs/1") is None
    with pytest.raises(
        admission.Unservable,
        match=r"^version 1 has no scorecard; .* evaluate --model models:/theirs/1 .* -m models:/theirs/1`$",
    ):
        admission.admit(cache, models.find("models:/theirs/1"), "1", called="version 1")


def test_a_pipeline_of_a_version_without_a_scorecard_is_fetched_and_compiled(
    tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, table = LOGGED["columns"]
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            fitted,
            name="model",
            signature=infer_signature(table, fitted.predict(table)),
            pip_requirements=["scikit-learn"],
            serialization_format="skops",
            registered_model_name="theirs",
        )
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    card = models.find("models:/theirs/1").portable()

    assert card.predict(table).tolist() == fitted.predict(table).tolist()
    assert list((tmp_path / "temporary").iterdir()) == []
