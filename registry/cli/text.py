"""Words and figures for people: numbers, lists of names, the name that was meant, and aligned tables."""

import json
import re
from collections.abc import Iterable, Sequence

# A name longer than this is cut in a message.
_LONGEST = 80


def figure(value: float | None) -> str:
    """A number for people: four significant digits; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def listed(names: Iterable[object], most: int = 8) -> str:
    """Names for a message: quoted, the first few, long ones cut."""
    quoted = [one_line(repr(name), _LONGEST) for name in names]
    return ", ".join(quoted[:most]) + (f" and {len(quoted) - most} more" if len(quoted) > most else "")


#: A name in double quotes; a double quote within is written twice, as in CSV.
QUOTED = r'"(?:[^"]|"")*"(?!")'
_PART = re.compile(rf"\s*((?:{QUOTED})?[^,]*)(?:,|$)")


def parts(text: str) -> list[str]:
    """The parts of a list with commas between them, as typed; a part that begins with a quoted name may hold commas.

    Raises
    ------
    ValueError
        if a double quote at the beginning of a part is not closed.
    """
    found, place = [], 0
    while place < len(text):
        match = _PART.match(text, place)
        assert match is not None  # nothing at all is a part, too
        part, place = match[1].strip(), match.end()
        if part.startswith('"') and not re.match(QUOTED, part):
            raise ValueError(f"a double quote is not closed in {text!r}")
        found.append(part)
    return [part for part in found if part]


def unquoted(text: str) -> str:
    """A name without the double quotes around it; any other text as it is."""
    return text[1:-1].replace('""', '"') if re.fullmatch(QUOTED, text) else text


def argument(names: Iterable[str]) -> str:
    """Names as the value of an option that takes a list of them, as it is typed in a shell: ``a,b``, ``'"a, b",c'``."""
    text = ",".join('"' + name.replace('"', '""') + '"' if set(name) & set(',"') else name for name in names)
    return text if re.fullmatch(r"\w[\w.,-]*", text, re.ASCII) else "'" + text.replace("'", "'\"'\"'") + "'"


def closest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant; None where none is close."""
    import difflib

    by_lower = {other.lower(): other for other in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def escaped(text: str, *, keep: str = "") -> str:
    """A text as it may be printed: what would steer a terminal or turn the reading order is written as an escape.

    Escaped are control characters (also of line and paragraph), formats such as those of bidirectional text, and halves
    of characters: ``\\x1b``, ``\\u202e``. The joiners that scripts and emoji need stay.

    Parameters
    ----------
    keep : characters that are left as they are, such as a line feed.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if sign in keep or not _steers(sign) else _escape(sign) for sign in text)


def as_json(content: object) -> str:
    """A value as JSON that may be printed: characters that :func:`escaped` escapes are written as JSON escapes."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    return "".join(json.dumps(sign)[1:-1] if sign != "\n" and _steers(sign) else sign for sign in text)


def _steers(sign: str) -> bool:
    import unicodedata

    return sign not in "\u200c\u200d" and unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode("ascii")


def one_line(text: object, most: int = 300) -> str:
    """A text on one line, cut where it is too long."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def width(text: str) -> int:
    """How many places a text takes at a terminal: two for an East Asian wide character, none for an accent alone."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return len(text) + wide - sum(unicodedata.combining(sign) != 0 for sign in text)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: columns two spaces apart, a rule under the first row; its cells are escaped."""
    rows = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(width(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "  ".join(cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [lines[0], "  ".join("-" * size for size in widths), *lines[1:]]


def spans(numbers: Sequence[str]) -> str:
    """Versions in words: ``version 2``, ``versions 1 to 3 and 7``."""
    ordered = sorted({int(number) for number in numbers})
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [
        part
        for run in runs
        for part in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else [str(number) for number in run])
    ]
    told = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    return f"version{'s'[: len(ordered) > 1]} {told}"
