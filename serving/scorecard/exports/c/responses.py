"""The lines of C from a classifier's scores to its margins, and to the probabilities of its classes."""

from ...nodes import Ensemble, Response
from ..module import link_helper
from ..wording import filled
from . import names
from .calculations import calculation
from .file import FileParts


def margins(code: FileParts, response: Response, tables: list[str], *, start: int = 0) -> list[str]:
    """Lines that put the margins in the place of the scores; their tables go to ``tables``.

    Parameters
    ----------
    start : which of the scores is the first.
    """
    lines = response.lines()
    if not lines:
        return []
    slopes, offsets = (f"{name}{f'_{start + 1}' if start else ''}" for name in ("SLOPES", "OFFSETS"))
    table = (
        "\n/* Calibration of each score. */\n"
        + filled(f"static const double {slopes}[] = {{", [names.number(item.slope) for item in lines], "};\n")
        + filled(f"static const double {offsets}[] = {{", [names.number(item.offset) for item in lines], "};\n")
    )
    if table not in tables:
        tables.append(table)
    at = f"scores[{start} + k]" if start else "scores[k]"
    return [f"for (int k = 0; k < {len(lines)}; k++) {at} = {slopes}[k] * {at} + {offsets}[k];"]


def probabilities(code: FileParts, classes: int, tables: list[str]) -> list[str]:
    """Lines from the scores, which they overwrite, to the probabilities."""
    model = code.model
    if not isinstance(model, Ensemble):
        return _linked(code, model, 0, model.outputs, "probabilities", tables)
    code.stack += 8 * classes
    each = f"for (int k = 0; k < {classes}; k++) "
    found = [f"double part[{classes}];", f"{each}probabilities[k] = 0.0;"]
    for member, start, stop in model.parts(classes):
        weight = "" if member.weight == 1.0 else f"{names.number(member.weight)} * "
        found += _linked(code, member, start, stop, "part", tables)
        found.append(f"{each}probabilities[k] += {weight}part[k];")
    return [*found, f"{each}probabilities[k] /= {names.number(sum(one.weight for one in model.members))};"]


def _linked(code: FileParts, response: Response, start: int, stop: int, to: str, tables: list[str]) -> list[str]:
    """Lines from some of the scores to probabilities."""
    outputs = stop - start
    lines = margins(code, response, tables, start=start)
    for place, curve in enumerate(response.curves(outputs), start):
        found, _ = calculation([curve], code.layout.pools, given=True)
        code.helpers |= found.helpers
        steps = " ".join(line.format(*found.numbers) for line in found.lines)
        lines.append(f"{{ double x = scores[{place}]; {steps} scores[{place}] = x; }}")
    link = link_helper(response, outputs)
    code.helpers.add(link)
    source = f"scores + {start}" if start else "scores"
    return [*lines, f"{link}({source}, {to}{f', {outputs}' if outputs > 1 else ''});"]
