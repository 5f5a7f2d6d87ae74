"""How the commands take their words and tell their errors: blank means not given, a list is written with commas."""

import errno
import gc
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from registry.cli import interrupts, log_output
from registry.cli.sizes import parse_size
from registry.cli.text import escaped, parts, truth, unquoted
from registry.redaction import explained, words


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
    """Column names with commas between them; a name that holds a comma is written in double quotes."""

    name = "columns"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            names = [unquoted(part).strip() for part in parts(value)]
        except ValueError as error:
            self.fail(f'{error}; write a name with a comma as "a, b"', param, ctx)
        return tuple(name for name in names if name)


class Switch(click.ParamType):
    """``yes`` or ``no``, which can be passed where a flag cannot."""

    name = "yes|no"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        if isinstance(value, bool):
            return value
        found = truth(value)
        if found is None:
            self.fail(f"expected yes, no, or nothing where no other word follows, found {value!r}", param, ctx)
        return found


class Memory(click.ParamType):
    """A size of memory, as Docker and Kubernetes write it."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return value if isinstance(value, int) else parse_size(value)
        except ValueError:
            self.fail(f"expected a size such as 256MiB or 1G, found {value!r}", param, ctx)


class Command(click.Command):
    """A command that takes ``--debug``, as its group does.

    Parameters
    ----------
    examples : str
        command lines that its help shows at the end, as they are typed into a shell.
    """

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.params.append(_debug())
        self.examples = inspect.cleandoc(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, line by line."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Group(click.Group):
    """A group of commands whose failures are one line on standard error and exit code 2; ``--debug`` adds the trace."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.params.append(_debug())

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError) as error:
            # Click's own answer to both is an empty line, and an error that does not say what happened.
            raise click.ClickException(told(error)) from error

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command, and end the process: click's own ``main`` with other words for what goes wrong."""
        kwargs |= {"standalone_mode": False, "obj": (debug := _Debug())}
        code = 2
        try:
            _warn_of_logged_secrets()
            with interrupts.interruptible(), log_output.shown():
                code = super().main(*args, **kwargs) or 0
                interrupts.close()
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
        except BrokenPipeError:
            # Whoever read the output has seen enough: a page's reader was closed, say.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (Exception, KeyboardInterrupt) as error:
            with interrupts.held():
                if debug.asked:
                    click.echo(explained(traceback.format_exc()).rstrip(), err=True)
                click.echo(escaped(f"error: {told(error)}"), err=True)
            # Not below: while an interrupt is at hand, another one is not raised on the way out.
            sys.exit(2)
        sys.exit(code)


def _warn_of_logged_secrets() -> None:
    """Say that ``mlflow run`` has logged a secret: it logs every ``-P`` as it is given, before a command begins."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id and words(sys.argv[1:]) != sys.argv[1:]:
        click.echo(
            "  `mlflow run` has logged the parameters as they were given, with a secret in them: change that secret, "
            f"delete the run (mlflow runs delete --run-id {run_id}, then mlflow gc), and give the next one where "
            "nothing logs it: PGPASSWORD, a password file",
            err=True,
        )


@dataclass
class _Debug:
    """Whether ``--debug`` was given, to the group or to the command."""

    asked: bool = False


def _debug() -> click.Option:
    def remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value and isinstance(ctx.obj, _Debug):
            ctx.obj.asked = True

    # Eager: an option that is refused beside it shows its trace, too.
    return Option(
        ["--debug"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=remember,
        help="Show the trace of an error.",
    )


def run(group: click.Group) -> None:
    """Run a group as the program: nothing is heard any more when it has said how it ended."""
    # Importing MLflow makes a million objects that stay: at Python's own threshold, collecting garbage among them is an
    # eighth of a command's start.
    gc.set_threshold(100_000, 20, 100)
    with interrupts.interruptible(last=True):
        group()


#: What is raised with a line for a person in it; the packages' own errors.
_OWN = ("PipelineError", "RegistryError", "ServingError", "InputError", "ScorecardError", "Unsupported")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: What an error of ours about a full disk holds that says itself where there is no space.
_ADVICE = "; free some"


def told(error: BaseException) -> str:
    """What an error says to the person at the terminal, on one line, without secrets."""
    return explained(_told(error))


def _told(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, click.ClickException):
        text = " ".join(error.format_message().split())
        place = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        return f"{text} (see {place} --help)" if place else text
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return text or interrupts.message()
    causes = list(_causes(error))
    own = any(one.__name__ in _OWN for one in type(error).__mro__)
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in _FULL and not (own and _ADVICE in text):
            return f"no space left to write {cause.filename or 'a file'}; free some, or set TMPDIR to a larger disk"
    if own:
        return text
    interrupt = next((cause for cause in causes if isinstance(cause, KeyboardInterrupt)), None)
    if interrupt is not None or interrupts.asked():
        # A library made another error of it, some without a word of the one that it was.
        return _told(interrupt or KeyboardInterrupt())
    if isinstance(error, MemoryError):
        return "not enough memory for this table; take fewer rows or columns"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}; see that it is there and may be used (--debug: where)"
    return f"unexpected {type(error).__name__}: {text[:300]}; --debug shows where"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def option(*names: str, **settings: Any) -> Callable:
    """``click.option`` with :class:`Option`, its default shown."""
    settings.setdefault("show_default", settings.get("default") not in (None, ()))
    return click.option(*names, cls=Option, **settings)


def switch(*names: str, help: str, **settings: Any) -> Callable:
    """A flag that can be given as ``yes`` or ``no``, too, as MLproject has to."""
    settings = {"default": "no", "show_default": False, **settings}
    return option(*names, type=Switch(), is_flag=False, flag_value="yes", help=help, **settings)


def policy_option(command: Callable) -> Callable:
    """``--policy``, as all commands have it."""
    default = "[default: LIFECYCLE_POLICY, else policy.yaml in the working folder, else the shipped policy]"
    return option("--policy", metavar="FILE", help=f"Policy file. {default}")(command)


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
