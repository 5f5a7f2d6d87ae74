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


def slots(words: list[bytes]) -> list[int]:
    """A table to find words by their hash in: each slot is 0, or one more than the place of a word.

    A word is in the slot of its hash, or in the next free one; half of the slots, whose number is a power of two, and
    more are free. The hash is FNV-1a of 32 bits (Fowler, Noll and Vo), its high bits folded into the low ones.
    """
    found = [0] * (1 << (2 * len(words)).bit_length())
    for place, word in enumerate(words, 1):
        value = 2166136261
        for byte in word:
            value = (value ^ byte) * 16777619 & 0xFFFFFFFF
        value ^= value >> 15
        while found[value % len(found)]:
            value += 1
        found[value % len(found)] = place
    return found
