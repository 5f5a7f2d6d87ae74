"""A model that a URI means, and the one place that decides whether it has a scorecard, and which."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from serving.errors import ServingError
from serving.scorecard import Scorecard, ScorecardError, Unsupported
from serving.scorecard import compile as compile_pipeline

from . import example
from .files import MLMODEL, SCORECARD, Files

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
    client : of the registry that has the version; None if the URI means no version.
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

    def portable(self) -> Scorecard:
        """Its scorecard; if it has none but is a scikit-learn pipeline, one that is compiled now.

        Compiling loads the pipeline, which runs code if it is a pickle: do it for models that you trust, and never
        where a model is served.

        Raises
        ------
        ServingError, ScorecardError, RegistryError
            as ``scorecard``, and if there is no pipeline that loads here and that a scorecard can express.
        """
        if self.scorecard:
            return self.scorecard
        from . import native

        pipeline = native.pipeline(self.files, str(self))
        if pipeline is None:
            raise ServingError(
                f"{self} has no scorecard, and no sklearn flavor to make one of; serve it with `mlflow models serve`"
            )
        try:
            return compile_pipeline(pipeline, native.inputs(self.files, str(self)))
        except Unsupported as error:
            raise ServingError(f"{self} has no scorecard, and none can be made: {error}") from None
        except ScorecardError as error:
            raise ScorecardError(f"{self} has no scorecard, and none can be made: {error}") from None

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
    try:
        return Scorecard.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        reason = "it is no text"
    except OSError as error:
        reason = error.strerror or str(error)
    except (ScorecardError, RecursionError) as error:
        reason = str(error)
    raise ScorecardError(f"{model}: its {SCORECARD} is refused: {reason}")


#: Where the scorecard of a model may be, in the order in which the places are asked.
PLACES: tuple[Callable[[ResolvedModel], Scorecard | None], ...] = (carried,)
