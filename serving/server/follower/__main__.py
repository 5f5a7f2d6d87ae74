"""The follower's program, ``python -m serving.server.follower LIFE``: it runs until the pipe LIFE is closed.

The settings are in the environment. It exits with 0 if there is nothing (more) to follow, and with 2 if the settings
are wrong.
"""

import contextlib
import logging
import os
import select
import signal
import sys
from collections.abc import Callable

from registry import logs
from registry.troubles import Troubles
from serving.errors import EXPECTED, ServingError
from serving.server.cache import Cache, CacheError
from serving.server.follower import direct
from serving.server.follower.lanes import FollowerLanes, answers
from serving.server.log import LogLines
from serving.server.settings import SETTINGS, ServerSettings, cache_folder, reasons
from serving.server.source import source

#: How often a model is looked at while it waits for the ledger, or is being loaded, in seconds.
SOON = 0.25
#: How often to try a registry that does not answer, or to see whether another follower has ended, in seconds.
AGAIN = 1.0

_log = logs.get_logger("serving.server.follower")


class Life:
    """The life of the supervisor, known by a pipe that closes with it."""

    def __init__(self, pipe: int):
        self._pipe = pipe

    def ends(self, within: float) -> bool:
        """Sleep up to ``within`` seconds; True as soon as the supervisor has ended."""
        return bool(select.select([self._pipe], (), (), within)[0])


def run(settings: ServerSettings, life: Life) -> int:
    """Follow until the supervisor ends, or there is nothing left to follow; returns the exit code."""
    cache = Cache(cache_folder(settings), source(settings))
    cache.make()
    stands_by = False
    while True:
        with cache.leading() as leads:
            if leads:
                return _lead(settings, cache, life)
        if not stands_by:
            _log.info("another server writes this cache; this one serves what it writes")
            stands_by = True
        if life.ends(AGAIN):
            return 0


def _lead(settings: ServerSettings, cache: Cache, life: Life) -> int:
    if settings.follows:
        return _follow(settings, cache, life)
    models = direct.read(settings.uris)
    if all(model.uri.local for model in models):
        _serve(cache, models, settings)  # nothing to wait for, and no MLflow to import
        _tell_loaded(settings, cache, life, invited=True)
    elif _tried(lambda: _serve(cache, models, settings), life):
        _tell_loaded(settings, cache, life, invited=False)
    return 0


def _tell_loaded(settings: ServerSettings, cache: Cache, life: Life, *, invited: bool) -> None:
    """Say of each model that lanes answer for that it is served, once it is; and how to ask the first, if not said."""
    champions = {model.name: model.champion for model in cache.read().models if model.champion}
    loading = {name: champion for name, champion in champions.items() if champion.pyfunc is not None}
    while True:
        for name in [name for name, champion in loading.items() if answers(settings, champion)]:
            _log.info("%s: version %s is served", name, loading.pop(name).version)
        invited = invited or _invite(settings, cache)
        if not loading or life.ends(SOON):
            return


def _serve(cache: Cache, models: list[direct.NamedURI], settings: ServerSettings) -> None:
    direct.serve(cache, models, pyfunc=settings.pyfunc, python=settings.pyfunc_python)


def _invite(settings: ServerSettings, cache: Cache) -> bool:
    """Say what to type to ask a model, if there is one that answers."""
    from registry.cli import next_steps

    models = cache.read().models
    served = next((model.name for model in models if model.champion and answers(settings, model.champion)), None)
    if served is not None:
        _log.info("ask it: %s", next_steps.of_served(settings.url, served))
    return served is not None


def _tried(work: Callable[[], None], life: Life) -> bool:
    """Repeat the work until it succeeds; False if the supervisor ended first."""
    from registry.errors import RegistryError

    troubles = Troubles(_log.warning, _log.info)
    while True:
        try:
            work()
            return True
        except (RegistryError, CacheError) as error:
            troubles.has("registry", str(error), after="; it is tried again")
        if life.ends(AGAIN):
            return False


def _follow(settings: ServerSettings, cache: Cache, life: Life) -> int:
    from registry import ledger, policy
    from registry.client import connect, settle
    from registry.errors import RegistryError

    settle()
    policy.read(settings.policy)  # report a wrong policy at once
    opened = ledger.open()
    clients: list = []
    if not _tried(lambda: clients.append(connect()), life):
        return 0
    from serving.server.follower.registry import RegistryFollower

    lanes = FollowerLanes(settings, cache) if settings.pyfunc else None
    follower = RegistryFollower(clients[0], opened, cache, lambda: policy.read(settings.policy), lanes=lanes)
    troubles, invited, looked = Troubles(_log.warning, _log.info), False, False
    with contextlib.closing(opened):
        while True:
            try:
                follower.look()
                invited = invited or _invite(settings, cache)
                if not looked and not cache.read().models:
                    _log.info("the registry has no model yet; a version is served as soon as it is in Production")
                looked = True
            except (RegistryError, CacheError) as error:
                troubles.has("registry", str(error), after="; it is tried again, and what is served stays")
                pause = AGAIN
            else:
                troubles.over("registry", "the registry answers again")
                pause = SOON if follower.waiting else settings.poll
            if life.ends(pause):
                return 0


def main() -> int:
    """Run the program."""
    logger = logging.getLogger(logs.ROOT)
    logger.handlers, logger.propagate = [LogLines()], False
    logger.setLevel(logging.INFO)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from registry.errors import RegistryError
    from registry.redaction import explained

    settings = ServerSettings.loads(os.environ[SETTINGS])
    try:
        return run(settings, Life(int(sys.argv[1])))
    except (*EXPECTED, RegistryError, ServingError) as error:
        reasons(settings).write_text(explained(str(error)), encoding="utf-8")
        return 2


if __name__ == "__main__":
    sys.exit(main())
