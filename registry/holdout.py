"""By which rule a version held rows out: read from its tag or its evidence, and taken over by later versions.

The rule is a function of a row's own values, so that of any row of any table it can be said whether a version held
it out, as long as the columns are there. What a rule did not hold out, the version may have been trained on.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry import evidence, stages
from registry.cli.text import listed
from registry.client import speaking
from registry.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: How values become a key, see ``pipelines.row_keys.hash_rows``. Raised where that changes: keys of one scheme say
#: nothing in another. Evidence from before there was a number has none.
SCHEME = 2

ROW, ID, GROUP, TIME = "row", "id", "group", "time"
#: Of a version that was logged by other means: it does not tell which rows it was trained on.
GIVEN = "given"

#: The tag of a version that holds its rule, as JSON.
TAG = "holdout"
# Tracking servers of some years ago cut tags off here.
_LONGEST_TAG = 5000


@dataclass(frozen=True)
class HoldoutRule:
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
    scheme : how values become a key; None where that is not known.
    """

    by: str
    key_columns: tuple[str, ...]
    named: bool = False
    columns: tuple[str, ...] = ()
    test_size: float | None = None
    cut: str | None = None
    scheme: int | None = SCHEME

    @classmethod
    def read(cls, section: Mapping[str, Any]) -> "HoldoutRule":
        """The rule in the ``holdout`` section of evidence, or in a tag."""
        return cls(
            by=section["by"],
            key_columns=tuple(section["key_columns"]),
            named=bool(section.get("named", section["by"] == ID)),
            columns=tuple(section["columns"]),
            test_size=section.get("test_size"),
            cut=section.get("cut"),
            scheme=section.get("scheme"),
        )

    def to_section(self) -> dict[str, Any]:
        """The rule's part of the ``holdout`` section of evidence."""
        return {
            "by": self.by,
            "columns": list(self.columns),
            "key_columns": list(self.key_columns),
            "named": self.named,
            "test_size": self.test_size,
            "cut": self.cut,
            "scheme": self.scheme,
        }

    @property
    def applies(self) -> bool:
        """Whether this release can tell of a row whether the version held it out."""
        told = self.cut is not None if self.by == TIME else self.test_size is not None and self.by in (ROW, ID, GROUP)
        return self.scheme == SCHEME and told

    @property
    def share(self) -> float:
        """The hashes below this are held out; 0 where they say nothing of it."""
        return self.test_size or 0.0

    @property
    def needed(self) -> tuple[str, ...]:
        """All columns that the rule looks at."""
        return tuple(dict.fromkeys((*self.key_columns, *self.columns)))

    @property
    def digest(self) -> str:
        """Of which columns decide and how; not of the share or the cut."""
        parts = (self.by, sorted(self.key_columns), sorted(self.columns), self.scheme)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def told(self) -> str:
        """What holds rows out, for a message: ``by group 'household'``."""
        return "by the columns that name a row" if self.by == ROW else f"by {self.by} {listed(self.columns)}"


def differences(ours: HoldoutRule, theirs: HoldoutRule) -> str:
    """Why rows of one rule have other keys, or other rows are held out, than by another; empty where they have not."""
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


@dataclass(frozen=True)
class Earlier:
    """A registered version, and its rule; None where it has none, or none that can be read."""

    number: str
    rule: HoldoutRule | None


def tag(section: Mapping[str, Any]) -> str | None:
    """A rule as the text of a version's tag; None where it is too long for one, and evidence alone holds it."""
    text = json.dumps(HoldoutRule.read(section).to_section(), ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _LONGEST_TAG else None


def earlier(client: "MlflowClient", name: str) -> list[Earlier]:
    """The registered versions of a model with their rules, in the order in which a new one would take them over.

    That is the version in Production, with which the new one will be compared, and then the newest first.

    Raises
    ------
    RegistryError
        where the registry does not answer.
    """
    found = stages.versions(client, name)
    champions = [version for version in found if version.stage == stages.PRODUCTION]
    champion = champions[-1].number if champions else None
    newest_first = sorted(found, key=lambda one: (one.number == champion, int(one.number)), reverse=True)
    return [Earlier(one.number, _rule(client, one)) for one in newest_first]


def _rule(client: "MlflowClient", version: stages.Version) -> HoldoutRule | None:
    text = version.tags.get(TAG)
    try:
        if text:
            return HoldoutRule.read(json.loads(text))
        if version.run_id and version.tags.get(evidence.DIGEST_TAG):
            document = _document(client, version.run_id)
            return None if document is None else HoldoutRule.read(document["holdout"])
    except (ValueError, LookupError, TypeError):  # written by hand, or by a release that is not known here
        return None
    return None


def _document(client: "MlflowClient", run_id: str) -> dict | None:
    """The evidence document of a run, without the answers; None where it is gone, or none that can be read.

    A server that does not answer is no reason to hold other rows out: that raises.
    """
    from mlflow.exceptions import MlflowException

    place = f"{evidence.TRAINING}/{evidence.DOCUMENT}"
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        with speaking():
            try:
                if place not in {found.path for found in client.list_artifacts(run_id, evidence.TRAINING)}:
                    return None
                path = Path(client.download_artifacts(run_id, place, folder))
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return None
        try:
            return evidence.read(path.parent)
        except RegistryError:
            return None
