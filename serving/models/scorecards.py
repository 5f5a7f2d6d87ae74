"""Whether a model has a scorecard, and which: decided here for every command."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from serving.errors import ServingError
from serving.scorecard import Scorecard, ScorecardError, Unsupported
from serving.scorecard import compile as compile_pipeline

from .files import MLMODEL, SCORECARD

if TYPE_CHECKING:
    from .model import Model


def of(model: "Model") -> Scorecard | None:
    """The scorecard of a model: the first that one of ``PLACES`` holds; None if there is none.

    Raises
    ------
    ScorecardError
        if the scorecard is damaged, or of another version.
    ServingError
        if there is no model.
    RegistryError
        if its files cannot be fetched.
    """
    return next(filter(None, (place(model) for place in PLACES)), None)


def carried(model: "Model") -> Scorecard | None:
    """The scorecard among a model's own files: that of every version that this platform trained."""
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


#: Where the scorecard of a model may be, in the order in which they are looked at.
PLACES: tuple[Callable[["Model"], Scorecard | None], ...] = (carried,)


def compiled(model: "Model") -> Scorecard:
    """A scorecard made now of a model that has none, from its scikit-learn pipeline.

    Raises
    ------
    ServingError
        if the pipeline does not load here, there is none, or a scorecard cannot express it.
    ScorecardError
        if the pipeline is damaged: it holds numbers that are not finite, say.
    """
    from . import native

    pipeline = native.pipeline(model)
    if pipeline is None:
        raise ServingError(
            f"{model} has no scorecard, and no sklearn flavor to make one of; serve it with `mlflow models serve`"
        )
    try:
        return compile_pipeline(pipeline, native.inputs(model))
    except Unsupported as error:
        raise ServingError(f"{model} has no scorecard, and none can be made: {error}") from None
    except ScorecardError as error:
        raise ScorecardError(f"{model} has no scorecard, and none can be made: {error}") from None
