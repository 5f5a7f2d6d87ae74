"""A model without a scorecard, as the handlers of a function ask it: MLflow's pyfunc behind the request contract."""

from collections.abc import Mapping
from typing import Any

from ..contract import Question, RequestError
from ..scorecard.inputs import InputError
from .loaded import InvalidInput, LoadedPyfunc, decoded, encoded
from .signature import PyfuncInput, misfit


class Pyfunc:
    """A model that handlers take in place of a ``Scorecard``: it reads requests itself, and answers predictions alone.

    Parameters
    ----------
    model : what ``mlflow.pyfunc.load_model`` gives.
    """

    classes = None
    has_probabilities = False

    def __init__(self, model: Any) -> None:
        self._loaded = LoadedPyfunc(model)
        self.signature = self._loaded.signature
        self.inputs, self.optional = self.signature.inputs, self.signature.optional
        self.rows = self

    def asked(self, value: object) -> tuple[Question, Any]:
        """Read a parsed body as a request, and answer it.

        Raises
        ------
        RequestError
            if the request is malformed, or does not fit the signature.
        Exception
            what the model raises.
        """
        question = self.signature.question(value)
        self.signature.check_outputs(question.outputs)
        return question, self._answers(question.table)

    def predict_row(self, row: Mapping[str, Any]) -> Any:
        """The answer for a row: a mapping of column name to raw value.

        Raises
        ------
        RequestError
            if the model's signature has no columns that a row could be read by.
        InputError
            if a value cannot be taken; names the column.
        """
        if self.signature.loose:
            raise RequestError(f"expected {self.signature.summary}, found rows of named columns")
        try:
            columns = self.signature.read({name: [value] for name, value in row.items()})
        except InputError as error:
            raise InputError(error.column, error.reason) from None
        found = self._answers(PyfuncInput(1, columns=columns))
        return found[0] if isinstance(found, list) and len(found) == 1 else found

    def _answers(self, table: PyfuncInput) -> Any:
        try:
            return decoded(*encoded(self._loaded.predict(table)))
        except InvalidInput:
            raise misfit(self.signature.summary) from None
