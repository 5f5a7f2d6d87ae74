"""A version's metrics for people: beside the baseline, beside the champion, by fold and by group."""

from collections.abc import Mapping, Sequence

from pipelines.card.parts import keyed, number, part
from registry import metrics as known_metrics
from registry.metrics import BY_NAME, is_error

#: The metrics of a group of fewer rows than this are uncertain.
FEW_ROWS = 30


def measured(document: Mapping) -> list[dict]:
    """Each metric with its interval, the baseline's, and the difference from that."""
    metrics, baseline = part(document, "metrics"), part(part(document, "baseline"), "metrics")
    known = [name for name in BY_NAME if name in metrics]
    rows = []
    for name in [*known, *(name for name in metrics if name not in BY_NAME)]:
        value, other = number(metrics[name]), number(baseline.get(name))
        interval = metrics[name] if isinstance(metrics[name], Mapping) else {}
        rows.append(
            {
                "name": name,
                "label": _label(name),
                "value": value,
                "low": interval.get("low"),
                "high": interval.get("high"),
                "baseline": other,
                "difference": _difference(name, value, other),
            }
        )
    return rows


def headlines(document: Mapping) -> list[dict]:
    """The few of `measured` that tell most, where they have a value."""
    rows = {row["name"]: row for row in measured(document) if row["value"] is not None}
    task = part(document, "model").get("task") or ""
    names = known_metrics.headlines(task) if task in known_metrics.METRICS else ()
    return [rows[name] for name in names if name in rows]


def against_champion(champion: Mapping | None, own: Mapping) -> dict | None:
    """Each metric beside the champion's on the same rows.

    Parameters
    ----------
    champion : as `pipelines.card.render` takes it.
    own : this version's metrics, for a champion that comes without them.
    """
    if not champion:
        return None
    mine = part(champion, "candidate") if "candidate" in champion else own
    rows = []
    for name, metric in part(champion, "metrics").items():
        value, other = number(mine.get(name)), number(metric)
        difference = _difference(name, value, other)
        rows.append({"label": _label(name), "value": value, "champion": other, "difference": difference})
    return {**keyed(champion, "version", "rows", "note", "unseen"), "metrics": rows}


def by_fold(cross_validation: Mapping | None) -> dict | None:
    """Each cross-validated metric: its mean, its spread, and its value in each fold."""
    if not cross_validation:
        return None
    rows = []
    for name in (summaries := part(cross_validation, "metrics")):
        summary = part(summaries, name)
        rows.append({"label": _label(name), **keyed(summary, "mean", "std"), "folds": summary.get("folds") or []})
    return {**keyed(cross_validation, "kind", "folds"), "metrics": rows}


def by_group(section: Mapping) -> dict:
    """The metrics of the groups of one sensitive column, and of each metric the widest gap."""
    groups: Sequence[Mapping] = section.get("groups") or []
    names = list(dict.fromkeys(name for group in groups for name in part(group, "metrics")))
    gaps = part(section, "gaps")
    return {
        "column": section.get("column"),
        "labels": [_label(name) for name in names],
        "groups": [
            {
                **keyed(group, "group", "rows"),
                "few": group.get("rows") is not None and group["rows"] < FEW_ROWS,
                "values": [number(part(group, "metrics").get(name)) for name in names],
            }
            for group in groups
        ],
        "gaps": [number(gaps.get(name)) for name in names],
    }


def _label(metric: str) -> str:
    return BY_NAME[metric].label if metric in BY_NAME else metric


def _difference(metric: str, value: float | None, other: float | None) -> dict | None:
    """How a value stands against another: the difference, its share, and whether that is better."""
    if value is None or other is None:
        return None
    gap = value - other
    better = None if gap == 0 else (gap < 0) == is_error(metric)
    # A share of a score that can be negative or zero says nothing.
    share = gap / abs(other) if is_error(metric) and other else None
    return {"gap": gap, "share": share, "better": better}
