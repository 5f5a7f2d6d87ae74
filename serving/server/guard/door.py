"""The door of a worker, as the settings want it."""

import os
from collections.abc import Callable
from pathlib import Path

from serving.server.guard.admission import Admission, Lag
from serving.server.guard.keyring import Keyring
from serving.server.guard.rates import Rate, Rates
from serving.server.memory import Shares
from serving.server.settings import Settings

#: Requests that wait longer than this in front of a worker, in seconds, are too many.
LATE = 0.5


def keyring(settings: Settings) -> Keyring | None:
    """The keys that the settings and the environment name; None where there are none.

    Raises
    ------
    ServingError
        where they cannot be read.
    """
    memory = Path(settings.metrics_folder) / "keys.json" if settings.metrics_folder else None
    return Keyring.of(Path(settings.keys) if settings.keys else None, os.environ, memory=memory)


def door(settings: Settings, shares: Shares, refused: Callable[[str, str], None]) -> tuple[Admission, Lag]:
    """The door, and the clock that it looks at, which is to be started with the loop.

    Parameters
    ----------
    shares : of the worker's memory.
    refused : is told of each refusal: a reason, and the name of the key or nothing.
    """
    lag = Lag(LATE)
    shared = Path(settings.metrics_folder) / "rates" if settings.metrics_folder else None
    admission = Admission(
        keys=keyring(settings),
        rate=Rate.parse(settings.rate) if settings.rate else None,
        rates=Rates(shared),
        most=settings.max_pending,
        most_bytes=shares.bodies,
        most_work=shares.work,
        lag=lag,
        open_metrics=settings.open_metrics,
        refused=refused,
    )
    return admission, lag
