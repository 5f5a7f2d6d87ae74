"""A version on its way into the cache: whether the server can answer for it, and what the state document says of it."""

from dataclasses import replace

from serving.errors import ServingError
from serving.models import ResolvedModel
from serving.scorecard import ScorecardError
from serving.server.cache import Cache, CachedVersion


class Unservable(ServingError):
    """A model that cannot be served, now or later; the message is for whoever asks for it: it holds no path."""


def admit(
    cache: Cache, model: ResolvedModel, number: str, *, called: str, stage: str = "", created: int = 0
) -> CachedVersion:
    """Put a version's scorecard into the cache; the entry that names it in the state document.

    Parameters
    ----------
    number : of the version.
    called : what messages call the model.
    stage, created : as the entry has them.

    Raises
    ------
    Unservable
        if it has no scorecard, or one that does not load and answer.
    RegistryError
        if the registry or the artifact store does not answer.
    CacheError
        if the cache cannot be written.
    """
    uri = f"models:/{model.name}/{model.version}" if model.version else "MODEL_URI"
    model = replace(model, called=called)
    try:
        card = model.scorecard
        if card is None:
            raise Unservable(f"{called} has no scorecard; serve it with `mlflow models serve -m {uri}`")
        _ = card.rows, card.tables
        example = model.example(card)
    except (ServingError, ScorecardError, RecursionError) as error:
        raise error if isinstance(error, Unservable) else Unservable(str(error)) from None
    cache.add(card)
    return CachedVersion(number, stage, card.digest, example, created)
