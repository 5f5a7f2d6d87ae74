"""A request to a deployed function: what MLflow hands over as the contract's JSON, the answer as MLflow expects it."""

import json
import math
from collections.abc import Mapping
from typing import Any

from serving import contract
from serving.contract.questions import LONG, SHORT

from . import commandline
from .aws import Cloud
from .errors import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, DeploymentError
from .traffic import ALIAS

#: What Lambda takes in a request that is answered, in bytes.
MOST = 6 * 1024 * 1024


def body(inputs: Any) -> bytes:
    """Inputs as a request of the contract.

    Parameters
    ----------
    inputs : a request of the contract (as an object, or as JSON text), a DataFrame, a Series, an array, or a list.

    Raises
    ------
    DeploymentError
        if it is none of these, or more than Lambda takes.
    """
    text = _text(inputs)
    content = text if isinstance(text, bytes) else text.encode()
    if len(content) > MOST:
        raise DeploymentError(
            f"the request is of {len(content):,} bytes, Lambda takes {MOST:,}: split it into several",
            INVALID_PARAMETER_VALUE,
        )
    return content


def given(inputs: Any) -> Any:
    """What ``mlflow deployments predict`` was really given: its file, where that is a request of the contract.

    The command reads every file as a DataFrame of pandas' own layout, which takes a request apart: ``{"instances":
    [[1, 2]]}`` becomes a column called instances.
    """
    content = commandline.input_file()
    if content is None:
        return inputs
    try:
        value = contract.loads(content)
    except contract.RequestError:
        return inputs
    forms = set(LONG + SHORT)
    ours = isinstance(value, list) or (isinstance(value, dict) and forms & value.keys())
    return content if ours else inputs


def ask(cloud: Cloud, name: str, content: bytes) -> dict[str, Any]:
    """The answer of a deployment.

    Raises
    ------
    DeploymentError
        if there is no such deployment, it refuses the request, or fails.
    """
    answer = cloud.find("lambda", "invoke", FunctionName=name, Qualifier=ALIAS, Payload=content)
    if answer is None:
        raise DeploymentError(
            f"no deployment {name!r} in {cloud.region}; see `mlflow deployments list`", RESOURCE_DOES_NOT_EXIST
        )
    payload = answer["Payload"].read()
    try:
        value = json.loads(payload)
    except ValueError:
        raise DeploymentError(f"{name!r} answers {len(payload)} bytes that are not JSON; look at its log") from None
    if answer.get("FunctionError"):
        kind = value.get("errorType") if isinstance(value, dict) else None
        said = (value.get("errorMessage") if isinstance(value, dict) else None) or answer["FunctionError"]
        raise DeploymentError(f"{name!r} failed ({kind or 'Error'}): {said}; look at its log")
    if not isinstance(value, dict) or not {"predictions", "prediction", "error_code"} & value.keys():
        raise DeploymentError(f"{name!r} answers, but not in the expected form; look at its log")
    if "error_code" in value:
        raise DeploymentError(f"{name!r} refuses the request: {value.get('message')}", INVALID_PARAMETER_VALUE)
    return value


def explaining(inputs: Any) -> dict[str, Any]:
    """The same request, asking for terms and reasons."""
    value = json.loads(body(inputs))
    if isinstance(value, dict) and not set(LONG + SHORT) & value.keys():
        raise DeploymentError(f"expected one of the keys {', '.join(LONG + SHORT)}", INVALID_PARAMETER_VALUE)
    asked = value if isinstance(value, dict) else {"input_data": value}
    return {**asked, "params": {"output": "explain"}}


def _text(inputs: Any) -> str | bytes:
    if isinstance(inputs, (str, bytes)):
        try:
            contract.loads(inputs.encode() if isinstance(inputs, str) else inputs)
        except contract.RequestError as error:
            raise DeploymentError(f"the request: {error.message}", INVALID_PARAMETER_VALUE) from None
        return inputs
    if hasattr(inputs, "to_frame"):
        inputs = inputs.to_frame()
    if hasattr(inputs, "columns") and hasattr(inputs, "itertuples"):
        rows = [[_plain(value) for value in row] for row in inputs.itertuples(index=False, name=None)]
        return _dumped({"dataframe_split": {"columns": [str(name) for name in inputs.columns], "data": rows}})
    if hasattr(inputs, "tolist"):
        return _dumped({"inputs": _plain(inputs.tolist())})
    if isinstance(inputs, (Mapping, list, tuple)):
        return _dumped(_plain(inputs))
    raise DeploymentError(
        f"expected a DataFrame, an array, a list, or a request as JSON, found {type(inputs).__name__}",
        INVALID_PARAMETER_VALUE,
    )


def _dumped(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise DeploymentError(f"the request cannot be JSON: {error}", INVALID_PARAMETER_VALUE) from None


def _plain(value: Any) -> Any:
    """A value as JSON has it: what is missing is null, a number of NumPy is one of Python, a time is text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if hasattr(value, "tolist") and not isinstance(value, (str, bytes)):
        return _plain(value.tolist())
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if value is None or isinstance(value, (str, int)):
        return value
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
