"""How much memory a request needs, in bytes, estimated before any of it is parsed.

A parsed value takes many times the bytes that it was sent in: ``{},`` is three bytes, and a dict and its place in a
list take 72. All factors are here. They were measured with CPython 3.11 on 64 bits, whose objects are no smaller than
those of later releases, and a test holds them against real parsing. An estimate is meant to be an upper bound that
ordinary tables come close to; text that holds many commas or colons is overestimated.
"""

import re

from ..scorecard.inputs import NUMBER

#: A scalar and its place in a list: a float of 24 bytes, which the allocator rounds up, and a list that has room.
VALUE = 36
#: A string, beyond ``VALUE`` and its characters; the second is of strings that are not ASCII.
TEXT, WIDE_TEXT = 32, 56
#: A key that the parser does not know yet: a string, and its place among the names of all columns.
KEY = 120
#: A list, with the smallest block for its items.
ARRAY = 96
#: An empty dict, its first item, and each further one.
OBJECT, FIRST, FURTHER = 64, 128, 24
#: A list of a CSV row, and one of its cells.
CSV_ROW, CSV_CELL = 96, 72
#: A number of a binary tensor: unpacked into a tuple, copied to a list, and its row.
TENSOR_VALUE = 64
#: A row that is made of single values: a list, and its place.
ROW = 96
#: A cell while a table is scored: a column as a list, as an array, and the masks beside it; and one that is no number.
SCORED, SCORED_TEXT = 16, 40
#: A score of a row, one for each class of several: as it is summed, and as it is compared.
SCORE = 18
#: An answer, and its JSON, beyond the text of its label.
ANSWER = 64
#: A probability: as an item of a dict and as JSON, beyond the text of its label.
PROBABILITY = 100
#: A term of an explanation, and its JSON, beyond the term's name; and an explanation without its terms.
TERM, EXPLANATION = 600, 2048
#: A cell of a Parquet file: in Arrow's array, and as a Python value in a list.
PARQUET_CELL = 56
#: A structure of a Parquet file's footer once Arrow has read it, such as the description of a column chunk, and one of
#: its values.
PARQUET_STRUCT, PARQUET_VALUE = 1024, 64

# More different keys than this are not remembered by the parser, and each takes a string of its own.
_KEYS = 256
_KEY = re.compile(rb'"([^"\\]{0,32})"[ \t\r\n]*:')
_KEY_END = re.compile(rb'"[ \t\r\n]*:')


def width(body: bytes) -> int:
    """The most bytes that a character of a UTF-8 text takes as ``str``: one wide character widens all of its string."""
    if body.isascii():
        return 1
    return 4 if any(lead in body for lead in (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")) else 2


def decoded(body: bytes) -> int:
    """A UTF-8 text as one ``str``."""
    return 64 + len(body) * width(body)


def json(body: bytes, most: int | None = None) -> int:
    """The value of a JSON text.

    Parameters
    ----------
    most : what a request may take. A cheaper, larger estimate will do where it is far less, and where even a lower one
        is more.
    """
    commas, colons, quotes = body.count(b","), body.count(b":"), body.count(b'"')
    objects, arrays = body.count(b"{"), body.count(b"[")
    wide = width(body)
    if b"\\u" in body:  # an escape may stand for a wide character, too
        wide = max(wide, 4 if b"\\ud" in body or b"\\uD" in body else 2)
    text = TEXT if wide == 1 else WIDE_TEXT
    values = len(body) * wide + (commas + objects + arrays + 1) * VALUE + arrays * ARRAY + objects * OBJECT

    def cost(keys: int, known: int = 0, length: int = 0) -> int:
        """With so many keys, of which some are known and have this length together."""
        items = min(objects, keys) * FIRST + max(0, keys - objects) * FURTHER
        return values + items + max(0, quotes // 2 - keys) * text + (keys - known) * KEY - length * wide

    if most is None or cost(colons) <= most // 2 or cost(colons, colons) > most + len(body) * wide:
        return cost(colons)
    keys = sum(1 for _ in _KEY_END.finditer(body))  # other colons are in texts, such as times
    return cost(keys, *_known_keys(body))


def lines(body: bytes, most: int | None = None) -> int:
    """The values of JSON lines."""
    return json(body, most) + body.count(b"\n") * VALUE


def csv(body: bytes, rows: int, mark: str = ",") -> int:
    """The rows of a CSV text, of which no more than some are read."""
    found = min(body.count(b"\n") + body.count(b"\r"), rows) + 1
    return 2 * decoded(body) + found * CSV_ROW + (body.count(mark.encode()) + found) * CSV_CELL


def scoring(card, rows: int, outputs) -> int:
    """Scoring a table, and its answers with their JSON.

    Parameters
    ----------
    card : the ``Scorecard``.
    outputs : of ``OUTPUTS``, each that is asked for.
    """
    labels = [len(str(label)) for label in card.classes or ()]
    model = card.document["model"]
    scores = len(model["intercepts"] if model["kind"] == "linear" else model["layers"][-1]["intercepts"])
    cells = sum(SCORED if item.type == NUMBER else SCORED_TEXT for item in card.inputs)
    cost = rows * (cells + scores * SCORE)
    for output in outputs:
        if output == "probabilities":
            cost += rows * sum(PROBABILITY + 2 * label for label in labels)
        elif output == "explain":
            cost += rows * _explanation(card)
        else:
            cost += rows * (ANSWER + 2 * max(labels, default=0))
    return cost


def _explanation(card) -> int:
    plan = card.plan
    names = sum(len(name) for name, _ in plan.columns) + sum(max(map(len, names)) for _, _, names in plan.groups)
    return EXPLANATION + TERM * (len(plan.columns) + len(plan.groups)) + 4 * names


def _known_keys(body: bytes) -> tuple[int, int]:
    """How many keys are of the few that come again and again, for which nothing is allocated, and their length."""
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
