"""What a model makes of the texts of one input, worked out when the export is written.

A model compares text for being equal with the words it knows, and with nothing else: each text is one of these, or
missing, or another. So all that is computed from it alone is a table with a line for each.
"""

import math

from ... import steps
from ...inputs import Cleaning, InputError
from ...plan import Op


def is_text(op: Op) -> bool:
    """Whether an operation on text leaves text."""
    return op.kind == "chain" and not any(name in ("is", "lookup") for step in op.steps for name in step)


def by_input(ops: list[Op], places: list[int]) -> dict[int, list[Op]]:
    """For each of these inputs of text the operations on it, and on the text that others of them leave."""
    origin = {place: place for place in places}
    found: dict[int, list[Op]] = {place: [] for place in places}
    for op in ops:
        if op.kind in ("chain", "code") and op.sources[0] in origin:
            place = origin[op.sources[0]]
            found[place].append(op)
            if is_text(op):
                origin[op.slot] = place
    return found


def words(ops: list[Op], cleaning: Cleaning) -> list[str]:
    """The words that operations on a text tell apart, sorted."""
    known = {word for op in ops for word in _literals(op)}
    return [word for word in sorted(known) if cleaning.text(word) == word]


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


def unknown(known: list[str]) -> str:
    """A text that is none of these."""
    found = "\0"
    while found in known:
        found += "\0"
    return found


def results(op: Op, given: list) -> tuple[list, list]:
    """What an operation gives for each of these texts, where it is refused a spare value; and why it is refused.

    A one-hot group gives the place that is chosen, and its number of places where all are zero.
    """
    run, find = steps.chain(op.steps, op.blame), steps.codes(op.item, op.blame) if op.kind == "code" else None
    values, reasons = [], []
    for value in given:
        reason = None
        try:
            value = value if run is None else run(value)
            value = value if find is None else find(value)
        except InputError as error:
            value, reason = -1 if find else math.nan, error.reason
        values.append(len(op.item["one_hot"]) if find and value == -1 else value)
        reasons.append(reason)
    return values, reasons


def _literals(op: Op):
    """The texts that an operation compares with or puts in."""
    for step in op.steps:
        for name, value in step.items():
            if name == "lookup":
                yield from (key for key in value["keys"] if isinstance(key, str))
            elif name == "replace":
                yield from (text for text in (value["value"], value["by"]) if isinstance(text, str))
            elif isinstance(value, str) and name in ("impute", "is"):
                yield value
    if op.kind == "code":
        for keys in (*(group["of"] for group in op.item["one_hot"]), op.item["zero"]):
            yield from (key for key in keys if isinstance(key, str))
