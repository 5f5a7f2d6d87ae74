"""Texts of any content in Markdown, as MLflow's pages show it."""

import re
from collections.abc import Iterable

from registry.cli.text import one_line

#: The tag of a run with what its page says of it.
NOTE_TAG = "mlflow.note.content"
# Every store takes so much of a tag.
_LONGEST = 5000


def code(text: str) -> str:
    """A text as code, whatever it holds."""
    line = writable(one_line(text))
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def plain(text: str) -> str:
    """A text as it is, though it holds what Markdown or HTML would take for their own."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", writable(one_line(text, 1000)))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; the cells are plain texts."""
    lines = [list(head), *map(list, rows)]
    lines = [[plain(cell) for cell in line] for line in lines]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(*parts: str) -> str:
    """The parts that are not empty, as paragraphs; cut at what a tag takes."""
    text = "\n\n".join(part for part in parts if part)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def writable(text: str) -> str:
    """Without halves of characters, which no store takes."""
    return text.encode("utf-8", "replace").decode("utf-8")
