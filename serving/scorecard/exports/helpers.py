"""The helpers of exported programs: functions in real source files, of which an export takes those that it needs."""

import re
from functools import cached_property
from pathlib import Path

#: Comments and texts, in which no name stands for a helper. What a template literal of JavaScript holds may be code.
_SILENT = re.compile(r'/\*.*?\*/|//[^\n]*|#[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_DECLARED = re.compile(
    r"^(?:export )?(?:static [\w *]*?(?=\w+\()|(?:struct|class|function|const|def) )(\w+)|^([A-Z]+)(?= =)", re.MULTILINE
)


class Helpers:
    """The helpers in one file, in its order.

    A helper begins at the margin after an empty line, with the comment above it; it needs those whose names it says.
    What stands above the line of dashes makes the file one that linters can read, and no export takes it.

    Parameters
    ----------
    file : the name of a file in ``languages``.
    """

    def __init__(self, file: str) -> None:
        self._file = file

    @cached_property
    def _parts(self) -> dict[str, str]:
        """The text of each helper, by its name."""
        text = Path(__file__).with_name("languages").joinpath(self._file).read_text(encoding="utf-8")
        _, helpers = re.split(r"^\S* ?-{80,}.*\n\n+", text, maxsplit=1, flags=re.MULTILINE)
        parts = {}
        for part in re.split(r"\n\n+(?=\S)", helpers.strip("\n")):
            found = _DECLARED.search(part)
            if found is None:
                raise ValueError(f"{self._file}: no helper has the text {part[:40]!r}")
            parts[found[1] or found[2]] = part + "\n"
        return parts

    def taken(self, names: set[str]) -> list[str]:
        """The texts of these helpers, and of all that they need.

        Raises
        ------
        KeyError
            where the file has no such helper.
        """
        found: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self._parts.keys() & set(re.findall(r"(?<![.\w])\w+", _SILENT.sub("", self._parts[name])))
        return [text for name, text in self._parts.items() if name in found]
