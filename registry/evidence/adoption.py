"""Versions that were logged without this platform: where their evidence is, and what has to be said of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from registry.evidence import files
from registry.evidence.document import Holdout

#: The tag of a version that names the folder of its evidence: ``runs:/RUN/evidence/training``.
URI_TAG: Final = "evidence.uri"
#: The tag of an adopted version that says what its metrics are worth: :func:`standing`.
TAG: Final = "adopted"
#: The tag of an adopted version that holds the digest of the scorecard among its evidence.
SCORECARD_TAG: Final = "scorecard.digest"

#: What is unknown of every adopted version.
ORIGIN: Final = "logged without this platform"
#: What the metrics are worth if nobody declared the judged rows unseen.
POSSIBLY_TRAINED_ON: Final = "judged on rows that it may have been trained on"


@dataclass(frozen=True)
class EvidencePlace:
    """A folder of evidence among the artifacts of a run."""

    run_id: str
    path: str

    def __str__(self) -> str:
        return f"runs:/{self.run_id}/{self.path}"


def place(tags: Mapping[str, str], run_id: str | None) -> EvidencePlace | None:
    """Where the evidence of a version is, or would be; None if it was logged without a run, and is not adopted.

    Parameters
    ----------
    tags : of the version; of an adopted one they name the run of the evaluation that adopted it.
    run_id : of the run that logged the version.
    """
    if named := re.fullmatch(rf"runs:/(\w+)/{files.ADOPTION}", tags.get(URI_TAG, "")):
        return EvidencePlace(named[1], files.ADOPTION)
    return EvidencePlace(run_id, files.TRAINING) if run_id else None


def standing(holdout: Holdout) -> str:
    """What the metrics of an adopted version are worth, in words."""
    declared = holdout.declared_unseen
    if declared is None:
        return POSSIBLY_TRAINED_ON
    return f"judged on rows that {declared.by} declared unseen"


def caveat(holdout: Holdout) -> str:
    """What every page says that shows the metrics of an adopted version."""
    return f"{ORIGIN}; {standing(holdout)}"
