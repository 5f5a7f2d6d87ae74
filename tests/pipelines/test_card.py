"""The model card says all that the evidence says, safely, in one file."""

import base64
import copy
import hashlib
import json
import re
import shlex
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import card, pictures
from pipelines.coefficients import INTERCEPT, Coefficient
from pipelines.evaluation.comparison import Comparison
from registry.evidence import Evidence
from registry.holdout import completed
from tests.effort import times

FROZEN = sorted(Path(__file__).parents[1].glob("registry/frozen/*.json"))
URI = "models:/diabetes/3"
HOSTILE = "</td><script>alert('x')</script><img src=http://evil.example/a.png onerror=\"alert(1)\">"

EVIDENCE = {
    "schema_version": 1,
    "model": {
        **{"name": "diabetes", "task": "regression", "estimator": "Ridge", "parameters": {"alpha": 0.137}},
        **{"target": "progression", "classes": None, "positive": None, "threshold": None, "threshold_rule": None},
    },
    "metrics": {
        "mse": {"value": 3424.31, "low": 2634.15, "high": 4290.21},
        "rmse": {"value": 58.517, "low": 51.324, "high": 65.499},
        "r2": {"value": 0.33223, "low": 0.15114, "high": 0.46573},
        "mae": {"value": 46.174, "low": None, "high": None},
    },
    "baseline": {"strategy": "mean", "metrics": {"mse": 5141.63, "rmse": 71.705, "r2": -0.00213, "mae": 61.335}},
    "cross_validation": {
        "kind": "k-fold",
        "folds": 3,
        "metrics": {"rmse": {"mean": 54.31, "std": 2.41, "folds": [55.12, 52.36, None]}},
    },
    "holdout": {
        **{"by": "time", "columns": ["visited"], "test_size": 0.21, "cut": "2024-01-01", "rows": 89},
        **{
            "key_columns": ["patient"],
            "training_rows": 353,
            "bootstrap": {"resamples": 1234, "rows": 77, "level": 0.95},
        },
    },
    "suite": {
        **{"name": "diabetes_suite", "success": False, "evaluated": 12, "failed": 1},
        "findings": [
            {
                **{"expectation": "expect_column_values_to_be_between", "column": "bmi", "severity": "critical"},
                **{"success": False, "observed": "7 rows above 50", "expected": "15 to 50"},
            },
            {
                **{"expectation": "expect_column_values_to_not_be_null", "column": "age", "severity": "warning"},
                **{"success": True, "observed": "none missing", "expected": "at most 5 %"},
            },
        ],
    },
    "fairness": [
        {
            "column": "sex",
            "groups": [
                {"group": "Male", "rows": 46, "metrics": {"rmse": 55.27, "r2": 0.361}},
                {"group": "Female", "rows": 43, "metrics": {"rmse": 61.94, "r2": None}},
            ],
            "gaps": {"rmse": 6.67, "r2": None},
        }
    ],
    "parity": {
        **{"schema_version": 1, "rows": 88, "rows_one_by_one": 87, "ill_conditioned": 3, "tolerance": "tau"},
        "refusals": dict.fromkeys(("refused", "checked", "missed", "needless", "stricter", "paths_differ"), 0),
        "paths": {"row": {"predict": {"compared": 86, "outside": 0, "worst": 2.81e-14, "worst_ratio": 0.5}}},
        "passed": True,
    },
    "schema": {
        "inputs": [
            {"name": "age", "type": "number", "integer": True, "null": True},
            {"name": "bmi", "type": "number", "integer": False, "null": True},
            {"name": "smoker", "type": "category", "integer": False, "null": False},
        ],
        "left_out": [{"column": "patient", "reason": "identifier: another value in every row"}],
        "target": "progression",
    },
    "lineage": {
        "data": {
            "source": "s3://bucket/d.parquet",
            "digest": "sha256:0f4b",
            "rows": 442,
            "columns": 5,
            "dropped_rows": 6,
        },
        "git": {"commit": "3f1c9d2", "dirty": True},
        **{"seed": 17, "versions": {"python": "3.11.9", "scikit-learn": "1.9.1"}, "created": "2026-01-01T00:00:00Z"},
        "command": "python -m pipelines train --data s3://bucket/d.parquet",
    },
    "profile": {
        "age": {
            **{"type": "number", "count": 400, "missing": 0, "mean": 48.52, "std": 13.11, "min": 19.0, "max": 79.0},
            **{"quantiles": {"0.01": 20.0, "0.5": 50.0, "0.99": 75.0}},
            "histogram": {"edges": [19.0, 40.0, 50.0, 79.0], "counts": [100, 200, 100]},
        },
        "bmi": {
            **{"type": "number", "count": 400, "missing": 50, "mean": 26.38, "std": 4.42, "min": 18.5, "max": 42.25},
            **{"quantiles": {"0.5": 25.7}, "histogram": None},
        },
        "smoker": {"type": "category", "count": 400, "missing": 0, "distinct": 2, "top": {"no": 300, "yes": 100}},
    },
}
COEFFICIENTS = [
    Coefficient(None, INTERCEPT, -334.5, -473.1, -215.4, None, 0.0),
    Coefficient(None, "bmi", 5.603, 4.11, 6.977, "bmi", 4.41),
    Coefficient(None, "smoker = yes", 1.27, None, None, "smoker", 0.43),
]


class Page(HTMLParser):
    """The tags and the visible text of a page."""

    VOID = {"meta", "img", "br"}
    INLINE = {"span", "b", "small", "code", "a"}

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], "every tag is closed"

    def handle_starttag(self, tag, attrs):
        self.apart(tag)
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def apart(self, tag):
        if tag not in self.INLINE:
            self.words.append(" ")

    def handle_endtag(self, tag):
        self.apart(tag)
        assert self.open.pop() == tag, f"{tag} closes what it opened"

    def handle_data(self, data):
        if not {"style", "script"} & {*self.open}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def commands(self) -> list[str]:
        return [self.words[i] for i in range(len(self.words)) if re.match(r"(mlflow|curl|import) ", self.words[i])]


def page(evidence=EVIDENCE, **given) -> Page:
    return Page(card.render(msgspec.convert(evidence, Evidence), **{"model_uri": URI, **given}))


def numbers(value) -> list:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


@pytest.mark.parametrize(
    "section", ["model", "metrics", "baseline", "cross_validation", "holdout", "fairness", "parity", "lineage"]
)
def test_every_number_of_the_evidence_is_on_the_card_to_its_last_digit(section):
    shown = page(run_id="abc")
    exact = {attributes.get("title") for attributes in shown.all("span")}
    wanted = [repr(number) for number in numbers(EVIDENCE[section]) if number not in (0.95, 1234, 77)]
    assert wanted
    assert set(wanted) <= exact


@pytest.mark.parametrize(
    "words",
    [
        *("Model details", "Intended use", "Metrics", "Factors and fairness", "Evaluation data", "Training data"),
        *("Caveats", "Load and serve", "Lineage", "Cross-validation", "Scorecard parity"),
        *("diabetes version 3", "Ridge", "progression", "RMSE 58.5", "3,420 2,630 to 4,290 5,140"),
        *("1,234 resamples of 77 rows", "2024-01-01", "visited", "diabetes_suite", "7 rows above 50", "15 to 50"),
        *("Male 46 55.3 0.361", "Female 43 61.9 –", "patient identifier: another value in every row"),
        *("19 to 79", "18.5 to 42.2", "12.5 %", "no 75.0 %", "s3://bucket/d.parquet", "sha256:0f4b", "3f1c9d2"),
        *(
            "scikit-learn 1.9.1",
            "python -m pipelines train",
            "55.1 · 52.4 · –",
            "passed On the held-out rows the portable scorecard gives the same answers",
            "rows 88",
            "paths, row, predict, worst 2.81e−14",
        ),
        *("bmi 5.60 4.11 to 6.98 24.7", "smoker = yes 1.27 – 0.546", "abc123"),
    ],
)
def test_the_card_says(words):
    assert words in page(run_id="abc123", coefficients=COEFFICIENTS, score="progression").text


def test_differences_from_the_baseline_say_which_way_is_better():
    text = page().text
    assert "−13.2 (−18.4 %) ✓" in text, "less error is better"
    assert "+0.334 ✓" in text, "more of R² is better"
    worse = copy.deepcopy(EVIDENCE)
    worse["metrics"]["rmse"]["value"] = 82.0
    assert "+10.3 (+14.4 %) ✗" in page(worse).text


def test_the_champion_is_compared_on_the_same_rows():
    champion = Comparison("2", 85, {"rmse": 57.77, "r2": 0.35}, {"rmse": 60.13, "r2": 0.3}, unseen=False)
    text = page(champion=champion).text
    assert "Against the champion, version 2" in text
    assert "Both versions on the same 85 rows." in text
    unseen = page(champion=replace(champion, unseen=True)).text
    assert "Both versions on the same 85 rows, which neither was trained on." in unseen
    assert "RMSE 57.8 60.1 −2.36 (−3.9 %) ✓" in text
    assert "R² 0.350 0.300 +0.0500 ✓" in text
    assert "only 4 rows are shared" in page(champion=Comparison("2", 4, note="only 4 rows are shared")).text
    assert "champion" not in page().text.lower()


def test_notes_of_the_split_are_caveats():
    holdout = {**EVIDENCE["holdout"], "notes": ["the table's 891 rows are 6 different; --id Row holds rows out"]}
    told = "The table's 891 rows are 6 different; --id Row holds rows out."
    assert told in page({**EVIDENCE, "holdout": holdout}).text
    assert told not in page().text


SEEN = {"unseen": ["1", "2", "3"], "seen": {"4": 1017}, "unknown": ["5"]}
KNOWN = [
    ({"by": "row"}, ["This version was trained on none of these rows. A later version of this name"]),
    (
        {"by": "given"},
        ["This version was logged without this platform; judged on rows that it may have been trained on."],
    ),
    (
        {"by": "row", "earlier": {"unseen": [], "seen": {}, "unknown": []}},
        ["none of these rows. No other version of this model was registered when its training began. A later version"],
    ),
    (
        {"by": "time", "earlier": SEEN},
        [
            "This version was trained on none of these rows. Nor were versions 1 to 3. Version 4 may have been",
            "trained on 1,017 of them: it held out others. Of version 5 this is not known.",
        ],
    ),
    (
        {"by": "group", "earlier": {"unseen": ["2"], "seen": {}, "unknown": []}},
        ["Nor was version 2. A later version of this name holds the same rows out where it has the same --group"],
    ),
]


@pytest.mark.parametrize(("section", "told"), KNOWN)
def test_who_was_trained_on_the_held_out_rows_is_told_as_far_as_it_is_known(section, told):
    text = page({**EVIDENCE, "holdout": {**EVIDENCE["holdout"], **section}}).text
    assert " ".join(told) in text
    assert ("A later version" in text) == (section["by"] in ("row", "group"))
    assert "No version of this model is ever" not in text


def test_caveats_come_from_the_evidence():
    text = page().text
    for words in ("Only 89 rows", "fails 1 expectation of", "evaluation: 6", "uncommitted changes"):
        assert words in text
    assert "reaches the baseline" not in text
    near = copy.deepcopy(EVIDENCE)
    near["metrics"]["rmse"]["high"], near["metrics"]["r2"]["low"] = 71.8, -0.01
    text = page({**near, "suite": None, "parity": None, "fairness": []}).text
    assert "interval of RMSE reaches the baseline's 71.7" in text
    assert "interval of R² reaches the baseline's −0.00213" in text
    assert "not checked against a suite" in text
    assert "No sensitive column" in text
    assert "No portable scorecard was compared" in text
    failed = page({**EVIDENCE, "parity": {**EVIDENCE["parity"], "passed": False}}).text
    assert "scorecard does not give the fitted pipeline's answer to some rows" in failed
    assert "scorecard gives other answers than the fitted pipeline" in failed


def test_a_classifier_says_its_threshold_and_rule():
    model = {**EVIDENCE["model"], "task": "classification", "classes": ["no", "yes"], "positive": "yes"}
    metrics = {"accuracy": {"value": 0.91, "low": 0.88, "high": 0.94}, "log_loss": {"value": 0.31}}
    chosen = {**EVIDENCE, "metrics": metrics, "model": {**model, "threshold": 0.237, "threshold_rule": "recall>=0.9"}}
    text = page(chosen).text
    assert "It predicts yes if its probability is at least 0.237, a threshold chosen by the rule recall>=0.9" in text
    assert "95 % interval 0.880 to 0.940" in text
    assert "Accuracy 0.910 0.880 to 0.940" in text
    assert "default 0.5" not in text
    assert "default 0.5" in page({**EVIDENCE, "metrics": metrics, "model": model}).text


def test_labels_that_are_codes_are_told_in_words():
    model = {**EVIDENCE["model"], "task": "classification", "classes": [0, 1], "positive": 1, "threshold": 0.5}
    text = page({**EVIDENCE, "model": {**model, "class_names": {"0": "malignant", "1": "benign"}}}).text
    assert "predicts progression (one of 0 (malignant), 1 (benign)) from 3 columns" in text
    assert "Classes 0 (malignant), 1 (benign) Positive class 1 (benign)" in text
    assert "It predicts 1 (benign) if" in text


def test_a_model_is_named_by_its_own_uri_until_it_has_a_version():
    own = page(model_uri="models:/m-0123abcd")
    assert "Registered model diabetes Model URI models:/m-0123abcd" in own.text
    assert "by its own URI" in own.text
    assert "models:/diabetes/VERSION" in own.text
    serve, load, native = own.commands
    assert "-m models:/m-0123abcd " in serve
    assert "load_model('models:/m-0123abcd')" in load
    assert "load_model('models:/m-0123abcd')" in native
    assert " version " not in own.text.partition("A regression model")[0]
    assert "by its own URI" not in page().text
    assert "diabetes version 3 A regression model" in page().text
    assert "diabetes alias live A regression model" in page(model_uri="models:/diabetes@live").text


def test_groups_of_few_rows_are_marked():
    groups = [{"group": name, "rows": rows, "metrics": {"rmse": 55.27}} for name, rows in (("one", 29), ("two", 30))]
    text = page({**EVIDENCE, "fairness": [{"column": "sex", "groups": groups, "gaps": {"rmse": 6.67}}]}).text
    assert "one few 29 55.3 two 30 55.3 Largest gap 6.67" in text
    assert "few Fewer than 30 rows: the metrics of such a group are uncertain" in text
    assert "Groups by sex with fewer than 30 held-out rows, whose metrics and gaps are uncertain: one (29)." in text
    assert "Fewer than 30 rows" not in page().text


@pytest.mark.parametrize(
    ("section", "empty", "told"),
    [
        ("cross_validation", None, ""),
        ("suite", None, "The data was not checked against a suite."),
        ("fairness", [], "Not measured: no sensitive column was named in training"),
        ("parity", None, "Scorecard parity Not measured."),
        ("lineage", None, "Unknown: this version was trained without this platform."),
        ("profile", {}, ""),
        ("metrics", {}, "Nothing was measured."),
    ],
)
def test_what_is_not_known_is_told_or_left_out(section, empty, told):
    text = page({**EVIDENCE, section: empty}).text
    assert told in text
    assert "None" not in text
    assert "Cross-validation" not in text or section != "cross_validation"


def test_every_frozen_document_makes_a_card():
    for path in FROZEN:
        text = page({**(document := json.loads(path.read_text())), "holdout": completed(document["holdout"])}).text
        assert document["model"]["estimator"] in text


def hostile(value):
    """The evidence with every text, and every key that a user names, replaced; not the words of the platform."""
    if isinstance(value, dict):
        own = ("task", "type")
        return {key: item if key in own else hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def test_hostile_text_is_shown_and_never_run():
    evidence = hostile(EVIDENCE)
    evidence["model"] |= {"task": "classification", "classes": [HOSTILE, "b"], "positive": HOSTILE, "threshold": 0.5}
    evidence["model"]["parameters"] = {HOSTILE: HOSTILE}
    evidence["profile"] = {HOSTILE: {"type": "category", "count": 2, "missing": 0, "distinct": 1, "top": {HOSTILE: 2}}}
    evidence["parity"]["paths"] = {HOSTILE: EVIDENCE["parity"]["paths"]["row"]}
    found = [Coefficient(HOSTILE, HOSTILE, 1.0, 0.5, 1.5, HOSTILE, 1.0)]
    shown = page(
        evidence,
        coefficients=found,
        champion=Comparison(HOSTILE, 3, {}, {HOSTILE: 1.0}, note=HOSTILE),
        model_uri=f"models:/{HOSTILE}/1",
        run_id=HOSTILE,
        score=HOSTILE,
        data_docs_link=HOSTILE,
        example={HOSTILE: HOSTILE},
        pictures={HOSTILE: b"\x89PNG" + bytes(40)},
    )
    assert shown.all("script") == [{}], "the page's own, which alone its policy lets run"
    assert all(attributes["src"].startswith("data:image/png;base64,") for attributes in shown.all("img"))
    assert not [name for _, attributes in shown.tags for name in attributes if name.startswith("on")]
    assert shown.words.count(HOSTILE) > 10
    assert "<script>" in shown.text


@settings(max_examples=times(25), deadline=None)
@given(st.text(min_size=1, max_size=40), st.text(max_size=40))
def test_commands_survive_any_name(name, value):
    # An HTML parser drops what no page may hold; MLflow refuses such a name, and JSON and Python write it as an escape.
    uri = f"models:/{name}/1".replace("\0", "").replace("\r", "")
    serve, ask, load, native = page(model_uri=uri, example={name: value, "bmi": float("nan")}).commands
    assert shlex.split(serve)[:5] == ["mlflow", "models", "serve", "-m", uri]
    assert json.loads(shlex.split(ask)[-1]) == {"dataframe_records": [{name: value, "bmi": None}]}
    for snippet in (load, native):
        compile(snippet, "snippet", "exec")


def test_commands_can_be_pasted():
    row = {"age": np.float64(59.0), "bmi": float("nan"), "smoker": 'it\'s "no"'}
    serve, ask, load, native = page(example=row).commands
    assert serve == f"mlflow models serve -m {URI} --env-manager local -p 5001"
    words = shlex.split(ask.replace("\\\n", " "))
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:5001/invocations"]
    assert json.loads(words[-1]) == {"dataframe_records": [{"age": 59.0, "bmi": None, "smoker": 'it\'s "no"'}]}
    assert f"mlflow.sklearn.load_model('{URI}')" in native

    asked = []

    class Model:
        def predict(self, rows, params=None):
            asked.append((rows, params))

    class Mlflow:
        class pyfunc:
            load_model = staticmethod(lambda uri: Model() if uri == URI else None)

    program = "\n".join(line for line in load.splitlines() if line != "import mlflow")
    exec(program, {"mlflow": Mlflow})
    (rows, _), (_, explain) = asked
    assert rows.dtypes.astype(str).to_dict() == {"age": "float64", "bmi": "float64", "smoker": "str"}
    assert np.isnan(rows["bmi"][0])
    assert explain == {"output": "explain"}


def test_without_an_example_nothing_is_asked():
    serve, load, native = page().commands
    assert "mlflow models serve" in serve
    assert "predict" not in load + native


def test_the_page_needs_nothing_from_outside(tmp_path):
    figures = pictures.regression([1, 2, 3], [1, 2, 4])
    drawn = {path.stem: path.read_bytes() for path in pictures.write(figures, tmp_path)}
    drawn["roc"] = pictures.write(figures, tmp_path, ("svg",))[0].read_bytes()
    shown = page(pictures=drawn, data_docs_link="validation/docs.html", run_id="abc")
    images = shown.all("img")
    assert [image["alt"] for image in images] == ["Predicted against actual", "Residuals", "ROC curve"]
    kinds = [image["src"].partition(";")[0] for image in images]
    assert kinds == ["data:image/png", "data:image/png", "data:image/svg+xml"]
    assert not {tag for tag, _ in shown.tags} & {"link", "iframe", "object", "embed", "base", "form"}
    anchors = {attributes["id"] for _, attributes in shown.tags if "id" in attributes}
    for attributes in shown.all("a"):
        href = attributes["href"]
        assert href == "validation/docs.html" or href.removeprefix("#") in anchors
    html = card.render(msgspec.convert(EVIDENCE, Evidence), pictures=drawn, model_uri=URI)
    assert "@import" not in html
    assert "url(" not in html
    policy = next(a["content"] for a in shown.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


@pytest.mark.parametrize(
    ("link", "followed"),
    [
        ("validation/index.html", True),
        ("https://docs.example:8443/x", True),
        ("javascript:1/alert(1)", False),
        (" java\tscript:alert(1)", False),
        ("data:text/html,x", False),
    ],
)
def test_only_safe_links_are_followed(link, followed):
    shown = page(data_docs_link=link)
    assert (link in [attributes["href"] for attributes in shown.all("a")]) == followed
    assert " ".join(link.split()) in shown.text


def test_metrics_come_first_and_columns_beyond_ten_are_folded():
    names = [f"column {number}" for number in range(12)]
    inputs = [{"name": name, "type": "number", "integer": False, "null": True} for name in names]
    html = card.render(
        msgspec.convert({**EVIDENCE, "schema": {**EVIDENCE["schema"], "inputs": inputs}}, Evidence), model_uri=URI
    )
    places = [html.index(f'<section id="{name}"') for name in ("metrics", "caveats", "use", "load")]
    assert places == sorted(places)
    assert places[0] < min(html.index(f'<section id="{name}"') for name in ("details", "evaluation", "training"))
    folded = re.search(r"<summary>2 more columns</summary>(.*?)</details>", html, re.DOTALL)[1]
    assert [name for name in names if f">{name}<" in folded] == names[10:]
    assert "more columns" not in page().text


def test_small_histograms_show_where_the_rows_are():
    (bars,) = [[a for t, a in shown.tags if t == "rect"] for shown in [page()]]
    assert len(bars) == 24
    heights = [float(bar["height"]) for bar in bars]
    assert max(heights) == 20
    # Half of the rows are between 40 and 50, in the range from 20 to 75.
    within = sum(height for bar, height in zip(bars, heights, strict=True) if 36 <= float(bar["x"]) < 54)
    assert within / sum(heights) == pytest.approx(0.5, abs=0.06)


def test_a_column_of_the_smallest_numbers_has_no_small_histogram_and_warns_of_nothing():
    evidence = copy.deepcopy(EVIDENCE)
    seen = evidence["profile"]["age"]
    seen["histogram"]["edges"] = [edge * 1e-320 for edge in seen["histogram"]["edges"]]
    seen["quantiles"] = {share: value * 1e-320 for share, value in seen["quantiles"].items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = page(evidence)
    assert not shown.all("rect")


def test_importances_are_called_so(tmp_path):
    rows = [Coefficient(None, "bmi", 0.31, 0.2, 0.4, "bmi", 1.0)]
    drawn = pictures.write(pictures.coefficients(rows, importance=True), tmp_path)
    text = page(coefficients=rows, score="log loss", pictures={"importances": drawn[0].read_bytes()}).text
    assert "Rise of the log loss when the column is shuffled" in text
    assert "bmi 0.310 0.200 to 0.400" in text
