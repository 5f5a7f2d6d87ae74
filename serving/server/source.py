"""Identifies what a server serves, equally for all servers that serve the same: the key of its state document."""

import os
import re
from pathlib import Path

from registry.policy_file import SHIPPED, locate
from serving.server.settings import ServerSettings

_DEFAULT = "sqlite:///mlflow.db"


def source(settings: ServerSettings) -> str:
    """The models by their URIs, or the registry and the policy."""
    policy = locate(settings.policy)
    registry = os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT
    # A name is another model's in another workspace.
    where = " ".join(filter(None, (_absolute(registry), os.environ.get("MLFLOW_WORKSPACE"))))
    parts = [where, "" if policy == SHIPPED else str(policy.absolute())]
    if settings.uris:
        # A path does not depend on the registry.
        parts = [_place(uri) or f"{where} {uri}" for uri in settings.uris]
    if settings.pyfunc:  # servers without it refuse versions that have no scorecard
        parts.append("pyfunc")
    return "\n".join(parts)


def named(text: str) -> tuple[str, str]:
    """The name and the URI of ``NAME=URI``; of a URI or a path alone, the name is empty."""
    name, equals, uri = text.partition("=")
    if not equals or os.path.exists(text) or re.match(r"[A-Za-z][\w+.-]*:/", name):
        return "", text
    return name, uri


def _place(text: str) -> str | None:
    """``NAME=PATH`` with an absolute path; None if it is no existing path."""
    name, uri = named(text)
    return f"{name}={Path(uri).absolute()}" if Path(uri).exists() else None


def _absolute(uri: str) -> str:
    """A registry's address; that of a SQLite file with an absolute path."""
    scheme, separator, path = uri.partition(":///")
    if separator and scheme.startswith("sqlite") and not path.startswith("/"):
        return f"{scheme}:///{Path(path).absolute()}"
    return uri
