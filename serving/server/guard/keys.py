"""Named API keys: their scope, and a hash of their secret, which itself is never stored.

A secret has 256 random bits, so a plain SHA-256 of it is safe at rest: it cannot be guessed, and a slow hash would only
make each request slow.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from serving.errors import ServingError
from serving.server.guard.rates import Rate
from serving.server.state import Served

#: Uses of a key.
PREDICT = "predict"
METRICS = "metrics"
USES = (PREDICT, METRICS)

#: Prefix of secrets, by which scanners and people recognise one.
PREFIX = "mlk_"

_VERSION = 1
_LONGEST = 256
_FIELDS = {"name", "sha256", "models", "uses", "rate", "expires"}


@dataclass(frozen=True)
class Key:
    """A key without its secret.

    Parameters
    ----------
    name : for metrics and log.
    digest : SHA-256 of the secret.
    models : the models in its scope; None for all.
    uses : of ``USES``.
    rate : its rate limit; None for the server's.
    expires : when it expires, in seconds since 1970; None for never.
    """

    name: str
    digest: bytes
    models: frozenset[str] | None = None
    uses: frozenset[str] = frozenset({PREDICT})
    rate: Rate | None = None
    expires: float | None = None

    def sees(self, model: str) -> bool:
        """Whether a model is in its scope."""
        return self.models is None or model in self.models

    def entry(self) -> dict:
        """Its entry in a document."""
        found: dict = {"name": self.name, "sha256": self.digest.hex()}
        if self.models is not None:
            found["models"] = sorted(self.models)
        if self.uses != {PREDICT}:
            found["uses"] = sorted(self.uses)
        if self.rate is not None:
            found["rate"] = str(self.rate)
        if self.expires is not None:
            found["expires"] = datetime.fromtimestamp(self.expires, UTC).isoformat().replace("+00:00", "Z")
        return found


class Keys:
    """Finds keys by their secrets.

    Parameters
    ----------
    keys : with unique names and digests.
    """

    def __init__(self, keys: Iterable[Key]):
        self.all = tuple(keys)
        # The index depends on a secret of this process, so that the time of a look-up reveals nothing about digests.
        self._salt = os.urandom(32)
        self._index = {self._place(key.digest): key for key in self.all}

    def find(self, secret: bytes) -> Key | None:
        """The key that a secret belongs to; None if it belongs to none."""
        if len(secret) > _LONGEST:
            return None
        digest = hashlib.sha256(secret).digest()
        key = self._index.get(self._place(digest))
        return key if key is not None and hmac.compare_digest(key.digest, digest) else None

    def _place(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, key=self._salt, digest_size=16).digest()


def make(name: str, **allowed) -> tuple[str, Key]:
    """Create a secret, to be shown once, and its key, to be stored."""
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, Key(name, hashlib.sha256(secret.encode()).digest(), **allowed)


def read(text: str, source: str) -> tuple[Key, ...]:
    """Parse a document of keys.

    Parameters
    ----------
    source : where it comes from, for errors.

    Raises
    ------
    ServingError
        if it is invalid; the message contains no part of it but names.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ServingError(f"{source}: expected keys as JSON, found something else") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or document.keys() != {"version", "keys"} or document["version"] != _VERSION:
        raise ServingError(f'{source}: expected {{"version": {_VERSION}, "keys": [...]}}, found something else')
    found = tuple(_key(entry, f"{source}: key {place}") for place, entry in enumerate(entries))
    distinct(found, source)
    return found


def distinct(keys: Iterable[Key], source: str) -> None:
    """Raise ServingError if two keys share a name or a secret."""
    names: set[str] = set()
    digests: set[bytes] = set()
    for key in keys:
        if key.name in names:
            raise ServingError(f"{source}: expected one key of the name {key.name!r}, found several")
        if key.digest in digests:
            raise ServingError(f"{source}: the key {key.name!r} has the secret of another one")
        names.add(key.name)
        digests.add(key.digest)


def write(keys: Iterable[Key]) -> str:
    """The document of these keys."""
    return json.dumps({"version": _VERSION, "keys": [key.entry() for key in keys]}, indent=2) + "\n"


def visible(served: Served, key: Key | None) -> Served:
    """What a key may see of the served models; everything if there is no key."""
    if key is None or key.models is None:
        return served
    models = {name: model for name, model in served.models.items() if name in key.models}
    refused = {name: why for name, why in served.refused.items() if name in key.models}
    return replace(served, models=models, refused=refused, default=served.default if served.default in models else None)


def veiled(served: Served) -> Served:
    """What callers without a key may see: no reasons why a model is not served."""
    return replace(served, refused={}) if served.refused else served


def moment(text: str) -> float:
    """Seconds since 1970 of a date (its start in UTC) or time in ISO 8601.

    Raises
    ------
    ValueError
        if it is neither.
    """
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _key(entry, where: str) -> Key:
    if not isinstance(entry, dict) or not {"name", "sha256"} <= entry.keys() <= _FIELDS:
        raise ServingError(f"{where}: expected name, sha256 and at most {', '.join(sorted(_FIELDS))}")
    name, digest = entry["name"], entry["sha256"]
    if not isinstance(name, str) or not named(name):
        raise ServingError(f"{where}: name is 1 to 64 letters, digits, dots, dashes and underscores")
    where = f"{where} ({name})"
    try:
        binary = bytes.fromhex(digest)
    except (TypeError, ValueError):
        binary = b""
    if len(binary) != 32:
        raise ServingError(f"{where}: sha256 is 64 hexadecimal digits, as `python -m serving keys add` writes them")
    models = _texts(entry.get("models"), f"{where}: models is a list of names; leave it out for all models")
    uses = _texts(entry.get("uses", [PREDICT]), f"{where}: uses is a list of {' and '.join(USES)}")
    if not uses or not uses <= set(USES):
        raise ServingError(f"{where}: uses is a list of {' and '.join(USES)}")
    rate, expires = entry.get("rate"), entry.get("expires")
    if rate is not None and not isinstance(rate, str):
        rate = ""  # also invalid
    try:
        return Key(
            name,
            binary,
            models,
            uses,
            rate=None if rate is None else Rate.parse(rate),
            expires=None if expires is None else moment(expires),
        )
    except ServingError as error:
        raise ServingError(f"{where}: {error}") from None
    except (TypeError, ValueError, OverflowError):
        raise ServingError(f"{where}: expires is a date such as 2031-12-31, or a time with its zone") from None


def named(name: str) -> bool:
    """Whether a name is valid for a key, which metrics and log show."""
    return 0 < len(name) <= 64 and name.isascii() and all(letter.isalnum() or letter in "._-" for letter in name)


def _texts(value, message: str) -> frozenset[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ServingError(message)
    return frozenset(value)
