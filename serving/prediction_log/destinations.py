"""Opens the destination of a prediction log: a folder, a database, or a broker of CloudEvents."""

import os
from pathlib import Path

from serving.errors import ServingError
from serving.prediction_log.schema import is_broker, is_database
from serving.prediction_log.sink import Sink


def check(destination: str) -> None:
    """Raise ServingError if a destination can never be written: a folder that cannot be made, a URL without a driver.

    A database or a broker that is only away is no error: the log waits for it.
    """
    if is_broker(destination):
        from serving.prediction_log import cloud_events

        cloud_events.check(destination)
        return
    if is_database(destination):
        from serving.prediction_log import database

        database.check(destination)
        return
    folder = Path(destination).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServingError(
            f"--record {destination}: the folder cannot be made: {error.strerror}; give a folder or a database's URL"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ServingError(f"--record {destination} cannot be written; give a folder that this user may write to")


def check_whole(destination: str, *, option: str, what: str) -> None:
    """As ``check``, for rows that a log is to have as a whole, or once: a broker cannot promise that.

    Parameters
    ----------
    option : that names the destination.
    what : the rows, in a few words.
    """
    if is_broker(destination):
        raise ServingError(
            f"{option}: {what} go into a folder or a database, found the URL of a broker, which takes those of `serve`"
        )
    check(destination)


def opened(destination: str, *, minutes: float) -> Sink:
    """The sink of a destination.

    Parameters
    ----------
    minutes : after which a file is finished.
    """
    if is_broker(destination):
        from serving.prediction_log.cloud_events import CloudEventsSink

        return CloudEventsSink(destination)
    if is_database(destination):
        from serving.prediction_log.database import DatabaseSink

        return DatabaseSink(destination)
    from serving.prediction_log.parquet import ParquetSink

    return ParquetSink(Path(destination).expanduser().absolute(), seconds=60 * minutes)
