"""The layers of an MLP in whole numbers of 8 bits, and how far that takes its answers from the exact ones.

Weights are rounded ahead, in proportion to the largest of each unit; what flows between layers is rounded when it is
known, in proportion to the largest of each row, so that a row's answer does not hang on its neighbours (as it does
where a whole batch shares one scale).
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from onnx import TensorProto

from ...inputs import BOOLEAN, CATEGORY
from ...program import ApplySteps, Program
from ...scorecard import Scorecard
from ...steps import Add, Arithmetic, Divide, Multiply, Subtract
from ..vocabulary import vocabularies
from .graph import Graph

#: The largest whole number for what flows, and for a weight: 7 bits, since without VNNI an x86 processor adds two
#: products in 16 bits, and 2 x 127 x 64 is the most that fits.
LARGEST_VALUE, LARGEST_WEIGHT = 127, 64


@dataclass(frozen=True)
class Loss:
    """What quantisation costs, measured on rows drawn around the values the model was trained on.

    Parameters
    ----------
    rows : how many rows were compared.
    measure : what was compared: ``probability``, or ``prediction``.
    mean, worst : absolute difference from the exact answer; of predictions in units of the standard deviation of the
        exact ones.
    labels : of a classifier, the share of rows whose label is another; None for a regression.
    """

    rows: int
    measure: str
    mean: float
    worst: float
    labels: float | None

    def __str__(self) -> str:
        unit = "" if self.measure == "probability" else " standard deviations"
        text = (
            f"quantised: over {self.rows:,} generated rows the {self.measure} is off by {self.mean:.2g}{unit} in the "
        )
        text += f"mean and {self.worst:.2g} at most"
        return text if self.labels is None else f"{text}; {self.labels:.2%} of the labels are others"

    def to_dict(self) -> dict:
        """The fields, ready for JSON."""
        return asdict(self)


def product(graph: Graph, x: str, weights: np.ndarray) -> str:
    """The product of ``x`` (rows, inputs) with weights (units, inputs), in whole numbers of 8 bits."""
    weights = np.asarray(weights, dtype=np.float64)
    largest = np.abs(weights).max(axis=1)
    unit = np.where(largest > 0.0, largest / LARGEST_WEIGHT, 1.0)
    whole = graph.constant(np.rint(weights / unit[:, None]).T, np.int8)
    size = graph.put("ReduceMax", graph.put("Abs", x), graph.constant([1], np.int64), keepdims=1)
    scale = graph.put("Div", size, graph.constant(float(LARGEST_VALUE)))
    scale = graph.where(graph.put("Greater", scale, graph.constant(0.0)), scale, graph.constant(1.0))
    rounded = graph.cast(graph.put("Round", graph.put("Div", x, scale)), TensorProto.INT8)
    found = graph.cast(graph.put("MatMulInteger", rounded, whole))
    return graph.put("Mul", graph.put("Mul", found, scale), graph.constant(unit[None, :]))


def loss(scorecard: Scorecard, content: bytes, *, rows: int = 1000, seed: int = 0) -> Loss:
    """The loss of a quantised graph of a scorecard, run by ONNX's own reference implementation.

    Raises
    ------
    Unsupported
        where the scorecard refuses all of the generated rows.
    """
    import onnx
    from onnx.reference import ReferenceEvaluator

    from ...errors import Unsupported

    table = generated(scorecard.program, rows, seed)
    scores, refusals = scorecard.tables.scores(table)
    good = np.setdiff1d(np.arange(rows), list(refusals.by_row()))
    if not len(good):
        raise Unsupported("", "MLP", "no generated row can be scored, so that the loss of --quantize is not known")
    session = ReferenceEvaluator(onnx.load_from_string(content))
    outputs = {name: place for place, name in enumerate(session.output_names)}
    feeds = {name: table[name][:, None] for name in session.input_names}
    with np.errstate(all="ignore"):
        found = [np.asarray(values)[good] for values in session.run(None, feeds)]
    scores = scores[:, good]
    if scorecard.classes is None:
        exact = scorecard.tables.predicted(scores)
        spread = float(exact.std()) or 1.0
        difference, labels = np.abs(found[outputs["prediction"]].ravel() - exact) / spread, None
        measure = "prediction"
    else:
        difference = np.abs(found[outputs["probabilities"]] - scorecard.tables.likelihoods(scores))
        labels = float(np.mean(found[outputs["label"]].ravel() != scorecard.tables.labels(scores)))
        measure = "probability"
    return Loss(len(good), measure, float(difference.mean()), float(difference.max()), labels)


def generated(program: Program, rows: int, seed: int) -> dict:
    """A table of rows around the values that a program's scalers were fitted to; the same seed, the same rows."""
    rng = np.random.default_rng(seed)
    words = {vocabulary.place: vocabulary.words for vocabulary in vocabularies(program)}
    table = {}
    for place, item in enumerate(program.inputs):
        if item.type == CATEGORY:
            table[item.name] = rng.choice(np.array(words.get(place) or ("x",), dtype=object), rows)
        elif item.type == BOOLEAN:
            table[item.name] = rng.integers(0, 2, rows).astype(np.float64)
        else:
            middle, spread = _around(program, place)
            values = middle + spread * rng.standard_normal(rows)
            table[item.name] = np.rint(values) if item.integer else values
    return table


def _around(program: Program, place: int) -> tuple[float, float]:
    """The mean and the standard deviation to draw an input from: what the first scaler after it makes 0 and 1 of."""
    for operation in program.operations:
        if operation.sources == (place,) and isinstance(operation, ApplySteps):
            arithmetic = [step for step in operation.steps if isinstance(step, Arithmetic)]
            scales = [step for step in arithmetic if isinstance(step, (Multiply, Divide))]
            slope = math.prod(step.operand if isinstance(step, Multiply) else 1 / step.operand for step in scales)
            shifts = [step for step in arithmetic if isinstance(step, (Add, Subtract))]
            if slope and math.isfinite(slope) and len(shifts) == 1:
                (shift,) = shifts
                # A scaler of a range, to 0 and 1 say, adds after it multiplies; the others subtract before they divide.
                adds = isinstance(shift, Add)
                middle = (0.5 - shift.operand) / slope if adds else shift.operand
                return middle, abs((0.25 if adds else 1.0) / slope)
    return 0.0, 1.0
