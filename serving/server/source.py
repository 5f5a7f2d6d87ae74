"""What a server serves, in words that are the same for servers that serve the same: the key of its state."""

import os
from pathlib import Path

from serving.server.settings import Settings

_DEFAULT = "sqlite:///mlflow.db"


def source(settings: Settings) -> str:
    """The models by their URIs, or the registry and the policy."""
    policy = settings.policy or os.environ.get("LIFECYCLE_POLICY") or ""
    registry = os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT
    # A name is another model's in another workspace.
    where = " ".join(filter(None, (_absolute(registry), os.environ.get("MLFLOW_WORKSPACE"))))
    parts = [where, policy and str(Path(policy).expanduser().absolute())]
    if settings.uris:
        # A path says the same whatever registry there is.
        parts = [_place(uri) or f"{where} {uri}" for uri in settings.uris]
    return "\n".join(parts)


def _place(text: str) -> str | None:
    """A path, as it is found from any working folder, behind the name it is given; None where it is none."""
    name, equals, uri = text.partition("=")
    if Path(text).exists() or not equals:
        name, equals, uri = "", "", text
    return f"{name}{equals}{Path(uri).absolute()}" if Path(uri).exists() else None


def _absolute(uri: str) -> str:
    """A registry's address, that of a file as it is found from any working folder."""
    scheme, separator, path = uri.partition(":///")
    if separator and scheme.startswith("sqlite") and not path.startswith("/"):
        return f"{scheme}:///{Path(path).absolute()}"
    return uri
