"""What the plugin or the cloud refuses: MLflow's own exception, which its command shows on one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    ABORTED,
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_CONFLICT,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)

from registry.cli.text import one_line
from registry.errors import RegistryError
from registry.redaction import explained
from serving.errors import EXPECTED

__all__ = [
    "ABORTED",
    "INTERNAL_ERROR",
    "INVALID_PARAMETER_VALUE",
    "PERMISSION_DENIED",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_CONFLICT",
    "RESOURCE_DOES_NOT_EXIST",
    "TEMPORARILY_UNAVAILABLE",
    "DeploymentError",
    "deployment_errors",
]

_LONGEST = 900


class DeploymentError(MlflowException, click.ClickException):  # type: ignore[misc]  # both have a `message`
    """Anything the plugin refuses or cannot do, in one line.

    It is a ``ClickException``, too: ``mlflow deployments`` shows every other exception with its trace.

    Parameters
    ----------
    message : what was expected, what was found, what to do.
    error_code : of MLflow; programs tell errors apart by it.
    """

    def __init__(self, message: str, error_code: int = INTERNAL_ERROR):
        super().__init__(one_line(explained(message), _LONGEST), error_code)


@contextmanager
def deployment_errors() -> Iterator[None]:
    """Turn the platform's own errors that are raised inside the block into a DeploymentError."""
    try:
        yield
    except EXPECTED as error:
        raise DeploymentError(str(error), INVALID_PARAMETER_VALUE) from error
    except RegistryError as error:
        raise DeploymentError(str(error)) from error
