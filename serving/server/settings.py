"""What a server is told when it starts, on the command line or by its environment; it does not change afterwards."""

import ipaddress
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from serving.contract import Limits
from serving.errors import ServingError
from serving.server.memory import LEAST, MAX_MEMORY, Shares

#: Where nothing else is said: the folder that the follower writes and the workers read.
CACHE = ".serving-cache"

#: The variables by which the supervisor tells its processes the settings, and a worker which one it is.
SETTINGS, PLACE = "SERVING_SETTINGS", "SERVING_PLACE"

#: Connections that may wait to be accepted.
BACKLOG = 2048

#: The exit code of a worker that stopped before all that it had begun was finished.
CUT = 3


@dataclass(frozen=True)
class Settings:
    """All options of ``serve``. A worker gets them as JSON.

    Parameters
    ----------
    uris : models that are served as they are (``NAME=URI`` gives a name); none: every model of the registry that has a
        version in Production is served, and followed.
    port : 0 for any that is free.
    default : the model that answers where a path names none.
    cache : the folder of the cache.
    policy : the registry's policy file; None for the one that ``LIFECYCLE_POLICY`` names, or that is shipped.
    poll : seconds between two looks at the registry.
    keys : the file of API keys; None for none. ``SERVING_KEYS`` may hold keys, too.
    open : whether anybody who reaches the server may ask it, though it is bound wider than this machine.
    rate : requests that one key, or without keys one address, may make, ``100/s``; None for any number.
    max_body, max_rows : bytes and rows of one request; more is refused with 413.
    max_memory : bytes of memory that one worker may take, whatever is asked of it; see ``memory``.
    max_pending : requests that one worker has begun and not answered; more are refused with 503.
    time_limit : seconds that reading, scoring and writing of a large request may take; then it is refused with 504.
    read_limit : seconds in which a request has to arrive whole; the headers alone have
        ``http.limits.Timeouts.head`` seconds.
    grace : seconds that requests which have begun may take when the server is told to stop.
    health_route, predict_route : further paths for ``/ping`` and ``/invocations``.
    metrics, log : whether there is ``/metrics``, and an access log on standard output.
    open_metrics : whether ``/metrics`` asks for no key, where keys are set.
    metrics_folder : where the workers keep their counts, so that each can tell of all; the supervisor makes it.
    """

    uris: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    default: str | None = None
    cache: str = CACHE
    policy: str | None = None
    poll: float = 0.5
    keys: str | None = None
    open: bool = False
    rate: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    max_body: int = 16 * 1024 * 1024
    max_rows: int = 100_000
    max_memory: int = MAX_MEMORY
    max_pending: int = 256
    time_limit: float = 30.0
    read_limit: float = 60.0
    keep_alive: int = 75
    grace: float = 30.0
    health_route: str | None = None
    predict_route: str | None = None
    metrics: bool = True
    open_metrics: bool = False
    log: bool = True
    metrics_folder: str = ""

    def limits(self, shares: Shares | None = None) -> Limits:
        """The largest request that is answered, with these shares of a worker's memory."""
        if shares is None:
            return Limits(self.max_body, self.max_rows)
        return Limits(min(self.max_body, shares.bodies), self.max_rows, shares.work)

    @property
    def follows(self) -> bool:
        """Whether the registry's stages are followed."""
        return not self.uris

    @property
    def tls(self) -> bool:
        """Whether the server speaks HTTPS."""
        return self.tls_cert is not None

    @property
    def keyed(self) -> bool:
        """Whether requests have to bring a key."""
        return bool(self.keys or os.environ.get("SERVING_KEYS"))

    def dumps(self) -> str:
        """The settings as JSON, for a process of this server."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> "Settings":
        """The settings that ``dumps`` wrote."""
        values = json.loads(text)
        return cls(**{**values, "uris": tuple(values["uris"])})

    def checked(self) -> "Settings":
        """Themselves, where they go together.

        Raises
        ------
        ServingError
            where they do not, or would let anybody in who was not meant.
        """
        if self.max_memory < LEAST:
            raise ServingError(
                f"--max-memory is at least {LEAST // 2**20} MiB for each worker, found {self.max_memory / 2**20:g} MiB"
            )
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ServingError("TLS wants both --tls-cert and --tls-key, found one of them")
        for option, path in (("--tls-cert", self.tls_cert), ("--tls-key", self.tls_key), ("--keys", self.keys)):
            if path and not os.access(path, os.R_OK):
                raise ServingError(f"{option} {path} cannot be read; see that it is there, and may be")
        for option, route in (("AIP_HEALTH_ROUTE", self.health_route), ("AIP_PREDICT_ROUTE", self.predict_route)):
            if route and not route.startswith("/"):
                raise ServingError(f"{option} is a path that begins with /, found {route!r}")
        from serving.server.guard.door import keyring
        from serving.server.guard.rates import Rate

        if self.rate:
            Rate.parse(self.rate)
        keyring(self)
        if not self.keyed and not self.open and not local(self.host):
            raise ServingError(
                f"--host {self.host} lets other machines ask, and no keys are set: give --keys FILE, or --open to let "
                "anybody in"
            )
        return self


def local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def folder(settings: Settings) -> Path:
    """The folder of the cache, as it is found from any working folder."""
    return Path(settings.cache).expanduser().absolute()


def reasons(settings: Settings) -> Path:
    """The file in which the follower tells the supervisor why it cannot follow."""
    return Path(settings.metrics_folder) / "follower"
