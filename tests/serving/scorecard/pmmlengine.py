"""Runs exported PMML documents in JPMML-Evaluator on raw rows, for the tests."""

import numpy as np
import pandas as pd

from serving.scorecard import InputError
from serving.scorecard.exports import pmml as exported
from tests.system import need


def engine():
    """A Java process with the evaluator in it; end it with ``shutdown``."""
    need("java")
    import jpmml_evaluator
    from jpmml_evaluator.py4j import Py4JBackend
    from py4j.java_gateway import JavaGateway

    classes = ":".join(jpmml_evaluator._classpath(user_classpath=[]))
    return Py4JBackend(JavaGateway.launch_gateway(classpath=classes, die_on_exit=True))


def evaluator(backend, text: str):
    """The document in the engine."""
    from jpmml_evaluator import make_evaluator

    return make_evaluator(text.encode(), backend=backend)


def run(backend, text: str, rows: list) -> pd.DataFrame:
    """The engine's results for raw rows, with a column ``errors``; missing values are None."""
    ready = evaluator(backend, text)
    names = [field.name for field in ready.getInputFields()]
    table = pd.DataFrame({name: pd.Series([_plain(row[name]) for row in rows], dtype=object) for name in names})
    found, errors = ready.evaluateAll(table, nan_as_missing=False, error_col=None, parallelism=1)
    found["errors"] = [None] * len(rows) if errors is None else errors
    return found


def _plain(value):
    """A raw value as the engine takes it: text, a float, or None."""
    if isinstance(value, str) or value is None:
        return value
    number = np.nan if type(value).__name__ == "NAType" else float(value)
    return None if number != number else number


def way(backend, scorecard):
    """An exported document as a way of answering, for ``parity.measure``: no answer is a refusal."""
    text = exported.write(scorecard)
    answers = final(text)

    def answer(rows: list) -> list:
        if not rows:
            return []
        return [_answer(row, answers) for row in run(backend, text, rows).to_dict("records")]

    return answer


def final(text: str) -> list[str]:
    """The names of the output fields that are final results, in order."""
    from xml.etree import ElementTree

    found = ElementTree.fromstring(text).iter(f"{{{exported.NAMESPACE}}}OutputField")
    return [item.attrib["name"] for item in found if item.attrib["isFinalResult"] == "true"]


def _answer(row: dict, names: list[str]):
    values = {name: None if value is None or value != value else value for name, value in row.items()}
    if values["errors"] is not None or None in [values[name] for name in names]:
        assert all(values[name] is None for name in names), "no answer stands beside a refusal"
        return InputError("?", str(values["errors"]))
    found = {"predict": values[next(name for name in names if name.startswith(("prediction", "label")))]}
    for method, start in {"predict_proba": "probability", "decision_function": "decision"}.items():
        several = [values[name] for name in names if name.startswith(start)]
        if several:
            found[method] = several if len(several) > 1 or method == "predict_proba" else several[0]
    return found


def schema():
    """The public schema of PMML 4.4, which the evaluator's jar brings; without what JPMML adds to it (``x-...``)."""
    import zipfile
    from pathlib import Path

    import jpmml_evaluator
    from lxml import etree

    (jar,) = Path(jpmml_evaluator.__file__).parent.glob("dependencies/pmml-model-[0-9]*.jar")
    with zipfile.ZipFile(jar) as opened:
        root = etree.fromstring(opened.read("pmml.xsd"))
    added = [item for item in root.iter() if item.get("name", item.get("value", "")).startswith("x-")]
    assert added
    for item in added:
        item.getparent().remove(item)
    return etree.XMLSchema(root)


def assert_valid(schema, text: str) -> None:
    """Looks that a document is valid by the schema."""
    from lxml import etree

    assert schema.validate(etree.fromstring(text.encode())), str(schema.error_log)
