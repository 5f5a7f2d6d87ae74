"""Commands to paste: serve a version, ask it about a row, load it."""

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.evidence import Evidence
from registry.metrics import CLASSIFICATION

_PORT = 5001


@dataclass(frozen=True)
class Commands:
    """Commands quoted for a POSIX shell (`serve`, `ask`) and for Python (`load`, `native`).

    Parameters
    ----------
    ask : None where no row is known to ask about; then `load` predicts nothing either.
    native : None where no scikit-learn pipeline is known.
    """

    serve: str
    ask: str | None
    load: str
    native: str | None


def commands(model_uri: str, row: Mapping[str, Any] | None, document: Evidence) -> Commands:
    """The commands of one version.

    Parameters
    ----------
    row : a raw row to ask about, by column; what is missing is None or not a number.
    document : the evidence, for the columns' types and the task.
    """
    serve = f"mlflow models serve -m {shlex.quote(model_uri)} --env-manager local -p {_PORT}"
    load = f"import mlflow\nimport pandas as pd\n\nmodel = mlflow.pyfunc.load_model({model_uri!r})\n"
    native = None
    if document.parity or not document.adopted:
        native = f"import mlflow\n\npipeline = mlflow.sklearn.load_model({model_uri!r})\n"
    if row is None:
        return Commands(serve, None, load, native)
    cells = {name: _plain(value) for name, value in row.items()}
    return Commands(serve, _ask(cells), load + _predict(cells, document), native)


def _ask(cells: Mapping[str, Any]) -> str:
    body = json.dumps({"dataframe_records": [cells]}, ensure_ascii=False, allow_nan=False)
    return (
        f"curl -s http://127.0.0.1:{_PORT}/invocations \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(body)}"
    )


def _predict(cells: Mapping[str, Any], document: Evidence) -> str:
    types = {column.name: column.type for column in document.schema.inputs}
    whole = {column.name for column in document.schema.inputs if column.integer and document.adopted}
    lines = ["rows = pd.DataFrame([{"]
    for name, value in cells.items():
        number = types.get(name) == "number"
        if value is None:
            # None would make a column of numbers one of objects.
            value = "None" if types.get(name) == "category" else "float('nan')"
        else:
            # And a whole number one of whole numbers, which MLflow does not take for a double; ours are all double.
            value = repr(float(value) if number and isinstance(value, int) and name not in whole else value)
        lines.append(f"    {name!r}: {value},")
    lines += ["}])", "model.predict(rows)"]
    if document.adopted:
        return "\n".join(lines) + "\n"
    if document.model.task == CLASSIFICATION:
        lines.append('model.predict(rows, params={"output": "probabilities"})')
    lines.append('model.predict(rows, params={"output": "explain"})')
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> Any:
    """A cell as JSON has it: numpy's numbers as Python's, what is not finite as missing."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
