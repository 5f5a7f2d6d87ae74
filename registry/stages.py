"""The stages of a version's life, and which version is in one: every stage call to MLflow is behind this module."""

import warnings
from typing import TYPE_CHECKING

from registry.client import speaking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

STAGING = "Staging"
PRODUCTION = "Production"
ARCHIVED = "Archived"
NONE = "None"

#: The alias that mirrors a stage.
ALIASES = {PRODUCTION: "champion", STAGING: "challenger"}


def versions_in(client: "MlflowClient", name: str, stage: str) -> list["ModelVersion"]:
    """The versions of a model that are in a stage, newest first; none where there is no such model."""
    with warnings.catch_warnings(), speaking():
        warnings.simplefilter("ignore", FutureWarning)
        quoted = name.replace("'", "''")
        found = client.search_model_versions(f"name = '{quoted}'", max_results=1000)
        return sorted(
            (version for version in found if version.current_stage == stage),
            key=lambda version: int(version.version),
            reverse=True,
        )


def champion(client: "MlflowClient", name: str) -> "ModelVersion | None":
    """The version of a model in Production; None where there is none."""
    return next(iter(versions_in(client, name, PRODUCTION)), None)
