"""The targets there are. A new one is a module here that has a ``TARGET``, and a line in ``_MODULES``."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving.errors import ServingError

from .options import Option, settle

if TYPE_CHECKING:
    from .model import Model
    from .plan import Plan

_MODULES = {
    "aws-lambda": "aws_lambda",
    "azure-functions": "azure_functions",
    "gcp-functions": "gcp_functions",
    "sagemaker-proxy": "sagemaker_proxy",
    "docker": "docker",
    "kubernetes": "kubernetes",
}


@dataclass(frozen=True)
class Target:
    """Where a version can be deployed to.

    Parameters
    ----------
    name : as ``--target`` takes it.
    summary : what it is, in a sentence.
    options : what it can be told.
    plan : from a fetched model and the value of every option to a plan.
    """

    name: str
    summary: str
    options: tuple[Option, ...]
    plan: "Callable[[Model, Mapping[str, Any]], Plan]"

    def settle(self, given: Mapping[str, str]) -> dict[str, Any]:
        """The value of every option.

        Raises
        ------
        ServingError
            where one is unknown, or refused.
        """
        return settle(self.name, self.options, given)


class _Targets(Mapping[str, Target]):
    """The targets by name; each is imported when it is asked for."""

    def __getitem__(self, name: str) -> Target:
        return importlib.import_module(f"{__package__}.{_MODULES[name]}").TARGET

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


TARGETS: Mapping[str, Target] = _Targets()


def target(name: str) -> Target:
    """A target by its name.

    Raises
    ------
    ServingError
        where there is none of that name.
    """
    if name not in TARGETS:
        raise ServingError(f"--target is one of {', '.join(TARGETS)}, found {name!r}")
    return TARGETS[name]
