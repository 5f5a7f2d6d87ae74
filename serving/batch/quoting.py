"""Names, texts and paths as DuckDB reads them back."""

import re
from pathlib import Path

from serving.scorecard.exports.sql.names import doubled


def text(value: str) -> str:
    """A text as a literal of DuckDB."""
    return doubled(value, "'")


def identifier(name: str) -> str:
    """A name of a column."""
    return doubled(name, '"')


def path_of(path: Path) -> str:
    """The path of one file, in which nothing is a pattern."""
    return text(re.sub(r"[*?[]", r"[\g<0>]", str(path)))
