"""The follower's program, ``python -m serving.server.follower LIFE``: it runs until the pipe LIFE is closed.

The settings are in the environment. It exits with 0 if there is nothing (more) to follow, and with 2 if the settings
are wrong.
"""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable

from serving.errors import EXPECTED, ServingError
from serving.server.cache import Cache, CacheError
from serving.server.follower import direct
from serving.server.log import Troubles, say
from serving.server.settings import SETTINGS, ServerSettings, cache_folder, reasons
from serving.server.source import source

#: How often a model is looked at while it waits for the ledger, in seconds.
SOON = 0.25
#: How often to try a registry that does not answer, or to see whether another follower has ended, in seconds.
AGAIN = 1.0


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
    stood_by = False
    while True:
        with cache.leading() as leads:
            if leads:
                return _lead(settings, cache, life)
        if not stood_by:
            say("another server writes this cache; following what it writes")
            stood_by = True
        if life.ends(AGAIN):
            return 0


def _lead(settings: ServerSettings, cache: Cache, life: Life) -> int:
    if settings.follows:
        return _follow(settings, cache, life)
    models = direct.read(settings.uris)
    if all(model.uri.local for model in models):
        direct.serve(cache, models, say)  # nothing to wait for, and no MLflow to import
    else:
        _tried(lambda: direct.serve(cache, models, say), life)
    return 0


def _tried(work: Callable[[], None], life: Life) -> bool:
    """Repeat the work until it succeeds; False if the supervisor ended first."""
    from registry.errors import RegistryError

    troubles = Troubles()
    while True:
        try:
            work()
            return True
        except (RegistryError, CacheError) as error:
            troubles.has("registry", str(error), after=" (trying on)")
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

    follower = RegistryFollower(clients[0], opened, cache, lambda: policy.read(settings.policy), say)
    troubles = Troubles()
    with contextlib.closing(opened):
        while True:
            try:
                follower.look()
            except (RegistryError, CacheError) as error:
                troubles.has("registry", str(error), after="; what is served goes on to be (trying on)")
                pause = AGAIN
            else:
                troubles.over("registry", "the registry answers again")
                pause = SOON if follower.waiting else settings.poll
            if life.ends(pause):
                return 0


def main() -> int:
    """Run the program."""
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
