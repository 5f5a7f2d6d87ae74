"""What the card says about held-out rows, the checks of the data, the scorecard's parity, and the version's origin."""

from collections.abc import Mapping
from typing import Any

from pipelines.card.parts import keyed, part
from registry import holdout as rules
from registry.cli.text import spans


def holdout(section: Mapping) -> dict:
    """Which rows were held out, and how many of them the intervals are of."""
    bootstrap = section.get("bootstrap")
    return {
        **keyed(section, "by", "columns", "test_size", "cut", "rows", "training_rows"),
        "key_columns": section.get("key_columns") if section.get("by") in (rules.GROUP, rules.TIME) else None,
        "bootstrap": keyed(bootstrap, "resamples", "rows") if bootstrap else None,
        "known": _known(section),
    }


def _known(section: Mapping) -> list[str]:
    """Who was trained on the rows that the metrics are of, as far as it was known when they were measured."""
    if section.get("by") is None:
        return []
    if section["by"] == rules.GIVEN:
        return ["This version was logged by other means: it may have been trained on these rows."]
    told = ["This version was trained on none of these rows.", *_others(section.get("earlier"))]
    kept = {
        rules.ROW: "is trained with the same key columns",
        rules.ID: "has the same --id",
        rules.GROUP: "has the same --group",
    }
    if section["by"] in kept:
        told.append(
            f"A later version of this name holds the same rows out where it {kept[section['by']]} and no smaller "
            "--test-size."
        )
    return told


def _others(earlier: Mapping | None) -> list[str]:
    """The same of the versions that were registered then; nothing where nobody asked."""
    if earlier is None:
        return []
    unseen, seen, unknown = earlier.get("unseen"), part(earlier, "seen"), earlier.get("unknown")
    if not (unseen or seen or unknown):
        return ["No other version of this model was registered when its training began."]
    told = [f"Nor {'were' if len(unseen) > 1 else 'was'} {spans(unseen)}."] if unseen else []
    for number, count in seen.items():
        told.append(f"Version {number} may have been trained on {count:,} of them: it held out others.")
    if unknown:
        told.append(f"Of {spans(unknown)} this is not known.")
    return told


def suite(section: Mapping | None) -> dict | None:
    """What the expectation suite found, the failures apart."""
    if not section:
        return None
    keys = ("expectation", "column", "severity", "success", "observed", "expected")
    findings = [keyed(finding, *keys) for finding in section.get("findings") or []]
    failures = [finding for finding in findings if finding["success"] is False]
    return {**keyed(section, "name", "success", "evaluated", "failed"), "findings": findings, "failures": failures}


def parity(section: Mapping | None) -> dict | None:
    """Whether the scorecard agrees, the section's own facts, and the details that are nested in it."""
    if not section:
        return None
    nested = {key: value for key, value in section.items() if isinstance(value, Mapping)}
    facts = {key: value for key, value in section.items() if key not in nested and key != "passed"}
    return {"passed": section.get("passed"), "facts": _flat(facts), "details": _flat(nested)}


def _flat(section: Mapping, prefix: str = "") -> list[tuple[str, Any]]:
    """A nested section as rows of a path in words and a plain value."""
    rows: list[tuple[str, Any]] = []
    for key, value in section.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            rows += _flat(value, f"{name}, ")
        else:
            rows.append((name, value))
    return rows


def lineage(section: Mapping) -> dict:
    """The data, the code, the seed and the versions that a model comes from."""
    return {
        **keyed(section, "seed", "created", "command"),
        "data": keyed(part(section, "data"), "source", "digest", "rows", "columns", "dropped_rows"),
        "git": keyed(part(section, "git"), "commit", "dirty"),
        "versions": part(section, "versions"),
    }
