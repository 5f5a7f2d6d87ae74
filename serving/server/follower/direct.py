"""Models that are served by their URI, as they are: read once, and never looked at again."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from serving.errors import ServingError
from serving.models import ModelURI
from serving.models.files import Folder
from serving.server.cache import Cache, CachedModel, StateDocument
from serving.server.follower import admission


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
    named = [_read(text) for text in texts]
    names = [model.name for model in named]
    for model in named:
        if names.count(model.name) > 1:
            raise ServingError(
                f"two models would be called {model.name!r}; give each a name of its own: NAME={model.uri}"
            )
    return named


def _read(text: str) -> NamedURI:
    name, equals, uri = text.partition("=")
    if not equals or os.path.exists(text) or re.match(r"[A-Za-z][\w+.-]*:/", name):
        name, uri = "", text
    try:
        found = ModelURI.read(uri)
    except ServingError as error:
        raise ServingError(f"{error}; NAME=URI gives it a name") from None
    return NamedURI(name or found.title, found)


def serve(cache: Cache, models: Sequence[NamedURI], say: Callable[[str], object]) -> None:
    """Read the models, and write them into the cache; one that cannot be served is said and left out.

    Raises
    ------
    RegistryError
        if a URI needs the registry or an artifact store, and it does not answer.
    CacheError
        if the cache cannot be written.
    """
    news: list[str] = []
    kept = [_kept(cache, model, news.append) for model in models]
    before = _before(cache)
    if before.models != tuple(kept):
        cache.write(StateDocument(tuple(kept), before.generation + 1))
    cache.touch()
    for line in news:  # it is true now
        say(line)


def _before(cache: Cache) -> StateDocument:
    try:
        return cache.read()
    except ServingError:
        return StateDocument()


def _kept(cache: Cache, named: NamedURI, say: Callable[[str], object]) -> CachedModel:
    model = named.uri.find()
    number = model.version or "0"
    if isinstance(model.files, Folder):
        number = model.files.version or "0"
    try:
        entry = admission.admit(cache, model, number, called=named.name)
    except admission.Unservable as error:
        say(f"{named.name}: {error}")
        return CachedModel(named.name, None, refused=str(error))
    say(f"{named.name}: version {number} is served")
    return CachedModel(named.name, entry)
