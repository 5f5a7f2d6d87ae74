"""Which version answers a request, which are asked beside it, and how far apart their answers are."""

import math
from hashlib import blake2b

from serving.contract import OUTPUTS, RequestError, answers
from serving.server.messages import Request
from serving.server.state import ServedModel, ServedVersion

NONE, CANARY = "none", "canary"
#: Headers whose value keeps the requests of one caller with one version; the first that is there counts.
KEYS = (b"x-request-key", b"x-session-id")
#: Numbers that are nearer to each other than this, relatively, are the same answer.
SAME = 1e-9

_SPAN = 2.0**64


def choose(model: ServedModel, request: Request) -> tuple[ServedVersion, ServedVersion | None]:
    """Who answers a request that names no version, and who is asked beside it, unless that is nobody.

    The choice hangs on the model's name, the request's key and the weight alone, so that all workers agree, and a
    greater weight only ever moves keys from the champion to the challenger. Without a header of ``KEYS`` the key is
    the request's body: the same question then has the same answer, however often it is asked.
    """
    traffic, challenger = model.traffic, model.challenger
    if challenger is None or traffic.mode == NONE or not traffic.weight > 0.0:
        return model.champion, None
    if traffic.weight < 1.0 and position(model.name, key(request)) >= traffic.weight:
        return model.champion, None
    return (challenger, None) if traffic.mode == CANARY else (model.champion, challenger)


def key(request: Request) -> bytes:
    """What keeps a request with one version."""
    for name, value in request.headers:
        if name in KEYS and value:
            found = request.header(KEYS[0]) or request.header(KEYS[1]) or ""
            return found.encode("latin-1")
    return request.body


def position(name: str, key: bytes) -> float:
    """The place of a key among all of a model's, from 0 to below 1: evenly spread, and the same everywhere."""
    spread = blake2b(key, digest_size=8, key=blake2b(name.encode(), digest_size=16).digest())
    return min(int.from_bytes(spread.digest(), "big") / _SPAN, math.nextafter(1.0, 0.0))


class Comparison:
    """How often two versions were asked the same, and how far apart their answers were.

    Parameters
    ----------
    requests, rows : that both answered, or one refused.
    different : rows whose answers are not the same: another label, or numbers further apart than ``SAME``.
    failed : requests that one of the two answered and the other refused.
    dropped : requests that were not compared, because too many waited.
    distance, largest : sum and maximum over the rows of the distance between the answers: of two numbers the
        difference, of two classes the largest difference of a probability (0 or 1 where there are none).
    """

    __slots__ = ("different", "distance", "dropped", "failed", "largest", "requests", "rows")

    def __init__(self):
        self.requests = self.rows = self.different = self.failed = self.dropped = 0
        self.distance = self.largest = 0.0

    def add(self, other: "Comparison") -> None:
        """Count another tally in."""
        for name in ("requests", "rows", "different", "failed", "dropped", "distance"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest = max(self.largest, other.largest)

    def to_dict(self) -> dict:
        """The counts by their names."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, counts: dict) -> "Comparison":
        """The tally that ``to_dict`` told."""
        found = cls()
        for name, value in counts.items():
            setattr(found, name, value)
        return found


def compare(ask, champion: ServedVersion, challenger: ServedVersion, *, few: int | None = None) -> Comparison:
    """Both versions' answers to one request, compared.

    Parameters
    ----------
    ask : reads the request for a version: ``Version -> Question``; raises RequestError where it is malformed for it.
    few : as ``answers`` takes it.
    """
    tally = Comparison()
    tally.requests = 1
    first, second = (_answers(ask, version, few) for version in (champion, challenger))
    if first is None or second is None:
        # What both refuse is no difference.
        tally.failed = int((first is None) != (second is None))
        return tally
    tally.rows = len(first[0])
    for place, (one, other) in enumerate(zip(first[0], second[0], strict=True)):
        number = _is_number(one) and _is_number(other) and champion.card.classes is None
        if number:
            distance = abs(one - other)
            tally.different += distance > SAME * max(abs(one), abs(other))
        else:
            tally.different += one != other
            distance = float(one != other)
            if first[1] is not None and second[1] is not None:
                distance = _apart(first[1][place], second[1][place])
        if math.isfinite(distance):
            tally.distance += distance
            tally.largest = max(tally.largest, distance)
    return tally


def _answers(ask, version: ServedVersion, few: int | None) -> tuple[list, list | None] | None:
    """Predictions, and probabilities where there are; None where it refuses."""
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
