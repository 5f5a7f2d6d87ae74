"""Which encoding a text file has: told by its first bytes, else UTF-8, else Windows' own for Western Europe."""

import codecs

from serving.text_files.errors import TextFileError

UTF8 = "utf-8"
#: What is assumed of text that is not UTF-8: what Excel and R write on Windows in Western Europe.
WESTERN = "cp1252"

# The longer mark first: UTF-32's begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_HEAD = 1 << 20
# Western text has fewer letters beyond ASCII than this share; what has more is of another alphabet.
_FOREIGN = 0.25
_CONTROLS = frozenset(map(chr, (*range(9), 11, *range(14, 26), *range(28, 32), 127)))


def told(start: bytes) -> str | None:
    """The encoding that the first bytes of a file tell; None where they do not."""
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            return name
    # Without a mark every other byte of Western text in UTF-16 is 0.
    some = start[:1000]
    for name, zeros, others in (("utf-16-le", some[1::2], some[::2]), ("utf-16-be", some[::2], some[1::2])):
        if len(some) >= 4 and zeros.count(0) > 0.9 * len(zeros) and others.count(0) == 0:
            return name
    return None


def decoded(content: bytes, encoding: str, source: str) -> bytes:
    """A file's text as UTF-8.

    Raises
    ------
    TextFileError
        where it is not text of that encoding.
    """
    try:
        return content.decode(encoding).removeprefix("\ufeff").encode(UTF8)
    except UnicodeError as error:
        place = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
        raise TextFileError(f"{source} is not {encoding} text{place}; give its encoding with --encoding") from None


def western(content: bytes, source: str, bad: int) -> bytes:
    """Text that is not UTF-8 as UTF-8, where it may well be Western.

    Parameters
    ----------
    bad : the place of the byte that is not UTF-8.

    Raises
    ------
    TextFileError
        where it is another alphabet's, or no text at all.
    """
    check_western(content[:_HEAD], source, bad)
    try:
        return content.decode(WESTERN).encode(UTF8)
    except UnicodeDecodeError:
        raise _no_western(source, bad) from None


def check_western(start: bytes, source: str, bad: int) -> None:
    """Raise TextFileError if text that is not UTF-8 is another alphabet's by its beginning, or no text at all."""
    try:
        head = start.decode(WESTERN)
    except UnicodeDecodeError:
        raise _no_western(source, bad) from None
    if not _CONTROLS.isdisjoint(head):
        raise TextFileError(
            f"{source} is binary, neither text nor Parquet; give a CSV, TSV, Parquet or JSON lines file"
        )
    letters = sum(map(str.isalpha, head))
    # A byte of another alphabet's words has its neighbours there, too; a sign between digits has none.
    foreign = sum(not sign.isascii() for sign in head)
    if foreign > 3 and foreign > _FOREIGN * max(letters, 1):
        raise _no_western(source, bad)


def _no_western(source: str, bad: int) -> TextFileError:
    return TextFileError(
        f"{source} is not UTF-8 text (byte {bad}), nor Western European; give its encoding with --encoding, "
        "for example cp1250, cp1251, shift_jis or gbk"
    )
