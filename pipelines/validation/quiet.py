"""Great Expectations without its noise: imported late, no analytics, no log lines, no warnings, nothing written."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from types import ModuleType


@contextlib.contextmanager
def great_expectations() -> Iterator[ModuleType]:
    """The package, imported at first use (2.6 s), silent inside the ``with``.

    Analytics are switched off for the process before the import: releases that have them read the setting there.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    # Its modules set levels of their own, so a level here would not do: what they log ends at the package's logger.
    logger, silence = logging.getLogger("great_expectations"), logging.NullHandler()
    propagates = logger.propagate
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.addHandler(silence)
        logger.propagate = False
        try:
            import great_expectations as gx

            yield gx
        finally:
            logger.propagate = propagates
            logger.removeHandler(silence)


def context(gx: ModuleType):
    """A new ephemeral context (4 ms): nothing on disk, no progress bars, and no table kept from an earlier one."""
    made = gx.get_context(mode="ephemeral")
    made.variables.progress_bars = {"globally": False, "metric_calculations": False}
    return made
