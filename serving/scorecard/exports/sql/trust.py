"""Inputs whose numbers need not be looked at one by one: if one is not finite, the score is not finite either.

So a score is first computed as if all of them were finite or NULL. Only rows in which it comes out not finite are
computed again with every check, and the answers are the same to the last bit.
"""

from ... import steps
from ...inputs import NUMBER
from ...nodes import Linear
from ...program import ApplySteps, Encode, Indicate, Operation, Program
from .. import vocabulary

#: What makes a number that is not finite of one that is not.
_PASSES = (steps.Impute, steps.Add, steps.Subtract, steps.Multiply, steps.Divide)
#: What does not fail a query whatever the number is.
_BEARS = (*_PASSES, steps.Is, steps.Lookup, steps.Replace, steps.Clip, steps.Bin)


def trusted(program: Program) -> frozenset[int]:
    """Places of the inputs that need no look: a term of the score hangs on each, and nothing fails by them."""
    if not isinstance(program.document.model, Linear):
        return frozenset()
    users: dict[int, list[Operation]] = {}
    for operation in vocabulary.operations(program):
        for source in operation.sources:
            users.setdefault(source, []).append(operation)
    terms = {slot for (_, slot), weights in zip(program.columns, program.weights, strict=True) if any(weights)}
    terms |= {check.slot for check in program.checks}  # the score adds a zero for each, which is none if it is not

    def bears(slot: int) -> bool:
        return all(
            isinstance(one, (ApplySteps, Encode, Indicate))
            and all(isinstance(step, _BEARS) for step in one.steps)
            and bears(one.slot)
            for one in users.get(slot, ())
        )

    def arrives(slot: int) -> bool:
        return slot in terms or any(
            isinstance(one, ApplySteps) and all(map(_passes, one.steps)) and arrives(one.slot)
            for one in users.get(slot, ())
        )

    numbers = (place for place in vocabulary.read(program) if program.inputs[place].type == NUMBER)
    return frozenset(place for place in numbers if bears(place) and arrives(place))


def _passes(step: steps.Step) -> bool:
    return isinstance(step, _PASSES) and not (isinstance(step, steps.Multiply) and step.operand == 0.0)
