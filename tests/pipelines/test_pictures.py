"""Pictures draw the data they are given, whatever the data and its names are."""

import subprocess
import sys
import warnings
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from pipelines import pictures
from pipelines.coefficients import INTERCEPT, Coefficient
from pipelines.formatting import readable
from tests.effort import times

HOSTILE = ["$x^2$", "\\frac{", "$", "100 % $ of $\\alpha$", "名前", "a\nb\tc\x00", "w" * 200, "", "<script>", "\ud800"]


def answers(n: int = 400, seed: int = 0):
    """Made labels, and probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    actual = np.where(rng.random(n) < 0.3, "bad", "good")
    bad = 1 / (1 + np.exp(-rng.normal(np.where(actual == "bad", 0.5, -2), 1.5)))
    return actual, np.column_stack([bad, 1 - bad])


def texts(axes) -> str:
    drawn = [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
    legend = axes.get_legend().get_texts() if axes.get_legend() else []
    boxes = [artist.txt._text for artist in axes.artists if hasattr(artist, "txt")]
    return "\n".join(text.get_text() for text in [*drawn, *legend, *boxes])


def test_regression_draws_every_row_and_says_its_error():
    rng = np.random.default_rng(0)
    actual = rng.normal(100, 20, 300)
    predicted = actual + rng.normal(0, 10, 300)
    figures = pictures.regression(actual, predicted, target="price")
    assert list(figures) == ["predicted_vs_actual", "residuals"]
    (axes,) = figures["predicted_vs_actual"].axes
    assert np.asarray(axes.collections[0].get_offsets()) == pytest.approx(np.column_stack([actual, predicted]))
    assert axes.get_xlim() == axes.get_ylim(), "the line of exact predictions is the diagonal"
    assert f"RMSE {readable(np.sqrt(np.mean((actual - predicted) ** 2)))}" in texts(axes)
    assert "300 rows" in texts(axes)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Actual price", "Predicted price")
    main, side = figures["residuals"].axes
    assert np.asarray(main.collections[0].get_offsets()) == pytest.approx(
        np.column_stack([predicted, actual - predicted])
    )
    assert sum(bar.get_width() for bar in side.patches) == 300


def test_many_rows_are_counted_in_cells():
    rng = np.random.default_rng(0)
    actual = rng.normal(size=50_000)
    figures = pictures.regression(actual, actual + rng.normal(size=50_000))
    for name in ("predicted_vs_actual", "residuals"):
        (cells,) = figures[name].axes[0].collections
        assert cells.get_array().sum() == 50_000
        assert len(cells.get_array()) < 5_000
    assert len(figures["predicted_vs_actual"].axes) == 2, "with a scale of the counts"


def test_binary_curves_agree_with_scikit_learn_and_mark_the_threshold():
    actual, probabilities = answers()
    bad = probabilities[:, 0]
    predicted = np.where(bad >= 0.2, "bad", "good")
    figures = pictures.classification(actual, probabilities, predicted, ["bad", "good"], "bad", 0.2)
    assert list(figures) == ["roc", "precision_recall", "calibration", "confusion_matrix"]
    recall = recall_score(actual, predicted, pos_label="bad")
    precision = precision_score(actual, predicted, pos_label="bad")

    roc, curve = figures["roc"].axes[0], figures["precision_recall"].axes[0]
    assert f"AUC {roc_auc_score(actual == 'bad', bad):.3f}" in texts(roc)
    assert f"AP {average_precision_score(actual == 'bad', bad):.3f}" in texts(curve)
    # The curve as drawn, step by step, has the area that its legend says.
    stepped = curve.lines[0]
    assert stepped.get_drawstyle() == "steps-pre"
    area = np.sum(np.diff(stepped.get_xdata()) * stepped.get_ydata()[1:])
    assert area == pytest.approx(average_precision_score(actual == "bad", bad))
    alarms = float(np.mean(predicted[actual == "good"] == "bad"))
    assert roc.lines[-1].get_xydata()[0] == pytest.approx([alarms, recall])
    (mark,) = [line for line in curve.lines if len(line.get_xdata()) == 1]
    assert mark.get_xydata()[0] == pytest.approx([recall, precision])
    assert f"threshold 0.2: precision {precision:.3f}, recall {recall:.3f}" in texts(curve)

    observed, counts = figures["calibration"].axes
    assert sum(patch.get_data().values.sum() for patch in counts.patches) == 400
    means, shares = observed.containers[0].lines[0].get_data()
    assert len(means) == 10
    assert np.mean(means) == pytest.approx(bad.mean(), abs=0.02)
    assert np.mean(shares) == pytest.approx(np.mean(actual == "bad"), abs=0.02)

    drawn = texts(figures["confusion_matrix"].axes[0])
    right = np.sum((actual == "bad") & (predicted == "bad"))
    assert f"{right}\n{right / np.sum(actual == 'bad'):.1%}" in drawn


def test_the_second_class_is_meant_where_none_is_named():
    actual, probabilities = answers()
    figures = pictures.classification(actual, probabilities, actual, ["bad", "good"])
    assert "good (AUC" in texts(figures["roc"].axes[0])
    assert "threshold 0.5" in texts(figures["roc"].axes[0])


@pytest.mark.parametrize("k", [3, 7, 26])
def test_many_classes_are_drawn_one_against_the_rest(k):
    rng = np.random.default_rng(0)
    labels = [f"class {i}" for i in range(k)]
    codes = rng.integers(0, k, 1000)
    probabilities = rng.dirichlet(np.ones(k), 1000)
    probabilities[np.arange(1000), codes] += 1
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    actual = np.array(labels)[codes]
    figures = pictures.classification(actual, probabilities, actual, labels)
    shown = texts(figures["roc"].axes[0])
    assert shown.count("AUC") - 1 == min(k, 8)
    assert ("19 more" in shown) == (k == 26)
    expected = roc_auc_score(actual == labels[0], probabilities[:, 0])
    assert k > 7 or f"class 0 (AUC {expected:.3f})" in shown
    assert figures["confusion_matrix"].axes[0].images[0].get_array().shape == (k, k)
    assert "threshold" not in texts(figures["precision_recall"].axes[0])


def test_counts_of_many_classes_are_short():
    labels = np.repeat(["a", "b", "c", "d"], [950, 12_345, 1, 999])
    shown = texts(pictures.classification(labels, None, labels, ["a", "b", "c", "d"])["confusion_matrix"].axes[0])
    assert "950\n100.0%" in shown
    assert "12k\n100.0%" in shown


@pytest.mark.parametrize(
    ("actual", "predicted"),
    [
        ([1.0, 2.0], [2.0, 1.0]),
        ([5.0], [5.0]),
        ([], []),
        ([0.0] * 9, [0.0] * 9),
        (list(range(100)), [7.0] * 100),
        ([1e300, -1e300, 0.0] * 40, [-1e300, 1e300, 1.0] * 40),
        ([1.7e308, -1.7e308], [-1.7e308, 1.7e308]),
        ([1e-300, 3e-300], [2e-300, 2e-300]),
        ([1e9 + 1, 1e9 + 2], [1e9, 1e9 + 2]),
        ([1.0, float("nan"), 3.0], [1.0, 2.0, float("inf")]),
    ],
)
def test_degenerate_regressions_are_drawn(tmp_path, actual, predicted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # What an earlier test left to the garbage collector is not what this one is about.
        warnings.simplefilter("ignore", ResourceWarning)
        paths = pictures.write(pictures.regression(actual, predicted), tmp_path)
    assert [path.name for path in paths] == ["predicted_vs_actual.png", "residuals.png"]


@pytest.mark.parametrize(
    ("actual", "probabilities", "predicted", "classes"),
    [
        (["a", "b"], [[0.5, 0.5]] * 2, ["a", "a"], ["a", "b"]),
        (["a", "a"], [[0.2, 0.8]] * 2, ["b", "b"], ["a", "b"]),
        (["b", "b"], [[0.2, 0.8]] * 2, ["b", "b"], ["a", "b"]),
        ([True, False, True], [[0.1, 0.9], [0.9, 0.1], [0.2, 0.8]], [True, True, True], [False, True]),
        ([0, 1, 2], [[1.0, 0.0, 0.0]] * 3, [0, 0, 0], [0, 1, 2]),
        (["a", "new", "b"], [[0.4, 0.6]] * 3, ["a", "b", "b"], ["a", "b"]),
        ([], np.zeros((0, 2)), [], ["a", "b"]),
        (["a", "b"], None, ["b", "b"], ["a", "b"]),
    ],
)
def test_degenerate_classifications_are_drawn(tmp_path, actual, probabilities, predicted, classes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # What an earlier test left to the garbage collector is not what this one is about.
        warnings.simplefilter("ignore", ResourceWarning)
        figures = pictures.classification(actual, probabilities, predicted, classes)
        pictures.write(figures, tmp_path)
    assert "confusion_matrix" in figures
    assert ("roc" in figures) == (probabilities is not None and len(actual) > 0)


def test_names_are_drawn_as_they_stand(tmp_path):
    labels = HOSTILE[:6]
    actual = labels * 5
    probabilities = np.random.default_rng(0).dirichlet(np.ones(6), 30)
    rows = [coefficient(name, i + 1.0) for i, name in enumerate(HOSTILE)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # What an earlier test left to the garbage collector is not what this one is about.
        warnings.simplefilter("ignore", ResourceWarning)
        figures = pictures.classification(actual, probabilities, actual, labels)
        figures |= pictures.coefficients(rows, score="$\\bad{$ of\n$")
        for name in HOSTILE:
            figures |= pictures.regression([1, 2, 3], [1, 2, 4], target=name)
            pictures.write(figures if name == HOSTILE[0] else {"one": figures["residuals"]}, tmp_path)
    shown = [label.get_text() for label in figures["coefficients"].axes[0].get_yticklabels()]
    # Escaped, a dollar is drawn as a dollar and not taken for mathematics.
    assert r"\$x^2\$" in shown
    assert all("\n" not in text and len(text) <= 45 for text in shown)


@settings(max_examples=times(30), deadline=None)
@given(st.text(max_size=300), st.integers(5, 60))
def test_any_name_becomes_one_short_line_without_mathematics(name, longest):
    from matplotlib.cbook import is_math_text

    line = pictures.plain(name, longest)
    assert not is_math_text(line)
    assert line.replace(r"\$", "$").isprintable()
    assert len(line.replace(r"\$", "$")) <= longest


def coefficient(feature: str, value: float, *, label=None, half=0.5, deviation=1.0) -> Coefficient:
    return Coefficient(label, feature, value, value - half, value + half, feature, deviation)


def test_coefficients_are_ordered_by_effect_and_labelled_in_raw_units():
    rows = [
        Coefficient(None, INTERCEPT, 1e6, 9e5, 1.1e6, None, 0.0),
        coefficient("grams", 0.002, half=0.001, deviation=800.0),
        coefficient("share", -120.0, half=30, deviation=0.01),
        coefficient("noise", 0.1, deviation=1.0),
    ]
    (axes,) = pictures.coefficients(rows, score="price")["coefficients"].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["grams", "share", "noise"]
    points = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert points == pytest.approx([1.6, -1.2, 0.1])
    intervals = [list(line.get_xdata()) for line in axes.lines[1:] if line.get_marker() != "o"]
    assert intervals[0] == pytest.approx([0.8, 2.4])
    shown = texts(axes)
    assert "0.00200  [0.00100, 0.00300]" in shown
    assert "−120  [−150, −90.0]" in shown
    assert axes.lines[-1].get_color() == pictures.GREY, "an interval that holds zero is grey"
    assert axes.lines[2].get_color() == pictures.BLUE


def test_only_the_strongest_are_shown_and_each_class_has_a_panel():
    rows = [coefficient(f"f{i}", i, label=label) for label in ("a", "b", "c") for i in range(40)]
    figure = pictures.coefficients(rows)["coefficients"]
    assert [axes._left_title.get_text() for axes in figure.axes] == ["a", "b", "c"]
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown == [f"f{i}" for i in range(39, 14, -1)]
    assert "strongest 25 of 40" in figure.get_suptitle()
    many = [coefficient("x", 1.0 + i, label=i) for i in range(20)]
    figure = pictures.coefficients(many)["coefficients"]
    assert len(figure.axes) == 9
    assert "9 of 20 classes" in figure.get_suptitle()


def test_importances_have_a_picture_of_their_own():
    figures = pictures.coefficients([coefficient("x", 2.0)], score="log loss", importance=True)
    assert list(figures) == ["importances"]
    assert "log loss" in figures["importances"].get_supxlabel()
    assert pictures.coefficients([]) == {}


@pytest.mark.parametrize("value", [0.0, 1e300, -1e-300, 5e-324])
def test_coefficients_of_any_size_are_drawn(tmp_path, value):
    rows = [
        Coefficient(None, "x", value, None, None, "x", 1.0),
        Coefficient(None, "y", value, value, value, "y", 0.0),
        Coefficient(None, "z", value, value, value, "z", 1e200),
    ]
    figures = pictures.coefficients(rows)
    assert pictures.write(figures, tmp_path)
    (axes,) = figures["coefficients"].axes
    points = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    # What is enormous or minute is drawn in a power of ten that the axis names.
    assert max(map(abs, points)) < 100
    assert ("×" in axes.get_xlabel()) == (value != 0)


def test_files_are_what_their_names_say_and_repeat_to_the_byte(tmp_path):
    def drawn(folder):
        return pictures.write(pictures.regression([1, 2, 3], [1, 2, 4]), tmp_path / folder, ("png", "svg"))

    one, two = drawn("one"), drawn("two")
    names = ["predicted_vs_actual.png", "predicted_vs_actual.svg", "residuals.png", "residuals.svg"]
    assert [path.name for path in one] == names
    assert one[0].read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(one[1]).getroot().tag.endswith("svg")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_nothing_global_is_left_behind_or_obeyed(tmp_path):
    plainly = pictures.write(pictures.regression([1, 2, 3], [1, 2, 4]), tmp_path / "plain")
    with matplotlib.rc_context({"text.usetex": True, "xtick.major.size": 40, "lines.linestyle": ":"}):
        before = dict(matplotlib.rcParams)
        figures = pictures.regression([1, 2, 3], [1, 2, 4])
        styled = pictures.write(figures, tmp_path / "styled")
        assert dict(matplotlib.rcParams) == before
    assert [path.read_bytes() for path in plainly] == [path.read_bytes() for path in styled]


def test_pyplot_is_never_imported(tmp_path):
    program = (
        "import sys; from pathlib import Path; from pipelines import pictures; assert 'matplotlib' not in sys.modules;"
        f"pictures.write(pictures.regression([1, 2], [1, 2]), Path({str(tmp_path)!r}));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
