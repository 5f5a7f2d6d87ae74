"""What a training inherits from the earlier versions of its name, and which of them saw the rows it holds out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines import splitting
from pipelines.dataset import Dataset, Roles
from pipelines.errors import PipelineError
from pipelines.splitting import Split
from registry.cli.text import listed, spans
from registry.earlier_versions import EarlierVersion
from registry.evidence.document import OtherVersions
from registry.holdout import GROUP, TIME, HoldoutRule


@dataclass(frozen=True)
class Inheritance:
    """What is taken over from an earlier version.

    Parameters
    ----------
    roles : as the user gave them; where no id, group or time was given, with those of the earlier version.
    version : whose rule it is; None where there is none to take over.
    rule : that version's.
    notes : what a person should know, a sentence each.
    """

    roles: Roles
    version: str | None = None
    rule: HoldoutRule | None = None
    notes: tuple[str, ...] = ()

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns that name a row where the user names no ids; empty where they are to be chosen."""
        return self.rule.key_columns if self.rule else ()


def take_over(earlier: Sequence[EarlierVersion], roles: Roles, *, target: str, columns: Sequence[str]) -> Inheritance:
    """The rule of the first of the earlier versions whose columns the table still has.

    Without ``--id``, ``--group`` and ``--time`` rows are held out as that version's were. With any of them the user
    says what holds them out, and the version's key columns still name the rows, unless there are ids.

    Parameters
    ----------
    earlier : in the order of preference.
    columns : the names of the table's columns.
    """
    asked = bool(roles.id or roles.group or roles.time)
    gone: list[str] = []
    for version in earlier:
        rule = version.rule
        if rule is None or not rule.key_columns:
            continue
        needed = rule.key_columns if asked else rule.needed
        if missing := [name for name in needed if name not in columns]:
            gone.append(f"version {version.number} knows its rows by {listed(missing)}, which the table lacks")
            continue
        taken = roles if asked else _roles(roles, rule)
        if target in (*taken.id, taken.group, taken.time):
            continue
        notes = _gone(gone, version.number)
        if taken != roles:
            notes.append(
                f"rows are held out {_told(rule)}, as version {version.number}'s were; --id, --group or --time "
                "overrules, and a new --name begins anew"
            )
        return Inheritance(taken, version.number, rule, tuple(notes))
    return Inheritance(roles, notes=tuple(_gone(gone)))


def _roles(roles: Roles, rule: HoldoutRule) -> Roles:
    return replace(
        roles,
        id=rule.key_columns if rule.named else (),
        group=rule.columns[0] if rule.by == GROUP else None,
        time=rule.columns[0] if rule.by == TIME else None,
    )


def _told(rule: HoldoutRule) -> str:
    if rule.by in (GROUP, TIME):
        return rule.told() + (f" and known by {listed(rule.key_columns)}" if rule.named else "")
    return f"by {listed(rule.key_columns)}"


def _gone(gone: Sequence[str], instead: str | None = None) -> list[str]:
    """Which versions' rules cannot be taken over, and what holds rows out instead."""
    if not gone:
        return []
    more = f", and {len(gone) - 1} other versions likewise" if len(gone) > 1 else ""
    held = "anew" if instead is None else f"as version {instead}'s were"
    return [f"{gone[0]}{more}: rows are held out {held}, and only those that both versions held out are compared"]


def notes(known: OtherVersions, rows: int) -> list[str]:
    """What a person should know about the other versions, a sentence each.

    Parameters
    ----------
    rows : how many are held out.
    """
    told = [
        f"version {number} may have been trained on {count} of the {rows} held-out rows: it held out others"
        for number, count in known.seen.items()
    ]
    if len(told) > 1:
        worst = max(known.seen.values())
        told = [f"{spans(list(known.seen))} may have been trained on up to {worst} of the {rows} held-out rows"]
    if known.unknown:
        were = "were" if len(known.unknown) > 1 else "was"
        told.append(f"whether {spans(known.unknown)} {were} trained on held-out rows cannot be told")
    return told


def known(
    earlier: Sequence[EarlierVersion],
    dataset: Dataset,
    split: Split,
    counts: Mapping[HoldoutRule, int] | None = None,
) -> OtherVersions:
    """Which of the earlier versions may have been trained on the rows that are held out now.

    Parameters
    ----------
    counts : of the rules that :func:`to_count` names, how many of the held-out rows they do not hold out; None to
        count those of the dataset.
    """
    unseen, seen, unknown = [], {}, []
    missed: dict[HoldoutRule, int | None] = {}
    for version in sorted(earlier, key=lambda one: int(one.number)):
        rule = version.rule
        if rule is not None and rule not in missed:
            missed[rule] = _not_held(rule, dataset, split, counts)
        count = missed[rule] if rule is not None else None
        if count is None:
            unknown.append(version.number)
        elif count:
            seen[version.number] = count
        else:
            unseen.append(version.number)
    return OtherVersions(unseen, seen, unknown)


def to_count(earlier: Sequence[EarlierVersion], dataset: Dataset, split: Split) -> list[HoldoutRule]:
    """The rules of earlier versions of which only the rows tell whether they hold out what is held out now."""
    rules = {version.rule for version in earlier if version.rule is not None}
    return [rule for rule in rules if _is_countable(rule, dataset) and not _holds_as_much(rule, split)]


def _is_countable(rule: HoldoutRule, dataset: Dataset) -> bool:
    return rule.applies and set(rule.needed) <= set(dataset.order)


def _holds_as_much(rule: HoldoutRule, split: Split) -> bool:
    return rule.by != TIME and rule.digest == split.rule.digest and rule.share >= split.rule.share


def _not_held(
    rule: HoldoutRule, dataset: Dataset, split: Split, counts: Mapping[HoldoutRule, int] | None
) -> int | None:
    """How many of the held-out rows a rule would not hold out; None where that cannot be said."""
    if not _is_countable(rule, dataset):
        return None
    if _holds_as_much(rule, split):
        return 0
    if counts is not None:
        return counts.get(rule)
    try:
        held = splitting.held_out_as(rule, dataset.key_column)[1]
    except PipelineError:  # the column of its times holds something else by now
        return None
    return int(np.count_nonzero(~held[split.holdout]))
