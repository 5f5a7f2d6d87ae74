"""How the commands take their words and tell their errors: blank means not given, a list is written with commas."""

import csv
import errno
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import click


class Option(click.Option):
    """An option for which an empty text means that it was not given, as MLproject passes its defaults."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        if self.multiple:
            value = tuple(part for part in value or () if part != "")
        elif value == "":
            default = self.get_default(ctx)
            # Click's own mark for "no default" is no value.
            value = default if isinstance(default, (str, int, float)) else None
        return super().type_cast_value(ctx, value)


class Names(click.ParamType):
    """Column names with commas between them; a name with a comma in double quotes."""

    name = "columns"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(name.strip() for name in next(csv.reader([value], skipinitialspace=True)) if name.strip())


class Switch(click.ParamType):
    """``yes`` or ``no``, which can be passed where a flag cannot."""

    name = "yes|no"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        if isinstance(value, bool):
            return value
        words = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
        if value.lower() not in words:
            self.fail(f"expected yes or no, found {value!r}", param, ctx)
        return words[value.lower()]


class Command(click.Command):
    """A command whose failures are one line on standard error and exit code 2; ``--debug`` shows the trace."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        debug = Option(["--debug"], is_flag=True, expose_value=False, callback=_remember, help="Show the trace of an error.")
        self.params.append(debug)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BaseException as error:
            if isinstance(error, SystemExit):
                raise
            if ctx.meta.get("debug"):
                traceback.print_exc()
            click.echo(f"error: {told(error)}", err=True)
            ctx.exit(2)


def _remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta["debug"] = value


def told(error: BaseException) -> str:
    """What an error says to the person at the terminal, on one line."""
    text = " ".join(str(error).split())
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing was registered"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"no space left to write {error.filename or 'a file'}; free some, or set TMPDIR to a larger disk"
    if "disk is full" in text or "disk I/O error" in text:
        return "no space left for the tracking database; free some"
    if isinstance(error, MemoryError):
        return "not enough memory for this table; take fewer rows or columns"
    own = {"PipelineError", "RegistryError", "InputError", "ScorecardError", "Unsupported"}
    if type(error).__name__ in own:
        return text
    return f"unexpected {type(error).__name__}: {text[:300]}; --debug shows where"


def run(group: click.Group) -> None:
    """Run a command group; a word it cannot take is one line too."""
    try:
        sys.exit(group.main(standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        place = f" (see {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        click.echo(f"error: {' '.join(error.format_message().split())}{place}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("error: interrupted", err=True)
        sys.exit(2)


def option(*names: str, **settings: Any) -> Callable:
    """``click.option`` with :class:`Option`, its default shown."""
    settings.setdefault("show_default", settings.get("default") not in (None, ()))
    return click.option(*names, cls=Option, **settings)


def pairs(texts: Iterable[str], option_name: str) -> dict[str, str]:
    """``("alpha=0.1 tol=1e-3",)`` as a dict; a value may hold commas and spaces."""
    found: dict[str, str] = {}
    for text in texts:
        for part in re.split(r"[\s,;]+(?=[A-Za-z_]\w*=)", text.strip()):
            name, equals, value = part.partition("=")
            if not equals or not name:
                raise click.UsageError(f"{option_name}: expected name=value, found {part!r}")
            found[name.strip()] = value
    return found


def merged(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The names of an option that was given several times."""
    return tuple(dict.fromkeys(name for part in parts for name in part))
