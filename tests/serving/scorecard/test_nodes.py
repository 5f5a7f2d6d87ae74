"""Each kind of node is handled by every way of answering and by every export, or refused by name."""

import gc
import inspect
import itertools
import math

import pytest

from serving.scorecard import (
    InputError,
    Scorecard,
    Unsupported,
    document,
    exports,
    fields,
    nodes,
    program,
    schema,
    strictjson,
)
from serving.scorecard.compiler.writing import to_json
from serving.scorecard.inputs import Cleaning, Input, Record
from serving.scorecard.steps import STEPS, TARGET_STEPS, Step

#: An argument of each step; a new step needs one here.
STEP_ARGUMENTS = {
    **{"impute": 2.0, "is": None, "add": 1.5, "subtract": 1.5, "multiply": 2.0, "divide": 4.0, "function": "exp"},
    **{"box_cox": 0.5, "yeo_johnson": 0.5, "inverse_box_cox": 0.5, "inverse_yeo_johnson": 0.5},
    **{"replace": {"value": 1.0, "by": 2.0}, "clip": [0.0, 2.0], "bin": [0.5, 1.5]},
    "lookup": {"keys": [1.0, None], "values": [3.0, 4.0], "otherwise": 5.0},
    "piecewise": {"edges": [0.0, 2.0], "origins": [0.0, 1.0, 2.0], "coefficients": [[], [0.5, -1.5, 2.0], [7.0]]},
}
CURVE = {"edges": [-1.0, 2.0], "origins": [0.0, -1.0, 0.0], "coefficients": [[0.0], [0.0, 0.25], [0.75]]}
#: The model of each kind over the column ``c``; a new kind needs one here.
MODELS = {
    "linear": {"intercepts": [0.25], "terms": [{"column": "c", "weights": [0.5]}]},
    "mlp": {
        "columns": ["c"],
        "activation": "relu",
        "layers": [
            {"weights": [[0.5], [-1.0]], "intercepts": [0.0, 1.0]},
            {"weights": [[1.0, 2.0]], "intercepts": [0.5]},
        ],
    },
    "ensemble": {
        "intercepts": [0.25, -0.5],
        "terms": [{"column": "c", "weights": [0.5, 1.0]}],
        "members": [
            {"link": "logistic", "calibration": [{"slope": 2.0, "offset": 0.5}], "weight": 1.0},
            {"link": "isotonic", "calibration": [{"piecewise": CURVE}], "weight": 3.0},
        ],
    },
}
NUMBERS = (0.0, 1.0, 3.0, -0.5)


def sealed(columns: list, *, kind: str = "linear", target: tuple = ()) -> nodes.Document:
    inputs = [Input("x", "number").to_dict(), Input("t", "category").to_dict()]
    task, link, decision = "regression", "identity", None
    if kind == "ensemble":
        task, link, decision = "classification", "mean", {"classes": [0, 1], "threshold": None}
    model = {"kind": kind, "link": link, "calibration": None, "target": list(target), **MODELS[kind]}
    cleaning = {"trim": True, "missing": [""]}
    body = {"task": task, "inputs": inputs, "cleaning": cleaning, "columns": columns, "model": model}
    return document.seal({**body, "decision": decision})


def cards() -> dict[str, Scorecard]:
    """A scorecard for each kind of step, of target step, of column, and of model."""
    found = {}
    for name, argument in STEP_ARGUMENTS.items():
        found[f"step {name}"] = sealed([{"name": "c", "input": "x", "steps": [{name: argument}, {"impute": 0.5}]}])
    for step in TARGET_STEPS:
        target = ({step.name: STEP_ARGUMENTS[step.name]},)
        found[f"target {step.name}"] = sealed([{"name": "c", "input": "x", "steps": []}], target=target)
    found["product"] = sealed(
        [{"name": "a", "input": "x", "steps": [{"impute": 3.0}]}, {"name": "c", "product": ["a", "a"]}]
    )
    found["combination"] = sealed(
        [
            {"name": "a", "input": "x", "steps": [{"impute": 3.0}]},
            {"name": "b", "column": "a", "steps": [{"function": "abs"}]},
            {"name": "c", "combine": ["a", "b"], "weights": [1.5, -0.25], "offset": 4.0},
        ]
    )
    for source, of in (("x", [1.0]), ("t", ["red"])):
        one_hot = [{"name": "c", "of": of}]
        group = {"input": source, "steps": [], "one_hot": one_hot, "zero": [], "otherwise": {"do": "zero"}}
        found[f"one-hot of {source}"] = sealed([group])
    for kind in MODELS:
        found[f"model {kind}"] = sealed([{"name": "c", "input": "x", "steps": [{"impute": 0.0}]}], kind=kind)
    return {name: Scorecard(sealed) for name, sealed in found.items()}


CARDS = cards()


def test_there_is_an_example_of_every_kind() -> None:
    assert STEP_ARGUMENTS.keys() == STEPS.keys()
    assert MODELS.keys() == nodes.ESTIMATORS.keys()


@pytest.mark.parametrize("name", CARDS)
def test_a_row_and_a_table_answer_every_node_alike(name: str) -> None:
    card = CARDS[name]
    for number, text in itertools.product(NUMBERS, ("red", None)):
        row = {"x": number, "t": text}
        try:
            expected = card.predict_row(row)
        except InputError:
            with pytest.raises(InputError, match="row 0"):
                card.predict({key: [value] for key, value in row.items()})
            continue
        (found,) = card.predict({key: [value] for key, value in row.items()}).tolist()
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("name", CARDS)
def test_a_table_that_is_scored_leaves_nothing_to_the_garbage_collector(name: str) -> None:
    """References in circles would keep the columns of a large table, part after part."""
    card, columns = CARDS[name], {"x": list(NUMBERS), "t": ["red"] * len(NUMBERS)}
    card.tables.scores(columns)
    gc.collect()
    gc.disable()
    try:
        card.tables.scores(columns)
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("format", exports.FORMATS)
@pytest.mark.parametrize("name", CARDS)
def test_every_export_writes_every_node(name: str, format: str) -> None:
    assert exports.write(CARDS[name], format)


class Halve(Step):
    """x / 2, which nothing but rows handles."""

    __slots__ = ("times",)
    times: float
    name = "halve"

    def bind(self, column: str):
        return lambda x: x / 2.0**self.times


def test_a_step_is_one_class_for_the_document_and_for_rows_and_others_refuse_it_by_name(monkeypatch) -> None:
    monkeypatch.setitem(STEPS, "halve", Halve)
    card = Scorecard(sealed([{"name": "c", "input": "x", "steps": [{"halve": 2}]}]))

    assert card.predict_row({"x": 8.0}) == 0.25 + 0.5 * 8.0 / 4.0
    assert Scorecard.loads(card.dumps()).document.columns == card.document.columns
    assert {"halve": {"type": "number"}} in [
        step["properties"] for step in schema.schema()["$defs"]["steps"]["items"]["anyOf"]
    ]
    with pytest.raises(Unsupported, match="Halve"):
        card.predict({"x": [8.0]})
    for name in exports.FORMATS.keys() - {"scorecard"}:
        with pytest.raises(Unsupported, match="Halve"):
            exports.write(card, name)


def test_every_field_of_a_node_has_a_type() -> None:
    kinds = [one for module in (nodes, program) for _, one in inspect.getmembers(module, inspect.isclass)]
    for kind in {*kinds, *STEPS.values()}:
        if issubclass(kind, Record) and kind not in (Input, Cleaning):
            assert all(fields.type_of(kind, name) for name in kind.fields)


@pytest.mark.parametrize("name", CARDS)
def test_nodes_are_written_as_the_document_has_them(name: str) -> None:
    found = CARDS[name].document

    for key in ("columns", "model", "decision"):
        assert to_json(getattr(found, key)) == found.content[key]


def test_the_published_schema_is_that_of_the_nodes() -> None:
    """Where it is not, ``python -m serving.scorecard.schema`` writes it anew."""
    assert schema.FILE.read_text(encoding="utf-8") == strictjson.dumps(schema.schema())


def test_a_record_is_a_value() -> None:
    pair = nodes.Platt(1.0, 2.0)

    assert pair == nodes.Platt(offset=2.0, slope=1.0)
    assert hash(pair) == hash(nodes.Platt(1.0, 2.0))
    assert repr(pair) == "Platt(slope=1.0, offset=2.0)"
    assert pair != nodes.Platt(1.0, math.pi)
    with pytest.raises(AttributeError, match="frozen"):
        pair.slope = 3.0  # type: ignore[misc]
    for wrong in ((1.0,), (1.0, 2.0, 3.0)):
        with pytest.raises(TypeError, match="expected slope, offset"):
            nodes.Platt(*wrong)
    with pytest.raises(TypeError, match="expected slope, offset"):
        nodes.Platt(1.0, slope=2.0)
