"""What a model makes of each text it can tell apart: for formats that look a text up once, and then have numbers only.

A model compares text for being equal with the words it knows and with nothing else. So each text is one of these words,
or missing, or unknown, and whatever an operation makes of a text can be worked out when the export is written, by the
scorecard's own steps.
"""

from dataclasses import dataclass

from .. import steps
from ..inputs import CATEGORY, REQUIRED, Cleaning, InputError
from ..plan import Op, Plan


@dataclass(frozen=True)
class Refused:
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
    place : of the input in the plan.
    words : what the model knows, trimmed where the cleaning trims, and without the words for missing.
    values : for the input's own slot and each that an operation on text fills, one value a word, then one for a missing
        and one for an unknown text: a text or None, a number, the place in a one-hot group (-1 where all of it is
        zero), or ``Refused``.
    """

    place: int
    words: tuple[str, ...]
    values: dict[int, list]

    @property
    def size(self) -> int:
        """How many texts there are to tell apart: the words, missing and unknown."""
        return len(self.words) + 2

    def fine(self) -> list[bool]:
        """For each text, whether the model takes it."""
        found = self.values.values()
        return [not any(isinstance(values[place], Refused) for values in found) for place in range(self.size)]


def operations(plan: Plan) -> list[Op]:
    """All operations of a plan in order, those of its checks after those of its scores."""
    found = {op.slot: op for op in plan.ops}
    for check in plan.checks:
        for op in check.ops:
            found.setdefault(op.slot, op)
    return list(found.values())


def read(plan: Plan) -> list[int]:
    """Places of the inputs that an answer, or a refusal, hangs on."""
    return sorted({*plan.reads, *(place for check in plan.checks for place in check.places)})


def fed(plan: Plan) -> list[int]:
    """Places of the inputs that a format asks for: those that are read, or else the first, so that a row is one."""
    return read(plan) or ([0] if plan.inputs else [])


def missing_words(cleaning: Cleaning) -> list[str]:
    """The words for a missing value that a text can be once it is cleaned, in order."""
    return sorted(word for word in cleaning.missing if not cleaning.trim or word == word.strip())


def vocabularies(plan: Plan) -> list[Vocabulary]:
    """One vocabulary for each input of text that is read."""
    ops = operations(plan)
    return [_vocabulary(plan, place, ops) for place in read(plan) if plan.inputs[place].type == CATEGORY]


def is_text(op: Op) -> bool:
    """Whether an operation on text leaves text."""
    return op.kind == "chain" and not any(name in ("is", "lookup") for step in op.steps for name in step)


def _vocabulary(plan: Plan, place: int, ops: list[Op]) -> Vocabulary:
    texts, mine = {place}, list[Op]()
    for op in ops:
        if op.kind in ("chain", "code") and op.sources[0] in texts:
            mine.append(op)
            texts |= {op.slot} if is_text(op) else set()
    known = dict.fromkeys(word for op in mine for word in _literals(op))
    words = tuple(word for word in known if plan.cleaning.text(word) == word)
    unknown = "\0"
    while unknown in known:
        unknown += "\0"
    missing = None if plan.inputs[place].null else Refused(REQUIRED)
    values: dict[int, list] = {place: [*words, missing, unknown]}
    for op in mine:
        values[op.slot] = list(map(_function(op), values[op.sources[0]]))
    return Vocabulary(place, words, values)


def _literals(op: Op):
    """The texts that an operation compares with or puts in."""
    for step in op.steps:
        for name, value in step.items():
            if name == "lookup":
                yield from (key for key in value["keys"] if isinstance(key, str))
            elif name == "replace":
                yield from (text for text in (value["value"], value["by"]) if isinstance(text, str))
            elif isinstance(value, str) and name in ("impute", "is"):
                yield value
    if op.kind == "code":
        for keys in (*(group["of"] for group in op.item["one_hot"]), op.item["zero"]):
            yield from (key for key in keys if isinstance(key, str))


def _function(op: Op):
    """What an operation does to one value."""
    run, find = steps.chain(op.steps, op.blame), steps.codes(op.item, op.blame) if op.kind == "code" else None

    def function(value):
        if isinstance(value, Refused):
            return value
        try:
            value = value if run is None else run(value)
            return value if find is None else find(value)
        except InputError as error:
            return Refused(error.reason)

    return function
