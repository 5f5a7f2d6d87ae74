"""The stages of a version's life, and which version is in one: every stage call to MLflow is behind this module."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from registry.cli.text import did_you_mean
from registry.client import pages, place, speaking
from registry.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

STAGING = "Staging"
PRODUCTION = "Production"
ARCHIVED = "Archived"
NONE = "None"

#: What a person may write for the number of the newest version.
LATEST = "latest"

#: All stages, the furthest first.
STAGES = (PRODUCTION, STAGING, ARCHIVED, NONE)

#: The alias that mirrors a stage.
ALIASES = {PRODUCTION: "champion", STAGING: "challenger"}


class NoModel(RegistryError):
    """There is no registered model of a name."""


@dataclass(frozen=True)
class VersionState:
    """A version as the registry has it.

    Parameters
    ----------
    created, updated : milliseconds since 1970, by the server's clock. ``created`` tells a version from one of the same
        number that a deleted model of the same name had.
    """

    number: str
    stage: str
    created: int
    updated: int
    run_id: str | None
    description: str
    tags: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class State:
    """A model's versions by number, the oldest first, and its aliases with the numbers they point at."""

    name: str
    versions: Mapping[str, VersionState]
    aliases: Mapping[str, str]

    def in_stage(self, stage: str) -> tuple[VersionState, ...]:
        """The versions in a stage, newest first."""
        return tuple(version for version in reversed([*self.versions.values()]) if version.stage == stage)

    @property
    def champion(self) -> str | None:
        """The number of the version in Production; of several, as there may be by hand, the one the alias names."""
        found = [version.number for version in self.in_stage(PRODUCTION)]
        named = self.aliases.get(ALIASES[PRODUCTION])
        return named if named in found else next(iter(found), None)

    def version(self, number: str) -> VersionState:
        """A version by its number, or the newest for ``latest``, as in ``models:/NAME/latest``.

        Raises
        ------
        RegistryError
            where there is no such version.
        """
        if number == LATEST and self.versions:
            return [*self.versions.values()][-1]
        if number not in self.versions:
            there = ", ".join(list(self.versions)[-10:]) or "none"
            raise RegistryError(f"model {self.name!r} has no version {number!r}; there are: {there}")
        return self.versions[number]


def read(client: "MlflowClient", name: str) -> State:
    """A model's versions, stages and aliases, as they are now.

    Raises
    ------
    NoModel
        where there is no such model.
    RegistryError
        where the registry does not answer.
    """
    from mlflow.exceptions import MlflowException

    with _calling():
        try:
            # `search_model_versions` tells no aliases.
            aliases = dict(client.get_registered_model(name).aliases)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise NoModel(unknown(name, models(client))) from None
            raise
    versions = {str(found.version): _version(found) for found in _search(client, name)}
    return State(name, versions, {alias: str(number) for alias, number in aliases.items()})


def unknown(name: str, there: list[str]) -> str:
    """What to say of a name that no model has: often a slip, or another folder than the one with the registry."""
    if meant := did_you_mean(name, there):
        return f"no registered model {name!r}; {meant}"
    hint = "`python -m registry list` shows what there is" if there else "nothing is registered there yet"
    return f"no registered model {name!r} in {place()}; {hint}, and MLFLOW_TRACKING_URI may name another registry"


def models(client: "MlflowClient") -> list[str]:
    """The names of all registered models."""
    with _calling():
        return [found.name for found in pages(client.search_registered_models)]


def in_production(client: "MlflowClient") -> list[str]:
    """The names of the registered models that have a version in Production."""
    with _calling():
        return [
            found.name
            for found in pages(client.search_registered_models)
            if any(version.current_stage == PRODUCTION for version in found.latest_versions)
        ]


def traces(client: "MlflowClient") -> dict[str, tuple]:
    """For polling: of each registered model, by its name, a value that changes when a stage or an alias does.

    It also changes with the tags of the newest version in each stage: a scorecard that is attached is one.
    """

    def newest(model: "RegisteredModel") -> list:
        found = model.latest_versions
        return sorted((one.current_stage, str(one.version), sorted((one.tags or {}).items())) for one in found)

    with _calling():
        return {
            model.name: (model.creation_timestamp, model.last_updated_timestamp, newest(model), dict(model.aliases))
            for model in pages(client.search_registered_models)
        }


def versions(client: "MlflowClient", name: str) -> tuple[VersionState, ...]:
    """All versions of a model, the oldest first; none where there is no such model."""
    return tuple(_version(found) for found in _search(client, name))


def every(client: "MlflowClient") -> list[tuple[str, VersionState]]:
    """All registered versions, each with the name of its model."""
    with _calling():
        return [(found.name, _version(found)) for found in pages(client.search_model_versions)]


def versions_in(client: "MlflowClient", name: str, stage: str) -> list["ModelVersion"]:
    """The versions of a model that are in a stage, newest first; none where there is no such model."""
    return [version for version in reversed(_search(client, name)) if version.current_stage == stage]


def champion(client: "MlflowClient", name: str) -> "ModelVersion | None":
    """The version of a model in Production; None where there is none."""
    return next(iter(versions_in(client, name, PRODUCTION)), None)


def model_version(client: "MlflowClient", name: str, number: str) -> "ModelVersion":
    """A version by its number, as MLflow has it.

    Raises
    ------
    RegistryError
        if there is none of that name and number; it lists those there are.
    """
    from mlflow.exceptions import MlflowException

    with speaking():
        try:
            return client.get_model_version(name, number)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    # It says that there is no such model, or which versions there are.
    read(client, name).version(number)
    raise RegistryError(f"version {number!r} of model {name!r} cannot be read; a version is a number, such as 3")


def move(client: "MlflowClient", name: str, number: str, stage: str) -> None:
    """Move a version to a stage; whatever else is in Production or Staging then is archived in the same transaction.

    Raises
    ------
    RegistryError
        where the registry refuses or does not answer.
    """
    with _driver(), _calling():
        # With Archived and None the server would answer 500 to archive_existing_versions.
        archive = stage in ALIASES
        # A number, not a text: MLflow hands it to PostgreSQL as it is.
        client.transition_model_version_stage(name, int(number), stage, archive)


def point(client: "MlflowClient", name: str, alias: str, number: str | None) -> None:
    """Point an alias at a version; take it away where there is none."""
    with _calling():
        if number is None:
            client.delete_registered_model_alias(name, alias)
        else:
            client.set_registered_model_alias(name, alias, number)


def matching(name: str) -> str:
    """The filter that finds the versions of a model, and maybe others: what it finds is looked at again.

    MLflow's filters have no way to write a quote inside quotes.
    """
    if "'" not in name:
        return f"name = '{name}'"
    if '"' not in name:
        return f'name = "{name}"'
    # An underscore is any character.
    return "name LIKE '{}'".format(name.replace("'", "_"))


def _search(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    """All versions of a model, oldest first."""
    with _calling():
        found = pages(lambda **page: client.search_model_versions(matching(name), **page))
    return sorted((one for one in found if one.name == name), key=lambda version: int(version.version))


def _version(found: "ModelVersion") -> VersionState:
    return VersionState(
        number=str(found.version),
        stage=found.current_stage or NONE,
        created=int(found.creation_timestamp or 0),
        updated=int(found.last_updated_timestamp or 0),
        run_id=found.run_id or None,
        description=found.description or "",
        tags=dict(found.tags or {}),
    )


@contextmanager
def _driver() -> Iterator[None]:
    """Tell of a server that cannot archive: MLflow compares a number with a text there, which psycopg 3 does not."""
    try:
        yield
    except RegistryError as error:
        if "operator does not exist: integer <> character varying" not in str(error):
            raise
        raise RegistryError(
            "the tracking server reaches PostgreSQL by psycopg 3, with which MLflow cannot archive a version; start it "
            "with `--backend-store-uri postgresql+psycopg2://...` (package psycopg2-binary)"
        ) from error.__cause__


@contextmanager
def _calling() -> Iterator[None]:
    """What MLflow raises becomes a RegistryError; that stages are deprecated is known here."""
    with warnings.catch_warnings(), speaking():
        warnings.simplefilter("ignore", FutureWarning)
        yield
