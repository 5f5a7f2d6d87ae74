"""Text in a graph: each text becomes its place in the vocabulary, trimmed and cleaned as the scorecard does.

ONNX has no operator that trims. Where there are blanks around a text of a batch, the words are compared by regular
expressions that allow for them; where there are none, which is nearly always, one look into a table does.
"""

from collections.abc import Iterable, Iterator

from onnx import TensorProto

from ...inputs import Cleaning
from ..vocabulary import Vocabulary, missing_words
from .graph import Graph

#: What ``str.strip`` takes off.
BLANKS = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
#: Characters of a regular expression.
LONGEST = 20_000


def missing_word(cleaning: Cleaning, vocabularies: list[Vocabulary]) -> str:
    """The text that stands for a missing one, since ONNX has no null: "" where the cleaning says so, else ``<NA>``."""
    if cleaning.text("") is None:
        return ""
    word = "<NA>"
    while any(word in vocabulary.words for vocabulary in vocabularies):
        word = f"<{word}>"
    return word


def places(graph: Graph, texts: str, vocabulary: Vocabulary, cleaning: Cleaning, missing: str) -> str:
    """The place of each text in the vocabulary: (rows, 1) texts become (rows,) whole numbers."""
    texts = graph.put("Squeeze", texts, graph.constant([1], "int64"))
    count = len(vocabulary.words)
    absent = sorted({*missing_words(cleaning), missing})
    known = {**{word: place for place, word in enumerate(vocabulary.words)}, **dict.fromkeys(absent, count)}

    def look(graph: Graph) -> str:
        return graph.put(
            "LabelEncoder",
            texts,
            domain="ai.onnx.ml",
            keys_strings=list(known),
            values_int64s=list(known.values()),
            default_int64=count + 1,
        )

    def compare(graph: Graph) -> str:
        words = [*((word, place) for place, word in enumerate(vocabulary.words)), *((word, count) for word in absent)]
        total = graph.constant([0], "int64")
        for digit in range((count + 1).bit_length()):
            # Each binary digit of the place, counted from 1, is one question: so there are few, even of many words.
            for either in _portions([word for word, place in words if (place + 1) >> digit & 1]):
                pattern = f"[{BLANKS}]*(?:{either})[{BLANKS}]*"
                same = graph.cast(graph.put("RegexFullMatch", texts, pattern=pattern), TensorProto.INT64)
                total = graph.put("Add", total, graph.put("Mul", same, graph.constant(1 << digit, "int64")))
        found = graph.put("Sub", total, graph.constant(1, "int64"))
        known = graph.put("Greater", total, graph.constant(0, "int64"))
        return graph.where(known, found, graph.constant([count + 1], "int64"))

    if not cleaning.trim:
        return look(graph)
    padded = graph.put("RegexFullMatch", texts, pattern=f"(?s)[{BLANKS}].*|.*[{BLANKS}]")
    number = graph.put("ReduceSum", graph.cast(padded, TensorProto.INT32), keepdims=0)
    some = graph.put("Greater", number, graph.constant(0, "int32"))
    return graph.put("If", some, then_branch=graph.branch(compare), else_branch=graph.branch(look))


def _portions(words: Iterable[str]) -> Iterator[str]:
    """Expressions of one of these words each, none too long for RE2, which keeps within 8 MiB."""
    found: list[str] = []
    size = 0
    for word in map(quoted, words):
        found.append(word)
        size += len(word)
        if size > LONGEST:
            yield "|".join(found)
            found, size = [], 0
    if found:
        yield "|".join(found)


def quoted(text: str) -> str:
    """A regular expression, for RE2 and Python alike, of this text and nothing else."""
    return "".join("\\x00" if c == "\0" else f"\\{c}" if c in r"\.+*?()|[]{}^$" else c for c in text)
