"""What is recorded and where, as the options of ``serve`` and ``score`` say it."""

import os
from pathlib import Path
from typing import Protocol

from serving.errors import ServingError
from serving.prediction_log import destinations
from serving.prediction_log.schema import RecordedColumns

#: The environment variable that may hold the key of the hash.
KEY = "SERVING_RECORD_KEY"
#: Shortest key, in bytes: a short one can be guessed, and with it what was hashed.
SHORTEST = 16


class RecordOptions(Protocol):
    """The options of a prediction log.

    Attributes
    ----------
    record : where it is written; None for nowhere.
    record_share : share that is recorded, from 0 to 1.
    record_columns : the input columns that are recorded; empty for all.
    record_hash : columns of which a keyed hash is recorded.
    record_key : the file of the key; None for the variable ``SERVING_RECORD_KEY``.
    """

    @property
    def record(self) -> str | None: ...
    @property
    def record_share(self) -> float: ...
    @property
    def record_columns(self) -> tuple[str, ...]: ...
    @property
    def record_hash(self) -> tuple[str, ...]: ...
    @property
    def record_key(self) -> str | None: ...


def recorded_columns(options: RecordOptions) -> RecordedColumns:
    """Which features are recorded, and how.

    Raises
    ------
    ServingError
        if features are to be hashed and there is no key, or one that is too short.
    """
    key = _key(options) if options.record_hash else b""
    return RecordedColumns(options.record_share, options.record_columns, options.record_hash, key)


def check(options: RecordOptions) -> None:
    """Raise ServingError if the options of a prediction log are not consistent, or it can never be written."""
    if options.record is None:
        given = [name for name in ("record_columns", "record_hash", "record_key") if getattr(options, name)]
        if given:
            raise ServingError(f"--{given[0].replace('_', '-')} needs --record, which says where the log is written")
        return
    recorded_columns(options)
    destinations.check(options.record)


def _key(options: RecordOptions) -> bytes:
    found = os.environ.get(KEY, "").encode()
    if options.record_key:
        try:
            found = Path(options.record_key).expanduser().read_bytes().strip()
        except OSError as error:
            raise ServingError(f"--record-key {options.record_key} cannot be read: {error.strerror}") from None
    if not found:
        raise ServingError(f"--record-hash needs a key: give --record-key FILE, or the variable {KEY}")
    if len(found) < SHORTEST:
        raise ServingError(f"the key of --record-hash: expected at least {SHORTEST} bytes, found {len(found)}")
    return found
