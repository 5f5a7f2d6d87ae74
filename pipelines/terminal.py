"""What a person sees at the terminal: steps and progress on standard error, results as a table on standard output."""

import json
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from registry.cli.terminal import say
from registry.cli.text import aligned, escaped, figure
from registry.metrics import headlines
from registry.redaction import inside

if TYPE_CHECKING:
    from pipelines.evaluation.evaluate import Evaluation
    from pipelines.training import Trained
    from pipelines.validation.check import Checked
    from registry.evidence.document import MetricValue

__all__ = ["interval", "next_steps", "progress", "say", "show", "show_check", "show_evaluation"]


def progress(items: Iterable) -> Iterable:
    """A bar over items where standard error is a terminal."""
    from tqdm import tqdm

    return tqdm(items, desc="  cross-validating", leave=False, file=sys.stderr, disable=not sys.stderr.isatty())


def show(trained: "Sequence[Trained]", *, as_json: bool) -> None:
    """Print registered versions: a table with the baseline beside each metric, and what to type next; or JSON."""
    if as_json:
        click.echo(json.dumps(inside(msgspec.to_builtins(trained)), indent=1))
        return
    rows = [("model", "version", "estimator", "metric", "held out", "95 % interval", "baseline")]
    for one in trained:
        head = (one.name, one.version, one.estimator)
        for name in headlines(one.task):
            found = one.metrics[name]
            rows.append((*head, name, figure(found.value), interval(found), figure(one.baseline[name])))
            head = ("", "", "")
    click.echo()
    for line in aligned(rows):
        click.echo(line)
    click.echo()
    for line in next_steps(trained[0]):
        click.echo(line)


def show_evaluation(evaluation: "Evaluation", *, as_json: bool) -> None:
    """Print an evaluation: each metric beside the other version's and the baseline's; or JSON."""
    if as_json:
        click.echo(json.dumps(inside(msgspec.to_builtins(evaluation)), indent=1))
        return
    beside = [f"version {evaluation.other}"] if evaluation.other else []
    rows = [("metric", f"version {evaluation.version}", "95 % interval", *beside, "baseline")]
    for name, found in evaluation.metrics.items():
        other = [figure(evaluation.other_metrics[name])] if evaluation.other else []
        rows.append((name, figure(found.value), interval(found), *other, figure(evaluation.baseline[name])))
    click.echo(f"\n{escaped(evaluation.name)}, {evaluation.rows} rows\n")
    click.echo("\n".join(aligned(rows)))
    if evaluation.artifacts:
        click.echo(f"\nEvidence: {evaluation.artifacts}")


def show_check(checked: "Checked", *, as_json: bool) -> None:
    """Print what a suite found: the expectations that failed, or that none did; or JSON."""
    result = checked.result
    if as_json:
        told = {**msgspec.to_builtins(result.section()), "rows": checked.rows, "run_id": checked.run_id}
        click.echo(json.dumps(inside(told), indent=1))
        return
    if result.failures:
        rows = [("severity", "column", "expectation", "expected", "found")]
        rows += [
            (one.severity, one.column or "", one.expectation, one.expected[:60], one.observed[:60])
            for one in result.failures
        ]
        click.echo()
        click.echo("\n".join(aligned(rows)))
    click.echo(f"\n{result.summary()}, on {checked.rows} rows")
    if checked.drafted:
        click.echo(f"Suite: {checked.drafted} (edit it, then `train --suite {shlex.quote(str(checked.drafted))}`)")
    click.echo(f"Data Docs: runs:/{checked.run_id}/validation/data-docs.html")


def next_steps(one: "Trained") -> list[str]:
    """The commands that come next, to be pasted."""
    script = shlex.quote(str(Path(sys.prefix) / "bin" / "activate"))
    return [
        "Next:",
        *([] if os.environ.get("VIRTUAL_ENV") else [f"  . {script}"]),
        "  mlflow ui        # the runs, their pictures and model cards; the registry, to promote in",
        f"  mlflow models serve -m {shlex.quote(one.model_uri)} --env-manager local -p 5001",
    ]


def interval(found: "MetricValue") -> str:
    """The ends of an interval; nothing if there is none."""
    return "" if found.low is None else f"{figure(found.low)} to {figure(found.high)}"
