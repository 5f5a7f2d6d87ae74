"""What a reader should hold against a version's figures, as far as the evidence itself gives rise to it."""

from collections.abc import Iterator, Mapping

from pipelines.card.metrics import FEW_ROWS, by_group, headlines
from pipelines.card.parts import part
from pipelines.card.sections import lineage, suite
from pipelines.formatting import readable
from registry.metrics import is_error

#: With fewer held-out rows than this every metric is uncertain.
_FEW_HELD_OUT = 200


def caveats(document: Mapping) -> list[str]:
    """Each caveat as a sentence."""
    return [*_of_metrics(document), *_of_data(document), *_of_groups(document), *_of_model(document)]


def _of_metrics(document: Mapping) -> Iterator[str]:
    holdout = part(document, "holdout")
    rows, drawn = holdout.get("rows"), part(holdout, "bootstrap").get("rows")
    if rows is not None and rows < _FEW_HELD_OUT:
        yield f"The held-out rows are few ({rows:,}), so that every metric is uncertain: read its interval."
    for metric in headlines(document):
        baseline, error = metric["baseline"], is_error(metric["name"])
        worst = metric["high"] if error else metric["low"]
        if worst is None or baseline is None:
            continue
        if worst >= baseline if error else worst <= baseline:
            yield (
                f"The interval of {metric['label']} reaches the baseline's {readable(baseline)}: "
                "by this metric the model may be no better than a guess that looks at no column."
            )
    if rows and drawn and drawn < rows:
        yield f"Intervals are of {drawn:,} of the {rows:,} held-out rows."


def _of_data(document: Mapping) -> Iterator[str]:
    checked = suite(document.get("suite"))
    if checked is None:
        yield "The data was not checked against a suite of expectations."
    elif checked["success"] is False or checked["failures"]:
        count = checked["failed"] or len(checked["failures"])
        yield f"The data fails {count:,} expectation{'' if count == 1 else 's'} of its suite."
    if dropped := lineage(part(document, "lineage"))["data"]["dropped_rows"]:
        yield f"Rows without a target were left out of training and judging: {dropped:,}."


def _of_groups(document: Mapping) -> Iterator[str]:
    sections = document.get("fairness") or []
    if not sections:
        yield "No sensitive column was named, so nothing is known about groups of people or things."
    for section in map(by_group, sections):
        few = [f"{group['group']} ({group['rows']})" for group in section["groups"] if group["few"]]
        if few:
            yield (
                f"Groups by {section['column']} of fewer than {FEW_ROWS} held-out rows, "
                f"so that their metrics and gaps are uncertain: {', '.join(few)}."
            )


def _of_model(document: Mapping) -> Iterator[str]:
    model, parity = part(document, "model"), part(document, "parity")
    if lineage(part(document, "lineage"))["git"]["dirty"]:
        yield "The working directory had uncommitted changes: the commit alone does not reproduce this version."
    if not parity:
        yield "Nothing shows that the portable scorecard answers as the fitted pipeline does."
    elif parity.get("passed") is False:
        yield "The portable scorecard answers some rows otherwise than the fitted pipeline does."
    two_classes = model.get("task") == "classification" and len(model.get("classes") or []) == 2
    if two_classes and model.get("threshold") is None:
        yield "The decision threshold is the default 0.5, chosen for no particular cost of errors."
