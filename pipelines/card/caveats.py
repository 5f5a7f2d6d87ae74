"""What a reader should hold against a version's figures, as far as the evidence itself gives rise to it."""

from collections.abc import Iterator

from pipelines.card.metrics import FEW_ROWS, headlines
from pipelines.formatting import readable
from registry.evidence import Evidence
from registry.metrics import CLASSIFICATION, is_error

#: With fewer held-out rows than this every metric is uncertain.
_FEW_HELD_OUT = 200


def caveats(document: Evidence) -> list[str]:
    """Each caveat as a sentence."""
    return [*_of_metrics(document), *_of_data(document), *_of_groups(document), *_of_model(document)]


def _of_metrics(document: Evidence) -> Iterator[str]:
    rows = document.holdout.rows
    if document.holdout.possibly_trained_on:
        yield "The metrics are of rows that this version may have been trained on: they may be too good."
    elif declared := document.holdout.declared_unseen:
        yield f"{declared.by} declared that this version was not trained on the judged rows; nobody can check it."
    if rows < _FEW_HELD_OUT:
        yield f"Only {rows:,} rows were held out, so every metric is uncertain: look at its interval."
    for note in document.holdout.notes:
        yield f"{note[0].upper()}{note[1:]}."
    yield from near_baseline(document)


def near_baseline(document: Evidence) -> Iterator[str]:
    """By which headline metrics the model may be no better than the baseline, a sentence each."""
    for metric in headlines(document):
        error, baseline = is_error(metric.name), metric.other
        worst = metric.high if error else metric.low
        if worst is None or baseline is None:
            continue
        if worst >= baseline if error else worst <= baseline:
            yield (
                f"The interval of {metric.label} reaches the baseline's {readable(baseline)}: "
                "by this metric the model may be no better than a guess that looks at no column."
            )


def _of_data(document: Evidence) -> Iterator[str]:
    if document.suite is None:
        yield "The data was not checked against a suite of expectations."
    elif count := document.suite.failed:
        yield f"The data fails {count:,} expectation{'' if count == 1 else 's'} of its suite."
    if document.adopted or document.lineage is None:
        yield "The origin of this version is unknown: it was trained without this platform."
    elif dropped := document.lineage.data.dropped_rows:
        yield f"Rows without a target were excluded from training and evaluation: {dropped:,}."


def _of_groups(document: Evidence) -> Iterator[str]:
    if not document.fairness:
        yield "No sensitive column was named, so it is not known how good the model is for each group."
    for section in document.fairness:
        few = [f"{group.group} ({group.rows})" for group in section.groups if group.rows < FEW_ROWS]
        if few:
            yield (
                f"Groups by {section.column} with fewer than {FEW_ROWS} held-out rows, "
                f"whose metrics and gaps are uncertain: {', '.join(few)}."
            )


def _of_model(document: Evidence) -> Iterator[str]:
    model = document.model
    if document.lineage and document.lineage.git.dirty:
        yield "The working directory had uncommitted changes: the commit alone does not reproduce this version."
    if document.parity is None:
        yield "No portable scorecard was compared with the fitted pipeline."
    elif not document.parity.passed:
        yield "The portable scorecard does not give the fitted pipeline's answer to some rows."
    if model.task == CLASSIFICATION and len(model.classes or ()) == 2 and model.threshold is None:
        yield "The decision threshold is the default 0.5, which was not chosen by what each kind of error costs."
