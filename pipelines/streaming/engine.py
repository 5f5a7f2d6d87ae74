"""A training on a table that is read in parts: fit, and measure what was fitted."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from pipelines import columns, fitting, modelling, profile, score_sums, solving
from pipelines.errors import PipelineError
from pipelines.evaluation import baseline, metrics, sections
from pipelines.evaluation.metrics import Answers
from pipelines.fitting import CrossValidation
from pipelines.modelling import FittedModel
from pipelines.planning import TrainingPlan
from pipelines.record import Measured
from pipelines.solving import Block, Fit, SolvingError, objectives
from pipelines.streaming import fitted_estimator, preprocessing
from pipelines.streaming.prefetch import prefetched
from pipelines.streaming.preprocessing import Design
from pipelines.streaming.scan import HELD, Scan, StreamedTable
from pipelines.streaming.typed import Part
from registry import logs
from registry.cli.text import listed
from registry.evidence.document import Baseline, CategoryProfile, Fairness, NumberProfile
from serving.scorecard import Scorecard
from serving.scorecard.inputs import Input

_log = logs.get_logger(__name__)

#: Of more training rows, the metrics on training rows and of cross-validation are those of so many, evenly spread.
MOST_ANSWERS = 2_000_000
#: Pictures are of at most so many held-out rows, and parity is measured on as many, evenly spread.
MOST_SHOWN = 200_000


@dataclass
class _Collected:
    """Answers that come in parts, of every ``step``-th row."""

    step: int = 1
    truth: list[np.ndarray] = field(default_factory=list)
    numbers: list[np.ndarray] = field(default_factory=list)
    rows: int = 0

    def add(self, truth: np.ndarray, numbers: np.ndarray) -> None:
        """Add the truth of some rows, shape (n,), and predictions or probabilities, shape (n,) or (n, n_classes)."""
        first = -self.rows % self.step
        self.rows += len(truth)
        self.truth.append(truth[first :: self.step])
        self.numbers.append(numbers[first :: self.step])

    def joined(self) -> tuple[np.ndarray, np.ndarray]:
        """All of them; what was collected is gone then."""
        truth, numbers = np.concatenate(self.truth), np.concatenate(self.numbers)
        self.truth, self.numbers = [], []
        return truth, numbers


class Streamed:
    """A plan whose table is read in parts; its dataset and its split are those of a sample."""

    name, sampled = "stream", True

    def __init__(self, plan: TrainingPlan, table: StreamedTable, scan: Scan) -> None:
        self.plan, self._table, self._scan = plan, table, scan
        inputs, levels = plan.dataset.inputs, table.reader.levels
        self._transformer = preprocessing.fitted(inputs, scan, levels)
        self._design = Design(self._transformer, inputs, levels)
        self._labels = np.array(plan.dataset.classes, dtype=plan.dataset.target.dtype)
        self._few = _few(plan.dataset.target)
        self.covariance: np.ndarray | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """How many rows are trained on, and how many are held out."""
        return self._scan.training, self._scan.held

    def fit(self) -> FittedModel:
        """The fitted pipeline: cross-validation, threshold and fit, as far as each is asked for.

        Raises
        ------
        PipelineError
            if there is no such fit.
        """
        plan, settings = self.plan, self.plan.settings
        objective = objectives.of(plan.build(), len(self._labels))
        chosen_here = plan.rule is not None and plan.rule.value is None
        folds = modelling.folds_needed(plan)
        try:
            # What makes the matrices works beside what multiplies them.
            fit = solving.fit(lambda: prefetched(self._blocks()), objective, folds=folds)
        except SolvingError as error:
            names = self._transformer.get_feature_names_out()
            about = f" ({listed([names[place] for place in error.columns])})" if error.columns else ""
            raise PipelineError(f"the model cannot be fitted: {error}{about}") from None
        judged = self._cross_validated(fit) if folds else None
        threshold, told = None, list(fit.notes)
        for note in told:
            _log.warning(note)
        if plan.rule:
            threshold = modelling.threshold_of(plan, judged.folds if judged else ())
            judged = judged and judged.with_threshold(threshold)
            if chosen_here:
                told.append(modelling.threshold_note(plan, threshold))
                _log.info(told[-1])
        pipeline = Pipeline([("features", self._transformer), ("estimator", self._estimator(fit, threshold))])
        self.covariance = fit.covariance
        summary = judged.summary() if judged and settings.folds else None
        return FittedModel(pipeline, summary, threshold, tuple(told))

    def _estimator(self, fit: Fit, threshold: float | None = None):
        return fitted_estimator.fitted(self.plan.build(threshold), fit, self._few)

    def _blocks(self) -> Iterator[Block]:
        weights = self._class_weights()
        for _, part, side in self._table.parts(training=True, label="fitting"):
            of_rows = None if weights is None else weights[part.target.astype("intp")]
            yield Block(self._design.matrix(part), part.target, of_rows, side)

    def _class_weights(self) -> np.ndarray | None:
        """The weight of each class; None where all are 1."""
        if self._scan.labels is None:
            return None
        return objectives.class_weights(self.plan.class_weight, self._labels, self._scan.labels[0])

    def _cross_validated(self, fit: Fit) -> CrossValidation:
        """The answers on each fold's rows, by the fit without them."""
        models = [self._estimator(each) for each in fit.folds]
        step = -(-self._scan.training // MOST_ANSWERS)
        found = [_Collected(step) for _ in models]
        for _, part, side in self._table.parts(training=True, label="cross-validating"):
            matrix = self._design.matrix(part)
            for fold, (model, collected) in enumerate(zip(models, found, strict=True)):
                rows = side == fold
                if rows.any():
                    collected.add(part.target[rows], self._numbers(model, matrix[rows]))
        return CrossValidation("key hash", tuple(self._answers(*each.joined(), None) for each in found))

    def _numbers(self, model, matrix: np.ndarray) -> np.ndarray:
        """Predictions, shape (n,), or probabilities, shape (n, n_classes)."""
        return model.predict_proba(matrix) if len(self._labels) else np.asarray(model.predict(matrix), dtype="float64")

    def _answers(self, truth: np.ndarray, numbers: np.ndarray, threshold: float | None) -> Answers:
        if not len(self._labels):
            return Answers(truth, numbers)
        classes = tuple(self.plan.dataset.classes)
        labels = self._labels[truth.astype("intp")]
        plain = Answers(labels, self._labels[numbers.argmax(axis=1)], numbers, classes, self.plan.positive)
        return plain if threshold is None else fitting.at_threshold(plain, threshold)

    def measure(self, fitted: FittedModel, card: Scorecard | None, folder: Path) -> Measured:
        """Measure a fitted pipeline in one pass, and write its answers to the held-out rows.

        Parameters
        ----------
        card : its scorecard; None if it has none.
        folder : of the evidence.
        """
        plan, scan, threshold = self.plan, self._scan, fitted.threshold
        estimator, inputs = fitted.pipeline[-1], plan.dataset.inputs
        training = _Collected(-(-scan.training // MOST_ANSWERS))
        held, keys = _Collected(), self._table.keys()
        terms = score_sums.terms_of(card)
        sums = score_sums.ScoreSums(terms) if terms else None
        samples = _Samples(self._table, scan)
        shown = _Shown(-(-scan.held // MOST_SHOWN))
        groups = _Groups(plan, self._table)
        gaps: set[str] = set()

        def answered() -> Iterator[tuple[Answers, np.ndarray]]:
            written = 0
            for raw, part, side in self._table.parts(label="evaluating", more=groups.columns):
                gaps.update(self._gaps(part))
                matrix = self._design.matrix(part)
                numbers = self._numbers(estimator, matrix)
                out = side == HELD
                training.add(part.target[~out], numbers[~out])
                seen = part.of(~out)
                samples.add(seen)
                if sums is not None and len(seen):
                    with np.errstate(all="ignore"):
                        sums.add(self._design.frame(seen, inputs))
                if out.any():
                    held_part = part.of(out)
                    held.add(held_part.target, numbers[out])
                    shown.add(held_part)
                    groups.add(raw, out)
                    own = keys[written : written + len(held_part)]
                    written += len(own)
                    yield self._answers(held_part.target, numbers[out], threshold), own

        sections.write_holdout_parts(answered(), folder)
        answers = self._answers(*held.joined(), threshold)
        parity = None
        if card is not None:
            parity = sections.parity_section(fitted.pipeline, card, self._design.frame(shown.joined(), inputs))
        return Measured(
            answers=answers[np.arange(0, len(answers), -(-len(answers) // MOST_SHOWN))],
            rows=scan.held,
            training_rows=scan.training,
            dropped_rows=scan.dropped,
            metrics=sections.metrics_section(answers, resamples=plan.settings.resamples, seed=plan.settings.seed),
            training=metrics.measure(self._answers(*training.joined(), threshold)),
            baseline=self._baseline(answers),
            fairness=groups.fairness(answers),
            scores=sums.profiles() if sums else [],
            profile=samples.profiles(plan),
            parity=parity,
            gaps=frozenset(gaps),
        )

    def _gaps(self, part: Part) -> Iterator[str]:
        reader = self._table.reader
        for item, missing in zip(reader.numbers, np.isnan(part.numbers).any(axis=1), strict=True):
            if missing:
                yield item.name
        for item, places in zip(reader.categories, part.categories, strict=True):
            if (places == 0).any():
                yield item.name

    def _baseline(self, answers: Answers) -> Baseline:
        if self._scan.labels is None:
            assert self._scan.target is not None
            return baseline.of_mean(answers.target, self._scan.target.mean)
        return baseline.of_counts(answers.target, answers.classes, self._scan.labels[0], answers.positive)


class _Samples:
    """Values of the training rows for their profile: as many, and the same, as are taken of a table in memory."""

    def __init__(self, table: StreamedTable, scan: Scan) -> None:
        self._table, self._scan = table, scan
        self._summaries = [*scan.numbers, *([scan.target] if scan.target else [])]
        self._steps = [max(profile.step(each.count), 1) for each in self._summaries]
        self._seen = [0] * len(self._steps)
        self._found: list[list[np.ndarray]] = [[] for _ in self._steps]

    def add(self, part: Part) -> None:
        """Add training rows."""
        values = [*part.numbers, *([part.target] if self._scan.target else [])]
        for place, (column, step) in enumerate(zip(values, self._steps, strict=True)):
            known = column[~np.isnan(column)]
            self._found[place].append(known[-self._seen[place] % step :: step].copy())
            self._seen[place] += len(known)

    def profiles(self, plan: TrainingPlan) -> dict[str, NumberProfile | CategoryProfile]:
        """The profile of each input, and of the target."""
        reader, scan = self._table.reader, self._scan
        found: dict[str, NumberProfile | CategoryProfile] = {}
        names = [item.name for item in reader.numbers] + ([plan.dataset.target_name] if scan.target else [])
        for name, summary, values in zip(names, self._summaries, self._found, strict=True):
            known = summary.count > 0
            found[name] = profile.of_numbers(
                summary.count + summary.missing,
                summary.missing,
                np.concatenate(values) if values else np.zeros(0),
                summary.mean if known else None,
                math.sqrt(summary.variance) if known else None,
                (summary.least, summary.most) if known else (None, None),
            )
        for item, levels, counts in zip(reader.categories, reader.levels, scan.counts, strict=True):
            texts = pd.Series(counts[1:], index=levels.texts[1 : len(counts)])
            found[item.name] = profile.of_texts(
                int(counts.sum()), int(counts[0]), texts[texts > 0].sort_values(ascending=False)
            )
        if scan.labels is not None:
            labels = pd.Series(plan.dataset.classes).map(str)
            counts = pd.Series(scan.labels[0], index=labels).sort_values(ascending=False)
            found[plan.dataset.target_name] = profile.of_texts(scan.training, 0, counts)
        order = [*(item.name for item in plan.dataset.inputs), plan.dataset.target_name]
        return {name: found[name] for name in order}


class _Shown:
    """Every so many-th of the held-out rows."""

    def __init__(self, step: int) -> None:
        self._step, self._rows = max(step, 1), 0
        self._parts: list[Part] = []

    def add(self, part: Part) -> None:
        """Add held-out rows."""
        chosen = np.zeros(len(part), dtype=bool)
        chosen[-self._rows % self._step :: self._step] = True
        self._rows += len(part)
        self._parts.append(part.of(chosen))

    def joined(self) -> Part:
        """All of them."""
        return Part(
            np.concatenate([part.numbers for part in self._parts], axis=1),
            np.concatenate([part.categories for part in self._parts], axis=1),
            np.concatenate([part.target for part in self._parts]),
        )


class _Groups:
    """The values of sensitive columns of the held-out rows."""

    def __init__(self, plan: TrainingPlan, table: StreamedTable) -> None:
        sample = table.sample
        self.columns = list(dict.fromkeys(plan.settings.roles.sensitive))
        self._inputs: dict[str, Input] = {
            name: columns.infer(name, sample.columns[name], sample.cleaning, sample.marks_of(name)).as_input()
            for name in self.columns
        }
        self._cleaning = sample.cleaning
        self._found: dict[str, list[pd.Series]] = {name: [] for name in self.columns}

    def add(self, raw, rows: np.ndarray) -> None:
        """Add held-out rows of a raw part, by a mask."""
        for name, item in self._inputs.items():
            self._found[name].append(columns.convert(raw[name], item, self._cleaning)[rows])

    def fairness(self, answers: Answers) -> list[Fairness]:
        """The metrics of each group."""
        return [
            metrics.by_group(answers, pd.concat(parts, ignore_index=True).rename(name))
            for name, parts in self._found.items()
        ]


def _few(target: pd.Series) -> np.ndarray:
    """Some values of a target, two of each class."""
    if target.dtype.kind == "f":
        return np.array([1.0, 2.0])
    return target.groupby(target.astype(str)).head(2).to_numpy()
