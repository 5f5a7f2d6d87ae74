"""What a model makes of each text it can tell apart: for formats that look a text up once, and then have numbers only.

A model compares text for being equal with the words it knows and with nothing else. So each text is one of these words,
or missing, or unknown, and whatever is computed from it alone can be computed when the export is written, by the
scorecard's own steps.
"""

from dataclasses import dataclass

from .. import steps
from ..inputs import CATEGORY, Cleaning, InputError
from ..plan import Op, Plan


class _Refused:
    """Stands for the value of a text that the model refuses."""

    def __repr__(self):
        return "REFUSED"


REFUSED = _Refused()


@dataclass(frozen=True)
class Vocabulary:
    """The texts of one input that the model can tell apart.

    Parameters
    ----------
    place : of the input in the plan.
    words : what the model knows, trimmed where the cleaning trims, and without the words for missing.
    values : for each slot computed from this input alone, the input's own among them, one value a word, then one for a
        missing and one for an unknown text: a float, a text, None, or ``REFUSED``.
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
        return [all(values[place] is not REFUSED for values in self.values.values()) for place in range(self.size)]


def operations(plan: Plan) -> list[Op]:
    """All operations of a plan in order, those of its checks after those of its scores."""
    found = {op.slot: op for op in plan.ops}
    for check in plan.checks:
        for op in check.ops:
            found.setdefault(op.slot, op)
    return list(found.values())


def read(plan: Plan) -> list[int]:
    """Places of the inputs that an answer, or a refusal, hangs on; at least one, so that a table has a length."""
    found = {*plan.reads, *(place for check in plan.checks for place in check.places)}
    return sorted(found) or ([0] if plan.inputs else [])


def missing_words(cleaning: Cleaning) -> list[str]:
    """The words for a missing value that a text can be once it is cleaned, in order."""
    return sorted(word for word in cleaning.missing if not cleaning.trim or word == word.strip())


def vocabularies(plan: Plan) -> list[Vocabulary]:
    """One vocabulary for each input of text that is read."""
    ops = operations(plan)
    return [_vocabulary(plan, place, ops) for place in read(plan) if plan.inputs[place].type == CATEGORY]


def _vocabulary(plan: Plan, place: int, ops: list[Op]) -> Vocabulary:
    mine, known = {place}, dict[str, None]()
    for op in ops:
        if len(op.sources) == 1 and op.sources[0] in mine and op.kind != "product":
            mine.add(op.slot)
            known.update(dict.fromkeys(_literals(op)))
    words = tuple(word for word in known if plan.cleaning.text(word) == word)
    unknown = "\0"
    while unknown in known:
        unknown += "\0"
    missing = None if plan.inputs[place].null else REFUSED
    values: dict[int, list] = {place: [*words, missing, unknown]}
    for op in ops:
        if op.slot in mine:
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
    calls = [steps.chain(op.steps, op.blame)]
    if op.kind == "hot":
        calls = [lambda code: 1.0 if code == op.place else 0.0]
    elif op.kind == "code":
        calls.append(steps.codes(op.item, op.blame))

    def function(value):
        if value is REFUSED:
            return REFUSED
        try:
            for call in calls:
                value = value if call is None else call(value)
        except InputError:
            return REFUSED
        return value

    return function
