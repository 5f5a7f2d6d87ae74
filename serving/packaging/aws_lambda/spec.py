"""A Lambda function as both templates describe it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..plan import Permission
from .settings import API_KEY, FunctionOptions


@dataclass(frozen=True)
class FunctionSpec:
    """A function, before anything is deployed.

    Parameters
    ----------
    name : the function's.
    about : its version, for people.
    options : the options of the target, by name.
    settings : those of the plan, by Lambda's own words.
    variables : of its environment, as far as they are known.
    archive : the zip's name; None for an image.
    more : permissions beside those that every function has.
    """

    name: str
    about: str
    options: FunctionOptions
    settings: Mapping[str, Any]
    variables: Mapping[str, str]
    archive: str | None
    more: tuple[Permission, ...] = ()

    @property
    def events(self) -> tuple[str, ...]:
        """What it answers beside requests: of ``sqs``, ``s3``, ``dynamodb``."""
        return tuple(self.options.events)

    @property
    def keyed(self) -> bool:
        """Whether the function itself asks for an API key."""
        return self.settings["Auth"] == API_KEY
