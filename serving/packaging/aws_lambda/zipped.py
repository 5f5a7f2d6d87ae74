"""The zip variant: the scorecard, what is known of its version, and code that needs the standard library alone."""

import json
from collections.abc import Mapping
from typing import Any

from serving.errors import ServingError
from serving.scorecard import Scorecard

from .. import code, quick
from ..model import Model
from ..plan import ZIP, File, Limit, Plan
from ..zipping import zipped
from . import settings, templates

ARCHIVE = "function.zip"
#: A row to try the package with; nothing in it reads it.
EXAMPLE = "example.json"
#: The handlers' modules, of ``serving/functions``.
HANDLERS = (
    "web.py",
    *(f"aws_lambda/{name}.py" for name in ("__init__", "handler", "http", "queue", "objects", "upload", "stream")),
)
_MODULE = "functions.aws_lambda.handler"


def plan(model: Model, options: Mapping[str, Any]) -> Plan:
    """The plan of a model that has a scorecard.

    Raises
    ------
    ServingError
        where Lambda will not take it, or it does not answer as the scorecard does.
    """
    settings.check(options)
    called, notes = settings.name(model, options)
    notes += settings.notes(options)
    if model.scorecard is None:
        raise TypeError("a model without a scorecard has no zip")
    if options["output"] == "probabilities" and not model.scorecard.has_probabilities:
        raise ServingError("aws-lambda: option output: this model has no probabilities; leave it at predictions")
    package = files(model.scorecard, model.about, example=model.example)
    archive = zipped(package)
    unpacked = sum(file.size for file in package)
    variables = settings.environment(options)
    limits = (
        Limit("zipped", len(archive), settings.ZIPPED),
        Limit("unzipped", unpacked, settings.UNZIPPED),
        Limit("variables", len(json.dumps(variables)), settings.VARIABLES),
    )
    configured = {"Runtime": options["runtime"], "Handler": "lambda_function.handler", "PackageType": "Zip"}
    configured = {**settings.function(called, options, memory=256, timeout=29), **configured}
    beside, commands = templates.written(model, called, options, configured, variables, archive=ARCHIVE)
    return Plan(
        target="aws-lambda",
        variant=ZIP,
        reason="the version has a scorecard, which needs nothing but Python",
        name=called,
        **model.facts,
        package=package,
        beside=beside,
        archive=ARCHIVE,
        zipped=len(archive),
        unzipped=unpacked,
        limits=limits,
        settings=configured,
        permissions=settings.permissions(called, options),
        environment=variables,
        notes=notes,
        commands=commands,
    )


def files(
    card: Scorecard, about: Mapping[str, str | None], *, example: Mapping[str, Any] | None = None
) -> tuple[File, ...]:
    """What is in the zip.

    Parameters
    ----------
    example : a row to try the package with.

    Raises
    ------
    ServingError
        where it does not answer as the scorecard does.
    """
    sources = code.sources(HANDLERS)
    entry = (code.FUNCTIONS / "aws_lambda" / "entry.py").read_text(encoding="utf-8")
    document = json.dumps(card.document, separators=(",", ":"), ensure_ascii=False).encode()
    beside = {
        "scorecard.json": document,
        "about.json": (json.dumps(dict(about), separators=(",", ":"), ensure_ascii=False) + "\n").encode(),
    }
    first, answers = quick.half(sources, beside, module=_MODULE, events=usual(card))
    _compare(card, answers)
    name, carried = code.carried(sources)
    modules: dict[str, str] = {}
    for path, text in first.items():
        # Beside each other they are packed best: the one is part of the other.
        modules |= {f"{name}/{path}": carried[f"{name}/{path}"], f"quick/{path}": text}
    found = [
        File("about.json", beside["about.json"], "which version it is"),
        File("code.txt", code.joined({**modules, **carried}).encode(), "the scoring and request code, as one file"),
        File("lambda_function.py", code.lean(entry).replace("{package}", name).encode(), "what Lambda calls"),
        File("scorecard.json", beside["scorecard.json"], "the model"),
    ]
    if example:
        text = json.dumps(dict(example), separators=(",", ":"), ensure_ascii=False) + "\n"
        found.append(File(EXAMPLE, text.encode(), "a row to try it with"))
    return tuple(sorted(found, key=lambda file: file.path))


def usual(card: Scorecard) -> list[dict]:
    """The usual first requests: HTTP, with one row."""
    return [
        {
            "version": "2.0",
            "rawPath": "/invocations",
            "headers": {"content-type": "application/json"},
            "requestContext": {"http": {"method": "POST"}, "stage": "$default"},
            "body": json.dumps({"dataframe_records": [row]}),
            "isBase64Encoded": False,
        }
        for row in quick.rows(card)
    ]


def _compare(card: Scorecard, answers: list) -> None:
    """Hold the package's answers against the scorecard's own."""
    from serving.contract import reply

    for event, answer in zip(usual(card), answers, strict=True):
        status, payload = reply(card, event["body"].encode(), "application/json")
        if (answer["statusCode"], json.loads(answer["body"])) != (status, json.loads(json.dumps(payload))):
            raise ServingError("the package does not answer as the scorecard does; this is a fault of the platform")
