"""The pictures of a card: their titles, how to read each, and themselves as part of the page."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

#: The pictures in their order: title, and how to read each.
_READINGS = {
    "predicted_vs_actual": ("Predicted against actual", "Held-out rows; on the dashed line a prediction is exact."),
    "residuals": (
        "Residuals",
        "A median that leaves zero is bias; a band that widens is error that grows with the prediction.",
    ),
    "roc": ("ROC curve", "Share of the class that is found against false alarms, over all thresholds."),
    "precision_recall": (
        "Precision and recall",
        "Of two classes, the dot is the decision threshold that the model applies.",
    ),
    "calibration": (
        "Calibration",
        "Among rows given a probability of 0.7, 70 % should belong to the class. Below: how many rows got which.",
    ),
    "confusion_matrix": ("Confusion matrix", "Held-out rows by actual class (row) and answer (column)."),
    "coefficients": (
        "Coefficients",
        "Points and 95 % intervals per standard deviation, so that columns compare; at the right per raw unit. "
        "Grey: the interval holds zero.",
    ),
    "importances": (
        "Permutation importance",
        "How much the loss grows when a column is shuffled, with 95 % intervals.",
    ),
}
#: Those that have a row of the page to themselves.
_ALONE = frozenset({"coefficients", "importances"})

_PNG = b"\x89PNG"


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Parameters
    ----------
    source : the picture itself, as a ``data:`` URL.
    alone : whether it has a row of the page to itself.
    aspect, inches : its width by its height, and its width.
    """

    title: str
    reading: str
    source: str
    alone: bool
    aspect: float
    inches: float


def gallery(pictures: Mapping[str, bytes]) -> list[Picture]:
    """PNG or SVG pictures by name as what the page shows, known ones first and in their order."""
    known = [name for name in _READINGS if name in pictures]
    return [_shown(name, pictures[name]) for name in [*known, *sorted(pictures.keys() - _READINGS.keys())]]


def _shown(name: str, picture: bytes) -> Picture:
    title, reading = _READINGS.get(name, (name.replace("_", " ").capitalize(), ""))
    return embedded(title, reading, picture, alone=name in _ALONE)


def embedded(title: str, reading: str, picture: bytes, *, alone: bool = False) -> Picture:
    """A PNG or an SVG with the words beside it, as a page shows it."""
    kind = "image/png" if picture.startswith(_PNG) else "image/svg+xml"
    width, height = _inches(picture)
    return Picture(
        title=title,
        reading=reading,
        source=f"data:{kind};base64,{base64.b64encode(picture).decode()}",
        alone=alone,
        aspect=round(width / height, 3),
        inches=round(width, 2),
    )


def _inches(picture: bytes) -> tuple[float, float]:
    """Width and height of a PNG (of 144 dots an inch) or an SVG; matplotlib's own default where they are unknown."""
    width = height = 0.0
    if picture.startswith(_PNG):
        width, height = int.from_bytes(picture[16:20]) / 144, int.from_bytes(picture[20:24]) / 144
    elif found := re.search(rb'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', picture[:2000]):
        width, height = float(found[1]) / 72, float(found[2]) / 72
    return (width, height) if width > 0 and height > 0 else (6.4, 4.8)
