"""Results of the pipelines at the terminal: tables on standard output, or JSON."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from pipelines.project.pins import is_local
from registry.cli import next_steps
from registry.cli.terminal import say
from registry.cli.text import aligned, escaped, figure
from registry.metrics import headlines
from registry.redaction import inside

if TYPE_CHECKING:
    from pipelines.evaluation.evaluate import Evaluation
    from pipelines.project.init import Project
    from pipelines.training import Trained
    from pipelines.tuning.search import Tuned
    from pipelines.validation.check import Checked
    from registry.evidence.document import MetricValue


def show(trained: "Sequence[Trained]", *, as_json: bool) -> None:
    """Print registered versions: a table with the baseline beside each metric, and what to type next; or JSON."""
    if as_json:
        click.echo(json.dumps(inside(msgspec.to_builtins(trained)), indent=1))
        return
    click.echo("\n" + "\n".join(metrics_table(trained)))
    next_steps.show(next_steps.of_trained(trained[0].name, trained[0].version))


def metrics_table(trained: "Sequence[Trained]") -> list[str]:
    """The lines of a table of versions: each metric on the held-out rows beside the baseline's."""
    rows = [("model", "version", "estimator", "metric", "held out", "95 % interval", "baseline")]
    for one in trained:
        head = (one.name, one.version, one.estimator)
        for name in headlines(one.task):
            found = one.metrics[name]
            rows.append((*head, name, figure(found.value), interval(found), figure(one.baseline[name])))
            head = ("", "", "")
    return aligned(rows)


def show_search(tuned: "Tuned", *, as_json: bool) -> None:
    """Print a search and, as for ``train``, the version that its winner became; or JSON."""
    search = tuned.search
    if as_json:
        click.echo(
            json.dumps(
                inside([{**msgspec.to_builtins(tuned.trained), "search": msgspec.to_builtins(search)}]), indent=1
            )
        )
        return
    others = ", ".join(
        f"{count} {word}" for count, word in ((search.pruned, "pruned"), (search.failed, "failed")) if count
    )
    click.echo()
    click.echo(f"{search.trials} trials{f' ({others})' if others else ''} of study {search.study} in {search.storage}")
    click.echo(f"Best, trial {search.trial}: {search.told()}")
    show([tuned.trained], as_json=False)


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
    if evaluation.caveat:
        click.echo()
        click.echo(escaped(f"{evaluation.name} version {evaluation.version} was {evaluation.caveat}."))
    if evaluation.artifacts:
        click.echo(f"\nEvidence: {evaluation.artifacts}")
    next_steps.show(next_steps.of_evaluated(evaluation.name, evaluation.version))


def show_check(checked: "Checked", *, as_json: bool, data: str = "", target: str | None = None) -> None:
    """Print what a suite found: the expectations that failed, or that none did; or JSON.

    Parameters
    ----------
    data, target : as the user named them, for the command that comes next.
    """
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
        click.echo(f"Suite: {checked.drafted} (to be edited)")
    click.echo(f"Data Docs: runs:/{checked.run_id}/validation/data-docs.html")
    if result.success:
        drafted = str(checked.drafted) if checked.drafted else None
        next_steps.show(next_steps.of_checked(data, target, drafted))


def show_project(project: "Project") -> None:
    """Print what was written, and what to type next."""
    for file in project.files:
        click.echo(f"  {file}")
    click.echo(f"\nA project that trains the model {project.name} is in {escaped(str(project.folder))}")
    if is_local(project.requirement):
        say(f"requirements.txt installs {project.requirement}, which only this machine has; --from names another place")
    next_steps.show(next_steps.of_project(project.folder))


def interval(found: "MetricValue") -> str:
    """The ends of an interval; nothing if there is none."""
    return "" if found.low is None else f"{figure(found.low)} to {figure(found.high)}"
