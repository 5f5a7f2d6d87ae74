"""What a person sees of a batch job."""

from dataclasses import asdict

import click

from registry.cli.terminal import show_json
from registry.cli.text import escaped
from serving.batch.request import Scored


def show(scored: Scored, *, as_json: bool) -> None:
    """Print what was scored: the rows of each file, and how the counts add up; or JSON."""
    if as_json:
        show_json({**asdict(scored), "rows": scored.rows, "rejected": scored.rejected})
        return
    for file in scored.files:
        before = "  (done before)" if file.done_before else ""
        rejected = f", {file.rejected:,} rejected: {file.rejects}" if file.rejected else ""
        recorded = f", recorded as {file.request_id}" if file.request_id else ""
        click.echo(escaped(f"{file.output}: {file.answered:,} rows{rejected}{recorded}{before}"))
    answered = scored.rows - scored.rejected
    click.echo(
        f"{scored.rows:,} rows = {answered:,} answered by {scored.version} + {scored.rejected:,} rejected; "
        f"{scored.engine}, {scored.seconds:.1f} s{_former(scored.former)}"
    )


def _former(count: int) -> str:
    """What else is in the folder of answers, in words."""
    return f"; left: answers to {count:,} file{'s'[: count != 1]} not in the input any more" if count else ""


def warn(scored: Scored) -> None:
    """Say on standard error why no row was answered, if none was."""
    if scored.reason is not None:
        click.echo(escaped(f"error: no row was answered; most were rejected for {scored.reason}"), err=True)
