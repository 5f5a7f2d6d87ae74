"""A scorecard as an ONNX graph in float64, of standard operators, for ONNX Runtime, Triton and others.

Inputs: one tensor a column that an answer or a refusal hangs on, by the column's name, of shape (rows, 1): ``double``
for numbers and for yes/no columns (1 and 0), ``string`` for text. A missing number is NaN; a missing text is the word
that the metadata name ``missing_text``: "" wherever the scorecard reads that as missing, and else ``<NA>``. ONNX
Runtime's Python turns None into "None" and NaN into "nan", which most cleanings take as missing, too.

Outputs: ``prediction`` of a regression, or ``label``, ``probabilities`` (rows, classes) and ``decision`` (rows, scores)
of a classifier, as far as it has them, and ``valid``: all but ``probabilities`` and ``decision`` of shape (rows, 1). A
graph cannot raise: where the scorecard refuses a row ``valid`` is false, all numbers are NaN, and the label is none of
the classes ("" or ``<NA>``, NaN, or the smallest int64). Yes/no labels are 1 and 0. An output whose name a column has
got ends in an underscore.

The package ``onnx`` is needed to write a file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...errors import ScorecardError, Unsupported
from ...inputs import CATEGORY
from ...scorecard import Scorecard
from .. import vocabulary
from ..about import About
from ..wording import example

if TYPE_CHECKING:
    from onnx import ModelProto

    from .quantization import Loss

#: Operators on text are in this opset (December 2023), and this IR version came with it: ONNX Runtime 1.17 and later.
OPSET, ML_OPSET, IR = 20, 3, 9

_USAGE = """{title}: scorecard {digest}.

Feed one tensor (rows, 1) an input: double for numbers, string for text; a missing number is NaN, a missing text
{missing!r}. A number or a boolean among texts is fed as its text ('3', 'true'), a number that is written as text as the
number: a graph reads no decimal or thousands marks. Take an answer only where the output 'valid' is true. In Python:

    session = onnxruntime.InferenceSession("model.onnx")
    row = {row}
    names = [item.name for item in session.get_outputs()]
    answers = dict(zip(names, session.run(None, {{name: [[value]] for name, value in row.items()}})))
"""
_ANY_ROW = '{item.name: "text" if item.type == "tensor(string)" else 0.0 for item in session.get_inputs()}'


def write(scorecard: Scorecard, about: About | None = None, *, quantize: bool = False) -> bytes:
    """The file; the same scorecard gives the same bytes.

    Parameters
    ----------
    about : which model it is of.
    quantize : compute an MLP's layers in whole numbers of 8 bits; ``quantization_loss`` says what that costs.

    Raises
    ------
    ScorecardError
        where the package ``onnx`` is not installed.
    Unsupported
        where ONNX cannot say a name or a label, or there is nothing to quantise.
    """
    try:
        import onnx
    except ModuleNotFoundError:
        raise ScorecardError(
            "format onnx: expected the package onnx, found none; install it: pip install 'model-lifecycle[onnx]'"
        ) from None
    _check(scorecard, quantize)
    proto = _proto(scorecard, about, quantize)
    content = proto.SerializeToString(deterministic=True)
    if quantize:
        from .quantization import loss

        found = loss(scorecard, content)
        onnx.helper.set_model_props(proto, {**_properties(proto), "quantization_loss": json.dumps(found.to_dict())})
        content = proto.SerializeToString(deterministic=True)
    onnx.checker.check_model(proto, full_check=True)
    return content


def quantization_loss(content: bytes) -> Loss | None:
    """What quantising cost, as it was measured when a file was written; None for a file that is not quantised."""
    import onnx

    from .quantization import Loss

    found = _properties(onnx.load_from_string(content)).get("quantization_loss")
    return None if found is None else Loss(**json.loads(found))


def _properties(proto: ModelProto) -> dict[str, str]:
    return {item.key: item.value for item in proto.metadata_props}


def _check(scorecard: Scorecard, quantize: bool) -> None:
    """Refuses what the graph could not say."""
    if quantize and scorecard.kind != "mlp":
        raise Unsupported("", f"{scorecard.kind} model", "only an MLP can be quantised: leave --quantize out")
    if not scorecard.inputs:
        raise Unsupported("inputs", "none", "an ONNX graph without inputs does not know how many rows there are")
    for item in scorecard.inputs:
        if not item.name:
            raise Unsupported("inputs", "a column named ''", "ONNX has no input without a name: rename the column")
        _text(item.name, "inputs", "a column's name")
    for words in vocabulary.vocabularies(scorecard.program):
        for word in words.words:
            _text(word, f"column {scorecard.inputs[words.place].name!r}", "a category")
    for label in scorecard.classes or ():
        if isinstance(label, str):
            _text(label, "decision", "a label")
        elif isinstance(label, int) and not -(2**63) < label < 2**63:
            raise Unsupported("decision", "a label", "ONNX has whole numbers of 64 bits: expected a smaller one")


def _text(value: str, where: str, what: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unsupported(where, what, "ONNX holds Unicode text, found half of a surrogate pair") from None


def _proto(scorecard: Scorecard, about: About | None, quantize: bool) -> ModelProto:
    """The model with everything that is said about it."""
    from onnx import TensorProto, helper

    from .graph import Graph
    from .model import OnnxModel
    from .text import missing_word

    program = scorecard.program
    inputs = [program.inputs[place] for place in vocabulary.fed(program)]
    missing = missing_word(program.cleaning, vocabulary.vocabularies(program))
    names = {item.name for item in inputs}
    known = {name: name for name in ("prediction", "label", "probabilities", "decision", "valid")}
    for name in known:
        while known[name] in names:
            known[name] += "_"
    graph = Graph({*names, *known.values()})
    answers = OnnxModel(graph, scorecard, missing=missing, quantize=quantize).outputs()
    kinds = {"label": _label_type(scorecard), "valid": TensorProto.BOOL}
    widths = {"probabilities": len(scorecard.classes or ()), "decision": scorecard.document.model.outputs}
    outputs = []
    for name, tensor in answers.items():
        graph.named(tensor, known[name])
        kind = kinds.get(name, TensorProto.DOUBLE)
        outputs.append(helper.make_tensor_value_info(known[name], kind, ["rows", widths.get(name, 1)]))
    title = str(about or "") or f"a {scorecard.task} model"
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "scorecard",
            [
                helper.make_tensor_value_info(
                    item.name, TensorProto.STRING if item.type == CATEGORY else TensorProto.DOUBLE, ["rows", 1]
                )
                for item in inputs
            ],
            outputs,
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR,
        producer_name="model-lifecycle",
        doc_string=_USAGE.format(title=title, digest=scorecard.digest, missing=missing, row=_row(scorecard)),
    )
    described = {
        "model": about.model if about else "",
        "version": about.version if about else "",
        "digest": scorecard.digest,
        "task": scorecard.task,
        "inputs": json.dumps([item.to_dict() for item in inputs]),
        "outputs": json.dumps({name: known[name] for name in answers}),
        "missing_text": missing,
        "quantized": json.dumps(quantize),
    }
    if scorecard.classes is not None:
        described["classes"] = json.dumps(scorecard.classes)
    helper.set_model_props(proto, described)
    return proto


def _row(scorecard: Scorecard) -> str:
    """A row for the text that says how to use the graph."""
    found = {name: value if isinstance(value, str) else float(value) for name, value in example(scorecard).items()}
    return repr(found) if found else _ANY_ROW


def _label_type(scorecard: Scorecard) -> int:
    from onnx import TensorProto

    kinds = {str: TensorProto.STRING, float: TensorProto.DOUBLE}
    return kinds.get(type((scorecard.classes or [0])[0]), TensorProto.INT64)
