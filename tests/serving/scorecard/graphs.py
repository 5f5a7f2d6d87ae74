"""Runs exported ONNX graphs in ONNX Runtime on raw rows, for the tests."""

import json

import numpy as np
import onnxruntime

from serving.scorecard import InputError
from serving.scorecard.exports import onnx as exported

METHODS = {"predict": ("prediction", "label"), "predict_proba": ("probabilities",), "decision_function": ("decision",)}


def session(content: bytes) -> onnxruntime.InferenceSession:
    """The file in ONNX Runtime, with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def properties(content: bytes) -> dict:
    """The metadata of the file."""
    return dict(session(content).get_modelmeta().custom_metadata_map)


def run(content: bytes, table: dict) -> dict:
    """The outputs, each by what it is, for a mapping of column name to raw values."""
    ready = session(content)
    missing = ready.get_modelmeta().custom_metadata_map["missing_text"]
    feeds = {}
    for item in ready.get_inputs():
        assert item.shape[1:] == [1], "a batch is the first axis of every input"
        if item.type == "tensor(string)":
            values = [value if isinstance(value, str) else missing for value in table[item.name]]
            feeds[item.name] = np.array(values, dtype=object).reshape(-1, 1)
        else:
            assert item.type == "tensor(double)"
            feeds[item.name] = np.array([number(value) for value in table[item.name]], dtype=np.float64).reshape(-1, 1)
    roles = {name: role for role, name in json.loads(ready.get_modelmeta().custom_metadata_map["outputs"]).items()}
    names = [roles[item.name] for item in ready.get_outputs()]
    return dict(zip(names, ready.run(None, feeds), strict=True))


def number(value) -> float:
    """A raw value that is a number or missing, as a double."""
    return np.nan if value is None or type(value).__name__ == "NAType" else float(value)


def way(scorecard, **options):
    """An exported graph as a way of answering, for ``parity.measure``; looks at what stands beside a refusal."""
    content = exported.write(scorecard, **options)

    def answer(rows: list) -> list:
        if not rows:
            return []
        outputs = run(content, {name: [row[name] for row in rows] for name in rows[0]})
        valid = outputs.pop("valid")
        assert valid.shape == (len(rows), 1)
        found: list = []
        for place in range(len(rows)):
            values = {name: output[place] for name, output in outputs.items()}
            if not valid[place, 0]:
                hidden(values, scorecard)
                found.append(InputError("?", "not valid"))
                continue
            several = {"probabilities"} | ({"decision"} if len(values.get("decision", "-")) > 1 else set())
            found.append(
                {
                    method: values[name] if name in several else values[name][0]
                    for method, names in METHODS.items()
                    for name in names
                    if name in values
                }
            )
        return found

    return answer


def hidden(values: dict, scorecard) -> None:
    """Looks that no answer that could be taken for one stands beside ``valid`` false."""
    for name, value in values.items():
        if name == "label":
            assert value[0] not in scorecard.classes
        else:
            assert np.isnan(value).all()
