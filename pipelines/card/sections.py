"""What the card says about held-out rows and the scorecard's parity."""

from collections.abc import Mapping
from typing import Any

import msgspec

from registry import holdout as rules
from registry.cli.text import spans
from registry.evidence import adoption
from registry.evidence.document import Holdout, OtherVersions, Parity

_KEPT = {
    rules.ROW: "is trained with the same key columns",
    rules.ID: "has the same --id",
    rules.GROUP: "has the same --group",
}


def trained_on(holdout: Holdout) -> list[str]:
    """Which versions were trained on the rows that the metrics are of, as far as it was known then: sentences."""
    if holdout.unknown:
        return [f"This version was {adoption.caveat(holdout)}."]
    told = ["This version was trained on none of these rows.", *_others(holdout.earlier)]
    if holdout.by in _KEPT:
        told.append(
            f"A later version of this name holds the same rows out where it {_KEPT[holdout.by]} and no smaller "
            "--test-size."
        )
    return told


def _others(earlier: OtherVersions | None) -> list[str]:
    if earlier is None:
        return []
    if not (earlier.unseen or earlier.seen or earlier.unknown):
        return ["No other version of this model was registered when its training began."]
    told = []
    if earlier.unseen:
        told.append(f"Nor {'were' if len(earlier.unseen) > 1 else 'was'} {spans(earlier.unseen)}.")
    for number, count in earlier.seen.items():
        told.append(f"Version {number} may have been trained on {count:,} of them: it held out others.")
    if earlier.unknown:
        told.append(f"Of {spans(earlier.unknown)} this is not known.")
    return told


def parity_facts(parity: Parity) -> list[tuple[str, Any]]:
    """What was measured of a scorecard's parity, as pairs of words and value."""
    section = msgspec.to_builtins(parity)
    return _flat({key: value for key, value in section.items() if key != "passed"})


def _flat(section: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """A nested section as pairs of a path in words and a plain value."""
    rows: list[tuple[str, Any]] = []
    for key, value in section.items():
        name = f"{prefix}{key.replace('_', ' ')}"
        rows += _flat(value, f"{name}, ") if isinstance(value, Mapping) else [(name, value)]
    return rows
