"""How a back end finds what handles a kind of node, and refuses by name a kind that it does not handle."""

from collections.abc import Mapping
from typing import Any

from .errors import Unsupported


def unknown(node: object, back_end: str) -> Unsupported:
    """The refusal of a kind of node that a way of answering, or an export, does not handle."""
    return Unsupported("", type(node).__name__, f"{back_end} does not handle it")


def handler(handlers: Mapping[Any, Any], node: object, back_end: str) -> Any:
    """What handles a node, from a table by the class of the node.

    Raises
    ------
    Unsupported
        where the table has nothing for the class; names it.
    """
    try:
        return handlers[type(node)]
    except KeyError:
        raise unknown(node, back_end) from None
