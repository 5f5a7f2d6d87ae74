"""What is recorded, as the options of ``serve`` say it."""

import os
from pathlib import Path

from serving.errors import ServingError
from serving.prediction_log import destinations
from serving.prediction_log.schema import RecordedColumns
from serving.server.settings import ServerSettings

#: The environment variable that may hold the key of the hash.
KEY = "SERVING_RECORD_KEY"
#: Shortest key, in bytes: a short one can be guessed, and with it what was hashed.
SHORTEST = 16


def recorded_columns(settings: ServerSettings) -> RecordedColumns:
    """Which features are recorded, and how.

    Raises
    ------
    ServingError
        if features are to be hashed and there is no key, or one that is too short.
    """
    key = _key(settings) if settings.record_hash else b""
    return RecordedColumns(settings.record_share, settings.record_columns, settings.record_hash, key)


def check(settings: ServerSettings) -> None:
    """Raise ServingError if the settings of the prediction log are not consistent, or it can never be written."""
    if settings.record is None:
        given = [name for name in ("record_columns", "record_hash", "record_key") if getattr(settings, name)]
        if given:
            raise ServingError(f"--{given[0].replace('_', '-')} needs --record, which says where the log is written")
        return
    recorded_columns(settings)
    destinations.check(settings.record)


def _key(settings: ServerSettings) -> bytes:
    found = os.environ.get(KEY, "").encode()
    if settings.record_key:
        try:
            found = Path(settings.record_key).expanduser().read_bytes().strip()
        except OSError as error:
            raise ServingError(f"--record-key {settings.record_key} cannot be read: {error.strerror}") from None
    if not found:
        raise ServingError(f"--record-hash needs a key: give --record-key FILE, or the variable {KEY}")
    if len(found) < SHORTEST:
        raise ServingError(f"the key of --record-hash: expected at least {SHORTEST} bytes, found {len(found)}")
    return found
