"""What a search tries: ranges and choices of each estimator's parameters, and the points of the whole space."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines import estimators
from pipelines.estimators import EstimatorEntry

if TYPE_CHECKING:
    from optuna import Trial

#: The name of the choice between estimators in a study.
ESTIMATOR = "estimator"
#: Finite spaces of up to this many points are tried point by point.
LARGEST_GRID = 256


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

    entry: EstimatorEntry
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
        texts = {ESTIMATOR: ",".join(candidate.entry.name for candidate in self.candidates)}
        for candidate in self.candidates:
            for name, what in {**candidate.fixed, **candidate.space}.items():
                texts[self._key(candidate, name)] = str(what)
        return texts

    def _key(self, candidate: Candidate, name: str) -> str:
        return f"{candidate.entry.name}.{name}" if len(self.candidates) > 1 else name

    def _point(self, candidate: Candidate, point: Mapping[str, Any]) -> dict[str, Any]:
        chosen = {ESTIMATOR: candidate.entry.name} if len(self.candidates) > 1 else {}
        return chosen | {self._key(candidate, name): value for name, value in point.items()}
