"""Admits or refuses a request before its body is read: key, scope, rate limit and load."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from serving.contract import Limits, RequestError
from serving.server.guard.keyring import Keyring
from serving.server.guard.keys import METRICS, PREDICT, Key
from serving.server.guard.rates import Rate, Rates, caller
from serving.server.memory import Lease, Pool, Shares
from serving.server.settings import ServerSettings

#: What a route requires. ``OPEN``: nothing, and it is never shed (liveness, readiness, static files). ``SEE``: a key,
#: which sees the models in its scope. ``ASK``: a key with the model in its scope, within its rate limit. ``WATCH``: a
#: key for metrics; never shed, since metrics have to show an overload.
OPEN, SEE, ASK, WATCH = "open", "see", "ask", "watch"

UNAUTHENTICATED = "UNAUTHENTICATED"
DENIED = "PERMISSION_DENIED"
LIMITED = "REQUEST_LIMIT_EXCEEDED"
BUSY = "TEMPORARILY_UNAVAILABLE"

#: Rate limit of ``SEE``, which costs more than a prediction, for callers whose rate is limited at all.
LOOKING = Rate(20, 1, 40)

#: Seconds after which a client may retry a request that was shed.
AGAIN = 1

#: The event loop is overloaded if requests wait longer than this, in seconds.
LATE = 0.5

_MUST = "expected the header Authorization: Bearer KEY"


class NotAdmitted(RequestError):
    """A request that is not admitted.

    Parameters
    ----------
    headers : additional headers of the answer.
    """

    def __init__(self, message: str, *, status: int, code: str, headers: Sequence[tuple[bytes, bytes]] = ()):
        super().__init__(message, status=status, code=code)
        self.headers = tuple(headers)


class Lag:
    """How late the event loop is, which is how long requests wait for it.

    A worker answers small requests one after another, each as soon as it is read. If more arrive than it can answer,
    they wait in the sockets, where nothing counts them; a timer that fires late shows for how long.

    Parameters
    ----------
    most : maximum lateness, in seconds.
    """

    #: Seconds between two checks, and how many in a row must be late: one long request is no overload.
    EVERY, TIMES = 0.05, 3

    def __init__(self, most: float):
        self._most, self._late = most, 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start checking."""
        due = loop.time() + self.EVERY
        self._timer = loop.call_at(due, self._check, loop, due)

    def stop(self) -> None:
        """Stop checking."""
        if self._timer is not None:
            self._timer.cancel()

    @property
    def too_late(self) -> bool:
        """Whether requests wait too long."""
        return self._late >= self.TIMES

    def _check(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._late = self._late + 1 if loop.time() - due > self._most else 0
        self.start(loop)


class Admission:
    """Admits or refuses the requests of a worker.

    Parameters
    ----------
    keys : None if requests need no key.
    rate : rate limit of keys without their own and, without keys, of each client address; None for no limit.
    rates : shared by all workers.
    most, most_bytes : maximum number of requests in flight, and bytes of their bodies and of unsent answers.
    most_work : maximum memory of all large requests together, in bytes; None for no limit.
    lag : of this worker's event loop; None not to shed load by it.
    open_metrics : whether ``WATCH`` needs no key.
    refused : called for each refusal with a reason (``unauthenticated``, ``denied``, ``limited``, ``busy``) and the
        name of the key, empty if there is none.
    """

    def __init__(
        self,
        *,
        keys: Keyring | None = None,
        rate: Rate | None = None,
        rates: Rates | None = None,
        most: int = 256,
        most_bytes: int = 256 * 1024 * 1024,
        most_work: int | None = None,
        lag: Lag | None = None,
        open_metrics: bool = False,
        refused: Callable[[str, str], None] | None = None,
    ):
        self._keys, self._rate, self._rates = keys, rate, rates or Rates()
        self._most, self._most_bytes, self._lag, self._open_metrics = most, most_bytes, lag, open_metrics
        self._refused = refused or (lambda reason, key: None)
        #: Requests that were admitted and have not left.
        self.inside = 0
        self._bytes = 0
        self._work = Pool(2**63 if most_work is None else most_work, lambda: self.busy())

    @classmethod
    def of(cls, settings: ServerSettings, shares: Shares, refused: Callable[[str, str], None]) -> "Admission":
        """The admission of a worker with these settings and shares of its memory.

        Raises
        ------
        ServingError
            if the keys cannot be read.
        """
        return cls(
            keys=Keyring.of(settings),
            rate=Rate.parse(settings.rate) if settings.rate else None,
            rates=Rates(Path(settings.metrics_folder) / "rates" if settings.metrics_folder else None),
            most=settings.max_pending,
            most_bytes=shares.bodies,
            most_work=shares.work,
            lag=Lag(LATE),
            open_metrics=settings.open_metrics,
            refused=refused,
        )

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start checking how late the event loop is."""
        if self._lag is not None:
            self._lag.start(loop)

    def stop(self) -> None:
        """Stop checking it."""
        if self._lag is not None:
            self._lag.stop()

    def refresh(self) -> None:
        """Read the keys again if they have changed; to be called about every second."""
        if self._keys is not None:
            self._keys.refresh()

    def admit(self, access: str, headers, *, model: str = "", client: str = "", again: bool = False) -> Key | None:
        """Admit a request; if this returns, ``leave`` must follow.

        Parameters
        ----------
        access : what the route requires.
        headers : pairs of bytes, the names in lower case.
        model : the model that the route names or means by default, whether or not it exists: a key gets the same
            answer for models out of its scope and for models that do not exist.
        client : the client's address, without a port.
        again : whether the request was admitted just before, and counted against its caller's rate limit.

        Returns
        -------
        Key or None
            the caller's key; None if the route needs none.

        Raises
        ------
        NotAdmitted
            with 401, 403, 429 or 503.
        """
        key = None
        if access is not OPEN:
            if self._keys is not None and not (access is WATCH and self._open_metrics):
                key = self._authenticate(headers, self._keys)
                self._authorize(key, access, model)
            if access is not WATCH:
                if not again:
                    self._limit_rate(key, access, client)
                if self.inside >= self._most or (self._lag is not None and self._lag.too_late):
                    raise self.busy(key.name if key is not None else None)
        self.inside += 1
        return key

    def hold(self, size: int, key: str | None = None) -> None:
        """Reserve room for bytes of an admitted request's body, which ``leave`` releases.

        Raises
        ------
        NotAdmitted
            with 503, if there is none.
        """
        if self._bytes + size > self._most_bytes:
            raise self.busy(key)
        self._bytes += size

    def room(self, size: int, key: str | None = None) -> None:
        """Check that an answer of this size can wait until its client reads it; ``unsent`` accounts for it.

        Raises
        ------
        NotAdmitted
            with 503, if too many answers wait already.
        """
        if self._bytes and self._bytes + size > self._most_bytes:
            raise self.busy(key)

    def unsent(self, size: int) -> None:
        """Account for this many more (or, if negative, fewer) bytes of answers that clients have not read."""
        self._bytes += size

    def lease(self, limits: Limits, wait: float) -> Lease:
        """Memory for an admitted large request, which waits at most ``wait`` seconds for others to release theirs."""
        return self._work.lease(limits, wait)

    def resize(self, most_bytes: int, most_work: int) -> None:
        """Change the limits after models have taken or released memory."""
        self._most_bytes, self._work.most = most_bytes, most_work

    def leave(self, held: int = 0) -> None:
        """Account for an admitted request that was answered or whose client has gone, and release ``held`` bytes."""
        self.inside -= 1
        self._bytes -= held

    def busy(self, key: str | None = None) -> NotAdmitted:
        """The refusal of a request that there is no room for."""
        self._refused("busy", key or "")
        return NotAdmitted(
            f"the server has more requests than it can answer; try again in {AGAIN} s",
            status=503,
            code=BUSY,
            headers=((b"retry-after", b"%d" % AGAIN),),
        )

    def _authenticate(self, headers, keys: Keyring) -> Key:
        found = [value for name, value in headers if name == b"authorization"]
        if len(found) != 1:
            several = "several of them" if found else "none"
            raise self._unauthenticated(f"{_MUST}, found {several}")
        scheme, _, secret = found[0].partition(b" ")
        if scheme.lower() != b"bearer":
            raise self._unauthenticated(f"{_MUST}, found another scheme")
        key = keys.find(secret.strip())
        if key is None:
            raise self._unauthenticated("the key is not known here", invalid=True)
        if key.expires is not None and time.time() >= key.expires:
            raise self._unauthenticated("the key has expired", invalid=True)
        return key

    def _authorize(self, key: Key, access: str, model: str) -> None:
        use = METRICS if access is WATCH else PREDICT
        if use not in key.uses:
            raise self._denied(key, f"the key {key.name} is not for {use}")
        if model and not key.sees(model):
            raise self._denied(key, f"the key {key.name} is not for this model")

    def _limit_rate(self, key: Key | None, access: str, client: str) -> None:
        rate = key.rate if key is not None and key.rate is not None else self._rate
        if rate is None:
            return
        who = ("key", key.name) if key is not None else ("client", network(client))
        if access is SEE:
            rate, who = LOOKING, (who[0] + " looks", who[1])
        wait = self._rates.take(caller(*who), rate)
        if wait:
            seconds = math.ceil(wait)
            raise self._refusal(
                "limited",
                key,
                f"expected at most {rate.count:,} requests in {_period(rate.period)}; try again in {seconds} s",
                status=429,
                code=LIMITED,
                headers=((b"retry-after", b"%d" % seconds),),
            )

    def _unauthenticated(self, message: str, *, invalid: bool = False) -> NotAdmitted:
        challenge = b'Bearer error="invalid_token"' if invalid else b"Bearer"
        return self._refusal(
            "unauthenticated",
            None,
            message,
            status=401,
            code=UNAUTHENTICATED,
            headers=((b"www-authenticate", challenge),),
        )

    def _denied(self, key: Key, message: str) -> NotAdmitted:
        headers = ((b"www-authenticate", b'Bearer error="insufficient_scope"'),)
        return self._refusal("denied", key, message, status=403, code=DENIED, headers=headers)

    def _refusal(self, reason: str, key: Key | None, message: str, **answer) -> NotAdmitted:
        self._refused(reason, key.name if key is not None else "")
        return NotAdmitted(message, **answer)


def network(client: str) -> str:
    """An address as rate limits count it: an IPv6 client has a whole /64 network of addresses."""
    if ":" not in client:
        return client
    import ipaddress

    try:
        address = ipaddress.IPv6Address(client.partition("%")[0])
    except ValueError:
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return address.packed[:8].hex()


def _period(seconds: int) -> str:
    return {1: "a second", 60: "a minute", 3600: "an hour"}[seconds]
