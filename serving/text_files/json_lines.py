"""JSON lines: what is wrong with a file, and in which line."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from registry.cli.text import listed

#: Bytes of the beginning of a file that are looked at.
HEAD = 1 << 20
BOM = b"\xef\xbb\xbf"
#: What writes a table as it is read.
PANDAS = 'write it with frame.to_json(PATH, orient="records", lines=True)'

# A program that writes a key twice does so from the first lines on.
_LINES = 1000
# Characters of a file that may be one object over many lines.
_ONE_OBJECT = 1 << 26


class _Record(dict):
    """A JSON object that remembers a key which it has twice."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self._keys = [name for name, _ in pairs] if len(pairs) > len(self) else []

    def check(self, line: int) -> None:
        """Raise ValueError if there is such a key: which of its values is meant, nobody can tell."""
        if twice := [name for name, count in Counter(self._keys).items() if count > 1]:
            raise ValueError(f"line {line} has the key {listed(twice)} more than once; rename all but one")


def check_head(start: bytes) -> None:
    """Raise ValueError if the beginning of a file is none of an object a line, or one of its lines has a key twice.

    Parameters
    ----------
    start : ``HEAD`` bytes, in UTF-8.
    """
    start = start.removeprefix(BOM).lstrip()
    if start.startswith(b"["):
        if _are_arrays(start):
            raise ValueError(
                "each line is a JSON array, expected an object a line; give the values names, for example with "
                "jq -c '{x: .[0], y: .[1]}'"
            )
        raise ValueError(
            f"it is one JSON array, expected an object a line; {PANDAS}, or convert it, for example with jq -c '.[]'"
        )
    for number, record in _first(start):
        record.check(number)


def names(start: bytes) -> list[str]:
    """The names in the first lines, in order.

    Parameters
    ----------
    start : ``HEAD`` bytes, in UTF-8.
    """
    return list(dict.fromkeys(name for _, record in _first(start) for name in record))


def _first(start: bytes) -> Iterator[tuple[int, _Record]]:
    """The numbers and objects of the first lines; what is wrong with another is told where it is read."""
    for number, line in enumerate(start.split(b"\n")[:_LINES], start=1):
        try:
            record = json.loads(line, object_pairs_hook=_Record)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, _Record):
            yield number, record


def records(lines: Iterable[str]) -> Iterator[dict]:
    """The objects of a file; empty lines are left out.

    Raises
    ------
    ValueError
        where a line is no object, or has a key twice; it holds nothing of the line but a key.
    """
    rest = iter(lines)
    for number, line in enumerate(rest, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=_Record)
        except (ValueError, RecursionError) as error:
            if number == 1 and _is_one_object(chain([line], rest)):
                raise ValueError(
                    f"it is one JSON object over many lines, expected an object a line; {PANDAS}"
                ) from None
            raise ValueError(f"line {number} is not JSON: {error}") from None
        if not isinstance(record, _Record):
            raise ValueError(f"line {number} is not an object of column names and values")
        record.check(number)
        yield record


def _are_arrays(start: bytes) -> bool:
    """Whether the first line is a JSON array, and another one begins below it."""
    first, _, rest = start.partition(b"\n")
    try:
        return isinstance(json.loads(first), list) and rest.lstrip().startswith(b"[")
    except (ValueError, RecursionError):
        return False


def _is_one_object(lines: Iterable[str]) -> bool:
    text, size = [], 0
    for line in lines:
        text.append(line)
        size += len(line)
        if size > _ONE_OBJECT:
            return False
    try:
        return isinstance(json.loads("".join(text)), dict)
    except (ValueError, RecursionError):
        return False
