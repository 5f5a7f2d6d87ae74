"""Identifies what a server serves, equally for all servers that serve the same: the key of its state document."""

import os
from pathlib import Path

from serving.server.settings import ServerSettings

_DEFAULT = "sqlite:///mlflow.db"


def source(settings: ServerSettings) -> str:
    """The models by their URIs, or the registry and the policy."""
    policy = settings.policy or os.environ.get("LIFECYCLE_POLICY") or ""
    registry = os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT
    # A name is another model's in another workspace.
    where = " ".join(filter(None, (_absolute(registry), os.environ.get("MLFLOW_WORKSPACE"))))
    parts = [where, policy and str(Path(policy).expanduser().absolute())]
    if settings.uris:
        # A path does not depend on the registry.
        parts = [_place(uri) or f"{where} {uri}" for uri in settings.uris]
    return "\n".join(parts)


def _place(text: str) -> str | None:
    """``NAME=PATH`` or ``PATH`` with an absolute path; None if it is no existing path."""
    name, equals, uri = text.partition("=")
    if Path(text).exists() or not equals:
        name, equals, uri = "", "", text
    return f"{name}{equals}{Path(uri).absolute()}" if Path(uri).exists() else None


def _absolute(uri: str) -> str:
    """A registry's address; that of a SQLite file with an absolute path."""
    scheme, separator, path = uri.partition(":///")
    if separator and scheme.startswith("sqlite") and not path.startswith("/"):
        return f"{scheme}:///{Path(path).absolute()}"
    return uri
