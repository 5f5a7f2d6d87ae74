"""A server that starts from its cache: whatever is to be served, without a registry that answers."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from serving.server.cache import Cache, CachedModel, CachedVersion, StateDocument
from serving.server.settings import ServerSettings
from serving.server.source import source
from serving.server.state import Served, ServedModel, ServedVersion
from tests.serving.server.servers import Server

#: Where no registry listens.
NOWHERE = "http://127.0.0.1:9"


def warm(served: Served, folder: Path, *words: str, env: Mapping[str, str] | None = None) -> Server:
    """A server, to be started, in a folder whose cache says that this is served."""
    keep(served, folder)
    registry = {"MLFLOW_TRACKING_URI": NOWHERE, "LEDGER_URI": f"sqlite:///{folder}/ledger.db"}
    return Server(list(words), folder, env={**registry, **(env or {})})


def keep(served: Served, folder: Path) -> None:
    """Write what is served into the cache of a server in a folder, as its follower does."""
    settings = ServerSettings(cache=str(folder / ".serving-cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
        cache = Cache(Path(settings.cache), source(settings))
    cache.make()
    kept = [_kept(model, cache) for model in served.models.values()]
    kept += [CachedModel(name, None, refused=why) for name, why in served.refused.items()]
    cache.write(StateDocument(tuple(kept), served.generation))
    cache.touch()


def _kept(model: ServedModel, cache: Cache) -> CachedModel:
    champion = _entry(model.champion, cache)
    challenger = _entry(model.challenger, cache) if model.challenger else None
    return CachedModel(model.name, champion, challenger, model.traffic, model.refused)


def _entry(version: ServedVersion, cache: Cache) -> CachedVersion:
    cache.add(version.card)
    example = dict(version.example)
    return CachedVersion(version.version, version.stage, version.card.digest, example, facts=version.facts)
