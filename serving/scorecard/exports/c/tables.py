"""Tables of numbers, and comments, as C has them."""

from ..wording import filled, shown
from . import names


def doubles(name: str, values: list[float], comment: str = "") -> str:
    """A table of doubles; C has none without an element."""
    found = filled(f"static const double {name}[] = {{", list(map(names.number, values)) or ["0.0"], "};")
    return (f"/* {comment} */\n" if comment else "") + found + "\n"


def integers(name: str, values: list[int], comment: str) -> str:
    """A table of whole numbers."""
    return f"/* {comment} */\n" + filled(f"static const int {name}[] = {{", list(map(str, values)), "};") + "\n"


def remark(name: str) -> str:
    """A comment at the end of a line that says a name."""
    return f" /* {shown(name)} */" if name else ""
