"""Build a search space from ``--estimator``, ``--param`` and ``--search``, within scikit-learn's own constraints."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from pipelines import estimators
from pipelines.errors import PipelineError
from pipelines.estimators import EstimatorEntry
from pipelines.tuning.default_spaces import Scale, sensible
from pipelines.tuning.spaces import Candidate, Choices, Range, SearchSpace
from registry.cli.text import did_you_mean, one_line

_SYNTAX = "expected low:high, low:high:log, or values: 0.1,1,10"


def names(asked: str) -> list[str]:
    """Parse ``--estimator``: ``ridge``, or several, separated by commas."""
    chosen = list(dict.fromkeys(name.strip() for name in asked.split(",") if name.strip()))
    if not chosen or ("auto" in chosen and len(chosen) > 1):
        raise PipelineError(f"--estimator: expected auto, a name, or several: ridge,lasso; found {asked!r}")
    return chosen


def build(
    entries: Iterable[EstimatorEntry], *, scale: Scale, fixed: Mapping[str, str], narrowed: Mapping[str, str]
) -> SearchSpace:
    """Build the space of a search.

    Parameters
    ----------
    fixed : ``--param``: name -> text, for every estimator that has it; a fixed parameter is not searched.
    narrowed : ``--search``: name, or ``ridge.alpha``, -> text, for every estimator that has it; it replaces what is
        tried of a parameter, or adds one.

    Raises
    ------
    PipelineError
        if an estimator has no such parameter or refuses a value, or if there is nothing to search.
    """
    entries = list({entry.name: entry for entry in entries}.values())
    constant, ranges = _assigned(fixed, entries, "--param"), _assigned(narrowed, entries, "--search")
    candidates = []
    for entry in entries:
        held, tried = constant[entry.name], ranges[entry.name]
        estimators.parameters(entry, held)
        if both := sorted(held.keys() & tried.keys()):
            raise PipelineError(f"{both[0]} is fixed by --param and searched by --search; give one of them")
        own = {name: _dimension(entry, name, text) for name, text in tried.items()}
        usual = {name: found for name, found in sensible(entry, scale).items() if name not in held}
        candidates.append(Candidate(entry, held, {**usual, **own}))
    if len(candidates) == 1 and not candidates[0].space:
        name = entries[0].name
        others = (e for e in estimators.CATALOGUE if e.task == entries[0].task and e.name != name)
        fitting = ", ".join(estimators.shown(others))
        raise PipelineError(f"{name} has nothing to tune as it is asked for; use train, or tune one of {fitting}")
    return SearchSpace(tuple(candidates))


def parse(texts: Iterable[str]) -> dict[str, str]:
    """``("alpha=0.001:10:log", "C=0.1,1 ridge.alpha=1:2")`` as a dict; values may hold commas.

    Raises
    ------
    PipelineError
        if a part has no name or no value.
    """
    by_name = {}
    for text in texts:
        for part in re.split(r"[\s,;]+(?=[A-Za-z_][\w.-]*=)", text.strip()):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if not (name and equals and value):
                raise PipelineError(f"--search: expected alpha=0.001:10:log or C=0.1,1,10, found {part!r}")
            by_name[name] = value
    return by_name


def _assigned(given: Mapping[str, str], entries: list[EstimatorEntry], option: str) -> dict[str, dict[str, str]]:
    """Return for each estimator, by name, those of the given parameters that are for it."""
    shares: dict[str, dict[str, str]] = {entry.name: {} for entry in entries}
    known = {entry.name: set(entry.load()().get_params()) for entry in entries}
    for name, text in sorted(given.items(), key=lambda item: "." in item[0]):  # ridge.alpha overrules alpha
        prefix, dot, own = name.rpartition(".")
        named = [entry for entry in entries if not dot or prefix in (entry.name, entry.class_name)]
        if not named:
            raise PipelineError(f"{option} {name}: {prefix} is not searched; it is one of {_names(entries)}")
        having = [entry for entry in named if own in known[entry.name]]
        if not having:
            parameters = set().union(*(known[entry.name] for entry in named))
            hint = did_you_mean(own, parameters, otherwise=f"it has {', '.join(sorted(parameters))}")
            raise PipelineError(f"{option} {name}: {_names(named)} has no such parameter; {hint}")
        for entry in having:
            shares[entry.name][own] = text
    return shares


def _names(entries: Iterable[EstimatorEntry]) -> str:
    return ", ".join(entry.name for entry in entries)


def _dimension(entry: EstimatorEntry, name: str, text: str) -> Range | Choices:
    """Parse ``0.001:10:log`` or ``0.1,1,10``, and let scikit-learn check the values."""
    bounds = [part.strip() for part in text.split(":")]
    if len(bounds) == 1:
        texts = tuple(dict.fromkeys(part.strip() for part in _between_commas(text)))
        if len(texts) < 2 or "" in texts:
            raise PipelineError(f"--search {name}={text}: {_SYNTAX}")
        for choice in texts:
            _accept(entry, name, choice)
        return Choices(texts)
    try:
        low, high = float(bounds[0]), float(bounds[1])
    except ValueError:
        raise PipelineError(f"--search {name}={text}: {_SYNTAX}") from None
    if len(bounds) > 3 or bounds[2:] not in ([], ["log"]) or not (math.isfinite(low) and math.isfinite(high)):
        raise PipelineError(f"--search {name}={text}: {_SYNTAX}")
    log = bounds[2:] == ["log"]
    if low >= high or (log and low <= 0):
        raise PipelineError(f"--search {name}={text}: expected low < high{', both above 0' if log else ''}")
    # A parameter that takes no number between two whole ones is searched in whole steps.
    try:
        _accept(entry, name, repr((low + high) / 2 + 1e-7 * (high - low)))
    except PipelineError:
        if low != int(low) or high != int(high):
            raise
        low, high = int(low), int(high)
    for end in (low, high):
        _accept(entry, name, repr(end))
    return Range(low, high, log, whole=isinstance(low, int))


def _between_commas(text: str) -> Iterator[str]:
    """Split a list at its commas, but not within brackets."""
    return iter(re.split(r",(?![^(\[]*[)\]])", text))


def _accept(entry: EstimatorEntry, name: str, text: str) -> None:
    try:
        estimators.parameters(entry, {name: text})
    except PipelineError as error:
        raise PipelineError(one_line(error).replace("--param", "--search", 1)) from None
