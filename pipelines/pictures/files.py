"""Figures as files that repeat to the byte."""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.pictures.look import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What matplotlib would write of itself and of the clock into a file, by format.
_UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
_DOTS_PER_INCH = 144


def write(figures: "Mapping[str, Figure]", folder: Path, formats: Iterable[str] = ("png",)) -> list[Path]:
    """Write each figure as ``<folder>/<name>.<format>`` and return the paths; the same figure gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with style(), warnings.catch_warnings():
        # A script no font here has is drawn as boxes, which is seen; a warning a character helps nobody.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        for name, figure in figures.items():
            for form in formats:
                path = folder / f"{name}.{form}"
                figure.savefig(path, format=form, dpi=_DOTS_PER_INCH, metadata=_UNDATED.get(form))
                paths.append(path)
    return paths
