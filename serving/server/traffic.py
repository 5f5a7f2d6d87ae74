"""Routes requests between champion and challenger, and compares their answers."""

import math
from dataclasses import dataclass
from hashlib import blake2b

from serving.contract import OUTPUTS, RequestError, answers
from serving.server.messages import Request
from serving.server.state import ServedModel, ServedVersion

NONE, CANARY = "none", "canary"
#: Headers whose value keeps a caller's requests with one version; the first one present counts.
KEYS = (b"x-request-key", b"x-session-id")
#: Maximum relative difference of numbers that count as the same answer.
SAME = 1e-9

_SPAN = 2.0**64


def choose(model: ServedModel, request: Request) -> tuple[ServedVersion, ServedVersion | None]:
    """The version that answers a request without a version, and the challenger to ask in the shadow, if any.

    The choice depends only on the model's name, the request's key and the weight, so that all workers agree, and a
    greater weight only moves keys from the champion to the challenger. Without a header of ``KEYS`` the key is the
    request's body, so that equal requests get equal answers.
    """
    traffic, challenger = model.traffic, model.challenger
    if challenger is None or traffic.mode == NONE or not traffic.weight > 0.0:
        return model.champion, None
    if traffic.weight < 1.0 and position(model.name, key(request)) >= traffic.weight:
        return model.champion, None
    return (challenger, None) if traffic.mode == CANARY else (model.champion, challenger)


def key(request: Request) -> bytes:
    """The key that keeps a request with one version."""
    for name, value in request.headers:
        if name in KEYS and value:
            found = request.header(KEYS[0]) or request.header(KEYS[1]) or ""
            return found.encode("latin-1")
    return request.body


def position(name: str, key: bytes) -> float:
    """Hash a key to [0, 1), uniformly and equally on all machines."""
    spread = blake2b(key, digest_size=8, key=blake2b(name.encode(), digest_size=16).digest())
    return min(int.from_bytes(spread.digest(), "big") / _SPAN, math.nextafter(1.0, 0.0))


@dataclass
class ShadowComparison:
    """How the answers of two versions to the same requests differ.

    Parameters
    ----------
    requests, rows : that both answered, or one refused.
    different : rows whose answers differ: other labels, or numbers that differ by more than ``SAME``.
    failed : requests that one of the two answered and the other refused.
    dropped : requests that were not compared because too many waited.
    distance, largest : sum and maximum over the rows of the distance between the answers: the difference of two
        numbers, or the largest difference of a class's probability (0 or 1 without probabilities).
    """

    requests: int = 0
    rows: int = 0
    different: int = 0
    failed: int = 0
    dropped: int = 0
    distance: float = 0.0
    largest: float = 0.0

    def add(self, other: "ShadowComparison") -> None:
        """Add another comparison."""
        for name in ("requests", "rows", "different", "failed", "dropped", "distance"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest = max(self.largest, other.largest)


def compare(ask, champion: ServedVersion, challenger: ServedVersion, *, few: int | None = None) -> ShadowComparison:
    """Compare the answers of two versions to one request.

    Parameters
    ----------
    ask : parses the request for a version, and raises RequestError if it is invalid for it.
    few : as for ``answers``.
    """
    comparison = ShadowComparison(requests=1)
    first, second = (_answers(ask, version, few) for version in (champion, challenger))
    if first is None or second is None:
        # A request that both refuse is no difference.
        comparison.failed = int((first is None) != (second is None))
        return comparison
    comparison.rows = len(first[0])
    for place, (one, other) in enumerate(zip(first[0], second[0], strict=True)):
        number = _is_number(one) and _is_number(other) and champion.card.classes is None
        if number:
            distance = abs(one - other)
            comparison.different += distance > SAME * max(abs(one), abs(other))
        else:
            comparison.different += one != other
            distance = float(one != other)
            if first[1] is not None and second[1] is not None:
                distance = _apart(first[1][place], second[1][place])
        if math.isfinite(distance):
            comparison.distance += distance
            comparison.largest = max(comparison.largest, distance)
    return comparison


def _answers(ask, version: ServedVersion, few: int | None) -> tuple[list, list | None] | None:
    """Predictions, and probabilities if the model has them; None if the version refuses the request."""
    try:
        table = ask(version).table
        found = answers(version.card, table, OUTPUTS[0], few=few)
        return found, answers(version.card, table, OUTPUTS[1], few=few) if version.card.has_probabilities else None
    except RequestError:
        return None


def _apart(one: dict, other: dict) -> float:
    return max(abs(one.get(label, 0.0) - other.get(label, 0.0)) for label in {**one, **other})


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
