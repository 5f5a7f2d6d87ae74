"""Words and figures for people: numbers, lists of names, the name that was meant, and aligned tables."""

import json
import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest

# A name longer than this is cut in a message.
_LONGEST = 80


def figure(value: float | None) -> str:
    """A number for people: four significant digits; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def age(seconds: float) -> str:
    """How long ago something was: ``45 s``, ``12 min``, ``3 h``, ``5 days``."""
    for size, name in ((86400 * 2, "days"), (3600 * 2, "h"), (60 * 2, "min")):
        if seconds >= size:
            unit = {"days": 86400, "h": 3600, "min": 60}[name]
            return f"{seconds / unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"


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


def truth(word: str) -> bool | None:
    """Whether a word says yes (``yes``, ``true``, ``on``) or no (``no``, ``false``, ``off``); None for any other."""
    return {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}.get(word.lower())


def did_you_mean(name: str, names: Iterable[str], *, otherwise: str = "") -> str:
    """``did you mean 'x'?`` with the one of the names that is close; ``otherwise`` where none is."""
    import difflib

    by_lower = {other.lower(): other for other in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"did you mean {by_lower[found[0]]!r}?" if found else otherwise


def escaped(text: str) -> str:
    """A text as it may be printed: what would steer a terminal or turn the reading order is written as an escape.

    Escaped are control characters (also of line and paragraph), formats such as those of bidirectional text, and halves
    of characters: ``\\x1b``, ``\\u202e``. The joiners that scripts and emoji need stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(sign) if _steers(sign) else sign for sign in text)


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


#: A last column that would be narrower than this is put below the others.
_NARROWEST = 30


def fitted(rows: Sequence[Sequence[str | tuple[str, ...]]], room: int | None) -> list[str]:
    """The lines of a table that is no wider than a terminal, and holds every word: else as :func:`aligned`.

    The last column is wrapped; columns that find no place beside the others go below them, indented. A word that is
    wider than its column stays in one piece.

    Parameters
    ----------
    rows : the first is the head; a cell is a text, or several, each of which begins a line.
    room : number of places in a line; None for as many as are needed: then each row is one line.
    """
    cells = [[[_plain(text) for text in ([cell] if isinstance(cell, str) else cell)] for cell in row] for row in rows]
    if room is None:
        return aligned([[" ".join(cell) for cell in row] for row in cells])
    widths = [max(width(line) for row in cells for line in row[place]) for place in range(len(rows[0]))]
    last, indent, used = len(widths) - 1, widths[0] + 2, widths[0]
    lines = [[0]]  # the columns of each line of a row
    for place in range(1, len(widths)):
        left = room - used - 2
        if widths[place] > left and (place < last or left < _NARROWEST):
            lines.append([])
            used, left = indent - 2, room - indent
        lines[-1].append(place)
        widths[place] = min(widths[place], max(left, 1))
        used += 2 + widths[place]
    folded = [_folded(row, lines, widths, indent) for row in cells]
    table = [line for row in folded for line in row]
    rule = "  ".join("-" * size for size in widths) if len(lines) == 1 else "-" * max(map(width, table))
    return [*folded[0], rule, *table[len(folded[0]) :]]


def _plain(text: str) -> str:
    return escaped(" ".join(text.split()))


def _folded(
    row: Sequence[Sequence[str]], lines: Sequence[Sequence[int]], widths: Sequence[int], indent: int
) -> list[str]:
    """The lines of a row: its columns as ``lines`` has them, each wrapped to its width."""
    found = []
    for number, places in enumerate(lines):
        columns = [[part for line in row[place] for part in wrapped(line, widths[place])] for place in places]
        for cells in zip_longest(*columns, fillvalue=""):
            padded = (cell + " " * (widths[place] - width(cell)) for cell, place in zip(cells, places, strict=True))
            text = "  ".join(padded).rstrip()
            if text or not number:
                found.append(" " * indent * (number > 0) + text)
    return found


def wrapped(text: str, room: int) -> list[str]:
    """A text as lines of at most so many places; a word that is wider is a line of its own."""
    lines = [""]
    for word in text.split(" "):
        if not lines[-1]:
            lines[-1] = word
        elif width(lines[-1]) + 1 + width(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


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
