"""Versions without a scorecard on their way: environments are built and models loaded before they are served."""

from dataclasses import replace

from serving.server.cache import Cache, CachedModel, CachedVersion
from serving.server.follower.admission import Unservable
from serving.server.pyfunc.environments import EnvironmentFailed, Environments
from serving.server.pyfunc.places import LanePlaces
from serving.server.settings import ServerSettings

#: The policy's word for an environment of the model's own.
OWN = "uv"


def answers(settings: ServerSettings, entry: CachedVersion) -> bool:
    """Whether a version answers requests: it has a scorecard, or a lane of it is up."""
    return entry.pyfunc is None or _places(settings, entry).ready()


def _places(settings: ServerSettings, entry: CachedVersion) -> LanePlaces:
    assert entry.pyfunc is not None
    return entry.pyfunc.places(settings.metrics_folder, settings.pyfunc_processes)


class FollowerLanes:
    """What the follower knows of the lanes of its server."""

    def __init__(self, settings: ServerSettings, cache: Cache):
        self._settings, self._cache = settings, cache
        self._environments = Environments(cache.folder / "envs")
        # Models of which a version waits for its environment.
        self._building: set[str] = set()

    def prepared(self, kept: CachedModel, before: CachedModel | None) -> CachedModel:
        """What to serve until all versions are loaded: the champion of before, and no challenger.

        Parameters
        ----------
        before : what is served now, if the cache still has it; then nothing is taken away before its successor answers.
        """
        preparing: list[CachedVersion] = []
        champion, challenger = kept.champion, kept.challenger
        if before and before.champion and champion and not self._loaded(champion, before.champion):
            preparing.append(champion)
            reason = _places(self._settings, champion).failure()
            refused = f"version {champion.version} is not served: {reason}" if reason else ""
            refused = kept.refused or refused or f"version {champion.version} is being loaded"
            kept = replace(kept, champion=before.champion, refused=refused)
        if challenger and not self._loaded(challenger, before.challenger if before else None):
            preparing.append(challenger)
            kept = replace(kept, challenger=None)
        return replace(kept, preparing=tuple(preparing))

    def with_environment(self, entry: CachedVersion, name: str, env: str) -> CachedVersion:
        """A version with the interpreter of its environment, if it has no scorecard.

        Parameters
        ----------
        name : of the model.
        env : where the policy has it run: ``server`` or ``uv``.

        Raises
        ------
        Unservable
            if its environment is not built yet, or cannot be.
        """
        self._building.discard(name)
        if entry.pyfunc is None:
            return entry
        python = self._settings.pyfunc_python
        if env == OWN:
            try:
                built = self._environments.python(self._cache.model(entry.pyfunc.digest))
            except EnvironmentFailed as error:
                raise Unservable(f"version {entry.version} has no environment: {error}") from None
            if built is None:
                self._building.add(name)
                raise Unservable(f"version {entry.version} waits for its environment, which uv is building")
            python = built
        return replace(entry, pyfunc=replace(entry.pyfunc, python=python))

    def waits(self, name: str) -> bool:
        """Whether a version of a model waits for its environment."""
        return name in self._building

    def forget(self) -> None:
        """Try again to build environments that failed."""
        self._environments.forget()

    def _loaded(self, entry: CachedVersion, old: CachedVersion | None) -> bool:
        """Whether a version can be served: it is served already, or would answer."""
        return entry == old or self.answers(entry)

    def answers(self, entry: CachedVersion) -> bool:
        """Whether a version answers requests."""
        return answers(self._settings, entry)
