"""A model that a URI means, as it is at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from serving.scorecard import Scorecard

from . import example, scorecards
from .files import Files

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Model:
    """A model: what is known of its version, and its files.

    An alias or a stage may mean another version a moment later; this is the one that it meant when it was looked up.

    Parameters
    ----------
    uri : as it was asked for.
    title : what to call it: the registered name, else the last part of the URI or path.
    name, version : of the registered version; None if the URI means none.
    run_id : the run that logged the version; None if it is not known.
    client : the registry that the version is in; None if the URI means no version.
    called : what errors call it; its URI if not given.
    """

    uri: str
    title: str
    files: Files = field(repr=False, compare=False)
    name: str | None = None
    version: str | None = None
    run_id: str | None = None
    client: "MlflowClient | None" = field(default=None, repr=False, compare=False)
    called: str = ""

    def __str__(self) -> str:
        return self.called or self.uri

    @cached_property
    def scorecard(self) -> Scorecard | None:
        """Its scorecard; None if it has none.

        Raises
        ------
        ScorecardError
            if the scorecard is damaged, or of another version.
        ServingError
            if there is no model.
        RegistryError
            if its files cannot be fetched.
        """
        return scorecards.of(self)

    def portable(self) -> Scorecard:
        """Its scorecard, compiled here if it has none but is a scikit-learn pipeline.

        Compiling loads the pipeline, which runs code if it is a pickle: do it for models that you trust, and never
        where a model is served.

        Raises
        ------
        ServingError, ScorecardError, RegistryError
            as ``scorecard``, and if the model has no pipeline that a scorecard can express.
        """
        return self.scorecard or scorecards.compiled(self)

    def example(self, card: Scorecard) -> Mapping[str, Any]:
        """A row that the model takes, by its scorecard: that of its input example, else a usual one."""
        return example.row(card, self.files)
