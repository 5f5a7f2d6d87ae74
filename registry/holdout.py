"""The rule by which a version held rows out: a function of a row's own values, inherited by later versions.

Of any row of any table it can be said whether a version held it out, as long as the rule's columns are there. The
version may have been trained on all other rows.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from registry.cli.text import listed

#: How values become a key, see ``pipelines.row_keys.hash_rows``. Raised when that changes: keys of two schemes cannot
#: be compared. Evidence that was written before there was a number has none.
SCHEME = 2

ROW, ID, GROUP, TIME = "row", "id", "group", "time"
#: Of a version that was logged without this platform: nobody knows which rows it was trained on.
GIVEN = "given"

#: The tag of a version that holds its rule, as JSON.
TAG = "holdout"
# Tracking servers of some years ago cut tags off here.
_LONGEST_TAG = 5000


class HoldoutRule(Struct, frozen=True):
    """Which rows are held out.

    Parameters
    ----------
    by : ``"row"`` or ``"id"``: by the hash of the row's key; ``"group"``: by the hash of the group's name;
        ``"time"``: after the cut; ``"given"``: not known.
    key_columns : the columns whose values are a row's key.
    named : the key columns are ids that the user named.
    columns : the group's or the time's column; else the key columns.
    test_size : the share of rows to hold out; of hashes, those below it.
    cut : by time, the last moment of the training rows, as text.
    scheme : how values become a key; None if that is not known.
    """

    by: str
    key_columns: tuple[str, ...]
    named: bool = False
    columns: tuple[str, ...] = ()
    test_size: float | None = None
    cut: str | None = None
    scheme: int | None = SCHEME

    @property
    def rule(self) -> "HoldoutRule":
        """The rule alone, without what a section of evidence adds to it."""
        return HoldoutRule(*(getattr(self, name) for name in HoldoutRule.__struct_fields__))

    @property
    def unknown(self) -> bool:
        """Whether nobody knows which rows the version was trained on."""
        return self.by == GIVEN

    @property
    def applies(self) -> bool:
        """Whether this release can tell whether the version held a row out."""
        told = self.cut is not None if self.by == TIME else self.test_size is not None and self.by in (ROW, ID, GROUP)
        return self.scheme == SCHEME and told

    @property
    def share(self) -> float:
        """The hashes below this are held out; 0 if hashes do not decide."""
        return self.test_size or 0.0

    @property
    def needed(self) -> tuple[str, ...]:
        """All columns that the rule reads."""
        return tuple(dict.fromkeys((*self.key_columns, *self.columns)))

    @property
    def digest(self) -> str:
        """Of the columns that decide and how; not of the share or the cut."""
        parts = (self.by, sorted(self.key_columns), sorted(self.columns), self.scheme)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def told(self) -> str:
        """What decides, for a message: ``by group 'household'``."""
        return "by the columns that name a row" if self.by == ROW else f"by {self.by} {listed(self.columns)}"

    def to_tag(self) -> str | None:
        """The rule as the text of a version's tag; None if it is too long for one, and evidence alone holds it."""
        text = msgspec.json.encode(self.rule).decode()
        return text if len(text) <= _LONGEST_TAG else None

    @classmethod
    def from_tag(cls, text: str) -> "HoldoutRule":
        """The rule in a version's tag.

        Raises
        ------
        ValueError
            if somebody else wrote the tag, or a release that is not known here.
        """
        return msgspec.convert(completed(msgspec.json.decode(text)), HoldoutRule)


def completed(section: Any) -> Any:
    """A rule as JSON with the keys that the first releases did not write."""
    if not isinstance(section, Mapping):
        return section
    return {"named": section.get("by") == ID, "scheme": None, **section}


def differences(ours: HoldoutRule, theirs: HoldoutRule) -> str:
    """Why two rules give a row other keys, or hold other rows out; empty if they do not."""
    mine, yours = set(ours.key_columns), set(theirs.key_columns)
    if mine != yours:
        added = [f"added {listed(sorted(mine - yours))}"] if mine - yours else []
        gone = [f"gone {listed(sorted(yours - mine))}"] if yours - mine else []
        return f"the columns that name a row have changed: {'; '.join(added + gone)}"
    if ours.scheme != theirs.scheme:
        return "another release of this platform held its rows out"
    if (ours.by, set(ours.columns)) != (theirs.by, set(theirs.columns)):
        return f"it held rows out {theirs.told()}, this one {ours.told()}"
    return ""
