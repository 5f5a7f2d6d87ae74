"""Parts of an evidence document, each of which may be missing."""

from collections.abc import Mapping
from typing import Any


def part(document: Mapping, name: str) -> dict:
    """A section; empty where there is none."""
    return document.get(name) or {}


def keyed(section: Mapping, *names: str) -> dict[str, Any]:
    """A section with exactly these keys, None where it has none."""
    return {name: section.get(name) for name in names}


def number(metric: Any) -> float | None:
    """A metric given as a number or as ``{"value": number}``."""
    return metric.get("value") if isinstance(metric, Mapping) else metric
