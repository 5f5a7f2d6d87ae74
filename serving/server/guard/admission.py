"""Whether a request is let in, before its body is read: key, scope, rate, and room for one more."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from serving.contract import Limits, RequestError
from serving.server.guard.keyring import Keyring
from serving.server.guard.keys import METRICS, PREDICT, Key
from serving.server.guard.rates import Rate, Rates, caller
from serving.server.memory import Lease, Pool

#: What a route asks of whoever comes. ``OPEN``: nothing, and it is never shed (liveness, readiness, files that say
#: nothing of any model). ``SEE``: a key, to be shown what its scope holds. ``ASK``: a key with the model in its scope,
#: at its rate. ``WATCH``: a key for metrics; never shed, since an overload is what metrics are to show.
OPEN, SEE, ASK, WATCH = "open", "see", "ask", "watch"

UNAUTHENTICATED = "UNAUTHENTICATED"
DENIED = "PERMISSION_DENIED"
LIMITED = "REQUEST_LIMIT_EXCEEDED"
BUSY = "TEMPORARILY_UNAVAILABLE"

#: What is shown costs more than what is answered: at most this, for those whose rate is limited at all.
LOOKING = Rate(20, 1, 40)

#: After how many seconds one that was shed may come again.
AGAIN = 1

_MUST = "expected the header Authorization: Bearer KEY"


class Refused(RequestError):
    """A request that is not let in.

    Parameters
    ----------
    headers : of the answer, beside the usual ones.
    """

    def __init__(self, message: str, *, status: int, code: str, headers: Sequence[tuple[bytes, bytes]] = ()):
        super().__init__(message, status=status, code=code)
        self.headers = tuple(headers)


class Lag:
    """How late an event loop is, which is how long requests wait in front of it.

    A worker answers small requests one after another, each as soon as it is read; when more come than it can answer,
    they wait in the sockets, where nobody counts them. A timer that fires late tells how long.

    Parameters
    ----------
    most : seconds beyond which it is too late.
    """

    #: Seconds between two looks, and how many of them in a row must be late: one long request is no overload.
    EVERY, TIMES = 0.05, 3

    def __init__(self, most: float):
        self._most, self._late = most, 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look from now on."""
        due = loop.time() + self.EVERY
        self._timer = loop.call_at(due, self._look, loop, due)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    @property
    def too_late(self) -> bool:
        """Whether requests wait too long."""
        return self._late >= self.TIMES

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._late = self._late + 1 if loop.time() - due > self._most else 0
        self.start(loop)


class Admission:
    """The door.

    Parameters
    ----------
    keys : None where everybody may ask.
    rate : of those whose key has none of its own, and, without keys, of each client address; None for no limit.
    rates : shared by all workers.
    most, most_bytes : requests in flight in this worker, and bytes of their bodies and of answers that are sent.
    most_work : bytes of memory that large requests may take together while they are answered; None for any number.
    lag : of this worker's loop; None not to look.
    open_metrics : whether ``WATCH`` asks for no key.
    refused : is told of each refusal: a reason (``unauthenticated``, ``denied``, ``limited``, ``busy``) and the name of
        the key, empty where there is none.
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
        self._tell = refused or (lambda reason, key: None)
        #: Requests that were admitted and have not left.
        self.inside = 0
        self._bytes = 0
        self._work = Pool(2**63 if most_work is None else most_work, lambda: self.busy())

    def refresh(self) -> None:
        """See whether the keys have changed; to be called every second or so."""
        if self._keys is not None:
            self._keys.refresh()

    def admit(self, access: str, headers, *, model: str = "", client: str = "", again: bool = False) -> Key | None:
        """Let a request in; where it returns, ``leave`` must follow.

        Parameters
        ----------
        access : what the route asks for.
        headers : pairs of bytes, the names in lower case.
        model : that is asked, where the route names one or means the default; looked up or not: a key is told alike
            of models that are out of its scope and of those that do not exist.
        client : the address it comes from, without a port.
        again : whether it was let in just before, and counted for its caller's rate.

        Returns
        -------
        Key or None
            whose request it is; None where no keys are asked for.

        Raises
        ------
        Refused
            with 401, 403, 429 or 503.
        """
        key = None
        if access is not OPEN:
            if self._keys is not None and not (access is WATCH and self._open_metrics):
                key = self._known(headers, self._keys)
                self._allowed(key, access, model)
            if access is not WATCH:
                if not again:
                    self._paced(key, access, client)
                if self.inside >= self._most or (self._lag is not None and self._lag.too_late):
                    raise self.busy(key.name if key is not None else None)
        self.inside += 1
        return key

    def hold(self, size: int, key: str | None = None) -> None:
        """Make room for bytes of the body of a request that was admitted; ``leave`` is told of them, too.

        Raises
        ------
        Refused
            with 503, where there is none.
        """
        if self._bytes + size > self._most_bytes:
            raise self.busy(key)
        self._bytes += size

    def room(self, size: int, key: str | None = None) -> None:
        """See that an answer of this size can wait until its client reads it; ``unsent`` is told of it then.

        Raises
        ------
        Refused
            with 503, where others wait already.
        """
        if self._bytes and self._bytes + size > self._most_bytes:
            raise self.busy(key)

    def unsent(self, size: int) -> None:
        """A client does not read so many bytes of its answer yet, or, where it is negative, has read them after all."""
        self._bytes += size

    def lease(self, limits: Limits, wait: float) -> Lease:
        """The memory of a large request that was admitted, which waits so many seconds for others at most."""
        return self._work.lease(limits, wait)

    def resize(self, most_bytes: int, most_work: int) -> None:
        """Share out memory anew: models took some, or gave it back."""
        self._most_bytes, self._work.most = most_bytes, most_work

    def leave(self, held: int = 0) -> None:
        """One that was admitted, and for whose body so many bytes are held, has been answered, or has gone."""
        self.inside -= 1
        self._bytes -= held

    def busy(self, key: str | None = None) -> Refused:
        """The refusal of a request for which there is no room now."""
        self._tell("busy", key or "")
        return Refused(
            f"the server has more requests than it can answer; try again in {AGAIN} s",
            status=503,
            code=BUSY,
            headers=((b"retry-after", b"%d" % AGAIN),),
        )

    def _known(self, headers, keys: Keyring) -> Key:
        found = [value for name, value in headers if name == b"authorization"]
        if len(found) != 1:
            several = "several of them" if found else "none"
            raise self._no_key(f"{_MUST}, found {several}")
        scheme, _, secret = found[0].partition(b" ")
        if scheme.lower() != b"bearer":
            raise self._no_key(f"{_MUST}, found another scheme")
        key = keys.find(secret.strip())
        if key is None:
            raise self._no_key("the key is not known here", invalid=True)
        if key.expires is not None and time.time() >= key.expires:
            raise self._no_key("the key has expired", invalid=True)
        return key

    def _allowed(self, key: Key, access: str, model: str) -> None:
        use = METRICS if access is WATCH else PREDICT
        if use not in key.uses:
            raise self._denied(key, f"the key {key.name} is not for {use}")
        if model and not key.sees(model):
            raise self._denied(key, f"the key {key.name} is not for this model")

    def _paced(self, key: Key | None, access: str, client: str) -> None:
        rate = key.rate if key is not None and key.rate is not None else self._rate
        if rate is None:
            return
        who = ("key", key.name) if key is not None else ("client", network(client))
        if access is SEE:
            rate, who = LOOKING, (who[0] + " looks", who[1])
        wait = self._rates.take(caller(*who), rate)
        if wait:
            seconds = math.ceil(wait)
            raise self._no(
                "limited",
                key,
                f"expected at most {rate.count:,} requests in {_period(rate.period)}; try again in {seconds} s",
                status=429,
                code=LIMITED,
                headers=((b"retry-after", b"%d" % seconds),),
            )

    def _no_key(self, message: str, *, invalid: bool = False) -> Refused:
        challenge = b'Bearer error="invalid_token"' if invalid else b"Bearer"
        return self._no(
            "unauthenticated",
            None,
            message,
            status=401,
            code=UNAUTHENTICATED,
            headers=((b"www-authenticate", challenge),),
        )

    def _denied(self, key: Key, message: str) -> Refused:
        headers = ((b"www-authenticate", b'Bearer error="insufficient_scope"'),)
        return self._no("denied", key, message, status=403, code=DENIED, headers=headers)

    def _no(self, reason: str, key: Key | None, message: str, **answer) -> Refused:
        self._tell(reason, key.name if key is not None else "")
        return Refused(message, **answer)


def network(client: str) -> str:
    """An address as rates count it: whoever has one of IPv6 has a whole /64 of them."""
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
