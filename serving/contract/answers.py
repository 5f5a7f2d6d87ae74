"""Scores a table, and returns answers that can be encoded as JSON."""

from ..scorecard.errors import SEVERAL, Unsupported
from ..scorecard.inputs import ABSENT, InputError
from ..scorecard.scorecard import OUTPUTS
from .errors import INVALID, RequestError, refusal
from .tables import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol

    from ..scorecard.inputs import Input
    from .tables import RequestTable

    class AnsweringModel(Protocol):
        """What is asked of a model: a ``Scorecard`` has it, and whatever answers as one does."""

        @property
        def inputs(self) -> Sequence[Input]: ...
        @property
        def classes(self) -> Sequence[Any] | None: ...
        @property
        def has_probabilities(self) -> bool: ...
        @property
        def optional(self) -> frozenset[str]: ...
        @property
        def rows(self) -> Any: ...
        def needs_probabilities(self) -> None: ...
        def predict(self, table: Any) -> Any: ...
        def probabilities(self, table: Any) -> Any: ...
        def predict_row(self, row: Mapping[str, Any]) -> Any: ...
        def probabilities_row(self, row: Mapping[str, Any]) -> list[float]: ...
        def explain_row(self, row: Mapping[str, Any]) -> dict[str, Any]: ...


# Maximum number of column names in a message.
_NAMED = 8


def answers(card: "AnsweringModel", table: "RequestTable", output: str = OUTPUTS[0], *, few: int | None = None) -> list:
    """Return one answer for each row.

    Parameters
    ----------
    card : the ``Scorecard``, or what answers as one does.
    table : of ``tables``, with at least one row.
    output : ``predictions`` (numbers, or labels in their training type), ``probabilities`` (for each row a dict from
        label to probability), or ``explain`` (for each row a dict with terms and reasons).
    few : more rows than this are scored as a table, which needs NumPy; None for never.

    Raises
    ------
    RequestError
        with status 400, if a value is invalid or the model has no such output.
    """
    try:
        if output == "probabilities":
            card.needs_probabilities()
        if few is not None and table.count > few and output != "explain":
            columns = table.columns(card.inputs)
            if columns is not None:
                return _whole(card, columns, output)
        return _row_by_row(card, table, output)
    except Unsupported as error:
        raise refusal(error) from None
    except InputError as error:
        if error.reason == ABSENT and table.foreign(card.inputs):
            # Names in another case, or a CSV without a header: naming one missing column would not explain it.
            raise RequestError(f"{error}; none of the model's columns was: {_names(card)}", code=INVALID) from None
        raise refusal(error) from None


def _whole(card: "AnsweringModel", columns: "Mapping[str, list]", output: str) -> list:
    if output == "predictions":
        return card.predict(columns).tolist()
    labels = _labels(card)
    return [dict(zip(labels, row, strict=True)) for row in card.probabilities(columns).tolist()]


def _row_by_row(card: "AnsweringModel", table: "RequestTable", output: str) -> list:
    answer: Callable[[Mapping[str, Any]], Any]
    if output == "predictions":
        answer = card.predict_row
    elif output == "explain":
        answer = card.explain_row
    else:
        labels = _labels(card)

        def likely(row: "Mapping[str, Any]") -> dict[str, float]:
            return dict(zip(labels, card.probabilities_row(row), strict=True))

        answer = likely

    found: list = []
    try:
        for row in table.rows():
            found.append(answer(row))
    except InputError as error:
        whole = error.reason in (ABSENT, SEVERAL) and table.uniform
        raise error if whole else error.at(len(found)) from None
    return found


def _names(card: "AnsweringModel") -> str:
    names = [shown(item.name) for item in card.inputs]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _labels(card: "AnsweringModel") -> list[str]:
    return [str(label) for label in card.classes or ()]
