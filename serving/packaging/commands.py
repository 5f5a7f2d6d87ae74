"""What the commands ``package`` and ``invoke`` do, and what a person sees of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from registry.cli.terminal import say, show_json
from registry.redaction import redacted
from serving.cli.request_text import text
from serving.errors import ServingError

from . import building, emulator, render
from .aws_lambda.events import http_event
from .aws_lambda.zipped import EXAMPLE
from .plan import PackagePlan
from .planning import plan as make_plan
from .targets import target as find_target


def package(
    uri: str,
    target: str,
    options: Mapping[str, str],
    *,
    output: str | None,
    dry_run: bool,
    allow_ungated: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Plan a package, show the plan, and build it unless it is a dry run.

    Raises
    ------
    ServingError
        before anything is written, where the plan cannot be made or its folder not be written.
    RegistryError, ScorecardError
        if the model cannot be had.
    """
    find_target(target).read(options)
    if output is None and not dry_run:
        raise ServingError("--output names the folder to write; or give --dry-run to see the plan alone")
    if output is not None:
        building.ready(output, overwrite=overwrite)
    planned = make_plan(uri, target, options=options, allow_ungated=allow_ungated)
    if dry_run or output is None:
        _show(planned, as_json=as_json)
        return
    if not as_json:
        _show(planned, as_json=False, err=True)
    built = building.build(planned, output, overwrite=overwrite)
    if as_json:
        told = {"path": str(built.path), "size": built.size, "sha256": built.sha256}
        show_json({**planned.to_dict(), "built": told})
        return
    click.echo(redacted("\n".join(render.built(built))))


def _show(planned: PackagePlan, *, as_json: bool, err: bool = False) -> None:
    if as_json:
        show_json(planned.to_dict())
    else:
        told = "\n".join([*render.lines(planned), ""] if err else render.lines(planned))
        click.echo(redacted(told), err=err)


def invoke(package: str, *, body: str | None, event: str | None, fetch: bool, environment: Mapping[str, str]) -> None:
    """Run a built package here, and print what it answers to one event.

    Raises
    ------
    ServingError
        if there is no such package, the event is no JSON, or the function fails.
    """
    if body is not None and event is not None:
        raise ServingError("give --body (a request) or --event (a whole event), not both")
    asked = _json(event, "--event") if event is not None else http_event(_body(package, body))
    program = emulator.find(fetch=fetch)
    if program is None:
        say("AWS's emulator is not on this machine (--fetch brings it): under AWS's runtime client alone")
    else:
        say(f"under AWS's Runtime Interface Emulator {program}")
    with emulator.running(package, emulator=program, environment=environment) as function:
        answer = function.invoke(asked)
    if event is None and isinstance(answer, dict) and "statusCode" in answer:
        say(f"status {answer['statusCode']}")
        click.echo(answer["body"])
    else:
        click.echo(json.dumps(answer, indent=1))


def _body(package: str, body: str | None) -> str:
    if body is not None:
        return text(body, "--body")
    from serving.models import example
    from serving.scorecard import Scorecard

    with emulator.opened(emulator.archive(Path(package))) as content:
        names = content.namelist()
        if "scorecard.json" not in names:
            raise ServingError(f"{package} holds no model of which a row could be made: give a request by --body")
        card = Scorecard.loads(content.read("scorecard.json").decode())
        given = json.loads(content.read(EXAMPLE)) if EXAMPLE in names else {}
    return json.dumps({"dataframe_records": [example.complete(card, given)]})


def _json(value: str, option: str) -> Any:
    try:
        return json.loads(text(value, option))
    except ValueError as error:
        raise ServingError(f"{option} is no JSON: {error}") from None
