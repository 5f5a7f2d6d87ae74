"""What exported files in any programming language say alike: first lines, and long literals over several lines."""

import re
from typing import Any

from ..inputs import BOOLEAN, CATEGORY
from ..scorecard import Scorecard
from . import vocabulary
from .about import About

WIDTH = 110
#: Characters that no language reads as the end, or as the beginning, of anything inside a comment.
_PLAIN = frozenset(map(chr, range(32, 127))) - frozenset('"*?\\`')
#: An example of more columns than this is read by nobody.
_EXAMPLE = 20


def shown(text: str) -> str:
    """A name as it may stand in a comment: one line of ASCII that nothing can break out of, <U+000A> for the rest."""
    return "".join(character if character in _PLAIN else f"<U+{ord(character):04X}>" for character in text)


def title(scorecard: Scorecard, about: About | None) -> str:
    """Which model the file is, for the comment at its top."""
    what = f"a {scorecard.task} model"
    name = shown(str(about)) if about is not None else ""
    return f"{name}: {what}" if name else what[0].upper() + what[1:]


def example(scorecard: Scorecard) -> dict[str, Any]:
    """A row, to show how one is written: a value for each column that is read; empty where they are very many.

    A value is a float, an int where only whole numbers are taken, True, or a category that the model knows.
    """
    program = scorecard.program
    places = vocabulary.fed(program)
    if len(places) > _EXAMPLE:
        return {}
    words = {found.place: found.words for found in vocabulary.vocabularies(program)}
    row: dict[str, Any] = {}
    for place in places:
        item = program.inputs[place]
        if item.type == CATEGORY:
            short = [word for word in words.get(place, ()) if 0 < len(word) <= 40]
            row[item.name] = short[-1] if short else "text"
        else:
            row[item.name] = True if item.type == BOOLEAN else 3 if item.integer else 3.5
    return row


def put(text: str, **values: str) -> str:
    """A text with what belongs between its @s; what is put there is not looked at again."""
    return re.sub("@([A-Za-z]+)@", lambda found: values[found[1]], text)


def filled(opening: str, items: list[str], closing: str, *, indent: str = "    ") -> str:
    """Items between brackets, on one line where they fit and else on as many as they need."""
    line = opening + ", ".join(items) + closing
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return "\n".join([opening, *wrapped(items, indent=indent), closing])


def wrapped(items: list[str], *, indent: str) -> list[str]:
    """Lines of items, each with its comma; an item of several lines has them to itself."""
    lines, current = [], ""
    for item in items:
        piece = item.replace("\n", "\n" + indent) + ","
        if current and ("\n" in current + piece or len(current) + len(piece) >= WIDTH):
            lines.append(current)
            current = ""
        current += (" " if current else indent) + piece
    return [*lines, current] if current else lines
