"""Whether an exported program answers as its scorecard: the same numbers, the same labels, the same refusals."""

import math

from serving.scorecard import InputError, Scorecard
from serving.scorecard.parity import answer_row

METHODS = ("predict", "predict_proba", "decision_function")
#: Hostile names of a model: each would end a comment, begin one, or end a line, in some language.
MODELS = (
    *(
        "*/ #error out /*",
        '"""\nraise SystemExit\n"""',
        "a\nb\r\u2028\u2029c",
        "??/",
        "\\",
        "ends in \\",
        "été 日本",
        "'''",
    ),
    *("${1}`", "//", "@name@ %s {title}", "\x00\x1b[31m", "int", "1st", "", "__proto__"),
)


def check(scorecard: Scorecard, rows, answers, *, labels: bool = True, reasons: bool = True) -> None:
    """Fails where answers to rows are not the scorecard's; numbers may be off by 1e-9, for a sum of a few terms.

    ``labels`` that hang on less than that are not compared. An engine that gives no ``reasons`` has to refuse the same
    rows, and adds terms as they come: of numbers beyond 1e20 nothing may be left to compare.
    """
    assert len(rows) == len(answers)
    for row, given in zip(rows, answers, strict=True):
        expected = answer_row(scorecard, row)
        if isinstance(expected, InputError):
            assert isinstance(given, InputError), (row, str(expected), given)
            assert not reasons or str(given) == str(expected), row
            continue
        assert not isinstance(given, InputError), (row, expected, str(given))
        assert given.keys() == expected.keys() or not reasons
        if not reasons and any(isinstance(cell, float) and abs(cell) > 1e20 for cell in row.values()):
            continue
        for method in METHODS:
            if method in given and (method != "predict" or scorecard.classes is None):
                assert _close(given.get(method), expected.get(method)), (row, method, given, expected)
        if scorecard.classes and labels and _decided(scorecard, expected):
            assert given["predict"] == expected["predict"], (row, given, expected)


def same_refusals(scorecard: Scorecard, way):
    """A way of answering for ``parity.measure`` that fails where a refusal is not the scorecard's to the letter."""

    def ask(rows):
        answers = way(rows)
        for row, given in zip(rows, answers, strict=True):
            expected = answer_row(scorecard, row)
            assert isinstance(given, InputError) == isinstance(expected, InputError), (row, given, expected)
            assert not isinstance(given, InputError) or str(given) == str(expected)
        return answers

    return ask


def _decided(scorecard: Scorecard, expected: dict) -> bool:
    """Whether no rounding turns the label."""
    if scorecard.threshold is not None:
        numbers = expected.get("predict_proba", []) + [abs(expected.get("decision_function", 0.5))]
        return all(abs(number - scorecard.threshold) > 1e-6 for number in numbers)
    numbers = expected.get("decision_function", expected.get("predict_proba", [1.0]))
    if isinstance(numbers, float):
        return abs(numbers) > 1e-6
    ordered = sorted(numbers)
    return len(ordered) < 2 or ordered[-1] - ordered[-2] > 1e-6


def _close(given, expected) -> bool:
    if isinstance(expected, list):
        return len(given) == len(expected) and all(map(_close, given, expected))
    return given == expected or math.isclose(given, expected, rel_tol=1e-9, abs_tol=1e-9)
