"""Nodes as the document holds them."""

from typing import Any

from ..inputs import Record
from ..nodes import Combination, Estimator, OneHot, Product
from ..steps import Step


def to_json(node: Any) -> Any:
    """A node, or a list of nodes, as the document holds it."""
    if isinstance(node, (list, tuple)):
        return [to_json(item) for item in node]
    if not isinstance(node, Record):
        return node
    fields = {name: to_json(getattr(node, name)) for name in node.fields}
    if isinstance(node, Step):
        return {node.name: next(iter(fields.values())) if len(fields) == 1 else fields}
    if isinstance(node, Product):
        return {"name": node.name, "product": fields["factors"]}
    if isinstance(node, Combination):
        return {"name": node.name, "combine": fields["columns"], "weights": node.weights, "offset": node.offset}
    if isinstance(node, Estimator):
        return {"kind": node.kind, **fields}
    if "source" in fields:
        source = fields.pop("source")
        if isinstance(node, OneHot):
            one_hot, other = fields["indicators"], node.other
            otherwise = {"do": "refuse"} if other is None else {"do": "zero"}
            if other is not None and other >= 0:
                otherwise = {"is": node.indicators[other].name}
            said = {"steps": fields["steps"], "one_hot": one_hot, "zero": fields["zero"], "otherwise": otherwise}
            return {source["kind"]: source["name"], **said}
        return {"name": fields["name"], source["kind"]: source["name"], "steps": fields["steps"]}
    return fields
