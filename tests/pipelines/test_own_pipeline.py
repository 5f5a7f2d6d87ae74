"""A user's own pipeline: called with what it asks for, logged with its code, and refused in one line."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import mlflow
import pytest

from pipelines import own_pipeline
from pipelines.dataset import Roles
from pipelines.errors import PipelineError
from pipelines.planning import Settings
from pipelines.training import train
from registry.evidence.fetch import fetch_evidence
from tests.pipelines import tables

FEATURES = """
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    import scales

    def build(numeric, categorical, task):
        columns = ColumnTransformer([("n", StandardScaler(), numeric), ("c", OneHotEncoder(), categorical)])
        return make_pipeline(columns, Ridge(alpha=0.01))

    def forest(numeric):
        columns = ColumnTransformer([("n", FunctionTransformer(scales.cubed), numeric)])
        return make_pipeline(columns, RandomForestRegressor(n_estimators=5))

    def closure(numeric):
        return make_pipeline(ColumnTransformer([("n", FunctionTransformer(lambda x: x * 2), numeric)]), Ridge())

    def random(numeric):
        return make_pipeline(ColumnTransformer([("n", FunctionTransformer(scales.noisy), numeric)]), Ridge())

    def absent(numeric):
        return make_pipeline(ColumnTransformer([("n", StandardScaler(), ["nosuch"])]), Ridge())

    class Wide(Ridge):
        def predict(self, X):
            print("predicting")
            return super().predict(X).reshape(-1, 1)

    def wide(numeric):
        return make_pipeline(ColumnTransformer([("n", StandardScaler(), numeric)]), Wide())

    def nothing(): pass
    def a_class(): return Ridge
    def fails(): raise ValueError("boom")
    def leaves(): raise SystemExit(3)
    def wants(a, b): return Ridge()
    def labels(): return LogisticRegression()
    VALUE = 3
"""
SCALES = """
    import numpy as np

    def cubed(x): return np.asarray(x) ** 3
    def noisy(x): return x + np.random.normal(size=x.shape)
"""


@pytest.fixture
def project(tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a table and modules of the user's, which are forgotten after the test."""
    before = set(sys.modules)
    (tmp_path / "features.py").write_text(textwrap.dedent(FEATURES))
    (tmp_path / "scales.py").write_text(textwrap.dedent(SCALES))
    (tmp_path / "broken.py").write_text("import nosuch_package\n")
    tables.linear(tmp_path / "table.csv", rows=120)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in {"features", "scales", "broken"} - before:
        sys.modules.pop(name, None)


def settings(function: str, **others) -> Settings:
    return Settings("table.csv", pipeline=function, folds=0, resamples=0, pictures=False, suite="none", **others)


def test_what_compiles_is_portable_and_its_evidence_names_the_function(project: Path):
    trained = train(settings("features:build", name="own"))
    client = mlflow.MlflowClient()
    version = client.get_model_version("own", trained.version)
    lineage = fetch_evidence(client, version).document.lineage

    assert (trained.estimator, version.tags["pipeline"]) == ("Ridge", "features:build")
    assert lineage.pipeline.function == "features:build"
    assert lineage.pipeline.digest == own_pipeline.find("features:build").code.digest
    run = client.get_run(trained.run_id)
    assert (run.data.params["pipeline"], run.data.params["estimator.alpha"]) == ("features:build", "0.01")
    assert trained.metrics["r2"].value > 0.95
    flavors = mlflow.models.get_model_info(trained.model_uri).flavors
    assert flavors["python_function"]["loader_module"].startswith("scorecard_")


@pytest.mark.parametrize("function", ["forest", "closure"])
def test_what_does_not_compile_is_registered_and_loads_elsewhere(function: str, project: Path, tmp_path: Path, steps):
    trained = train(settings(f"features:{function}", name="own"))

    assert any("no scorecard" in line and "functiontransformer" in line.lower() for line in steps.messages)
    client = mlflow.MlflowClient()
    assert fetch_evidence(client, client.get_model_version("own", "1")).document.parity is None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    program = f"""
import mlflow, pandas
model = mlflow.pyfunc.load_model({trained.model_uri!r})
print(list(model.predict(pandas.DataFrame({{"x": [1.0, 2.0], "colour": ["red", "blue"]}}))))
"""
    # As anybody does who has neither the project nor this platform on the path.
    loaded = subprocess.run([sys.executable, "-P", "-c", program], cwd=elsewhere, capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    assert len(json.loads(loaded.stdout.replace("np.float64(", "").replace(")", ""))) == 2


def test_an_open_random_state_is_the_seed(project: Path):
    first, second = (train(settings("features:forest", name="own", seed=seed)) for seed in (1, 1))
    other = train(settings("features:forest", name="own", seed=2))
    assert first.metrics["rmse"] == second.metrics["rmse"] != other.metrics["rmse"]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("features:nothing", "expected a function that returns an unfitted scikit-learn estimator or Pipeline, found"),
        ("features:a_class", "returns the class Ridge"),
        ("features:fails", "the function fails: ValueError: boom"),
        ("features:leaves", "the function fails: SystemExit: 3"),
        ("features:wants", "may take numeric, categorical, task, seed by name, found 'a', 'b'"),
        ("features:labels", "the task of 'target' is regression, and LogisticRegression is no estimator for it"),
        ("features:absent", "'nosuch'}; the features are 'x', 'colour'"),
        ("features:wide", "expected one prediction for each row, found the shape ("),
        ("features:random", "it is not deterministic: fitted twice with one seed, it answers"),
        ("features:biuld", "features has no function 'biuld'; did you mean 'build'?"),
        ("features:VALUE", "features has no function 'VALUE'"),
        ("nosuch:build", "no module 'nosuch' in "),
        ("broken:build", "importing broken fails: ModuleNotFoundError: No module named 'nosuch_package'"),
        ("features", "expected module:function, such as features:build, found 'features'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_registered(function: str, says: str, project: Path):
    with pytest.raises(PipelineError) as refused:
        train(settings(function))
    assert str(refused.value).startswith("--pipeline")
    assert says in str(refused.value)
    assert mlflow.MlflowClient().search_registered_models() == []


def test_a_column_that_is_excluded_is_named_with_the_option_that_includes_it(project: Path):
    (project / "features.py").write_text(textwrap.dedent(FEATURES).replace('"nosuch"', '"x"'))
    with pytest.raises(PipelineError, match=r"'x' is excluded \(.*\), --keep x includes it"):
        train(settings("features:absent", roles=Roles(drop=("x",))))


def test_options_of_the_platforms_estimators_do_not_go_with_it(project: Path):
    with pytest.raises(PipelineError, match="--estimator does not go with --pipeline"):
        train(settings("features:build", estimator="ridge"))


def test_an_entry_point_offers_a_pipeline_by_name(project: Path, monkeypatch: pytest.MonkeyPatch):
    info = project / "offers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{own_pipeline.GROUP}]\nchurn = features:build\n")
    monkeypatch.syspath_prepend(str(project))
    assert own_pipeline.find("churn").function.__name__ == "build"


def test_a_module_that_was_changed_is_imported_anew(project: Path):
    assert own_pipeline.find("features:build").function.__name__ == "build"
    (project / "features.py").write_text("def other():\n    pass\n")
    assert own_pipeline.find("features:other").function() is None


def test_its_digest_changes_with_any_file_that_it_imports(project: Path):
    before = own_pipeline.find("features:build").code
    (project / "scales.py").write_text(textwrap.dedent(SCALES) + "\n# changed\n")
    after = own_pipeline.find("features:build").code
    assert before.carried.modules == after.carried.modules == {"features", "scales"}
    assert before.digest != after.digest
    assert any(pin.startswith("scikit-learn==") for pin in after.carried.requirements)
