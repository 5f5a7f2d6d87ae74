"""What a model makes of each text it can tell apart: for formats that look a text up once, and then have numbers only.

A model compares text for being equal with the words it knows and with nothing else. So each text is one of these words,
or missing, or unknown, and whatever an operation makes of a text can be worked out when the export is written, by the
scorecard's own steps.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..inputs import CATEGORY, REQUIRED, Cleaning, InputError
from ..program import ApplySteps, Encode, Operation, Program
from ..rows import encoder
from ..steps import Lookup, chain


@dataclass(frozen=True)
class RefusedText:
    """Stands for the value of a text that the model refuses.

    Parameters
    ----------
    reason : why, as an error says it.
    """

    reason: str


@dataclass(frozen=True)
class Vocabulary:
    """The texts of one input that the model can tell apart.

    Parameters
    ----------
    place : of the input in the program.
    words : what the model knows, trimmed where the cleaning trims, and without the words for missing.
    values : for the input's own slot and each that an operation on text fills, one value a word, then one for a missing
        and one for an unknown text: a text or None, a number, the place in a one-hot group (-1 where all of it is
        zero), or ``RefusedText``.
    """

    place: int
    words: tuple[str, ...]
    values: dict[int, list[Any]]

    @property
    def size(self) -> int:
        """How many texts there are to tell apart: the words, missing and unknown."""
        return len(self.words) + 2

    def fine(self) -> list[bool]:
        """For each text, whether the model takes it."""
        found = self.values.values()
        return [not any(isinstance(values[place], RefusedText) for values in found) for place in range(self.size)]


def operations(program: Program) -> list[Operation]:
    """All operations of a program in order, those of its checks after those of its scores."""
    found = {one.slot: one for one in program.operations}
    for check in program.checks:
        for one in check.operations:
            found.setdefault(one.slot, one)
    return list(found.values())


def read(program: Program) -> list[int]:
    """Places of the inputs that an answer, or a refusal, hangs on."""
    return sorted({*program.reads, *(place for check in program.checks for place in check.places)})


def fed(program: Program) -> list[int]:
    """Places of the inputs that a format asks for: those that are read, or else the first, so that a row is one."""
    return read(program) or ([0] if program.inputs else [])


def missing_words(cleaning: Cleaning) -> list[str]:
    """The words for a missing value that a text can be once it is cleaned, in order."""
    return sorted(word for word in cleaning.missing if not cleaning.trim or word == word.strip())


def vocabularies(program: Program) -> list[Vocabulary]:
    """One vocabulary for each input of text that is read."""
    ops = operations(program)
    return [_vocabulary(program, place, ops) for place in read(program) if program.inputs[place].type == CATEGORY]


def is_text(operation: Operation) -> bool:
    """Whether an operation on text leaves text."""
    return isinstance(operation, ApplySteps) and all(step.keeps_kind for step in operation.steps)


def _vocabulary(program: Program, place: int, operations: list[Operation]) -> Vocabulary:
    texts, mine = {place}, list[Operation]()
    for one in operations:
        if isinstance(one, (ApplySteps, Encode)) and one.sources[0] in texts:
            mine.append(one)
            texts |= {one.slot} if is_text(one) else set()
    known = dict.fromkeys(word for one in mine for word in _literals(one))
    words = tuple(word for word in known if program.cleaning.text(word) == word)
    unknown = "\0"
    while unknown in known:
        unknown += "\0"
    missing = None if program.inputs[place].null else RefusedText(REQUIRED)
    values: dict[int, list[Any]] = {place: [*words, missing, unknown]}
    for one in mine:
        values[one.slot] = list(map(_function(one), values[one.sources[0]]))
    return Vocabulary(place, words, values)


def _literals(operation: Operation) -> Iterator[str]:
    """The texts that an operation compares with or puts in."""
    for step in operation.steps:
        if step.takes_text:
            given = step.keys if isinstance(step, Lookup) else [getattr(step, name) for name in step.fields]
            yield from (text for text in given if isinstance(text, str))
    if isinstance(operation, Encode):
        yield from (key for key in operation.one_hot.places() if isinstance(key, str))


def _function(operation: Operation) -> Callable[[Any], Any]:
    """What an operation does to one value."""
    run = chain(operation.steps, operation.blame)
    find = encoder(operation.one_hot, operation.blame) if isinstance(operation, Encode) else None

    def function(value: Any) -> Any:
        if isinstance(value, RefusedText):
            return value
        try:
            value = value if run is None else run(value)
            return value if find is None else find(value)
        except InputError as error:
            return RefusedText(error.reason)

    return function
