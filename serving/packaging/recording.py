"""The options by which a function writes the prediction log: as lines of JSON to its own log, or to a store of AWS."""

from typing import Any, Protocol

from .options import listed, matching, one_of, option

#: The function's own log.
STDOUT = "stdout"

_NAMES = listed(r"[\w.:-]+", "names of columns: letters, digits and _ . : -")


_ON_AWS = matching(
    r"stdout|firehose:[A-Za-z0-9_.-]{1,64}|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_.=-]+)+",
    "stdout, firehose:NAME or s3://BUCKET/PREFIX",
)


class RecordOptions(Protocol):
    """The options of a target that takes them."""

    @property
    def record(self) -> str: ...
    @property
    def record_share(self) -> float: ...
    @property
    def record_columns(self) -> tuple[str, ...]: ...
    @property
    def record_hash(self) -> tuple[str, ...]: ...


def record() -> Any:
    """Return the option of whether there is a log."""
    return option("", "prediction log: stdout, one line of JSON for each answered row", one_of(STDOUT))


def record_on_aws() -> Any:
    """Return the option of where it is written on AWS."""
    return option(
        "",
        "prediction log, one line of JSON for each answered row: stdout (the function's log), firehose:NAME (a stream "
        "that is there) or s3://BUCKET/PREFIX",
        _ON_AWS,
    )


def is_delivered(options: RecordOptions) -> bool:
    """Whether rows are sent somewhere, rather than written to the function's own log."""
    return options.record not in ("", STDOUT)


def share() -> Any:
    """Return the option of the share of the requests."""
    return option(1.0, "share of the requests that it has, from 0 to 1", _share)


def columns() -> Any:
    """Return the option of the columns."""
    return option((), "input columns that it has: A,B [default: all]", _NAMES)


def hashes() -> Any:
    """Return the option of the columns that are hashed."""
    return option((), "columns of which it has a hash by the key in the variable RECORD_KEY: A,B", _NAMES)


def variables(options: RecordOptions) -> dict[str, str]:
    """The variables of a function with these options."""
    if not options.record:
        return {}
    found = {"RECORD": options.record}
    if options.record_share < 1.0:
        found["RECORD_SHARE"] = f"{options.record_share:g}"
    if options.record_columns:
        found["RECORD_COLUMNS"] = ",".join(options.record_columns)
    if options.record_hash:
        found["RECORD_HASH"] = ",".join(options.record_hash)
    return found


def notes(options: RecordOptions) -> tuple[str, ...]:
    """What else there is to know of them."""
    if not options.record:
        return ()
    found: tuple[str, ...] = (
        "the function's log has the inputs and answers of requests: `lifecycle collect` reads them",
    )
    if is_delivered(options):
        found = (
            f"inputs and answers of requests go to {options.record}, which has to be there, before each is answered; "
            "`lifecycle collect s3://...` reads the objects",
        )
    if options.record_hash:
        found += ("set the variable RECORD_KEY to a secret: without it, the columns of record_hash are left out",)
    return found


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ValueError("a number from 0 to 1")
    return value
