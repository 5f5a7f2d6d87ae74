"""What comes out for each row: the columns that are kept, the answers, and which version gave them when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from registry.cli.text import listed
from serving.batch.request import ALL, ScoreRequest
from serving.errors import ServingError
from serving.scorecard.exports.sql import names

if TYPE_CHECKING:
    import pyarrow as pa


PREDICTION, PROBABILITIES, REASONS = OUTPUTS = (names.PREDICTION, "probabilities", "reasons")
VERSION, SCORED_AT = "model_version", "scored_at"


class AnsweringModel(Protocol):
    """What answers: a scorecard, or a model's own code.

    Attributes
    ----------
    classes : its labels in order; empty or None for a regression, and for a model that does not tell.
    kind : ``linear`` if it gives reasons.
    """

    @property
    def classes(self) -> Sequence[Any] | None: ...
    @property
    def has_probabilities(self) -> bool: ...
    @property
    def kind(self) -> str: ...


def has_whole_labels(model: AnsweringModel) -> bool:
    """Whether its labels are whole numbers, which have 64 bits in every output."""
    return bool(model.classes) and type((model.classes or ())[0]) is int


@dataclass(frozen=True)
class AnswerPlan:
    """The columns of an output.

    Parameters
    ----------
    keep : columns of the input.
    probabilities : names of the columns of probabilities, in the order of the classes; empty for none.
    reasons : whether there is a column of the strongest reasons.
    version : the version that answers, such as ``diabetes/3``.
    scored_at : when the job began, in UTC.
    loose : columns of the model that may hold lists or objects, of which each value is looked at.
    """

    keep: tuple[str, ...]
    probabilities: tuple[str, ...]
    reasons: bool
    version: str
    scored_at: datetime
    loose: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in order."""
        reasons = (REASONS,) if self.reasons else ()
        return (*self.keep, PREDICTION, *self.probabilities, *reasons, VERSION, SCORED_AT)

    def constants(self, count: int) -> "dict[str, pa.Array]":
        """The columns that are the same in all rows."""
        import pyarrow as pa

        return {
            VERSION: pa.repeat(pa.scalar(self.version, pa.string()), count),
            SCORED_AT: pa.repeat(pa.scalar(self.scored_at, pa.timestamp("us", "UTC")), count),
        }


def plan(
    model: AnsweringModel,
    there: Sequence[str],
    request: ScoreRequest,
    *,
    version: str,
    scored_at: datetime,
    loose: frozenset[str] = frozenset(),
) -> AnswerPlan:
    """The columns of an output.

    Parameters
    ----------
    there : the columns of the table.
    request : names the columns to keep, and the outputs.

    Raises
    ------
    ServingError
        if the table lacks a column to keep, one is called as an answer is, or the model has no such output.
    """
    outputs = request.outputs
    if outputs is None:
        outputs = (PREDICTION, PROBABILITIES) if model.has_probabilities else (PREDICTION,)
    if unknown := [one for one in outputs if one not in OUTPUTS]:
        raise ServingError(f"--outputs: expected {', '.join(OUTPUTS)}, found {unknown[0]!r}")
    if PROBABILITIES in outputs and not model.has_probabilities:
        raise ServingError("--outputs: the model has no probabilities; leave them out")
    if REASONS in outputs and model.kind != "linear":
        raise ServingError("--outputs: reasons are of linear models, and this is none; leave them out")
    keep = request.kept
    kept = tuple(there) if keep == ALL else tuple(dict.fromkeys(keep))
    if absent := [name for name in kept if name not in there]:
        if not request.keep:
            raise ServingError(
                f"the table has no column {absent[0]!r}, which identified a row in training and is kept by default; "
                f"give --keep all, or name columns to keep by --keep: {listed(there)}"
            )
        raise ServingError(f"--keep: the table has no column {absent[0]!r}; it has {listed(there)}")
    likely = tuple(names.probabilities(list(model.classes or ()))) if PROBABILITIES in outputs else ()
    found = AnswerPlan(kept, likely, REASONS in outputs, version, scored_at, loose)
    answers = {name.lower() for name in found.names[len(kept) :]}
    if taken := [name for name in kept if name.lower() in answers]:
        raise ServingError(
            f"the table has a column {taken[0]!r}, as an answer is called; name the columns to keep by --keep"
        )
    return found
