"""The pictures of a search: its history, and how much each parameter mattered."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import pictures
from pipelines.pictures import BLUE, GREY, RED
from pipelines.pictures.look import blank, style
from pipelines.tuning import studies

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna import Study

# Beyond this spread a few bad trials would press all others into one line.
_OUTLYING = 3.0


def draw(study: "Study", *, metric: str, folder: Path) -> list[Path]:
    """Draw the search's history, and how much each parameter mattered, into a folder; the paths."""
    with style():
        figures = {"optimization_history": history(study, metric=metric)}
        if weights := importances(study):
            figures["parameter_importances"] = bars(weights, metric=metric)
    return pictures.write(figures, folder)


def importances(study: "Study") -> dict[str, float]:
    """The share of each parameter in what made trials good, most first (PED-ANOVA, Watanabe et al. 2023).

    Empty where fewer than two trials differ in value.
    """
    import optuna

    complete = studies.measured(study)
    if len({trial.value for trial in complete}) < 2:
        return {}
    with warnings.catch_warnings():
        # That a choice was tried less than twice is seen in the table of trials.
        warnings.simplefilter("ignore", UserWarning)
        return optuna.importance.get_param_importances(study)


def history(study: "Study", *, metric: str) -> "Figure":
    """Each trial's value and the best so far; pruned trials at their last value, as rings, failed ones as ticks."""
    import numpy as np
    from matplotlib.ticker import MaxNLocator
    from optuna.study import StudyDirection

    figure = blank(7.5, 4.2)
    axes = figure.subplots()
    done = studies.done(study)
    places = {trial.number: place for place, trial in enumerate(done, start=1)}
    complete = studies.measured(study)
    pruned = [trial for trial in done if trial.state.name == "PRUNED" and trial.intermediate_values]
    failed = [trial for trial in done if trial.state.name == "FAIL"]
    values = np.array([trial.value for trial in complete])
    lowest = study.direction == StudyDirection.MINIMIZE
    so_far = np.minimum.accumulate(values) if lowest else np.maximum.accumulate(values)
    x = [places[trial.number] for trial in complete]
    axes.scatter(x, values, s=22, color=BLUE, label="measured", zorder=3)
    last = [trial.intermediate_values[max(trial.intermediate_values)] for trial in pruned]
    if pruned:
        places_pruned = [places[trial.number] for trial in pruned]
        axes.scatter(places_pruned, last, s=22, facecolors="none", edgecolors=GREY, label="pruned, its folds so far")
    axes.step([*x, len(done)], [*so_far, so_far[-1]], where="post", color=RED, linewidth=1.6, label="best so far")
    if failed:
        for trial in failed:
            axes.axvline(places[trial.number], ymax=0.04, color=GREY, linewidth=1.2)
        axes.plot([], [], "|", color=GREY, label="failed")
    hidden = _focus(axes, values, np.array(last), lowest=lowest)
    axes.set_title(f"Search: {metric}, cross-validated")
    axes.set_xlabel("trial" + (f" ({hidden} worse values are outside)" if hidden else ""))
    axes.set_ylabel(f"{metric} ({'lower' if lowest else 'higher'} is better)")
    axes.set_xlim(0.5, max(len(done), 2) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return figure


def bars(weights: dict[str, float], *, metric: str) -> "Figure":
    """How much each parameter mattered, as bars."""
    figure = blank(7.5, 1.3 + 0.4 * len(weights))
    axes = figure.subplots()
    names, shares = list(weights)[::-1], list(weights.values())[::-1]
    drawn = axes.barh([pictures.plain(name) for name in names], shares, color=BLUE, height=0.6)
    axes.bar_label(drawn, [f"{share:.0%}" for share in shares], padding=4, fontsize=9)
    axes.set_xlim(0, 1.1 * max(shares))
    axes.set_title(f"What moved {metric}")
    axes.set_xlabel("share of importance (PED-ANOVA)")
    axes.grid(axis="y", visible=False)
    return figure


def _focus(axes, values, others, *, lowest: bool) -> int:
    """Show the better values wide, where some are far worse than most; how many of both lie outside."""
    import numpy as np

    badness, more = (values, others) if lowest else (-values, -others)
    best, middle = badness.min(), np.median(badness)
    limit = middle + _OUTLYING * (middle - best)
    outside = int((badness > limit).sum() + (more > limit).sum())
    if not outside or middle == best:
        return 0
    lower = min(best, more.min(initial=best))
    margin = 0.05 * (limit - lower)
    ends = (lower - margin, limit + margin)
    axes.set_ylim(*(ends if lowest else (-ends[1], -ends[0])))
    return outside
