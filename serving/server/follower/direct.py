"""Models that are served by their URI, as they are: read once, and never looked at again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from registry import logs
from serving.errors import ServingError
from serving.models import ModelURI
from serving.models.files import Folder
from serving.server.cache import Cache, CachedModel, StateDocument
from serving.server.follower import admission
from serving.server.source import named

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class NamedURI:
    """A model that is to be served.

    Parameters
    ----------
    name : under which it answers.
    """

    name: str
    uri: ModelURI


def read(texts: Sequence[str]) -> list[NamedURI]:
    """The models that a command line names, each by its URI or by NAME=URI.

    Raises
    ------
    ServingError
        if one is neither a URI nor a path that exists, or two have one name.
    """
    models = [_read(text) for text in texts]
    names = [model.name for model in models]
    for model in models:
        if names.count(model.name) > 1:
            raise ServingError(
                f"two models would be called {model.name!r}; give each a name of its own: NAME={model.uri}"
            )
    return models


def _read(text: str) -> NamedURI:
    name, uri = named(text)
    try:
        found = ModelURI.read(uri)
    except ServingError as error:
        raise ServingError(f"{error}; NAME=URI gives it a name") from None
    return NamedURI(name or found.title, found)


def serve(cache: Cache, models: Sequence[NamedURI], *, pyfunc: bool = False, python: str = "") -> None:
    """Read the models, and write them into the cache; one that cannot be served is logged and left out.

    Parameters
    ----------
    pyfunc : whether models without a scorecard are served, too.
    python : the interpreter that runs them; empty for the server's.

    Raises
    ------
    RegistryError
        if a URI needs the registry or an artifact store, and it does not answer.
    CacheError
        if the cache cannot be written.
    """
    found = [_kept(cache, model, pyfunc=pyfunc, python=python) for model in models]
    kept = tuple(model for model, _ in found)
    before = _before(cache)
    if before.models != kept:
        cache.write(StateDocument(kept, before.generation + 1))
    cache.touch()
    for _, line in found:  # it is true now
        _log.info("%s", line)


def _before(cache: Cache) -> StateDocument:
    try:
        return cache.read()
    except ServingError:
        return StateDocument()


def _kept(cache: Cache, model: NamedURI, *, pyfunc: bool, python: str) -> tuple[CachedModel, str]:
    """A model in the cache, and the line for the log."""
    found = model.uri.find()
    number = found.version or "0"
    if isinstance(found.files, Folder):
        number = found.files.version or "0"
    try:
        entry = admission.admit(cache, found, number, called=model.name, pyfunc=pyfunc)
    except admission.Unservable as error:
        return CachedModel(model.name, None, refused=str(error)), f"{model.name}: {error}"
    if found.client is not None:
        from serving.server.follower import facts

        entry = replace(entry, facts=facts.judged(found.client, found.tags, found.run_id))
    if entry.pyfunc is not None:
        entry = replace(entry, pyfunc=replace(entry.pyfunc, python=python))
        return CachedModel(model.name, entry), f"{model.name}: version {number} is being loaded"
    return CachedModel(model.name, entry), f"{model.name}: version {number} is served"
