"""The catalogue of estimators: names, tasks, parameters, and that every entry fits."""

import re

import numpy as np
import pytest

from pipelines import estimators
from pipelines.__main__ import cli
from pipelines.errors import PipelineError
from pipelines.sources import BUNDLED

DRAW = np.random.default_rng(0)
TABLE = DRAW.standard_normal((60, 3))
TARGETS = {"regression": np.abs(TABLE[:, 0] + DRAW.standard_normal(60)), "classification": TABLE[:, 0] > 0}
NAMES = [entry.name for entry in estimators.CATALOGUE]


@pytest.mark.parametrize("entry", estimators.CATALOGUE, ids=NAMES)
def test_every_entry_fits_its_task_and_the_seed_decides(entry):
    values = {"max_iter": 20} if entry.name.startswith("mlp") else {}
    answers = []
    for seed in (0, 0):
        model = estimators.build(entry, values, seed=seed)
        with np.errstate(all="ignore"):
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(TABLE, TARGETS[entry.task])
        if entry.task == "classification":
            probabilities = model.predict_proba(TABLE)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1)
            answers.append(probabilities)
        else:
            answers.append(model.predict(TABLE))
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize(("name", "values"), [("logistic", {}), ("poisson", {"alpha": 1e-6})])
@pytest.mark.parametrize("size", [0, 501])
def test_correlated_columns_are_fitted_to_the_optimum(name, values, size):
    """Where scikit-learn's own default stops a hundredth of a coefficient and more away from it."""
    draw = np.random.default_rng(0)
    table = draw.normal(size=(10_000, 20)) @ draw.normal(size=(20, 20))
    table /= table.std(axis=0)
    eta = table @ draw.normal(size=20) / 4
    target = draw.uniform(size=10_000) < 1 / (1 + np.exp(-eta)) if name == "logistic" else draw.poisson(np.exp(eta))
    entry = estimators.find(name)
    optimum = entry.load()(solver="newton-cholesky", tol=1e-12, **values).fit(table, target).coef_
    assert np.abs(entry.load()(**values).fit(table, target).coef_ - optimum).max() > 0.01
    found = estimators.build(entry, values, seed=0, size=size)
    assert found.solver == ("lbfgs" if size else "newton-cholesky")
    assert found.fit(table, target).coef_ == pytest.approx(optimum, abs=1e-5 if not size else 2e-3)


def test_a_users_solver_keeps_its_own_tolerance():
    entry = estimators.find("logistic")
    assert estimators.build(entry, {"solver": "saga"}, seed=0).tol == entry.load()().tol
    assert estimators.build(entry, {"solver": "saga", "tol": 1e-3}, seed=0).tol == 1e-3
    assert estimators.build(entry, {"tol": 1e-3}, seed=0).tol == 1e-3
    assert estimators.build(entry, {"solver": "newton-cholesky"}, seed=0).tol == 1e-8


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("ridge", "ridge"),
        ("Ridge", "ridge"),
        ("elastic-net", "elastic-net"),
        ("elastic_net", "elastic-net"),
        ("ElasticNet", "elastic-net"),
        ("LinearSVC", "linear-svm"),
        ("LOGISTICREGRESSION", "logistic"),
    ],
)
def test_names(asked, name):
    assert estimators.find(asked).name == name


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("rigde", "did you mean 'ridge'?"),
        ("LogisticRegresion", "did you mean 'LogisticRegression'?"),
        ("zzz", "one of linear, ridge"),
    ],
)
def test_a_name_that_the_catalogue_lacks(asked, hint):
    with pytest.raises(PipelineError, match="is not in the catalogue") as caught:
        estimators.find(asked)
    assert hint in str(caught.value)


def test_the_task_and_the_name_find_each_other():
    assert estimators.choose("auto", "regression").name == "linear"
    assert estimators.choose("auto", "classification").name == "logistic"
    assert estimators.choose("mlp", "regression").name == "mlp-regressor"
    assert estimators.choose("MLP", "classification").name == "mlp-classifier"
    assert estimators.task_of("auto") is estimators.task_of("mlp") is None
    assert estimators.task_of("Ridge") == "regression"
    with pytest.raises(
        PipelineError, match="--estimator ridge is for regression, the task is classification; choose one of"
    ):
        estimators.choose("ridge", "classification")


@pytest.mark.parametrize(
    ("name", "given", "values"),
    [
        ("ridge", {"alpha": "0.1"}, {"alpha": 0.1}),
        ("ridge", {"fit_intercept": "false", "solver": "svd"}, {"fit_intercept": False, "solver": "svd"}),
        ("ridge", {"max_iter": "none", "alpha": "1e-3"}, {"max_iter": None, "alpha": 1e-3}),
        ("mlp-regressor", {"hidden_layer_sizes": "(64, 32)"}, {"hidden_layer_sizes": (64, 32)}),
        ("logistic", {"C": "10", "solver": "saga"}, {"C": 10, "solver": "saga"}),
        ("logistic", {"C": "inf"}, {"C": float("inf")}),
        ("logistic", {"C": "+Infinity"}, {"C": float("inf")}),
    ],
)
def test_parameters_are_read_as_python_values(name, given, values):
    entry = estimators.find(name)
    assert estimators.parameters(entry, given) == values
    assert estimators.build(entry, values, seed=0).get_params().items() >= values.items()


@pytest.mark.parametrize(
    ("name", "given", "line"),
    [
        ("ridge", {"alhpa": "1"}, "Ridge has no such parameter; did you mean 'alpha'?"),
        ("linear", {"zzz": "1"}, "LinearRegression has no such parameter; it has copy_X, fit_intercept"),
        ("ridge", {"alpha": "-1"}, "--param: The 'alpha' parameter of Ridge must be"),
        ("ridge", {"alpha": "much"}, "--param: The 'alpha' parameter of Ridge must be"),
        ("ridge", {"alpha": "__import__('os').getcwd()"}, "--param: The 'alpha' parameter"),
        ("ridge", {"alpha": "(" * 5000}, "--param: The 'alpha' parameter"),
        ("ridge", {"alpha": "1\0"}, "--param: The 'alpha' parameter"),
        ("ridge", {"alpha": "nan"}, "--param: The 'alpha' parameter"),
        ("ridge", {"alpha": "inf"}, "[0.0, inf) or an array-like. Got 'inf' instead"),
        ("logistic", {"C": "nan"}, "(0.0, inf]. Got 'nan' instead"),
        ("logistic", {"C": "-inf"}, "(0.0, inf]. Got '-inf' instead"),
        ("logistic", {"D": "inf"}, "LogisticRegression has no such parameter"),
        ("logistic", {"class_weight": "{0: -1}"}, "write weights of classes as --class-weight bad=5,good=1"),
        ("logistic", {"random_state": "1"}, "random_state is set by --seed"),
        ("logistic", {"class_weight": "balance"}, "--param: The 'class_weight' parameter"),
    ],
)
def test_parameters_that_scikit_learn_refuses_are_one_short_line(name, given, line):
    with pytest.raises(PipelineError) as caught:
        estimators.parameters(estimators.find(name), given)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\0" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_class_weights_reach_the_estimator_within():
    built = estimators.build(estimators.find("linear-svm"), {}, seed=0, class_weight="balanced", threshold=(0.3, True))
    assert built.get_params()["estimator__estimator__class_weight"] == "balanced"
    assert built.estimator.ensemble is False
    with pytest.raises(
        PipelineError, match="--class-weight: MLPClassifier takes none; leave it out or choose logistic"
    ):
        estimators.build(estimators.find("mlp-classifier"), {}, seed=0, class_weight="balanced")


def test_the_threshold_is_of_the_positive_label():
    labels = np.where(TARGETS["classification"], "yes", "no")
    always = estimators.build(estimators.find("logistic"), {}, seed=0, threshold=(1e-12, "no")).fit(TABLE, labels)
    never = estimators.build(estimators.find("logistic"), {}, seed=0, threshold=(1 - 1e-12, "no")).fit(TABLE, labels)
    assert set(always.predict(TABLE)) == {"no"}
    assert set(never.predict(TABLE)) == {"yes"}


def test_messages_have_the_names_of_help():
    texts = " ".join(option.help for command in cli.commands.values() for option in command.params if option.help)
    named = set(re.findall(r"[\w-]+", texts))
    assert {*BUNDLED, *estimators.shown(estimators.CATALOGUE)} <= named
    with pytest.raises(PipelineError, match=r", linear-svm, mlp$"):
        estimators.choose("ridge", "classification")
    with pytest.raises(PipelineError, match=r"expected one of .*, mlp, "):
        estimators.find("quux")
