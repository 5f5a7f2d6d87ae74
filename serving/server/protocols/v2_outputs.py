"""The output tensors of the Open Inference Protocol that a request asks for, and how they are written."""

import json

from serving.contract import OUTPUTS, RequestError
from serving.contract.questions import chosen
from serving.scorecard import Scorecard
from serving.scorecard.errors import kind
from serving.server.protocols import tensors
from serving.server.protocols.mlflow import written

PREDICTIONS, PROBABILITIES, EXPLAIN = OUTPUTS
#: Names of output tensors, and their outputs. ``predict_proba`` is MLServer's name.
NAMES = {
    **{"predict": PREDICTIONS, "predictions": PREDICTIONS, "probabilities": PROBABILITIES},
    **{"predict_proba": PROBABILITIES, "explain": EXPLAIN},
}
_DEFAULT = {PREDICTIONS: "predict", PROBABILITIES: "probabilities", EXPLAIN: "explain"}


class RequestedOutput:
    """A requested output tensor; ``classes``: return this many of the likeliest classes as text, or 0 for values."""

    __slots__ = ("binary", "classes", "name", "output")

    def __init__(self, name: str, output: str, *, binary: bool, classes: int = 0):
        self.name, self.output, self.binary, self.classes = name, output, binary, classes


def wanted(outputs, common: dict) -> list[RequestedOutput]:
    """The outputs that a request asks for.

    Parameters
    ----------
    outputs : the JSON of ``outputs``; None for none.
    common : the request's own parameters.

    Raises
    ------
    RequestError
        if there is no such output.
    """
    binary = _flag(common, "binary_data_output", default=False)
    if outputs is None or outputs == []:
        output = chosen(common.get("output", PREDICTIONS))
        return [RequestedOutput(_DEFAULT[output], output, binary=binary)]
    if not isinstance(outputs, list):
        raise RequestError(f"outputs: expected a list, found {kind(outputs)}")
    found: dict[str, RequestedOutput] = {}
    for item in outputs:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name not in NAMES:
            raise RequestError(f"outputs: expected objects with a name, one of {', '.join(NAMES)}, found another")
        if name in found:
            raise RequestError(f"outputs: expected each once, found {name} again")
        own = parameters(item, f"output {name}: parameters")
        if "shared_memory_region" in own:
            raise RequestError(f"output {name}: this server shares no memory")
        classes = own.get("classification", 0)
        if type(classes) is not int or classes < 0:
            raise RequestError(f"output {name}: expected classification to be how many classes, found another")
        if classes and NAMES[name] != PROBABILITIES:
            raise RequestError(f"output {name}: classification is asked of probabilities")
        found[name] = RequestedOutput(
            name, NAMES[name], binary=_flag(own, "binary_data", default=binary), classes=classes
        )
    return list(found.values())


def parameters(said: dict, where: str) -> dict:
    """The parameters of a request, a tensor or an output; raises RequestError if they are no object."""
    found = said.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RequestError(f"{where}: expected an object, found {kind(found)}")
    return found


def _flag(parameters: dict, name: str, *, default: bool) -> bool:
    found = parameters.get(name, default)
    if not isinstance(found, bool):
        raise RequestError(f"parameters: expected {name} to be true or false, found {kind(found)}")
    return found


def described(name: str, output: str, classes: list | None) -> dict:
    """An output tensor without data; its first dimension is to be set."""
    if output == EXPLAIN:
        return {"name": name, "datatype": "BYTES", "shape": [-1]}
    if output == PROBABILITIES:
        labels = [] if classes is None else [str(label) for label in classes]
        # The protocol has no lists as parameters, only text, numbers and booleans.
        labelled = {"labels": json.dumps(labels, ensure_ascii=False)}
        return {"name": name, "datatype": "FP64", "shape": [-1, len(labels)], "parameters": labelled}
    return {"name": name, "datatype": tensors.label_datatype(classes), "shape": [-1]}


def tensor(wanted: RequestedOutput, found: list, card: Scorecard) -> tuple[dict, list]:
    """An output tensor without data, and its values row by row."""
    tensor = described(wanted.name, wanted.output, card.classes)
    tensor["shape"][0] = len(found)
    if wanted.output == EXPLAIN:
        return tensor, [written(item).decode() for item in found]
    if wanted.output == PREDICTIONS:
        return tensor, [str(value) for value in found] if tensor["datatype"] == "BYTES" else found
    if wanted.classes:
        most = min(wanted.classes, tensor["shape"][1])
        tensor = {"name": wanted.name, "datatype": "BYTES", "shape": [len(found), most]}
        return tensor, [text for row in found for text in _likeliest(row, most)]
    return tensor, [value for row in found for value in row.values()]


def _likeliest(row: dict, most: int) -> list[str]:
    """``probability:index:label`` of the likeliest classes, likeliest first."""
    places = sorted(enumerate(row.items()), key=lambda item: (-item[1][1], item[0]))
    return [f"{value!r}:{place}:{label}" for place, (label, value) in places[:most]]
