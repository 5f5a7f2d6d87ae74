"""Calibrated classifiers, means of models and isotonic regressions answer as scikit-learn's."""

import json

import numpy as np
import pytest
from sklearn import datasets
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import Lasso, LogisticRegression, PoissonRegressor, Ridge, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC

from serving.scorecard import Scorecard, ScorecardError, Unsupported, compile, document
from serving.scorecard.parity import measure

# What is fitted here need not be a good model.
pytestmark = pytest.mark.filterwarnings("ignore")

FLOWERS, SPECIES = datasets.load_iris(return_X_y=True, as_frame=True)
X, Y = datasets.load_diabetes(return_X_y=True, as_frame=True)
RNG = np.random.default_rng(4)


def agreed(model, table) -> Scorecard:
    """The scorecard of a fitted model, which answers the table, and rows far from it, as the model does."""
    card = Scorecard.loads(compile(model).dumps())
    far = np.vstack([table, table * RNG.normal(1.0, 2.0, size=table.shape)])
    found = measure(model, card, type(table)(far, columns=table.columns), refused=len(far))
    assert found["passed"], found
    assert found["paths"]["row"]["predict"]["compared"] > 0
    return card


@pytest.mark.parametrize("ensemble", [True, False])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize("labels", [SPECIES, SPECIES > 0], ids=["three classes", "two classes"])
def test_calibration(method, labels, ensemble):
    pipeline = make_pipeline(StandardScaler(), LinearSVC(random_state=0))
    model = CalibratedClassifierCV(pipeline, method=method, ensemble=ensemble, cv=3).fit(FLOWERS, labels)

    card = agreed(model, FLOWERS)

    assert card.kind == ("ensemble" if ensemble or method == "temperature" else "linear")
    assert card.has_probabilities
    assert not card.has_decision


def test_a_fold_has_its_own_steps_and_shares_equal_columns():
    shared = CalibratedClassifierCV(LinearSVC(random_state=0), cv=3).fit(FLOWERS, SPECIES)
    own = CalibratedClassifierCV(make_pipeline(StandardScaler(), LinearSVC(random_state=0)), cv=3)

    assert len(compile(shared).document.columns) == 4
    card = compile(own.fit(FLOWERS, SPECIES))
    assert len(card.document.columns) == 12
    model = json.loads(card.dumps())["model"]
    assert [member["weight"] for member in model["members"]] == [1.0, 1.0, 1.0]
    assert len(model["intercepts"]) == 9


def test_a_threshold_around_an_ensemble():
    calibrated = CalibratedClassifierCV(LinearSVC(random_state=0), cv=3)
    labels = np.where(SPECIES > 0, "yes", "no")
    fixed = FixedThresholdClassifier(calibrated, threshold=0.9, pos_label="no").fit(FLOWERS, labels)
    tuned = TunedThresholdClassifierCV(calibrated, scoring="balanced_accuracy", cv=2).fit(FLOWERS, labels)

    assert agreed(fixed, FLOWERS).threshold == 0.9
    assert agreed(tuned, FLOWERS).threshold == tuned.best_threshold_


@pytest.mark.parametrize("labels", [SPECIES, SPECIES > 1], ids=["three classes", "two classes"])
def test_a_soft_vote_of_different_models(labels):
    members = [
        ("lines", make_pipeline(StandardScaler(), LogisticRegression())),
        ("squares", make_pipeline(PolynomialFeatures(2), StandardScaler(), LogisticRegression())),
        ("clipped", SGDClassifier(loss="modified_huber", random_state=0)),
        ("calibrated", CalibratedClassifierCV(LinearSVC(random_state=0), method="isotonic", ensemble=False)),
    ]
    model = VotingClassifier(members, voting="soft", weights=[2, 1, 0.5, 1])

    agreed(model.fit(FLOWERS, np.array(["a", "b", "c"])[labels.astype(int)]), FLOWERS)
    agreed(model.set_params(squares="drop").fit(FLOWERS, labels), FLOWERS)


def test_a_mean_of_linear_regressions_is_linear():
    model = VotingRegressor([("a", Ridge()), ("b", make_pipeline(StandardScaler(), Lasso()))], weights=[1, 3])

    assert agreed(model.fit(X, Y), X).kind == "linear"


@pytest.mark.parametrize("labels", [SPECIES, SPECIES > 0], ids=["three classes", "two classes"])
def test_the_clipped_probabilities_of_stochastic_gradient_descent(labels):
    card = agreed(make_pipeline(StandardScaler(), SGDClassifier(loss="modified_huber")).fit(FLOWERS, labels), FLOWERS)

    assert card.has_probabilities
    assert card.has_decision
    one_vs_rest = OneVsRestClassifier(SGDClassifier(loss="modified_huber", random_state=0)).fit(FLOWERS, labels)
    if labels is SPECIES:  # there no class has a probability where none of the models gives one
        with pytest.raises(Unsupported, match="0 for all classes"):
            compile(one_vs_rest)
    else:
        agreed(one_vs_rest, FLOWERS)


def test_a_linear_kernel_of_two_classes_and_of_a_regression():
    agreed(make_pipeline(StandardScaler(), SVC(kernel="linear")).fit(FLOWERS, SPECIES > 0), FLOWERS)
    agreed(make_pipeline(StandardScaler(), SVR(kernel="linear")).fit(X, Y), X)


@pytest.mark.parametrize("outside", ["clip", "nan", "raise"])
def test_an_isotonic_regression_refuses_what_scikit_learn_has_no_answer_to(outside):
    table = X[["bmi"]]
    model = IsotonicRegression(out_of_bounds=outside).fit(table, Y)
    card = compile(model, None)
    found = measure(model, card, np.vstack([table, table * 3.0]), refused=1000)

    assert found["passed"], found
    assert (found["refusals"]["refused"] > 0) == (outside != "clip")
    agreed(make_pipeline(StandardScaler(), IsotonicRegression(out_of_bounds="clip")).fit(table, Y), table)


REFUSED = {
    "no decision function": (CalibratedClassifierCV(GaussianNB()), "GaussianNB"),
    "hard votes": (VotingClassifier([("a", LogisticRegression())]), "voting='soft'"),
    "votes without probabilities": (VotingClassifier([("a", LinearSVC())], voting="soft"), "VotingClassifier"),
    "a mean of exponentials": (VotingRegressor([("a", PoissonRegressor())]), "VotingRegressor"),
    "pairs": (SVC(kernel="linear"), "pairs of classes"),
    "kernel": (SVC(), "rbf"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_mean_of_linear_models_is_refused_by_name(name):
    model, said = REFUSED[name]
    if name == "votes without probabilities":
        model = model.fit(FLOWERS, SPECIES)
    with pytest.raises(Unsupported, match=said):
        compile(model.fit(FLOWERS, SPECIES))


def test_single_precision_is_refused():
    with pytest.raises(Unsupported, match="single precision"):
        compile(IsotonicRegression().fit(X[["bmi"]].astype("float32"), Y.astype("float32")))


def test_an_explanation_of_an_ensemble_is_refused_by_name():
    card = compile(CalibratedClassifierCV(LinearSVC(random_state=0), cv=2).fit(FLOWERS, SPECIES))
    with pytest.raises(Unsupported, match="an ensemble"):
        card.explain_row(FLOWERS.iloc[0].to_dict())


def test_isotonic_calibration_of_one_model_is_explained_by_its_score():
    model = CalibratedClassifierCV(LinearSVC(random_state=0), method="isotonic", ensemble=False)
    row = FLOWERS.iloc[0].to_dict()
    found = compile(model.fit(FLOWERS, SPECIES > 0)).explain_row(row)

    expected = model.calibrated_classifiers_[0].estimator.decision_function(FLOWERS.head(1))
    assert found["scale"] == "decision score"
    assert found["score"] == pytest.approx(expected[0], rel=1e-12)


def test_a_document_of_an_ensemble_that_makes_no_sense_is_refused():
    card = compile(CalibratedClassifierCV(LinearSVC(random_state=0), method="isotonic", cv=2).fit(FLOWERS, SPECIES))

    def refused(change, said):
        content = json.loads(card.dumps())
        change(content)
        with pytest.raises(ScorecardError, match=said):
            document.seal(content)

    model = "model"
    refused(lambda c: c[model]["members"].clear(), "at least one member")
    refused(lambda c: c[model]["members"].pop(), "expected 3 scores for its members, found 6")
    refused(lambda c: c[model]["members"][0].update(weight=-1.0), r"members\[0\].weight")
    refused(lambda c: c[model]["members"][1].update(link="logistic"), "logistic does not fit 3 classes")
    refused(lambda c: c[model]["members"][1].update(calibration=None), r"members\[1\].calibration")
    refused(lambda c: c[model].update(link="softmax"), "model.link")
    refused(lambda c: c[model].update(calibration=[]), "members of an ensemble")
    curve = ("members", 0, "calibration", 0, "piecewise", "coefficients")

    def beyond(content):
        found = content[model]
        for key in curve:
            found = found[key]
        found[0] = [1.5]

    refused(beyond, "expected probabilities")
    refused(lambda c: c["decision"].update(threshold={"on": "probability", "value": 0.5, "positive": 0}), "threshold")
