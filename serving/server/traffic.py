"""Routes requests between champion and challenger, and compares their answers."""

import math
import time
from dataclasses import dataclass, field
from hashlib import blake2b

from serving.contract import OUTPUTS, RequestError, answers
from serving.server.messages import Request
from serving.server.pyfunc.client import ask_idle
from serving.server.pyfunc.model import PyfuncModel
from serving.server.state import ServedModel, ServedVersion

NONE, CANARY = "none", "canary"
#: Headers whose value keeps a caller's requests with one version; the first one present counts.
KEYS = (b"x-request-key", b"x-session-id")
#: Maximum relative difference of numbers that count as the same answer.
SAME = 1e-9
#: Seconds that a model without a scorecard may take to answer in the shadow.
IDLE_LIMIT = 30.0

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


@dataclass(frozen=True)
class ShadowAnswer:
    """What a version answers to one request.

    Parameters
    ----------
    status : as HTTP would have it.
    rows : number of rows; 0 if the version refuses the request.
    found : its predictions.
    likely : its probabilities; None if it has none.
    seconds : from the request's text to the answer.
    """

    status: int
    rows: int = 0
    found: list = field(default_factory=list)
    likely: list | None = None
    seconds: float = 0.0


def compare(ask, champion: ServedVersion, challenger: ServedVersion, *, few: int | None = None) -> ShadowComparison:
    """Compare the answers of two versions to one request; parameters as in ``answer_of``."""
    return compare_answers(answer_of(ask, champion, few=few), answer_of(ask, challenger, few=few), champion)


def compare_answers(first: ShadowAnswer, second: ShadowAnswer, champion: ServedVersion) -> ShadowComparison:
    """Compare the answers of a champion and its challenger to one request."""
    comparison = ShadowComparison(requests=1)
    if not first.rows or not second.rows:
        # A request that both refuse is no difference.
        comparison.failed = int(bool(first.rows) != bool(second.rows))
        return comparison
    if len(first.found) != len(second.found):  # models without a scorecard answer as they like
        comparison.failed = 1
        return comparison
    comparison.rows = len(first.found)
    for place, (one, other) in enumerate(zip(first.found, second.found, strict=True)):
        number = _is_number(one) and _is_number(other) and champion.card.classes is None
        if number:
            distance = abs(one - other)
            comparison.different += distance > SAME * max(abs(one), abs(other))
        else:
            comparison.different += one != other
            distance = float(one != other)
            if first.likely is not None and second.likely is not None:
                distance = _apart(first.likely[place], second.likely[place])
        if math.isfinite(distance):
            comparison.distance += distance
            comparison.largest = max(comparison.largest, distance)
    return comparison


def answer_of(ask, version: ServedVersion, *, few: int | None = None) -> ShadowAnswer:
    """What a version answers to a request, with its probabilities.

    Parameters
    ----------
    ask : parses the request for a version, and raises RequestError if it is invalid for it.
    few : as for ``answers``.
    """
    began = time.perf_counter()
    try:
        table, card = ask(version).table, version.card
        if isinstance(card, PyfuncModel):
            signature = card.signature
            answer = ask_idle(card.places, table, within=IDLE_LIMIT, known=signature.known, summary=signature.summary)
            found, likely = answer if isinstance(answer, list) else [answer], None
        else:
            found = answers(card, table, OUTPUTS[0], few=few)
            likely = answers(card, table, OUTPUTS[1], few=few) if card.has_probabilities else None
    except RequestError as error:
        return ShadowAnswer(error.status, seconds=time.perf_counter() - began)
    return ShadowAnswer(200, table.count, found, likely, time.perf_counter() - began)


def _apart(one: dict, other: dict) -> float:
    return max(abs(one.get(label, 0.0) - other.get(label, 0.0)) for label in {**one, **other})


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
