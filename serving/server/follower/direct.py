"""Models that are served by their URI, as they are: read once, and never looked at again."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.errors import ServingError
from serving.server.cache import Cache, CachedModel, CachedVersion, StateDocument
from serving.server.follower import fetching

#: The file in which MLflow says which version it downloaded.
META = "registered_model_meta"

_EXPECTED = "give models:/NAME/VERSION, models:/NAME@ALIAS, runs:/RUN/model, or a path; NAME=URI gives it a name"


@dataclass(frozen=True)
class Wanted:
    """A model that is to be served.

    Parameters
    ----------
    name : under which it answers.
    """

    name: str
    uri: str


def wanted(uris: Sequence[str]) -> list[Wanted]:
    """The models that a command line names.

    Raises
    ------
    ServingError
        where one is neither a URI nor a path that is there, or two have one name.
    """
    found = [_wanted(uri) for uri in uris]
    names = [one.name for one in found]
    for one in found:
        if names.count(one.name) > 1:
            raise ServingError(f"two models would be called {one.name!r}; give each a name of its own: NAME={one.uri}")
    return found


def local(uris: Sequence[str]) -> bool:
    """Whether all of them are paths: then no registry is needed, nor MLflow."""
    return all(Path(one.uri).exists() for one in wanted(uris))


def _wanted(text: str) -> Wanted:
    name, equals, uri = text.partition("=")
    if not equals or Path(text).exists() or re.match(r"[A-Za-z][\w+.-]*:/", name):
        name, uri = "", text
    if Path(uri).exists():
        place = Path(uri).absolute()
        return Wanted(name or (place.stem if place.is_file() else place.name), str(place))
    if not re.match(r"[A-Za-z][\w+.-]*:/", uri):
        raise ServingError(f"{uri!r} is no path that is there, and no URI; {_EXPECTED}")
    if re.fullmatch(r"models:/(?!m-)[^/@]*/?", uri):
        raise ServingError(f"{uri} names no version; {_EXPECTED}")
    registered = re.fullmatch(r"models:/([^/@]+)(?:/[^/]+|@[^/]+)/?", uri)
    return Wanted(name or (registered[1] if registered else uri.rstrip("/").rpartition("/")[2]), uri)


def serve(cache: Cache, models: Sequence[Wanted], connect: Callable, say: Callable[[str], object]) -> None:
    """Read the models, and write them into the cache; one that cannot be served is said and left out.

    Parameters
    ----------
    connect : gives a client of the registry; asked only where a URI needs it.

    Raises
    ------
    RegistryError
        where a URI needs the registry, and it does not answer.
    CacheError
        where the cache cannot be written.
    """
    news: list[str] = []
    kept = [_kept(cache, one, connect, news.append) for one in models]
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


def _kept(cache: Cache, one: Wanted, connect: Callable, say: Callable[[str], object]) -> CachedModel:
    try:
        number, found = _found(one, connect)
    except fetching.Unservable as error:
        say(f"{one.name}: {error}")
        return CachedModel(one.name, None, refused=str(error))
    cache.add(found.card)
    say(f"{one.name}: version {number} is served")
    return CachedModel(one.name, CachedVersion(number, "", found.card.digest, found.example))


def _found(one: Wanted, connect: Callable) -> tuple[str, fetching.Found]:
    if Path(one.uri).exists():
        return _number(Path(one.uri)), fetching.path(Path(one.uri), title=one.name)
    client = connect()
    if match := re.fullmatch(r"models:/([^/@]+)/([0-9]+)/?", one.uri):
        return match[2], fetching.registered(client, match[1], match[2])
    if match := re.fullmatch(r"models:/([^/@]+)@([^/]+)/?", one.uri):
        from registry.client import speaking

        with speaking():
            number = str(client.get_model_version_by_alias(match[1], match[2]).version)
        return number, fetching.registered(client, match[1], number)
    return "0", fetching.artifacts(one.uri, title=one.name, uri=one.uri)


def _number(place: Path) -> str:
    """The version of a folder that MLflow downloaded from the registry, which it says there; "0" of any other."""
    import yaml

    try:
        found = yaml.safe_load((place / META).read_text(encoding="utf-8"))["model_version"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return "0"
    return str(found) if re.fullmatch(r"[1-9][0-9]*", str(found)) else "0"
