"""A graph of ONNX operators in the making: nodes and constants by short calls, each result a name to go on with."""

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from onnx import GraphProto, TensorProto, helper, numpy_helper

#: The largest finite float64: what is above it in size, or is no number, is not finite.
LARGEST = 1.7976931348623157e308


class Graph:
    """Collects nodes and constants. A tensor is known by its name; all have rows on their first axis.

    Parameters
    ----------
    taken : names that nothing in the graph may have: those of its inputs and outputs.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.nodes: list = []
        self.constants: list = []
        self._names = set(taken)
        self._known: dict = {}
        self._numbers = itertools.count(1)

    def name(self, hint: str) -> str:
        """A name for a tensor that is not taken yet."""
        while True:
            found = f"{hint}_{next(self._numbers)}"
            if found not in self._names:
                self._names.add(found)
                return found

    def constant(self, value: Any, dtype: Any = np.float64) -> str:
        """A constant array; equal ones are there once. Text is given with ``dtype=object``."""
        array = np.array(value, dtype=dtype)
        key = (str(array.dtype), array.shape, tuple(array.ravel()) if dtype is object else array.tobytes())
        if key not in self._known:
            name = self._known[key] = self.name("constant")
            if dtype is object:
                texts = [text.encode() for text in array.ravel()]
                self.constants.append(helper.make_tensor(name, TensorProto.STRING, array.shape, texts))
            else:
                self.constants.append(numpy_helper.from_array(array, name))
        return self._known[key]

    def put(self, operator: str, *sources: str, domain: str = "", outputs: int = 1, **attributes: Any) -> Any:
        """A node of an operator on these tensors; the name of what it gives, a tuple where that is several."""
        names = [self.name(operator.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(sources), names, domain=domain, **attributes))
        return names[0] if outputs == 1 else tuple(names)

    def branch(self, build: Callable[["Graph"], str]) -> GraphProto:
        """A graph inside of this one, as ``If`` takes it: ``build`` puts nodes there and gives a row of whole numbers.

        It may use this graph's tensors, and gives none of its own a name that is taken here.
        """
        inner = Graph()
        inner._names, inner._numbers = self._names, self._numbers
        found = helper.make_tensor_value_info(build(inner), TensorProto.INT64, ["rows"])
        return helper.make_graph(inner.nodes, self.name("branch"), [], [found], inner.constants)

    def named(self, source: str, name: str) -> None:
        """Gives a tensor the name of an output."""
        self.nodes.append(helper.make_node("Identity", [source], [name]))

    def cast(self, source: str, to: int = TensorProto.DOUBLE) -> str:
        """The tensor in another type."""
        return self.put("Cast", source, to=to)

    def where(self, condition: str, yes: str, no: str) -> str:
        """The first where the condition holds, the second elsewhere."""
        return self.put("Where", condition, yes, no)

    def beside(self, sources: list[str]) -> str:
        """Tensors of two axes side by side."""
        return sources[0] if len(sources) == 1 else self.put("Concat", *sources, axis=1)

    def columns(self, source: str, places: list[int]) -> str:
        """Some of a tensor's columns."""
        return self.put("Gather", source, self.constant(places, np.int64), axis=1)

    def weighted(self, source: str, weights: Any, intercepts: str) -> str:
        """The product with weights (columns, results), and intercepts (1, results) added.

        By ``Gemm``: ONNX Runtime puts a scalar before a ``MatMul`` into an attribute of its own, which is float32.
        """
        return self.put("Gemm", source, self.constant(weights), intercepts)

    def finite(self, source: str) -> str:
        """Whether each number is finite."""
        return self.put("LessOrEqual", self.put("Abs", source), self.constant(LARGEST))

    def all(self, conditions: list[str]) -> str:
        """Whether all of the conditions, tensors (rows, any number), hold in a row: (rows, 1)."""
        axis = self.constant([1], np.int64)
        return self.put("ReduceMin", self.beside(conditions), axis, keepdims=1)

    def filled(self, like: str, value: float) -> str:
        """A column of one number, as long as another tensor."""
        rows = self.put("Shape", like, start=0, end=1)
        shape = self.put("Concat", rows, self.constant([1], np.int64), axis=0)
        return self.put("Expand", self.constant(value), shape)


def log1p(graph: Graph, x: str) -> str:
    """The logarithm of 1 + x, by Kahan's identity (HP-15C Advanced Functions Handbook, 1982, appendix).

    With u the float64 nearest to 1 + x, it is log(u) x / (u - 1), and x where u is 1.
    """
    one = graph.constant(1.0)
    u = graph.put("Add", x, one)
    ratio = graph.put("Div", x, graph.put("Sub", u, one))
    found = graph.put("Mul", graph.put("Log", u), ratio)
    found = graph.where(graph.put("Equal", u, one), x, found)
    # Infinity divided by itself is no number, though its logarithm is infinity.
    return graph.where(graph.put("Equal", x, graph.constant(math.inf)), x, found)


def expm1(graph: Graph, x: str) -> str:
    """exp(x) - 1, by Kahan's identity: with u = exp(x), it is (u - 1) x / log(u); x where u is 1, -1 where u is 0."""
    one = graph.constant(1.0)
    u = graph.put("Exp", x)
    less = graph.put("Sub", u, one)
    found = graph.put("Mul", less, graph.put("Div", x, graph.put("Log", u)))
    found = graph.where(graph.put("Equal", u, one), x, found)
    ends = graph.put(
        "Or", graph.put("Equal", less, graph.constant(-1.0)), graph.put("Greater", u, graph.constant(1e40))
    )
    return graph.where(ends, less, found)


def logistic(graph: Graph, x: str) -> str:
    """1 / (1 + exp(-x)) without overflow, and down to the smallest number (``Sigmoid`` gives 0 from about -37 on)."""
    one = graph.constant(1.0)
    e = graph.put("Exp", graph.put("Neg", graph.put("Abs", x)))
    positive = graph.put("GreaterOrEqual", x, graph.constant(0.0))
    return graph.put("Div", graph.where(positive, one, e), graph.put("Add", e, one))


def _signed(graph: Graph, x: str, of_size: str) -> str:
    """A function of |x| with the sign of x."""
    return graph.where(graph.put("Less", x, graph.constant(0.0)), graph.put("Neg", of_size), of_size)


def _cbrt(graph: Graph, x: str) -> str:
    return _signed(graph, x, graph.put("Pow", graph.put("Abs", x), graph.constant(1.0 / 3.0)))


def _arcsinh(graph: Graph, x: str) -> str:
    """log1p(|x| + x^2 / (1 + sqrt(x^2 + 1))) with the sign of x; where x^2 may overflow, log|x| + log 2."""
    one, size = graph.constant(1.0), graph.put("Abs", x)
    square = graph.put("Mul", x, x)
    root = graph.put("Sqrt", graph.put("Add", square, one))
    small = log1p(graph, graph.put("Add", size, graph.put("Div", square, graph.put("Add", root, one))))
    large = graph.put("Add", graph.put("Log", size), graph.constant(math.log(2.0)))
    return _signed(graph, x, graph.where(graph.put("Greater", size, graph.constant(1e9)), large, small))


def _divided(operator: str, by: float) -> Callable[[Graph, str], str]:
    return lambda graph, x: graph.put("Div", graph.put(operator, x), graph.constant(by))


def _plain(operator: str) -> Callable[[Graph, str], str]:
    return lambda graph, x: graph.put(operator, x)


#: The functions of the document, from (graph, tensor) to a tensor.
FUNCTIONS: dict[str, Callable[[Graph, str], str]] = {
    "log": _plain("Log"),
    "log2": _divided("Log", math.log(2.0)),
    "log10": _divided("Log", math.log(10.0)),
    "log1p": log1p,
    "exp": _plain("Exp"),
    "expm1": expm1,
    "sqrt": _plain("Sqrt"),
    "cbrt": _cbrt,
    "square": lambda graph, x: graph.put("Mul", x, x),
    "abs": _plain("Abs"),
    "sin": _plain("Sin"),
    "cos": _plain("Cos"),
    "tanh": _plain("Tanh"),
    "arcsinh": _arcsinh,
    "sign": _plain("Sign"),
    "negative": _plain("Neg"),
    "reciprocal": lambda graph, x: graph.put("Div", graph.constant(1.0), x),
}
