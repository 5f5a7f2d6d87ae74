"""``python -m serving.server.follower LIFE``: follows until the pipe LIFE ends; the settings are in the environment.

It ends with 0 where there is nothing to follow, and with 2 where it was told what cannot be.
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
from serving.server.settings import SETTINGS, Settings, folder, reasons
from serving.server.source import source

#: While a model waits for the ledger to say more, it is looked at this often; in seconds.
SOON = 0.25
#: How often a registry that is away is tried, and another follower's end is waited for; in seconds.
AGAIN = 1.0


class Life:
    """Whether the supervisor lives, and sleeping until it does not."""

    def __init__(self, pipe: int):
        self._pipe = pipe

    def ends(self, within: float) -> bool:
        """Sleep; whether the supervisor has ended."""
        return bool(select.select([self._pipe], (), (), within)[0])


def run(settings: Settings, life: Life) -> int:
    """Follow until the supervisor ends, or what is served cannot change; the exit code."""
    cache = Cache(folder(settings), source(settings))
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


def _lead(settings: Settings, cache: Cache, life: Life) -> int:
    if settings.follows:
        return _follow(settings, cache, life)
    models = direct.read(settings.uris)
    if all(model.uri.local for model in models):
        direct.serve(cache, models, say)  # nothing to wait for, and no MLflow to import
    else:
        _tried(lambda: direct.serve(cache, models, say), life)
    return 0


def _tried(work: Callable[[], None], life: Life) -> bool:
    """Work until it is done; False where the supervisor ended before."""
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


def _follow(settings: Settings, cache: Cache, life: Life) -> int:
    from registry import ledger, policy
    from registry.client import connect, settle
    from registry.errors import RegistryError

    settle()
    policy.read(settings.policy)  # what is wrong with it from the beginning is told at once
    opened = ledger.open()
    clients: list = []
    if not _tried(lambda: clients.append(connect()), life):
        return 0
    from serving.server.follower.registry import Following

    following = Following(clients[0], opened, cache, lambda: policy.read(settings.policy), say)
    troubles = Troubles()
    with contextlib.closing(opened):
        while True:
            try:
                following.look()
            except (RegistryError, CacheError) as error:
                troubles.has("registry", str(error), after="; what is served goes on to be (trying on)")
                pause = AGAIN
            else:
                troubles.over("registry", "the registry answers again")
                pause = SOON if following.waiting else settings.poll
            if life.ends(pause):
                return 0


def main() -> int:
    """The program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from registry.errors import RegistryError
    from registry.redaction import explained

    settings = Settings.loads(os.environ[SETTINGS])
    try:
        return run(settings, Life(int(sys.argv[1])))
    except (*EXPECTED, RegistryError, ServingError) as error:
        reasons(settings).write_text(explained(str(error)), encoding="utf-8")
        return 2


if __name__ == "__main__":
    sys.exit(main())
