"""Estimates how much memory a request needs, in bytes, before it is parsed.

A parsed value takes many times its size on the wire: ``{},`` is three bytes, and a dict with its place in a list takes
72. All factors are here. They were measured with 64-bit CPython 3.11, whose objects are no smaller than those of later
releases, and a test compares them with real parsing. An estimate is an upper bound that ordinary tables come close to;
text with many commas or colons is overestimated.
"""

import re

from ..scorecard.inputs import NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from ..scorecard import Scorecard

#: A scalar and its place in a list: a float of 24 bytes, which the allocator rounds up, in an over-allocated list.
VALUE = 36
#: A string, beyond ``VALUE`` and its characters; the second is for strings that are not ASCII.
TEXT, WIDE_TEXT = 32, 56
#: A key that the parser has not seen: a string, and its place among the names of all columns.
KEY = 120
#: A list, with the smallest block for its items.
ARRAY = 96
#: An empty dict, its first item, and each further one.
OBJECT, FIRST, FURTHER = 64, 128, 24
#: A list of a CSV row, and one of its cells.
CSV_ROW, CSV_CELL = 96, 72
#: A number of a binary tensor: unpacked into a tuple, copied to a list, and its row.
TENSOR_VALUE = 64
#: A row made of single values: a list, and its place.
ROW = 96
#: A cell while a table is scored (in a list, an array and masks); the second is for cells that are no numbers.
SCORED, SCORED_TEXT = 16, 40
#: A score of a row, one for each of several classes: while it is summed and compared.
SCORE = 18
#: An answer, and its JSON, beyond the text of its label.
ANSWER = 64
#: A probability: as an item of a dict and as JSON, beyond the text of its label.
PROBABILITY = 100
#: A term of an explanation, and its JSON, beyond the term's name; and an explanation without its terms.
TERM, EXPLANATION = 600, 2048
#: A cell of a Parquet file: in Arrow's array, and as a Python value in a list.
PARQUET_CELL = 56
#: A structure of a Parquet footer in Arrow, such as the metadata of a column chunk, and one of its values.
PARQUET_STRUCT, PARQUET_VALUE = 1024, 64

# The parser caches at most this many keys; each further one takes a string of its own.
_KEYS = 256
_KEY = re.compile(rb'"([^"\\]{0,32})"[ \t\r\n]*:')
_KEY_END = re.compile(rb'"[ \t\r\n]*:')


def width(body: bytes) -> int:
    """Bytes for each character of a UTF-8 text as ``str``: one wide character widens its whole string."""
    if body.isascii():
        return 1
    return 4 if any(lead in body for lead in (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")) else 2


def decoded(body: bytes) -> int:
    """Memory of a UTF-8 text as one ``str``."""
    return 64 + len(body) * width(body)


def json(body: bytes, most: int | None = None) -> int:
    """Memory of a parsed JSON text.

    Parameters
    ----------
    most : limit of a request, in bytes. A cheaper estimate is used if it is far below the limit, or surely above it.
    """
    commas, colons, quotes = body.count(b","), body.count(b":"), body.count(b'"')
    objects, arrays = body.count(b"{"), body.count(b"[")
    wide = width(body)
    if b"\\u" in body:  # an escape may encode a wide character
        wide = max(wide, 4 if b"\\ud" in body or b"\\uD" in body else 2)
    text = TEXT if wide == 1 else WIDE_TEXT
    values = len(body) * wide + (commas + objects + arrays + 1) * VALUE + arrays * ARRAY + objects * OBJECT

    def cost(keys: int, known: int = 0, length: int = 0) -> int:
        """The cost with this many keys, of which ``known`` are cached and have this total length."""
        items = min(objects, keys) * FIRST + max(0, keys - objects) * FURTHER
        return values + items + max(0, quotes // 2 - keys) * text + (keys - known) * KEY - length * wide

    if most is None or cost(colons) <= most // 2 or cost(colons, colons) > most + len(body) * wide:
        return cost(colons)
    keys = sum(1 for _ in _KEY_END.finditer(body))  # other colons are in strings, such as times
    return cost(keys, *_known_keys(body))


def lines(body: bytes, most: int | None = None) -> int:
    """Memory of parsed JSON lines."""
    return json(body, most) + body.count(b"\n") * VALUE


def csv(body: bytes, rows: int, mark: str = ",") -> int:
    """Memory of a parsed CSV text, of which at most ``rows`` rows are read."""
    found = min(body.count(b"\n") + body.count(b"\r"), rows) + 1
    return 2 * decoded(body) + found * CSV_ROW + (body.count(mark.encode()) + found) * CSV_CELL


def scoring(card: "Scorecard", rows: int, outputs: "Collection[str]") -> int:
    """Memory for scoring a table, and for its answers with their JSON.

    Parameters
    ----------
    card : the ``Scorecard``.
    outputs : the requested ones of ``OUTPUTS``.
    """
    labels = [len(str(label)) for label in card.classes or ()]
    cells = sum(SCORED if item.type == NUMBER else SCORED_TEXT for item in card.inputs)
    cost = rows * (cells + card.document.model.outputs * SCORE)
    for output in outputs:
        if output == "probabilities":
            cost += rows * sum(PROBABILITY + 2 * label for label in labels)
        elif output == "explain":
            cost += rows * _explanation(card)
        else:
            cost += rows * (ANSWER + 2 * max(labels, default=0))
    return cost


def _explanation(card: "Scorecard") -> int:
    columns, groups = card.program.columns, card.program.groups
    names = sum(len(name) for name, _ in columns) + sum(max(map(len, group.names)) for group in groups)
    return EXPLANATION + TERM * (len(columns) + len(groups)) + 4 * names


def _known_keys(body: bytes) -> tuple[int, int]:
    """The number of keys that the parser has cached, which need no memory, and their total length."""
    known: set[bytes] = set()
    again = length = 0
    for match in _KEY.finditer(body):
        key = match[1]
        if key in known:
            again += 1
            length += match.end() - match.start()
        elif len(known) < _KEYS:
            known.add(key)
        else:
            return 0, 0
    return again, length
