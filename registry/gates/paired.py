"""Two versions on the rows that both held out: the join by key, and the paired bootstrap of their difference."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from registry.evidence.fetch import VersionEvidence
from registry.metrics import CLASSIFICATION, CodedAnswers, weighted

if TYPE_CHECKING:
    import pyarrow as pa

RESAMPLES = 1000
#: At most this many rows are compared; as many are behind the intervals in evidence.
ROWS = 10_000
#: The seed of the resamples: the same two versions get the same verdict, always.
SEED = 0
_CHUNK = 50


@dataclass(frozen=True)
class Shared:
    """What two versions answered to the same rows, in an order that does not hang on that of the files.

    Parameters
    ----------
    candidate, champion : the answers of each; the truth is the same in both.
    changed : how many rows have a key that both know, and another truth in each.
    """

    candidate: CodedAnswers
    champion: CodedAnswers
    changed: int

    def __len__(self) -> int:
        return len(self.candidate)


@dataclass(frozen=True)
class Difference:
    """By how much a metric of the candidate is above the champion's, on ``rows`` rows.

    Parameters
    ----------
    value, low, high : the difference and the ends of its bootstrap interval; NaN where the metric is not defined.
    champion : the champion's metric on these rows.
    """

    value: float
    low: float
    high: float
    rows: int
    champion: float


def shared(candidate: VersionEvidence, champion: VersionEvidence) -> Shared:
    """The held-out rows of both: of the same key and the same truth, the k-th of equal ones with the k-th.

    A row whose truth has changed between the two is another row: neither is right or wrong by the other's truth.
    """
    import pyarrow.compute as pc

    model = candidate.document.model
    classes = list(model.classes or ()) if model.task == CLASSIFICATION else None
    ours, theirs = _numbered(candidate.holdout, classes), _numbered(champion.holdout, classes)
    pairs = _joined(ours, theirs)
    known = pc.sum(pc.is_in(ours["key"], value_set=theirs["key"])).as_py() or 0
    positive = classes.index(model.positive) if classes and model.positive in classes else None
    return Shared(
        _answers(pairs, "", classes, positive),
        _answers(pairs, _SUFFIX, classes, positive),
        changed=known - pairs.num_rows,
    )


def difference(shared: Shared, metric: str, *, level: float) -> Difference:
    """The difference of a metric, with its percentile interval by the paired bootstrap.

    Both versions are measured on the same resampled rows, so what is hard about a row is no difference (Efron and
    Tibshirani 1993, chapter 13; Koehn 2004 for the paired form).

    Parameters
    ----------
    level : the share of resamples inside the interval.
    """
    draw = np.random.default_rng(SEED)
    candidate, champion = shared.candidate, shared.champion
    if len(shared) > ROWS:
        chosen = np.sort(draw.choice(len(shared), ROWS, replace=False))
        candidate, champion = candidate[chosen], champion[chosen]

    def measured(answers: CodedAnswers, weights: np.ndarray) -> np.ndarray:
        return weighted(answers, weights, [metric])[metric]

    rows = len(candidate)
    all_rows = np.ones((1, rows))
    with np.errstate(invalid="ignore"):
        ours, theirs = measured(candidate, all_rows)[0], measured(champion, all_rows)[0]
        value = ours - theirs
        found = []
        for start in range(0, RESAMPLES, _CHUNK):
            size = min(_CHUNK, RESAMPLES - start)
            picks = draw.integers(0, rows, size=(size, rows)) + np.arange(size)[:, None] * rows
            weights = np.bincount(picks.ravel(), minlength=size * rows).reshape(size, rows).astype("float64")
            found.append(measured(candidate, weights) - measured(champion, weights))
    values = np.concatenate(found)
    # A resample without one of the classes has no area under the curve.
    values = values[~np.isnan(values)]
    tail = 100 * (1 - level) / 2
    # The nearest resample, not a mean of two: the ends are differences that occurred.
    ends = np.percentile(values, [tail, 100 - tail], method="nearest") if len(values) else (np.nan, np.nan)
    return Difference(float(value), float(ends[0]), float(ends[1]), rows, float(theirs))


_SUFFIX = "_champion"


def _numbered(holdout: "pa.Table", classes: list | None) -> "pa.Table":
    """A holdout with the truth as numbers, sorted, and with the place of each row among its equals."""
    import pyarrow as pa

    columns = {"key": holdout["key"].cast(pa.string())}
    for name in ("target", "prediction"):
        columns[name] = pa.array(_coded(holdout[name], classes))
    for name in holdout.column_names:
        if name.startswith("probability_"):
            columns[name] = holdout[name]
    table = pa.table(columns).sort_by([(name, "ascending") for name in columns])
    keys, truth = _array(table, "key"), _array(table, "target")
    same = np.r_[False, (keys[1:] == keys[:-1]) & (truth[1:] == truth[:-1])]
    starts = np.flatnonzero(~same)
    place = np.arange(table.num_rows) - np.repeat(starts, np.diff(np.r_[starts, table.num_rows]))
    return table.append_column("place", pa.array(place))


def _joined(ours: "pa.Table", theirs: "pa.Table") -> "pa.Table":
    """Rows of the same key, truth and place, in the order of these."""
    on = ["key", "target", "place"]
    renamed = theirs.rename_columns([name if name in on else name + _SUFFIX for name in theirs.column_names])
    return ours.join(renamed, keys=on, join_type="inner").sort_by([(name, "ascending") for name in on])


def _coded(column: "pa.ChunkedArray", classes: list | None) -> np.ndarray:
    """Numbers as float64, labels as their places among the classes: -1 for one that is not there."""
    if classes is None:
        return np.asarray(column.to_numpy(), dtype="float64")
    places = {label: place for place, label in enumerate(classes)}
    return np.array([places.get(label, -1) for label in column.to_pylist()], dtype="int64")


def _array(table: "pa.Table", name: str) -> np.ndarray:
    return table[name].to_numpy()


def _answers(pairs: "pa.Table", suffix: str, classes: list | None, positive: int | None) -> CodedAnswers:
    truth, predicted = _array(pairs, "target"), _array(pairs, f"prediction{suffix}")
    if classes is None:
        return CodedAnswers(truth, predicted)
    probabilities = np.column_stack([_array(pairs, f"probability_{label}{suffix}") for label in classes])
    return CodedAnswers(truth, predicted, probabilities, positive)
