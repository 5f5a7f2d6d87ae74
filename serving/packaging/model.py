"""What a package is made of: a model with its scorecard, its files and the word of its gates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry import redaction
from serving import models
from serving.errors import ServingError
from serving.models.files import digest
from serving.scorecard import Scorecard, ScorecardError


@dataclass(frozen=True)
class PackagedModel:
    """A model as its package holds it.

    Parameters
    ----------
    uri : as it was asked for, without secrets.
    name, version : of the registered version; None if it is none.
    scorecard : None if the model has none, and none can be compiled; ``why`` then says why.
    folder : the model's files, as MLflow keeps them.
    digest : the scorecard's; without one, that of the model's files.
    gates : what is known of the gates, in words; ``gated`` is true if they passed.
    example : a row to try it with; empty if there is no scorecard.
    keep : what keeps the folder, for as long as it is referred to.
    """

    uri: str
    name: str | None
    version: str | None
    scorecard: Scorecard | None
    why: str
    folder: Path
    digest: str
    gates: str
    gated: bool
    example: Mapping[str, Any] = field(default_factory=dict)
    keep: Any = field(default=None, repr=False, compare=False)

    @property
    def title(self) -> str:
        """What to call it in the cloud unless the user says: the registered name, else the folder's."""
        return self.name or (Path(self.uri).resolve().name if Path(self.uri).is_dir() else "model")

    @property
    def facts(self) -> dict[str, Any]:
        """What every plan tells of it, by the names of ``Plan``."""
        names = ("uri", "version", "digest", "gates", "gated", "keep")
        return {"model": self.name, **{name: getattr(self, name) for name in names}}

    @property
    def about(self) -> Mapping[str, str | None]:
        """What a package tells of the version that it holds."""
        return {"model": self.name, "version": self.version, "digest": self.digest}


def fetch(uri: str, *, allow_ungated: bool) -> PackagedModel:
    """A model by its URI, if its gates passed.

    Parameters
    ----------
    uri : as ``serving.models.find`` takes it.
    allow_ungated : take one whose gates did not pass, or that is not registered and has none, too.

    Raises
    ------
    ServingError
        if the gates did not pass, or the model cannot be read.
    RegistryError, ScorecardError
        if it cannot be fetched, or is damaged.
    """
    model = models.find(uri)
    gates, gated = _gates(model, allow_ungated)
    card, why = _scorecard(model)
    folder = model.files.folder()
    return PackagedModel(
        uri=redaction.url(uri),
        name=model.name,
        version=model.version,
        scorecard=card,
        why=why,
        folder=folder,
        digest=card.digest if card else digest(folder),
        gates=gates,
        gated=gated,
        example=model.example(card) if card else {},
        keep=model.files,
    )


def _gates(model: models.ResolvedModel, allow_ungated: bool) -> tuple[str, bool]:
    from serving.models import gating

    try:
        return gating.passed(model), True
    except gating.NotPassed as error:
        if not allow_ungated:
            raise ServingError(f"{error}; --allow-ungated packages it all the same") from None
        return f"not passed, and let through by --allow-ungated: {error}", False


def _scorecard(model: models.ResolvedModel) -> tuple[Scorecard | None, str]:
    """The scorecard of a model, its own or a compiled one; if there is none, why."""
    if model.scorecard:
        return model.scorecard, ""
    try:
        return model.portable(), ""
    except (ServingError, ScorecardError) as error:
        return None, str(error).replace(str(model), "the model")
