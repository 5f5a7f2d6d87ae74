"""What a person sees of the registry at the terminal: steps on standard error, results as tables on standard output."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from registry.cli.text import aligned, escaped, figure, width
from registry.cli.text import as_json as json_text
from registry.client import place
from registry.redaction import inside, redacted

if TYPE_CHECKING:
    from registry.gates import Verdict
    from registry.ledger import Broken, LedgerEntry
    from registry.listing import Row

#: Narrower columns of reasons than this are not wrapped.
_NARROWEST = 40


def echo(text: str, *, err: bool = False) -> None:
    """A line, escaped: names, reasons and what programs said are other people's text."""
    click.echo(escaped(text), err=err)


def say(text: str) -> None:
    """A step, or something to know, on standard error."""
    echo(f"  {redacted(text)}", err=True)


def log(text: str) -> None:
    """A line of a program that runs on: with the time (UTC), at once, on standard error."""
    echo(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}  {redacted(text)}", err=True)


def show_json(content: object) -> None:
    """A result for programs."""
    click.echo(json_text(inside(content)))


def show_list(rows: "Sequence[Row]", *, as_json: bool) -> None:
    """Print registered versions: a table for each model, its champion marked; or JSON."""
    if as_json:
        show_json([{**asdict(row), "champion": row.champion} for row in rows])
        return
    if not rows:
        click.echo(
            f"Nothing is registered in {place()} yet: `python -m pipelines main` trains and registers two models; "
            "what is elsewhere, MLFLOW_TRACKING_URI leads to."
        )
    for name in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == name]
        metrics = list(dict.fromkeys(metric for row in own for metric in row.metrics))
        table = [("", "version", "stage", "alias", "estimator", *metrics, "created (UTC)")]
        for row in own:
            stage = "-" if row.stage == "None" else row.stage
            values = (figure(row.metrics.get(metric)) for metric in metrics)
            mark = "*" if row.champion else ""
            table.append((mark, row.version, stage, ", ".join(row.aliases), row.estimator, *values, row.created))
        click.echo(f"\n{escaped(name)}\n\n" + "\n".join(aligned(table)))
    if any(row.champion for row in rows):
        click.echo("\n* in Production")


def show_verdict(name: str, version: str, verdict: "Verdict", *, as_json: bool) -> None:
    """Print what the gates say of a version: the verdict of each and its reason; or JSON."""
    if as_json:
        show_json({"model": name, "version": version, **verdict.to_dict()})
        return
    against = f", against version {verdict.champion}" if verdict.champion else ""
    click.echo(f"\n{escaped(name)} version {version} for {verdict.stage}{against}\n")
    click.echo("\n".join(verdict_lines(verdict)))
    failed = len(verdict.failures)
    click.echo("\n" + ("passed" if verdict.passed else f"failed: {failed} {'gate' if failed == 1 else 'gates'}"))


def verdict_lines(verdict: "Verdict") -> list[str]:
    """The lines of a verdict's table; a gate that does not count for the stage is in brackets."""
    rows = [("gate", "", "reason")]
    for result in verdict.results:
        word = "pass" if result.passed else "FAIL"
        rows.append((result.gate, word if result.judged else f"({word.lower()})", result.reason))
    return _wrapped(rows)


def show_history(entries: "Sequence[LedgerEntry]", *, as_json: bool) -> None:
    """Print a model's ledger, the newest last, what belongs to a transition under its id; or JSON."""
    if as_json:
        show_json([asdict(entry) for entry in entries])
        return
    if not entries:
        click.echo("The ledger has no entry for it yet.")
        return
    closed = {entry.intent for entry in entries if entry.intent is not None}
    rows = [("id", "time (UTC)", "what", "version", "from", "to", "by", "state", "reason")]
    for entry in entries:
        # An intent that was closed is told by the row that closed it; its id is the one that all else names.
        if entry.state == "intent" and entry.id in closed:
            continue
        state = "under way" if entry.state == "intent" else entry.state
        time = entry.time[:19].replace("T", " ")
        rows.append(
            (
                str(entry.intent or entry.id),
                time,
                entry.kind,
                entry.version,
                entry.source,
                entry.target,
                entry.actor,
                state,
                redacted(entry.reason),
            )
        )
    click.echo("\n" + "\n".join(_wrapped(rows)))


def show_verified(broken: "Broken | None", count: int, *, as_json: bool) -> None:
    """Print whether the ledger's rows are those that were written."""
    if as_json:
        show_json({"rows": count, "broken": asdict(broken) if broken else None})
    elif broken:
        click.echo(f"\nThe ledger was tampered with: {escaped(broken.reason)}.")
    else:
        click.echo(f"\nThe ledger is whole: {count} rows, each follows the one before it.")


def _wrapped(rows: Sequence[Sequence[str]]) -> list[str]:
    """An aligned table whose last column is wrapped at the terminal's edge; as it is where there is no terminal."""
    flat = [tuple(escaped(" ".join(cell.split())) for cell in row) for row in rows]
    before = sum(max(width(row[place]) for row in flat) + 2 for place in range(len(flat[0]) - 1))
    room = shutil.get_terminal_size().columns - before
    if not sys.stdout.isatty() or room < _NARROWEST:
        return aligned(flat)
    lines: list[tuple[str, ...]] = []
    for row in flat:
        parts = textwrap.wrap(row[-1], room) or [""]
        lines.append((*row[:-1], parts[0]))
        lines += [(*[""] * (len(row) - 1), part) for part in parts[1:]]
    return aligned(lines)
