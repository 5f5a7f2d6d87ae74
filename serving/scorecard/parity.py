"""The one measure of whether a scorecard answers as the scikit-learn pipeline it was compiled from.

Two ways to add up the same terms differ by rounding, and by more the larger the terms are. With the score z a sum of
terms, ``tau = 1e-12 (1 + sum of |terms|)`` and answers agree where

- scores: ``|dz| <= tau``; a calibrated score is a sum of terms too,
- probabilities: ``|dp| <= max(1e-12, tau)``; of a curve (isotonic calibration), what it turns ``z +- tau`` into,
  divided by the total where it is normalised; of an ensemble, the mean of its members' tolerances,
- predictions with a log link: ``|dmu| <= 1e-12 + tau mu``; with a transformed target, what z +- tau is turned into, and
  1e-12 of it,
- labels: always, but where the margin of the decision is within tau,
- an MLP: the tau of a unit and those of the units below it, times the absolute weights.

A logarithm or a power is rounded differently by different libraries, and by one library on different processors.
Taking a mean from it may leave little but that, and next to the edge of a bin it decides on which side a row lies: for
each column with such a function, tau grows by what moving the function's value by 1e-12 of it, up or down, does to z.
A combination of columns is a sum, too: it is moved by 1e-12 of the sum of its |terms|.

Rows with ``tau > 1e-6`` are *ill-conditioned*: there scikit-learn's own answers for a table and for one row differ.
They are counted, and have to agree on refusing only. A prediction that is the score itself is compared whatever its
size, since tau grows with it: sales in dollars are as well-conditioned as those in millions. It too is ill-conditioned
where moving a function's value changes z by more than 1e-6 of its terms, as next to the edge of a bin. Where
scikit-learn raises, or gives an answer that is not finite, the scorecard has to refuse.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from . import frames
from .arrayresponses import margins
from .inputs import InputError
from .nodes import Chain, OneHot, decision_rule
from .program import CombineSources
from .rounding import UNIT, probability_tolerances
from .rows import OVERFLOW, UNPREDICTABLE
from .scorecard import Scorecard
from .steps import UNKNOWN, UNUSABLE, Bin

ILL_CONDITIONED = 1e-6
#: Reasons to refuse that are the model's own; the others are the contract's (a fraction in a whole column, infinity).
OWN = frozenset({UNKNOWN, UNUSABLE, OVERFLOW, UNPREDICTABLE})
METHODS = ("predict", "predict_proba", "decision_function")


def measure(
    pipeline: Any,
    scorecard: Scorecard,
    table: Any,
    *,
    rows: int = 2000,
    refused: int = 100,
    others: Mapping[str, Callable[[list], list]] | None = None,
) -> dict[str, Any]:
    """How far a scorecard's answers are from the pipeline's, by each way of asking it.

    Parameters
    ----------
    pipeline : the fitted pipeline.
    table : DataFrame, or array (rows, inputs); what the pipeline's ``predict`` takes. float32 and nullable numbers are
        widened to float64 for both, as the contract has it.
    rows : how many rows to ask one by one, evenly spaced; the table path takes all of them.
    refused : how many of the refused rows to ask the pipeline about, one by one.
    others : further ways of answering by name: functions from a list of rows (mappings) to a list of answers, each a
        mapping with some of ``predict``, ``predict_proba`` and ``decision_function``, or the InputError of that row.

    Returns
    -------
    dict
        Ready for JSON. ``rows``, ``rows_one_by_one``, ``ill_conditioned``: how many. ``refusals``: rows ``refused``;
        how many of them were ``checked`` against the pipeline; ``missed`` (the pipeline raises, the scorecard
        answers), ``needless`` (the scorecard refuses for a reason of the model's, the pipeline answers),
        ``stricter`` (it refuses by the contract), ``paths_differ`` (its paths disagree on refusing). ``paths``: for
        each path and method the number ``compared``, the ``worst`` difference, its ``worst_ratio`` to the tolerance
        and how many are ``outside`` of that; for labels how many are ``different`` and ``outside``. ``tolerance`` in
        words. ``passed``.
    """
    reference = _widened(table)
    columns = _columns(scorecard, reference)
    count = frames.length(columns)
    scores, found, sizes = scorecard.tables.sized_scores(columns)
    errors = found.by_row()
    sensitivities = np.broadcast_to(_sensitivities(_as_fitted(pipeline, scorecard), columns), scores.shape)
    accepted = np.array([row for row in range(count) if row not in errors], dtype=np.intp)
    answers, raised = _asked(pipeline, reference, accepted)
    missed = len(raised)
    accepted = np.setdiff1d(accepted, raised)
    answers = {name: values[np.isin(answers["rows"], accepted)] for name, values in answers.items()}
    judge = _Judge(scorecard, scores[:, accepted], sizes[:, accepted], sensitivities[:, accepted], answers)
    sample = _spread(count, rows)
    paths = {"table": judge.compare(_of_table(scorecard, scores[:, accepted]), np.arange(len(accepted)))}
    differ = 0
    listed = list(_rows(scorecard, columns, sample))
    ways = {"row": lambda listed: [answer_row(scorecard, row) for row in listed], **(others or {})}
    at = {row: place for place, row in enumerate(accepted.tolist())}
    for name, way in ways.items():
        given = way(listed)
        both = [(at[row], answer) for row, answer in zip(sample, given, strict=True) if row in at]
        fine = [(place, answer) for place, answer in both if not isinstance(answer, Exception)]
        differ += len(both) - len(fine)
        differ += sum(row in errors and not isinstance(a, Exception) for row, a in zip(sample, given, strict=True))
        stacked = {m: np.array([a[m] for _, a in fine]) for m in METHODS if fine and m in fine[0][1]}
        paths[name] = judge.compare(stacked, np.array([place for place, _ in fine], dtype=np.intp))
    checked, needless, stricter = _refusals(pipeline, reference, errors, refused)
    outside = sum(result["outside"] for path in paths.values() for result in path.values())
    return {
        "schema_version": 1,
        "rows": count,
        "rows_one_by_one": len(sample),
        "ill_conditioned": int(judge.ill.sum()),
        "refusals": {
            "refused": len(errors),
            "checked": checked,
            "missed": missed,
            "needless": needless,
            "stricter": stricter,
            "paths_differ": differ,
        },
        "paths": paths,
        "tolerance": "tau = 1e-12 (1 + sum of |terms|); probabilities max(1e-12, tau); log link 1e-12 + tau mu",
        "passed": not (outside or missed or needless or differ),
    }


def _widened(table: Any) -> Any:
    """The table with numbers as float64."""
    if isinstance(table, np.ndarray):
        return table.astype(np.float64) if table.dtype.kind in "fiu" else table
    changed = {}
    for name in table.columns:
        dtype = table[name].dtype
        if getattr(dtype, "kind", "O") in "fiub" and not isinstance(dtype, np.dtype):
            changed[name] = table[name].to_numpy(dtype=np.float64, na_value=np.nan)
        elif dtype == np.float32 or dtype == np.float16:
            changed[name] = table[name].to_numpy().astype(np.float64)
    return table.assign(**changed) if changed else table


def _columns(scorecard: Scorecard, table: Any) -> Any:
    if not isinstance(table, np.ndarray):
        return table
    return {item.name: table[:, place] for place, item in enumerate(scorecard.inputs)}


def _take(table: Any, rows: np.ndarray) -> Any:
    return table[rows] if isinstance(table, np.ndarray) else table.iloc[rows]


def _rows(scorecard: Scorecard, columns: Any, sample: Sequence[int]) -> Iterator[dict[str, Any]]:
    known = set(frames.names(columns))
    names = [item.name for item in scorecard.inputs if item.name in known]
    lists = [frames.cells(columns[name]) for name in names]
    return ({name: values[row] for name, values in zip(names, lists, strict=True)} for row in sample)


def _spread(count: int, most: int) -> list[int]:
    return sorted(set(np.linspace(0, count - 1, min(count, most)).astype(int).tolist())) if count else []


def _answers(pipeline: Any, table: Any) -> dict[str, np.ndarray]:
    import warnings

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return {name: np.asarray(getattr(pipeline, name)(table)) for name in METHODS if hasattr(pipeline, name)}


def _finite(answers: dict[str, np.ndarray]) -> np.ndarray:
    """Whether all numbers of each row's answers are finite."""
    fine = None
    for values in answers.values():
        if values.dtype.kind == "f":
            good = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
            fine = good if fine is None else fine & good
    return np.ones(len(next(iter(answers.values()))), dtype=bool) if fine is None else fine


def _asked(pipeline: Any, table: Any, rows: np.ndarray, budget: int = 400) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The pipeline's answers to rows, whose numbers are ``rows``, and the rows it raises at or has no number for.

    Halves the table where it raises; after ``budget`` calls what is still unanswered counts as raised.
    """
    parts, raised = [], []
    todo = [rows] if len(rows) else []
    while todo:
        part = todo.pop()
        budget -= 1
        try:
            parts.append((part, _answers(pipeline, _take(table, part))))
        except Exception:  # each library has errors of its own
            if len(part) == 1 or budget <= 0:
                raised.append(part)
            else:
                todo += [part[len(part) // 2 :], part[: len(part) // 2]]
    answers = {"rows": np.concatenate([part for part, _ in parts]) if parts else np.empty(0, dtype=np.intp)}
    for name in parts[0][1] if parts else ():
        answers[name] = np.concatenate([found[name] for _, found in parts])
    if len(answers) > 1:
        raised.append(answers["rows"][~_finite({name: answers[name] for name in answers if name != "rows"})])
    return answers, np.concatenate(raised) if raised else np.empty(0, dtype=np.intp)


def _refusals(pipeline: Any, table: Any, errors: dict[int, InputError], most: int) -> tuple[int, int, int]:
    """Of rows the scorecard refuses: how many were checked, refused without need, refused by the contract only."""
    rows = sorted(errors)
    chosen = [rows[place] for place in _spread(len(rows), most)]
    needless = stricter = 0
    for row in chosen:
        try:
            answers = _answers(pipeline, _take(table, np.array([row])))
        except Exception:  # each library has errors of its own
            continue
        if _finite(answers).all():
            own = errors[row].reason in OWN
            needless, stricter = needless + own, stricter + (not own)
    return len(chosen), needless, stricter


def _as_fitted(pipeline: Any, scorecard: Scorecard) -> Scorecard:
    """The scorecard with the edges of its bins where the pipeline has them, after the functions it computes."""
    columns = [item for item in scorecard.document.columns if isinstance(item, (Chain, OneHot))]
    if not any(isinstance(step, Bin) for item in columns for step in item.steps):
        return scorecard
    from .compiler import compile_pipeline

    return compile_pipeline(pipeline, scorecard.inputs, cleaning=scorecard.cleaning, edges_moved=False)


def _sensitivities(scorecard: Scorecard, columns: Any) -> np.ndarray | float:
    """What moving the values of inexact functions by one unit of tau, up or down, does to the scores, in that unit."""
    inexact = [
        one
        for one in scorecard.program.operations
        if isinstance(one, CombineSources) or any(step.inexact for step in one.steps)
    ]
    if not inexact:
        return 0.0
    scores, _ = scorecard.tables.scores(columns)
    found = np.zeros_like(scores)
    with np.errstate(all="ignore"):
        for operation in inexact:
            moved = (
                scorecard.tables.scores(columns, changed=operation.slot, change=change)[0] for change in (UNIT, -UNIT)
            )
            found += np.maximum(*(np.abs(one - scores) for one in moved)) / UNIT
    return found


def _of_table(scorecard: Scorecard, scores: np.ndarray) -> dict[str, np.ndarray]:
    tables = scorecard.tables
    if scorecard.task == "regression":
        return {"predict": tables.predicted(scores)}
    found = {"predict": tables.labels(scores)}
    if scorecard.has_probabilities:
        found["predict_proba"] = tables.likelihoods(scores)
    if scorecard.has_decision:
        found["decision_function"] = scores[0] if len(scores) == 1 else scores.T
    return found


def answer_row(scorecard: Scorecard, row: Mapping[str, Any]) -> dict[str, Any] | InputError:
    """What a scorecard answers to a row, by the pipeline's names for it, or why it refuses."""
    try:
        found: dict[str, Any] = {"predict": scorecard.predict_row(row)}
        if scorecard.has_probabilities:
            found["predict_proba"] = scorecard.probabilities_row(row)
        if scorecard.has_decision:
            found["decision_function"] = scorecard.decision_row(row)
    except InputError as error:
        return error
    return found


class _Judge:
    """Tolerances of rows, and the pipeline's answers to them."""

    def __init__(
        self,
        scorecard: Scorecard,
        scores: np.ndarray,
        sizes: np.ndarray,
        sensitivities: np.ndarray,
        answers: dict[str, np.ndarray],
    ) -> None:
        self.scorecard, self.scores, self.answers = scorecard, scores, answers
        model = scorecard.document.model
        with np.errstate(all="ignore"):
            jumps = ~(UNIT * sensitivities <= ILL_CONDITIONED * sizes).all(axis=0)
            sizes = sizes + sensitivities
            self.tau = UNIT * sizes
            self.likely_tau = probability_tolerances(model, len(scorecard.classes or ()), scores, sizes)
            self.worst_tau = np.maximum(self.tau.max(axis=0), self.likely_tau)
            itself = scorecard.task == "regression" and model.link == "identity" and not model.target
            self.ill = jumps | ~(self.worst_tau < np.inf if itself else self.worst_tau <= ILL_CONDITIONED)

    def compare(self, given: Mapping[str, Any], places: np.ndarray) -> dict[str, dict[str, Any]]:
        """Answers of one path for some of the rows against the pipeline's."""
        results = {}
        for method in METHODS:
            if method in given and method in self.answers:
                expected = self.answers[method][places]
                if method == "predict" and self.scorecard.task == "classification":
                    results[method] = self._labels(given[method], expected, places)
                else:
                    results[method] = self._numbers(method, given[method], expected, places)
        return results

    def _numbers(self, method: str, given: Any, expected: np.ndarray, places: np.ndarray) -> dict[str, Any]:
        well = ~self.ill[places]
        given = np.asarray(given, dtype=np.float64).reshape(expected.shape)
        with np.errstate(all="ignore"):
            difference = np.abs(given - expected)
            tolerance = self._tolerance(method, expected, places)
            ratio = difference / tolerance
        difference, ratio = difference[well], ratio[well]
        return {
            "compared": int(well.sum()),
            "worst": float(difference.max(initial=0.0)),
            "worst_ratio": float(ratio.max(initial=0.0)),
            "outside": int((~(ratio <= 1.0)).any(axis=tuple(range(1, ratio.ndim))).sum()),
        }

    def _tolerance(self, method: str, expected: np.ndarray, places: np.ndarray) -> np.ndarray:
        if method == "decision_function":
            tau = self.tau[:, places].T
            return tau.reshape(expected.shape)
        if method == "predict_proba":
            return np.maximum(UNIT, self.worst_tau[places])[:, None]
        model, tau = self.scorecard.document.model, self.tau[0, places]
        if model.target:
            predicted, scores = self.scorecard.tables.predicted, self.scores[:, places]
            middle = predicted(scores)
            turned = [np.abs(predicted(scores + sign * tau) - middle) for sign in (-1.0, 1.0)]
            return np.fmax(*turned) + UNIT * (1.0 + np.abs(middle))
        return UNIT + tau * np.abs(expected) if model.link == "log" else tau

    def _labels(self, given: Any, expected: np.ndarray, places: np.ndarray) -> dict[str, Any]:
        well = ~self.ill[places]
        given = np.asarray(given, dtype=expected.dtype if expected.dtype.kind in "biuf" else object)
        different = (given != expected) & well
        return {
            "compared": int(well.sum()),
            "different": int(different.sum()),
            "outside": int((different & ~self._undecided()[places]).sum()),
        }

    def _undecided(self) -> np.ndarray:
        """Rows whose margin is within tau."""
        document, tau = self.scorecard.document, np.maximum(UNIT, self.worst_tau)
        assert document.decision is not None
        rule = decision_rule(document.model, document.decision)
        numbers = self.scores if rule.of == "scores" else margins(document.model, self.scores)
        if rule.of == "probabilities":
            numbers = self.scorecard.tables.likelihoods(self.scores).T
        if rule.place is not None:
            least = 0.0 if rule.least is None else rule.least
            return np.abs((-numbers if rule.negative else numbers)[rule.place] - least) <= tau
        ordered = np.sort(numbers, axis=0)
        return ordered[-1] - ordered[-2] <= 2.0 * tau
