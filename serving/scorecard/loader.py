"""MLflow's way in: the ``python_function`` flavor of a model, answered by its scorecard without scikit-learn."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .errors import SEVERAL, Unsupported
from .inputs import ABSENT, InputError
from .scorecard import OUTPUTS, Scorecard

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Rows up to which scoring each alone is faster than taking a DataFrame apart by columns.
FEW = 16


class ScorecardModel:
    """What ``mlflow.pyfunc.load_model`` returns inside its wrapper."""

    def __init__(self, scorecard: Scorecard) -> None:
        self.scorecard = scorecard

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Answer a table.

        Parameters
        ----------
        model_input : DataFrame, shape (n_rows, n_inputs), columns by name.
        params : ``{"output": "predictions" | "probabilities" | "explain"}``.

        Returns
        -------
        predictions : ndarray, shape (n_rows,): numbers of a regression, labels in their training type.
        probabilities : DataFrame, shape (n_rows, n_classes), a column for each label.
        explain : a list of n_rows dicts: each term's contribution to the score, and the strongest reasons.

        Raises
        ------
        ValueError
            where the output is none of these, or the model has no such output.
        InputError
            where a value cannot be taken; it names row and column.
        """
        output = (params or {}).get("output", OUTPUTS[0])
        if output == "predictions":
            return self._predictions(model_input)
        if output == "probabilities":
            return self._probabilities(model_input)
        if output == "explain":
            try:
                return self.scorecard.explain(model_input)
            except Unsupported as error:
                raise ValueError(f"params: this model has no explanation: {error}") from None
        raise ValueError(f"params: output is one of {', '.join(OUTPUTS)}, found {output!r}")

    def _predictions(self, table: Any) -> "np.ndarray":
        found = self._one_by_one(table, self.scorecard.predict_row)
        if found is None:
            return self.scorecard.predict(table)
        import numpy as np

        return np.array(found, dtype=object if isinstance(found[0], str) else None)

    def _probabilities(self, table: Any) -> "pd.DataFrame":
        import pandas as pd

        classes = self.scorecard.classes
        if classes is None:
            raise ValueError("params: probabilities are for classifiers, this model is a regression")
        try:
            found: Any = self._one_by_one(table, self.scorecard.probabilities_row)
            found = self.scorecard.probabilities(table) if found is None else found
        except Unsupported as error:
            raise ValueError(f"params: this model has no probabilities: {error}") from None
        return pd.DataFrame(found, columns=[str(label) for label in classes])

    def _one_by_one(self, table: Any, answer: Callable[[dict[str, Any]], Any]) -> list | None:
        """The answers to each row of a short DataFrame; None where the whole table is better asked at once."""
        columns = getattr(table, "columns", None)
        if columns is None or not getattr(columns, "is_unique", False):
            return None
        if not 0 < len(table) <= FEW or self.scorecard.kind != "linear":
            return None
        names, found = columns.tolist(), []
        for place, values in enumerate(table.to_numpy(dtype=object).tolist()):
            try:
                found.append(answer(dict(zip(names, values, strict=True))))
            except InputError as error:
                raise error if error.reason in (ABSENT, SEVERAL) else error.at(place) from None
        return found


def _load_pyfunc(path: str) -> ScorecardModel:
    """MLflow calls this with the path of the scorecard."""
    # Now and not on first use: by then MLflow may have removed the folder that this package was loaded from.
    from . import explain, marks, names, networks, numeric, scalars, tables  # noqa: F401

    with open(path, encoding="utf-8") as file:
        return ScorecardModel(Scorecard.loads(file.read()))
