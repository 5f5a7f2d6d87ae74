"""``python -m serving keys``: add, list and remove API keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry.cli.commands import Group, option

if TYPE_CHECKING:
    from serving.server.guard.keys import Key

_FILE = {"default": "keys.json", "envvar": "SERVING_KEYS_FILE", "show_envvar": True}


@click.group(cls=Group)
def keys() -> None:
    """Add, list and remove the API keys of a server.

    A file of keys holds hashes, not secrets; a running server applies its changes within a second.
    """


@keys.command(
    examples="""
    lifecycle keys add ann --models churn,prices --rate 100/s
    lifecycle keys add prometheus --uses metrics
    """
)
@click.argument("name")
@option("--file", "path", help="File to add the key to; - prints a document for SERVING_KEYS instead.", **_FILE)
@option("--models", help="Models that the key may use, separated by commas. [default: all]")
@option("--uses", default="predict", help="Uses of the key: predict, metrics, or both separated by a comma.")
@option("--rate", help="Rate limit: 100/s, 6000/m, or 10/s:50 for a burst of 50. [default: the server's]")
@option("--expires", help="Expiry: a date such as 2031-12-31, or a time with its zone. [default: never]")
def add(name: str, path: str, models: str | None, uses: str, rate: str | None, expires: str | None) -> None:
    """Create the key NAME, and print its secret once."""
    from serving.errors import ServingError
    from serving.server.guard import keys as kept
    from serving.server.guard.rates import Rate

    if not kept.named(name):
        raise ServingError("NAME is 1 to 64 letters, digits, dots, dashes and underscores")
    wanted = frozenset(_parts(uses))
    if not wanted or not wanted <= set(kept.USES):
        raise ServingError(f"--uses: expected {' or '.join(kept.USES)}, or both, found {uses!r}")
    try:
        until = None if expires is None else kept.moment(expires)
    except (ValueError, OverflowError):
        raise ServingError(f"--expires: expected a date such as 2031-12-31, found {expires!r}") from None
    secret, key = kept.make(
        name,
        models=None if models is None else frozenset(_parts(models)),
        uses=wanted,
        rate=None if rate is None else Rate.parse(rate),
        expires=until,
    )
    if path == "-":
        click.echo(kept.write([key]), nl=False)
        click.echo(f"the secret, which is not stored: {secret}", err=True)
        return

    def added(found: tuple[Key, ...]) -> tuple[Key, ...]:
        kept.distinct([*found, key], path)
        return *found, key

    _change(Path(path), added)
    click.echo(secret)
    click.echo(f"{path}: {name} added; the line above is its secret, which is not stored anywhere", err=True)


@keys.command(
    name="list",
    examples="""
    lifecycle keys list
    """,
)
@option("--file", "path", help="File of keys.", **_FILE)
def list_(path: str) -> None:
    """List the keys of a file: names, scopes and rate limits."""
    from datetime import UTC, datetime

    rows = [("NAME", "MODELS", "USES", "RATE", "EXPIRES")]
    for key in _read(Path(path)):
        models = "all" if key.models is None else ",".join(sorted(key.models))
        until = "never" if key.expires is None else datetime.fromtimestamp(key.expires, UTC).isoformat(" ", "minutes")
        rows.append((key.name, models, ",".join(sorted(key.uses)), str(key.rate or "the server's"), until))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


@keys.command(
    examples="""
    lifecycle keys remove ann
    """
)
@click.argument("name")
@option("--file", "path", help="File of keys.", **_FILE)
def remove(name: str, path: str) -> None:
    """Remove the key NAME; a running server refuses it within a second."""
    from serving.errors import ServingError

    def without(found: tuple[Key, ...]) -> tuple[Key, ...]:
        left = tuple(key for key in found if key.name != name)
        if len(left) == len(found):
            raise ServingError(f"{path}: there is no key {name!r}; `python -m serving keys list` shows the keys")
        return left

    if not Path(path).exists():
        _read(Path(path))
    _change(Path(path), without)
    click.echo(f"{path}: {name} removed", err=True)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _read(path: Path) -> tuple[Key, ...]:
    from serving.errors import ServingError
    from serving.server.guard.keys import read

    try:
        return read(path.read_text(), str(path))
    except FileNotFoundError:
        raise ServingError(f"{path}: there is no such file; `python -m serving keys add NAME` creates it") from None
    except UnicodeDecodeError:
        raise ServingError(f"{path}: expected keys as JSON, found something else") from None


def _change(path: Path, change) -> None:
    """Change the keys of a file, under a lock."""
    import fcntl
    import os

    from serving.server.files import replace
    from serving.server.guard.keys import write

    # The target of a link is replaced, not the link.
    path = path.resolve()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        content = write(change(_read(path) if path.exists() else ()))
        replace(path, content.encode(), durable=True)
    finally:
        os.close(folder)
