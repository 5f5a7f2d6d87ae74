"""What a person sees of the registry at the terminal: steps on standard error, results as tables on standard output."""

import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

import click

from registry.cli.text import age, escaped, figure, fitted, wrapped
from registry.cli.text import as_json as json_text
from registry.client import place
from registry.evidence import adoption
from registry.redaction import inside, redacted

if TYPE_CHECKING:
    from registry.gates import Verdict
    from registry.ledger import Broken, LedgerEntry
    from registry.listing import Row
    from registry.promotion import PromotionRefused


def echo(text: str, *, err: bool = False) -> None:
    """A line, escaped: names, reasons and what programs said are other people's text."""
    click.echo(escaped(text), err=err)


def say(text: str) -> None:
    """A step, or something to know, on standard error."""
    echo(f"  {redacted(text)}", err=True)


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
            "set MLFLOW_TRACKING_URI to use another registry."
        )
    for name in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == name]
        metrics = list(dict.fromkeys(metric for row in own for metric in row.metrics))
        scored = ("last scored",) if any(row.last_scored for row in own) else ()
        monitored = ("monitored",) if any(row.monitored for row in own) else ()
        table = [("", "version", "stage", "alias", "estimator", *metrics, "created (UTC)", *scored, *monitored)]
        for row in own:
            stage = "-" if row.stage == "None" else row.stage
            values = (figure(row.metrics.get(metric)) for metric in metrics)
            times = (row.created, row.last_scored) if scored else (row.created,)
            last = (_monitored(row),) if monitored else ()
            table.append(
                (_marks(row), row.version, stage, ", ".join(row.aliases), row.estimator, *values, *times, *last)
            )
        click.echo(f"\n{escaped(name)}\n\n" + "\n".join(fitted(table, room())))
    legend = [f"{mark} {meaning}" for mark, meaning, holds in _MARKS if any(map(holds, rows))]
    if legend:
        click.echo("\n" + "\n".join(legend))


#: The marks of versions in a list, with their meaning.
_MARKS: "tuple[tuple[str, str, Callable[[Row], bool]], ...]" = (
    ("*", "in Production", lambda row: row.champion),
    (
        "?",
        f"{adoption.ORIGIN}; {adoption.POSSIBLY_TRAINED_ON}: its metrics may be too good",
        lambda row: row.adopted == adoption.POSSIBLY_TRAINED_ON,
    ),
    (
        "+",
        f"{adoption.ORIGIN}; judged on rows that somebody declared unseen",
        lambda row: row.adopted not in ("", adoption.POSSIBLY_TRAINED_ON),
    ),
)


def _monitored(row: "Row") -> str:
    """``2026-11-30 12:00, 3 h ago: 2 alerts``; empty if it was never monitored."""
    last = row.monitored
    return f"{last.time[:16].replace('T', ' ')}, {age(last.age())} ago: {last.short}" if last else ""


def _marks(row: "Row") -> str:
    return "".join(mark for mark, _, holds in _MARKS if holds(row))


def show_verdict(name: str, version: str, verdict: "Verdict", *, as_json: bool) -> None:
    """Print what the gates say of a version: the verdict of each and its reason; or JSON."""
    if as_json:
        show_json({"model": name, "version": version, **verdict.to_dict()})
        return
    against = f", against version {verdict.champion}" if verdict.champion else ""
    click.echo(f"\n{escaped(name)} version {version} for {verdict.stage}{against}\n")
    click.echo("\n".join(_verdict_lines(verdict, room())))
    failed = len(verdict.failures)
    click.echo("\n" + ("passed" if verdict.passed else f"failed: {failed} {'gate' if failed == 1 else 'gates'}"))


def _verdict_lines(verdict: "Verdict", room: int | None) -> list[str]:
    """The lines of a verdict's table; a gate that does not count for the stage is in brackets."""
    rows: list[tuple[str, str, str | tuple[str, ...]]] = [("gate", "", "reason")]
    for result in verdict.results:
        word = "pass" if result.passed else "FAIL"
        # What a gate was not passed for is told a clause a line: "column 'a' is gone; column 'b' is new".
        reason = result.reason if result.passed else tuple(re.split(r"(?<=;) ", result.reason))
        rows.append((result.gate, word if result.judged else f"({word.lower()})", reason))
    return fitted(rows, room)


def show_refusal(refusal: "PromotionRefused") -> None:
    """Print on standard error why a version is not promoted: a line for each gate that it fails."""
    failures = [f"{failure.gate}: {failure.reason}" for failure in refusal.verdict.failures]
    if len(failures) == 1:
        _hanging(f"error: {refusal.title}: {failures[0]}")
        return
    _hanging(f"error: {refusal.title}: it fails {len(failures)} gates")
    for failure in failures:
        _hanging(failure, indent=2)


def _hanging(text: str, indent: int = 0) -> None:
    """A text on standard error: one line, wrapped if that is a terminal."""
    line, size = escaped(" ".join(text.split())), room(sys.stderr)
    first, *more = [line] if size is None else wrapped(line, size - indent - 2)
    click.echo("\n".join([" " * indent + first, *(" " * (indent + 2) + part for part in more)]), err=True)


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
    click.echo("\n" + "\n".join(fitted(rows, room())))


def show_verified(broken: "Broken | None", count: int, *, as_json: bool) -> None:
    """Print whether the ledger's rows are those that were written."""
    if as_json:
        show_json({"rows": count, "broken": asdict(broken) if broken else None})
    elif broken:
        click.echo(f"\nThe ledger was tampered with: {escaped(broken.reason)}.")
    else:
        click.echo(f"\nThe ledger is whole: {count} rows, each follows the one before it.")


def room(stream: TextIO | None = None) -> int | None:
    """How many places a line of the terminal has; None where there is none: a line is then as long as it needs."""
    return shutil.get_terminal_size().columns if (stream or sys.stdout).isatty() else None
