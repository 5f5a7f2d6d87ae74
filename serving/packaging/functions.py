"""What the packages for Azure Functions and Google Cloud Functions have in common: a folder of plain files."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from serving.errors import ServingError

from . import code
from .model import Model
from .options import Option, listed
from .plan import FILES, File, Limit, Plan

#: What lets in by the function itself, beside or in place of the cloud's own keys.
API_KEYS = Option(
    "api_keys",
    (),
    "SHA-256 of each key that the function itself lets in, in hexadecimal, with commas between",
    listed(r"[0-9a-f]{64}", "64 hexadecimal digits, as `printf %s KEY | sha256sum` gives"),
)


def variables(options: Mapping[str, Any]) -> dict[str, str]:
    """The variables that a function's options come to."""
    return {"API_KEYS": ",".join(options["api_keys"])} if options["api_keys"] else {}


def files(model: Model, *, entry: str, called: str, more: Mapping[str, str] | None = None) -> tuple[File, ...]:
    """The files of a function: the scorecard, what is known of it, the code, and what the cloud loads.

    Parameters
    ----------
    entry : the module in ``serving/functions`` that the cloud loads, without its suffix.
    called : the name that the cloud loads it by.
    more : what is filled into the entry, by its name in braces there.

    Raises
    ------
    ServingError
        where the model has no scorecard.
    """
    card = model.scorecard
    if card is None:
        raise ServingError(
            f"{model.uri} has no scorecard ({model.why}); package it for aws-lambda, which takes it as a container, "
            "or serve it with `mlflow models serve`"
        )
    sources = code.sources(["web.py", "function.py", f"{entry}.py"])
    text = sources.pop(f"functions/{entry}.py")
    name, carried = code.carried(sources)
    for place, value in {"package": name, **(more or {})}.items():
        text = text.replace("{" + place + "}", value)
    found = [
        File("scorecard.json", _json(card.document), "the model"),
        File("about.json", _json(dict(model.about)), "which version it is"),
        File(called, text.encode(), "what the cloud loads"),
    ]
    found += [File(path, content.encode(), "the code") for path, content in carried.items()]
    return tuple(sorted(found, key=lambda file: file.path))


def name(
    model: Model, given: str, *, pattern: str, expected: str, target: str, most: int = 60
) -> tuple[str, tuple[str, ...]]:
    """The name in the cloud, and a note where it is another than the model's.

    Parameters
    ----------
    most : characters of a name that is made of the model's.

    Raises
    ------
    ServingError
        where the cloud will not take it.
    """
    made = given or re.sub(r"[^a-z0-9]+", "-", model.title.lower()).strip("-")[:most].strip("-")
    if not re.fullmatch(pattern, made):
        raise ServingError(f"{target}: option name: {expected}, found {made!r}; give -C name=")
    return made, () if given or made == model.title else (f"it is called {made}: {target} takes no {model.title!r}",)


def planned(
    model: Model,
    package: Sequence[File],
    *,
    target: str,
    called: str,
    limits: Mapping[str, int],
    settings: Mapping[str, object],
    environment: Mapping[str, str],
    notes: Sequence[str],
    commands: Sequence[str],
) -> Plan:
    """The plan of a folder of files.

    Parameters
    ----------
    limits : bytes that the target takes at most, by what they are of.
    """
    size = sum(file.size for file in package)
    held = tuple(Limit(what, size, most) for what, most in limits.items())
    return Plan(
        target=target,
        variant=FILES,
        reason="the version has a scorecard, which needs nothing but Python",
        name=called,
        **model.facts,
        package=tuple(package),
        unzipped=size,
        limits=held,
        settings=settings,
        environment=environment,
        notes=tuple(notes),
        commands=tuple(commands),
    )


def _json(value: object) -> bytes:
    return (json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n").encode()
