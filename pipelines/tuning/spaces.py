"""What a search may try: each estimator's sensible space, as its user narrowed it, in scikit-learn's own bounds."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines import estimators
from pipelines.errors import PipelineError
from pipelines.estimators import Entry
from registry.cli.text import closest, one_line

if TYPE_CHECKING:
    import numpy as np
    from optuna import Trial

#: What ``auto`` tries. The elastic net is the lasso at one end; ridge is what it only comes near at the other.
AUTO = {"regression": ("ridge", "elastic-net"), "classification": ("logistic",)}
#: The name of the choice between estimators in a study.
ESTIMATOR = "estimator"
#: Finite spaces of up to this many points are tried point by point.
LARGEST_GRID = 256

_SYNTAX = "expected low:high, low:high:log, or values: 0.1,1,10"
_MLP_LAYERS = ("(16,)", "(64,)", "(100,)", "(32, 16)", "(100, 50)")


@dataclass(frozen=True)
class Scale:
    """What the penalties of a regression hang on, measured on the training rows.

    Parameters
    ----------
    rows : how many there are.
    spread, level : the standard deviation of the target, and the mean of its magnitude, in its units.
    """

    rows: int
    spread: float = 1.0
    level: float = 1.0

    @classmethod
    def of(cls, target: "np.ndarray") -> "Scale":
        """The scale of a numeric target, shape (n_rows,)."""
        import numpy as np

        spread, level = float(np.std(target)), float(np.mean(np.abs(target)))
        return cls(len(target), *(value if 1e-100 < value < 1e100 else 1.0 for value in (spread, level)))


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; uniform, or uniform in the logarithm; floats or whole."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.low!r}:{self.high!r}{':log' if self.log else ''}"

    def suggest(self, trial: "Trial", name: str) -> None:
        """Let the study's sampler choose one."""
        if self.whole:
            trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        else:
            trial.suggest_float(name, self.low, self.high, log=self.log)

    def values(self) -> list[int] | None:
        """All of them; None where they are not to be counted."""
        if not self.whole or self.high - self.low >= LARGEST_GRID:
            return None
        return list(range(int(self.low), int(self.high) + 1))


@dataclass(frozen=True)
class Choices:
    """Values as a user types them: ``relu``, ``(64, 32)``, ``none``."""

    texts: tuple[str, ...]

    def __str__(self) -> str:
        return ",".join(self.texts)

    def suggest(self, trial: "Trial", name: str) -> None:
        """Let the study's sampler choose one."""
        trial.suggest_categorical(name, self.texts)

    def values(self) -> list[str]:
        """All of them."""
        return list(self.texts)


@dataclass(frozen=True)
class Candidate:
    """An estimator and what is tried of it.

    Parameters
    ----------
    fixed : parameter -> text, the same in every trial.
    space : parameter -> what is tried.
    """

    entry: Entry
    fixed: Mapping[str, str]
    space: Mapping[str, Range | Choices]

    def texts(self, point: Mapping[str, Any]) -> dict[str, str]:
        """The estimator's parameters at a point of the space, as typed after ``--param``, to the last bit."""
        chosen = {name: value if isinstance(value, str) else repr(value) for name, value in point.items()}
        return {**self.fixed, **chosen}

    def default(self) -> dict[str, Any] | None:
        """The point where the estimator is as `train` has it; None where the space does not hold it."""
        values = {**self.entry.load()().get_params(), **self.entry.defaults}
        point = {name: self._placed(name, values[name]) for name in self.space}
        return None if None in point.values() else point

    def points(self) -> list[dict[str, Any]] | None:
        """Every point of a finite space; None where it is not, or is too large."""
        values = [dimension.values() for dimension in self.space.values()]
        if None in values or math.prod(len(found or ()) for found in values) > LARGEST_GRID:
            return None
        return [dict(zip(self.space, point, strict=True)) for point in itertools.product(*(v or () for v in values))]

    def _placed(self, name: str, value: Any) -> Any:
        """The estimator's value as the space has it; None where it does not."""
        dimension = self.space[name]
        if isinstance(dimension, Choices):
            typed = ((text, estimators.parameters(self.entry, {name: text})[name]) for text in dimension.texts)
            return next((text for text, one in typed if one == value and type(one) is type(value)), None)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not dimension.low <= value <= dimension.high
        ):
            return None
        return int(value) if dimension.whole else float(value)


@dataclass(frozen=True)
class SearchSpace:
    """The estimators of a search; with several, the estimator is a choice of its own.

    In a study a parameter has its own name where there is one estimator, ``ridge.alpha`` where there are several.
    """

    candidates: tuple[Candidate, ...]

    def suggest(self, trial: "Trial") -> None:
        """Let the study's sampler choose a point."""
        chosen = self.candidates[0]
        if len(self.candidates) > 1:
            names = [candidate.entry.name for candidate in self.candidates]
            chosen = self.candidates[names.index(trial.suggest_categorical(ESTIMATOR, names))]
        for name, dimension in chosen.space.items():
            dimension.suggest(trial, self._key(chosen, name))

    def read(self, point: Mapping[str, Any]) -> tuple[Candidate, dict[str, str]]:
        """The estimator of a study's point and its parameters, as typed."""
        chosen = next(c for c in self.candidates if c.entry.name == point.get(ESTIMATOR, c.entry.name))
        return chosen, chosen.texts({name: point[self._key(chosen, name)] for name in chosen.space})

    def planned(self, seed: int) -> list[dict[str, Any]]:
        """The points that are tried first: all of a small finite space, shuffled; else each estimator's defaults."""
        import numpy as np

        if self.size() is not None:
            points = [self._point(c, point) for c in self.candidates for point in c.points() or ()]
            return [points[place] for place in np.random.default_rng(seed).permutation(len(points))]
        defaults = ((candidate, candidate.default()) for candidate in self.candidates)
        return [self._point(candidate, point) for candidate, point in defaults if point is not None]

    def size(self) -> int | None:
        """How many points there are; None where they are not to be counted."""
        points = [candidate.points() for candidate in self.candidates]
        total = sum(len(found or ()) for found in points)
        return None if None in points or total > LARGEST_GRID else total

    def described(self) -> dict[str, str]:
        """All that is tried, and what is fixed, as a user would type it."""
        found = {ESTIMATOR: ",".join(candidate.entry.name for candidate in self.candidates)}
        for candidate in self.candidates:
            for name, what in {**candidate.fixed, **candidate.space}.items():
                found[self._key(candidate, name)] = str(what)
        return found

    def _key(self, candidate: Candidate, name: str) -> str:
        return f"{candidate.entry.name}.{name}" if len(self.candidates) > 1 else name

    def _point(self, candidate: Candidate, point: Mapping[str, Any]) -> dict[str, Any]:
        chosen = {ESTIMATOR: candidate.entry.name} if len(self.candidates) > 1 else {}
        return chosen | {self._key(candidate, name): value for name, value in point.items()}


def names(asked: str) -> list[str]:
    """The estimators of ``--estimator``: ``ridge``, or several with commas between them."""
    found = list(dict.fromkeys(name.strip() for name in asked.split(",") if name.strip()))
    if not found or ("auto" in found and len(found) > 1):
        raise PipelineError(f"--estimator: expected auto, a name, or several: ridge,lasso; found {asked!r}")
    return found


def build(
    entries: Iterable[Entry], *, scale: Scale, fixed: Mapping[str, str], narrowed: Mapping[str, str]
) -> SearchSpace:
    """The space of a search.

    Parameters
    ----------
    fixed : ``--param``: name -> text, for every estimator that has it; a fixed parameter is not searched.
    narrowed : ``--search``: name, or ``ridge.alpha``, -> text, for every estimator that has it; it replaces what is
        tried of a parameter, or adds one.

    Raises
    ------
    PipelineError
        where an estimator has no such parameter, or refuses a value; where there is nothing to search.
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
        fitting = ", ".join(e.name for e in estimators.CATALOGUE if e.task == entries[0].task and e.name != name)
        raise PipelineError(f"{name} has nothing to tune as it is asked for; use train, or tune one of {fitting}")
    return SearchSpace(tuple(candidates))


def sensible(entry: Entry, scale: Scale) -> dict[str, Range | Choices]:
    """What is worth trying of an estimator whose numbers are standardised; empty where nothing is.

    scikit-learn weighs a penalty against a sum or a mean of losses, each in the target's units or in units of its own;
    the bounds follow, so that they span from next to no penalty to one that leaves next to no model.
    """
    rows, spread, level = scale.rows, scale.spread, scale.level
    spaces: dict[str, dict[str, Range | Choices]] = {
        # Against a sum of squares: as many as rows.
        "ridge": {"alpha": _log(1e-3, 10 * max(rows, 10))},
        # Against a mean of squares, on the magnitude of coefficients: beyond the target's spread all are zero.
        "lasso": {"alpha": _log(1e-4 * spread, spread)},
        "elastic-net": {"alpha": _log(1e-4 * min(spread, 1), max(spread, 1)), "l1_ratio": Range(0.05, 1.0)},
        # Against a sum of squares over a scale of its own.
        "huber": {"epsilon": Range(1.05, 3.0), "alpha": _log(1e-6 * rows / spread, rows / spread)},
        # Against a mean deviance, which grows as the counts do.
        "poisson": {"alpha": _log(1e-5 * level, 10 * level)},
        # A sum of absolute errors against squares of coefficients.
        "linear-svr": {
            "C": _log(1e-2 * spread / rows, 1e3 * spread / rows),
            "epsilon": Range(0.0, _rounded(spread / 2)),
        },
        "logistic": {"C": _log(1e-4, 1e3)},
        "linear-svm": {"C": _log(1e-4, 1e2)},
    }
    layers: dict[str, Range | Choices] = {
        "hidden_layer_sizes": Choices(_MLP_LAYERS),
        "alpha": _log(1e-6, 10),
        "learning_rate_init": _log(1e-4, 3e-2),
    }
    return (spaces | {"mlp-regressor": layers, "mlp-classifier": layers}).get(entry.name, {})


def parse(texts: Iterable[str]) -> dict[str, str]:
    """``("alpha=0.001:10:log", "C=0.1,1 ridge.alpha=1:2")`` as a dict; values may hold commas.

    Raises
    ------
    PipelineError
        where a part has no name or no value.
    """
    found = {}
    for text in texts:
        for part in re.split(r"[\s,;]+(?=[A-Za-z_][\w.-]*=)", text.strip()):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if not (name and equals and value):
                raise PipelineError(f"--search: expected alpha=0.001:10:log or C=0.1,1,10, found {part!r}")
            found[name] = value
    return found


def _log(low: float, high: float) -> Range:
    return Range(_rounded(low), _rounded(high), log=True)


def _rounded(value: float) -> float:
    """To two significant digits, which people can read and type."""
    return float(f"{value:.1e}")


def _assigned(given: Mapping[str, str], entries: list[Entry], option: str) -> dict[str, dict[str, str]]:
    """Each estimator's share of what was given, by its name."""
    found: dict[str, dict[str, str]] = {entry.name: {} for entry in entries}
    known = {entry.name: set(entry.load()().get_params()) for entry in entries}
    for name, text in sorted(given.items(), key=lambda item: "." in item[0]):  # ridge.alpha overrules alpha
        prefix, dot, own = name.rpartition(".")
        named = [entry for entry in entries if not dot or prefix in (entry.name, entry.class_name)]
        if not named:
            raise PipelineError(f"{option} {name}: {prefix} is not searched; it is one of {_names(entries)}")
        having = [entry for entry in named if own in known[entry.name]]
        if not having:
            close = closest(own, set().union(*(known[entry.name] for entry in named)))
            hint = f"; did you mean {close}?" if close else ""
            raise PipelineError(f"{option} {name}: {_names(named)} has no such parameter{hint}")
        for entry in having:
            found[entry.name][own] = text
    return found


def _names(entries: Iterable[Entry]) -> str:
    return ", ".join(entry.name for entry in entries)


def _dimension(entry: Entry, name: str, text: str) -> Range | Choices:
    """What is tried of a parameter, from ``0.001:10:log`` or ``0.1,1,10``, checked by scikit-learn."""
    bounds = [part.strip() for part in text.split(":")]
    if len(bounds) == 1:
        texts = tuple(dict.fromkeys(part.strip() for part in _between_commas(text)))
        if len(texts) < 2 or "" in texts:
            raise PipelineError(f"--search {name}={text}: {_SYNTAX}")
        for one in texts:
            _accept(entry, name, one)
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
    """The values of a list; commas within brackets are theirs."""
    return iter(re.split(r",(?![^(\[]*[)\]])", text))


def _accept(entry: Entry, name: str, text: str) -> None:
    try:
        estimators.parameters(entry, {name: text})
    except PipelineError as error:
        raise PipelineError(one_line(error).replace("--param", "--search", 1)) from None
