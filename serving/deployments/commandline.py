"""What ``mlflow deployments`` was really asked, where one of its commands is what runs."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from registry.cli import log_output


def running() -> click.Context | None:
    """The context of MLflow's own command; None in any other program, also one that is made with click."""
    context = click.get_current_context(silent=True)
    if context is None:
        return None
    from mlflow.deployments.cli import commands

    return context if context.command in commands.commands.values() else None


def steps_shown() -> AbstractContextManager[None]:
    """Print what is logged in the block, if MLflow's command runs; a program that calls the client has handlers."""
    return log_output.shown() if running() else nullcontext()


def input_file() -> bytes | None:
    """What is in the file that the command was given with ``-I``; None where there is none on this machine."""
    context = running()
    named = context.params.get("input_path") if context else None
    path = Path(named) if isinstance(named, str) else None
    return path.read_bytes() if path and path.is_file() else None
