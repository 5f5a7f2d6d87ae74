"""A model that a URI means, and the one place that decides whether it has a scorecard, and which."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.errors import ServingError
from serving.scorecard import Scorecard, ScorecardError

from . import example
from .files import MLMODEL, SCORECARD, Artifacts, Files, mlmodel

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class ResolvedModel:
    """A model: what is known of its version, and its files.

    An alias or a stage may mean another version a moment later; this is the one that it meant when it was looked up.

    Parameters
    ----------
    uri : as it was asked for.
    title : what to call it: the registered name, else the last part of the URI or path.
    name, version : of the registered version; None if the URI means none.
    run_id : the run that logged the version; None if it is not known.
    tags : of the version; empty if the URI means none.
    client : of the registry that has the version; None if the URI means no version.
    called : what errors call it; its URI if not given.
    """

    uri: str
    title: str
    files: Files = field(repr=False, compare=False)
    name: str | None = None
    version: str | None = None
    run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    client: "MlflowClient | None" = field(default=None, repr=False, compare=False)
    called: str = ""

    def __str__(self) -> str:
        return self.called or self.uri

    @cached_property
    def scorecard(self) -> Scorecard | None:
        """Its scorecard: the first that one of ``PLACES`` holds; None if there is none.

        Raises
        ------
        ScorecardError
            if the scorecard is damaged, or of another version.
        ServingError
            if there is no model.
        RegistryError
            if its files cannot be fetched.
        """
        return next(filter(None, (place(self) for place in PLACES)), None)

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """What its file ``MLmodel`` says; empty if it has none that can be read; raises as ``Files.get``."""
        return mlmodel(self.files)

    def portable(self) -> Scorecard:
        """Its scorecard; if it has none but is a scikit-learn pipeline, one that is compiled now.

        Compiling runs the model's own code in a process of its own (see ``native``): do it for models that you trust,
        and never where a model is served.

        Raises
        ------
        ServingError, ScorecardError, RegistryError
            as ``scorecard``, and ServingError if no pipeline loads here that a scorecard can express.
        """
        if self.scorecard:
            return self.scorecard
        from . import native

        return native.compiled(self.files, str(self))

    def example(self, card: Scorecard) -> Mapping[str, Any]:
        """A row that the model takes, by its scorecard: that of its input example, else a usual one."""
        return example.row(card, self.files)


def carried(model: ResolvedModel) -> Scorecard | None:
    """The scorecard among a model's own files, where every version has it that this platform trained."""
    path = model.files.get(SCORECARD)
    if path is None:
        if model.files.get(MLMODEL) is None:
            raise ServingError(f"{model} is no MLflow model: it has neither {MLMODEL} nor {SCORECARD}")
        return None
    return _loaded(path, f"{model}: its {SCORECARD}")


def attached(model: ResolvedModel) -> Scorecard | None:
    """The scorecard among the evidence of a version that was logged without this platform, and then evaluated by it."""
    if not model.tags:  # no registered version: an image has no evidence at hand, and nothing that reads it
        return None
    from registry.evidence import adoption

    digest = model.tags.get(adoption.SCORECARD_TAG)
    place = adoption.place(model.tags, model.run_id)
    if digest is None or place is None:
        return None
    called = f"{model}: the scorecard in {place}"
    evidence = Artifacts(str(place), called)
    path = evidence.get(adoption.files.SCORECARD)
    if path is None:
        raise ScorecardError(f"{called} is gone; evaluate the version anew")
    card = _loaded(path, called)
    if card.digest != digest:
        raise ScorecardError(f"{called} is another than the version's tag names; evaluate the version anew")
    return card


def _loaded(path: Path, called: str) -> Scorecard:
    try:
        return Scorecard.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        reason = "it is no text"
    except OSError as error:
        reason = error.strerror or str(error)
    except (ScorecardError, RecursionError) as error:
        reason = str(error)
    raise ScorecardError(f"{called} is refused: {reason}")


#: Where the scorecard of a model may be, in the order in which the places are asked.
PLACES: tuple[Callable[[ResolvedModel], Scorecard | None], ...] = (carried, attached)
