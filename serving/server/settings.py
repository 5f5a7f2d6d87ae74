"""The options of `serve`, from the command line or the environment; they do not change while a server runs."""

import ipaddress
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serving.contract import Limits
from serving.errors import ServingError
from serving.server.memory import LEAST, MAX_MEMORY, PYFUNC_MEMORY, Shares

#: Default folder of the cache, which the follower writes and the workers read.
CACHE = ".serving-cache"

#: Environment variable with which the supervisor passes the settings to its processes.
SETTINGS = "SERVING_SETTINGS"

#: The environment variable that may hold API keys.
KEYS = "SERVING_KEYS"

#: Maximum number of connections that wait to be accepted.
BACKLOG = 2048

#: Exit code of a worker that stopped before all its requests were answered.
CUT = 3


@dataclass(frozen=True)
class ServerSettings:
    """All options of ``serve``, which the supervisor passes to its processes as JSON.

    Parameters
    ----------
    uris : fixed models to serve (``NAME=URI`` names one); if empty, the server follows the registry and serves every
        model that has a version in Production.
    port : 0 for any free port.
    default : the model that answers on paths that name none.
    cache : the folder of the cache.
    policy : the registry's policy file; None for the one that ``LIFECYCLE_POLICY`` names, or the default policy.
    poll : seconds between two polls of the registry.
    keys : the file of API keys; None for none. ``SERVING_KEYS`` may hold further keys.
    open : whether a server without keys may listen on an address that other machines reach.
    rate : rate limit of a key or, without keys, of an address, such as ``100/s``; None for no limit.
    max_body, max_rows : maximum size of a request in bytes, and in rows; larger ones are refused with 413.
    max_memory : maximum memory of a worker in bytes; see ``memory``.
    max_pending : maximum number of unanswered requests of a worker; further ones are refused with 503.
    time_limit : seconds to read, score and answer a large request, which is then refused with 504.
    read_limit : seconds for a request to arrive completely; headers have ``http.limits.Timeouts.head`` seconds.
    grace : seconds to finish requests at shutdown.
    health_route, predict_route : additional paths for ``/ping`` and ``/invocations``.
    metrics, log : whether there is ``/metrics``, and an access log on standard output.
    open_metrics : whether ``/metrics`` needs no key although keys are set.
    metrics_folder : where the workers share their counts; the supervisor creates it.
    pyfunc : whether versions without a scorecard are answered by MLflow, which runs their code.
    pyfunc_processes : number of processes (lanes) for each such version.
    pyfunc_memory : maximum memory of each, in bytes.
    pyfunc_python : the interpreter that runs them, unless the policy has uv build one; empty for the server's.
    pyfunc_pending : maximum number of requests of a worker that wait for one such version.
    record : where the prediction log is written, a folder, a SQLAlchemy URL or that of a broker; None for nowhere.
    record_share : share of the requests that is recorded, from 0 to 1.
    record_columns : the input columns that are recorded; empty for all.
    record_hash : columns of which a keyed hash is recorded; ``record_key`` is the file of the key.
    record_minutes : after how many minutes a file of the log is finished.
    record_days : for how many days rows are kept; 0 for ever.
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
    pyfunc: bool = False
    pyfunc_processes: int = 1
    pyfunc_memory: int = PYFUNC_MEMORY
    pyfunc_pending: int = 64
    pyfunc_python: str = ""
    record: str | None = None
    record_share: float = 1.0
    record_columns: tuple[str, ...] = ()
    record_hash: tuple[str, ...] = ()
    record_key: str | None = None
    record_minutes: float = 5.0
    record_days: int = 90

    def limits(self, shares: Shares | None = None) -> Limits:
        """The largest request that is answered, given the shares of a worker's memory."""
        if shares is None:
            return Limits(self.max_body, self.max_rows)
        return Limits(min(self.max_body, shares.bodies), self.max_rows, shares.work)

    @property
    def follows(self) -> bool:
        """Whether the server follows the registry's stages."""
        return not self.uris

    @property
    def tls(self) -> bool:
        """Whether the server speaks HTTPS."""
        return self.tls_cert is not None

    @property
    def url(self) -> str:
        """Its address, for programs on this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host.strip("[]")
        return f"http{'s' if self.tls else ''}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def keyed(self) -> bool:
        """Whether requests need a key."""
        return bool(self.keys or os.environ.get(KEYS))

    def dumps(self) -> str:
        """The settings as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> "ServerSettings":
        """The settings that ``dumps`` wrote."""
        values: dict[str, Any] = json.loads(text)
        # JSON has lists.
        given: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in values.items()}
        return cls(**given)

    def checked(self) -> "ServerSettings":
        """Return self after checking that the options are consistent.

        Raises
        ------
        ServingError
            if they are not, or if they would admit other machines by accident.
        """
        if self.max_memory < LEAST:
            raise ServingError(
                f"--max-memory is at least {LEAST // 2**20} MiB for each worker, found {self.max_memory / 2**20:g} MiB"
            )
        if self.pyfunc_python and not os.access(self.pyfunc_python, os.X_OK):
            raise ServingError(f"--pyfunc-python {self.pyfunc_python} is no program; give the path of a Python")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ServingError("TLS needs both --tls-cert and --tls-key, found only one of them")
        for option, path in (("--tls-cert", self.tls_cert), ("--tls-key", self.tls_key), ("--keys", self.keys)):
            if path and not os.access(path, os.R_OK):
                raise ServingError(f"{option} {path} cannot be read; check that it exists and is readable")
        for option, route in (("AIP_HEALTH_ROUTE", self.health_route), ("AIP_PREDICT_ROUTE", self.predict_route)):
            if route and not route.startswith("/"):
                raise ServingError(f"{option} is a path that begins with /, found {route!r}")
        if not self.keyed and not self.open and not local(self.host):
            raise ServingError(
                f"--host {self.host} admits other machines, and no keys are set: give --keys FILE, or --open to admit "
                "anybody"
            )
        return self


def local(host: str) -> bool:
    """Whether an address is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def cache_folder(settings: ServerSettings) -> Path:
    """The absolute path of the cache."""
    return Path(settings.cache).expanduser().absolute()


def reasons(settings: ServerSettings) -> Path:
    """The file in which the follower tells the supervisor why it cannot start."""
    return Path(settings.metrics_folder) / "follower"
