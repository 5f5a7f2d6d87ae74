"""MLflow's way in: the ``python_function`` flavor of a model, answered by its scorecard without scikit-learn."""

from .errors import Unsupported
from .scorecard import Scorecard

#: What ``params={"output": ...}`` may ask for; the first is the default.
OUTPUTS = ("predictions", "probabilities", "explain")


class ScorecardModel:
    """What ``mlflow.pyfunc.load_model`` returns inside its wrapper."""

    def __init__(self, scorecard: Scorecard):
        self.scorecard = scorecard

    def predict(self, model_input, params=None):
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
            return self.scorecard.predict(model_input)
        if output == "probabilities":
            return self._probabilities(model_input)
        if output == "explain":
            try:
                return self.scorecard.explain(model_input)
            except Unsupported as error:
                raise ValueError(f"params: this model has no explanation: {error}") from None
        raise ValueError(f"params: output is one of {', '.join(OUTPUTS)}, found {output!r}")

    def _probabilities(self, model_input):
        import pandas as pd

        classes = self.scorecard.classes
        if classes is None:
            raise ValueError("params: probabilities are for classifiers, this model is a regression")
        return pd.DataFrame(self.scorecard.probabilities(model_input), columns=[str(label) for label in classes])


def _load_pyfunc(path: str) -> ScorecardModel:
    """MLflow calls this with the path of the scorecard."""
    with open(path, encoding="utf-8") as file:
        return ScorecardModel(Scorecard.loads(file.read()))
