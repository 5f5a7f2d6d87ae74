"""``python -m serving``: a version to answers."""

import sys
from pathlib import Path

import click

from registry.commands import Group, option, run, switch


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Take a registered model to where it answers."""


@cli.command()
@click.argument("model_uri")
@option(
    "--format",
    "form",
    default="scorecard",
    help="scorecard: the document itself; python: one file that imports only math.",
)
@option("--output", "-o", help="The file to write. [default: standard output]")
@switch("--overwrite", help="Replace a file that is there.")
def export(model_uri: str, form: str, output: str | None, overwrite: bool) -> None:
    """Write MODEL_URI (models:/NAME/3, models:/NAME@champion, a path) as a file that answers without MLflow."""
    from serving.exporting import export as write

    content = write(model_uri, form, output=Path(output) if output else None, overwrite=overwrite)
    if output:
        click.echo(f"{output}: {len(content):,} bytes", err=True)
    else:
        sys.stdout.buffer.write(content)


if __name__ == "__main__":
    run(cli)
