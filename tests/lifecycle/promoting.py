"""What other processes do in the tests of promotion: promote, and die before the write that they are told to.

They are forked from a server that has imported all of it, so that each is there at once.
"""

import contextlib
import os
import random
import signal
from collections.abc import Callable
from multiprocessing.synchronize import Barrier

from mlflow import MlflowClient

from registry import ledger, promotion, stages, transitions
from registry.gates import GateResult, Verdict
from registry.ledger import Ledger
from registry.policy import StageHook
from registry.stages import PRODUCTION, STAGING
from tests.logged import before_writes
from tests.registry.registered import passing, take_back

#: Tells when the others have to be ready, in seconds.
PATIENCE = 120


def dying(place: int) -> Callable[[str], None]:
    """An observer that kills its process just before the write of that number."""
    seen: list[str] = []

    def observe(step: str) -> None:
        seen.append(step)
        if len(seen) == place:
            os.kill(os.getpid(), signal.SIGKILL)

    return observe


def begin(tracking: str, book: str) -> tuple[MlflowClient, Ledger]:
    """A client and a ledger of a process's own."""
    os.environ["MLFLOW_TRACKING_URI"] = tracking
    return MlflowClient(tracking, tracking), ledger.open(book)


def promote(tracking: str, book: str, name: str, place: int) -> None:
    """Promote version 2 to Production, and die before the write of that number."""
    client, own = begin(tracking, book)
    with before_writes(dying(place)):
        promotion.promote(client, own, name, "2", stage=PRODUCTION, reason="better", actor="ann", judge=passing)


def restore(tracking: str, book: str, name: str, place: int) -> None:
    """Take version 2, which came by hand, back to Staging and version 1 to Production, and die likewise."""
    client, own = begin(tracking, book)
    with before_writes(dying(place)):
        take_back(client, own, name, "2", [("1", PRODUCTION), ("2", STAGING)])


def recover(tracking: str, book: str, name: str, place: int) -> None:
    """Finish what is open, and die before the write of that number."""
    client, own = begin(tracking, book)
    with before_writes(dying(place)):
        transitions.recover(client, own, name)


def scores(race: int, versions: list[str]) -> dict[str, int]:
    """How good each version is in a race: no two alike."""
    places = list(range(len(versions)))
    random.Random(race).shuffle(places)
    return dict(zip(versions, places, strict=True))


def race(tracking: str, book: str, name: str, own: str, versions: list[str], races: int, barrier: Barrier) -> None:
    """Promote one version in every race, at the same moment as the others do theirs.

    The gate lets through what is better than the champion: so the best is the champion at the end of every race,
    whatever the order, if everyone is judged against the champion that is there when it moves.
    """
    client, opened = begin(tracking, book)
    try:
        for number in range(races):
            score = scores(number, versions)
            barrier.wait(PATIENCE)
            _promote_better(client, opened, name, own, score, f"race {number}")
            barrier.wait(PATIENCE)
            if own == versions[0]:
                state = stages.read(client, name)
                best = max(score, key=lambda version: score[version])
                assert [version.number for version in state.in_stage(PRODUCTION)] == [best], (number, score, state)
                assert state.aliases == {"champion": best}
            barrier.wait(PATIENCE)
    except BaseException:
        barrier.abort()
        raise


def _promote_better(
    client: MlflowClient, opened: Ledger, name: str, own: str, score: dict[str, int], reason: str
) -> None:
    """Promote a version, if it is better than the champion."""

    def judge(version: str, champion: str | None) -> Verdict:
        better = champion is None or score[version] > score[champion]
        return Verdict(better, (GateResult("champion", better, "by its score"),), "sha256:ab", champion)

    actor = f"process {own}"
    with contextlib.suppress(promotion.PromotionRefused):
        promotion.promote(client, opened, name, own, stage=PRODUCTION, reason=reason, actor=actor, judge=judge)


def follow(tracking: str, book: str, name: str, command: str) -> None:
    """Promote version 1 to Production, and let a command follow."""
    client, own = begin(tracking, book)
    follower = StageHook(command=command, webhook=None, stages=(), timeout=30, tries=3, secret=None)
    given = {"stage": PRODUCTION, "reason": "better", "actor": "ann", "judge": passing, "followers": (follower,)}
    promotion.promote(client, own, name, "1", **given)
