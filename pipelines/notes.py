"""What MLflow's pages say of a run, a version and a model, in Markdown: what it is, how good, and what comes next."""

from typing import TYPE_CHECKING
from urllib.parse import quote

from pipelines.card import caveats
from pipelines.card import metrics as card_metrics
from pipelines.markdown import code, page, plain, table, writable
from registry.cli import next_steps
from registry.cli.text import figure, one_line
from registry.evidence import adoption

if TYPE_CHECKING:
    from registry.evidence import Evidence


def of_model(target: str, task: str) -> str:
    """What a registered model is, and how its versions move."""
    return (
        f"Predicts {code(target)} ({task}). The version in Production has the alias `champion`, the one in Staging "
        "`challenger`; gates that read what was measured decide which version enters a stage."
    )


def of_version(document: "Evidence", source: str) -> str:
    """What a version is and how good it is, in two sentences.

    Parameters
    ----------
    source : where the table is that it was judged on; of a version that was trained here, also trained on.
    """
    told = ", ".join(
        f"{row.label} {figure(row.value)}" + (f" (baseline {figure(row.other)})" if row.other is not None else "")
        for row in card_metrics.headlines(document)
    )
    return f"{_what(document, source)}. On {_rows(document)}: {told}."


def of_training(document: "Evidence", source: str, name: str, version: str) -> str:
    """A training run: the model, its metrics beside the baseline's, and what to type next."""
    trained = document.holdout.training_rows
    on = f", trained on {trained:,} rows" if trained is not None else ""
    return page(
        f"{_what(document, source)}{on}.",
        _verdict(document),
        _metrics(document),
        _suite(document),
        following(name, version),
    )


def of_adoption(document: "Evidence", source: str, name: str, version: str) -> str:
    """The run of an evaluation that adopted a version: its caveat, its metrics, and what to type next."""
    return page(
        f"**{plain(name)} version {version}** was {adoption.caveat(document.holdout)}. {_what(document, source)}.",
        _verdict(document),
        _metrics(document),
        following(name, version),
    )


def link(name: str, version: str) -> str:
    """A link to a version's page, wherever the pages are."""
    return f"[{plain(name)} version {version}](#/models/{quote(name, safe='')}/versions/{version})"


def _what(document: "Evidence", source: str) -> str:
    model, count = document.model, len(document.schema.inputs)
    columns = f"{count} column{'' if count == 1 else 's'}"
    labels = [model.called(label) for label in model.classes or () if model.class_names]
    among = f" ({plain(', '.join(labels))})" if labels else ""
    return f"{model.estimator} predicts {code(model.target)}{among} from {columns} of {code(source)}"


def _rows(document: "Evidence") -> str:
    return f"{document.holdout.rows:,} {'judged' if document.adopted else 'held-out'} rows"


def _metrics(document: "Evidence") -> str:
    head = (_rows(document), "value", "95 % interval", "baseline")
    return table(
        head,
        [
            (
                row.label,
                figure(row.value),
                "" if row.low is None or row.high is None else f"{figure(row.low)} to {figure(row.high)}",
                figure(row.other),
            )
            for row in card_metrics.headlines(document)
        ],
    )


def not_better(document: "Evidence") -> list[str]:
    """By what it is no better than the baseline, or may not be: a sentence each."""
    if near := list(caveats.near_baseline(document)):
        return near
    rows = card_metrics.headlines(document)
    if worse := [row.label for row in rows if row.difference and not row.difference.better]:
        return [f"By {' and '.join(worse)} it is no better than the baseline, which looks at no column."]
    return []


def _verdict(document: "Evidence") -> str:
    """How it stands beside the baseline, by the intervals where there are any."""
    rows = [row for row in card_metrics.headlines(document) if row.difference]
    if near := not_better(document):
        return "\n".join(f"- {text}" for text in near) if len(near) > 1 else near[0]
    if not rows:
        return ""
    certain = ", even at the worse end of each interval" if all(row.low is not None for row in rows) else ""
    labels = [row.label for row in rows]
    told = f"{', '.join(labels[:-1])} and {labels[-1]} are" if len(labels) > 1 else f"{labels[0]} is"
    return f"{told} better than the baseline's{certain}."


def _suite(document: "Evidence") -> str:
    suite = document.suite
    if suite is None:
        return ""
    met = suite.evaluated - suite.failed
    return f"The table meets {met} of the {suite.evaluated} expectations of its suite {code(suite.name)}."


def following(name: str, version: str) -> str:
    """What to type next about a version."""
    steps = next_steps.of_version(name, version)
    lines = (writable(one_line(step.line, 1000)) for step in steps)
    return "\n".join(("Next:", "", "```sh", *lines, "```"))
