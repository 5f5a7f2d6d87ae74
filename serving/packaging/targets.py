"""The targets. A new one is a module of this package with a ``TARGET``, and a line in ``_MODULES``."""

import importlib
from collections.abc import Iterator, Mapping

from serving.errors import ServingError

from .options import Target

_MODULES = {
    "aws-lambda": "aws_lambda",
    "azure-functions": "azure_functions",
    "gcp-functions": "gcp_functions",
    "sagemaker-proxy": "sagemaker_proxy",
    "docker": "docker",
    "kubernetes": "kubernetes",
    "azure-ml": "azure_ml",
    "vertex-ai": "vertex_ai",
}


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
    """Return a target by its name.

    Raises
    ------
    ServingError
        if there is none of that name.
    """
    if name not in TARGETS:
        raise ServingError(f"--target is one of {', '.join(TARGETS)}, found {name!r}")
    return TARGETS[name]
