"""Packages for Azure Functions and Google Cloud Functions: a folder of plain files."""

from collections.abc import Mapping, Sequence
from typing import Any

from serving.errors import ServingError

from . import code
from .model import PackagedModel
from .options import listed, option
from .plan import FILES, File, Limit, PackagePlan


def api_keys() -> Any:
    """Return the option of keys that the function itself checks, beside or in place of the cloud's own."""
    return option(
        (),
        "SHA-256 (hexadecimal) of each key that the function itself accepts: A,B",
        listed(r"[0-9a-f]{64}", "64 hexadecimal digits, as `printf %s KEY | sha256sum` gives"),
    )


def variables(keys: Sequence[str]) -> dict[str, str]:
    """Return the variables of a function that lets in these keys."""
    return {"API_KEYS": ",".join(keys)} if keys else {}


def files(model: PackagedModel, *, entry: str, called: str, more: Mapping[str, str] | None = None) -> tuple[File, ...]:
    """The files of a function: the scorecard, what is known of it, the code, and what the cloud loads.

    Parameters
    ----------
    entry : the module in ``serving/functions`` that the cloud loads, without its suffix.
    called : the name that the cloud loads it by.
    more : what is filled into the entry, by its name in braces there.

    Raises
    ------
    ServingError
        if the model has no scorecard.
    """
    card = model.scorecard
    if card is None:
        raise ServingError(
            f"{model.uri} has no scorecard ({model.why}); package it for aws-lambda, which takes it as a container, "
            "or serve it with `serve --pyfunc yes` or `mlflow models serve`"
        )
    name, carried = code.carried(["web.py", "keys.py", "failures.py", "function.py", "record.py", "sampling.py"])
    text = (code.FUNCTIONS / f"{entry}.py").read_text(encoding="utf-8")
    for place, value in {"package": name, **(more or {})}.items():
        text = text.replace("{" + place + "}", value)
    found = [
        File("scorecard.json", code.compact(card.document.content), "the model"),
        File("about.json", code.compact(dict(model.about)), "which version it is"),
        File(called, text.encode(), "what the cloud loads"),
        *carried,
    ]
    return tuple(sorted(found, key=lambda file: file.path))


def planned(
    model: PackagedModel,
    package: Sequence[File],
    *,
    target: str,
    called: str,
    limits: Mapping[str, int],
    settings: Mapping[str, object],
    environment: Mapping[str, str],
    notes: Sequence[str],
    commands: Sequence[str],
) -> PackagePlan:
    """The plan of a folder of files.

    Parameters
    ----------
    limits : bytes that the target takes at most, by what they are of.
    """
    size = sum(file.size for file in package)
    held = tuple(Limit(what, size, most) for what, most in limits.items())
    return PackagePlan(
        target=target,
        variant=FILES,
        reason="the version has a scorecard, which needs nothing but Python",
        name=called,
        **model.facts,
        package=tuple(package),
        limits=held,
        settings=settings,
        environment=environment,
        notes=(*notes, code.NOTE),
        commands=tuple(commands),
    )
