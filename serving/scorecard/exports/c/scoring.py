"""The end of the function ``compute``: from what is in ``v`` to the scores, and to the column to blame."""

from collections.abc import Callable, Sequence
from typing import Any

from ...handlers import handler
from ...nodes import Ensemble, Estimator, Linear, Network
from ..wording import filled, shown
from . import names
from .file import FileParts
from .layout import PlacedColumn, PlacedGroup
from .tables import doubles, integers, remark


def lines(code: FileParts) -> list[str]:
    """Lines from the columns to the scores; their tables go to those of ``code``."""
    return handler(_LINES, code.model, "C")(code, code.model)


def _linear(code: FileParts, model: Linear) -> list[str]:
    layout, outputs, count = code.layout, code.outputs, len(code.layout.columns)
    intercepts = model.intercepts
    lines, sums = [], []
    if count:
        code.helpers.add("weighted")
        start = _start(layout.columns)
        values = "x" if start is None else f"v + {start}" if start else "v"
        if start is None:
            code.stack += 8 * count
            lines = [f"double x[{count}];", f"for (int i = 0; i < {count}; i++) x[i] = v[{_at(layout.columns)}];"]
        weights = f"WEIGHTS + {'k' if outputs > 1 else '0'}".removesuffix(" + 0")
        sums.append(f"score += weighted({values}, {weights}, {count}, {outputs});")
    texts = [group for group in layout.groups if group.word is not None]
    others = [group for group in layout.groups if group.word is None]
    if texts:
        sums += _groups(code, "WORD", [(group.word, group) for group in texts], "word[{}]")
    if others:
        sums += _groups(code, "PLACE", [(group.at, group) for group in others], "(int)v[{}]")
    if outputs == 1:
        last = ["if (!isfinite(score)) return refused(v);", "scores[0] = score;"]
        return [*lines, f"double score = {names.number(intercepts[0])};", *sums, *last]
    code.tables.append(doubles("INTERCEPTS", intercepts))
    return [
        *lines,
        f"for (int k = 0; k < {outputs}; k++) {{",
        "    double score = INTERCEPTS[k];",
        *(f"    {line}" for line in sums),
        "    if (!isfinite(score)) return refused(v);",
        "    scores[k] = score;",
        "}",
    ]


def _network(code: FileParts, model: Network) -> list[str]:
    layers, columns = model.layers, code.layout.columns
    widest = max(1, len(columns), *(len(layer.intercepts) for layer in layers))
    code.stack += 16 * widest
    code.helpers.add("layer")
    lines = [f"double one[{widest}]" + (f", two[{widest}];" if len(layers) > 1 else ";")]
    if columns:
        lines.append(f"for (int i = 0; i < {len(columns)}; i++) one[i] = v[{_at(columns)}];")
    width, current, other = len(columns), "one", "two"
    for number, layer in enumerate(layers, 1):
        units = len(layer.intercepts)
        weights = [value for row in layer.weights for value in row]
        code.tables.append(doubles(f"LAYER_{number}", weights, "The weights of each unit."))
        code.tables.append(doubles(f"INTERCEPTS_{number}", layer.intercepts))
        last = number == len(layers)
        to = "scores" if last else other
        arguments = f"{current}, {width}, LAYER_{number}, INTERCEPTS_{number}, {units}, {to}"
        lines.append(f"if (!layer({arguments})) return refused(v);")
        activation = model.activation
        if not last and activation != "identity":
            code.helpers |= {activation} - {"tanh"}
            lines.append(f"for (int i = 0; i < {units}; i++) {to}[i] = {activation}({to}[i]);")
        width, current, other = units, other, current
    return lines


_LINES: dict[type[Estimator], Callable[[FileParts, Any], list[str]]] = {
    Linear: _linear,
    Network: _network,
    Ensemble: _linear,
}


def refused(code: FileParts) -> str:
    """The functions that say which input is to blame for a score that is not finite."""
    columns, outputs = code.layout.columns, code.outputs
    if not columns:
        return _NOBODY.replace("@anybody@", str(code.layout.anybody))
    if code.layout.program.weights:
        lines = [f"    {', '.join(map(names.number, item.weights))},{remark(item.name)}\n" for item in columns]
        comment = "/* The weight of each column of the model in each score. */"
        code.tables.append(f"{comment}\nstatic const double WEIGHTS[] = {{\n{''.join(lines)}}};\n")
    code.tables.append(integers("INPUTS", [item.input for item in columns], "The input to name for each column."))
    if _start(columns) is None:
        code.tables.append(integers("PLACES", [item.at for item in columns], "Where each column is in v."))
    size = f"        const double size = fabs(v[{_at(columns)}])"
    if not code.layout.program.weights:
        size += ";\n"
    elif outputs == 1:
        size += " * fabs(WEIGHTS[i]);\n"
    else:
        most = f"for (int k = 0; k < {outputs}; k++) most = fmax(most, fabs(WEIGHTS[i * {outputs} + k]));"
        size = f"        double most = 0.0, size;\n        {most}\n        size = fabs(v[{_at(columns)}]) * most;\n"
    return _REFUSED.replace("@count@", str(len(columns))).replace("@size@", size).replace("@at@", _at(columns))


def _start(columns: Sequence[PlacedColumn]) -> int | None:
    """Where the columns begin in ``v``; None where they do not lie there one after another."""
    start = columns[0].at
    return start if [item.at for item in columns] == list(range(start, start + len(columns))) else None


def _at(columns: Sequence[PlacedColumn]) -> str:
    start = _start(columns)
    return "PLACES[i]" if start is None else f"{start} + i" if start else "i"


def _groups(code: FileParts, name: str, groups: Sequence[tuple[int | None, PlacedGroup]], place: str) -> list[str]:
    """Lines that add what one-hot groups weigh."""
    lines, rows, count, outputs = [], [], 0, code.outputs
    for source, group in groups:
        rows.append(f"{{{source}, {count}}}")
        count += len(group.weights)
        lines.append(f"    /* {shown(group.name)} */\n")
        for row, label in zip(group.weights, group.labels, strict=True):
            lines.append(f"    {', '.join(map(names.number, row))},{remark(label)}\n")
    code.tables.append(
        f"/* What each category weighs in each score. */\n"
        f"static const double {name}_WEIGHTS[] = {{\n{''.join(lines)}}};\n\n"
        + filled(f"static const struct {{\n    int from, start;\n}} {name}_GROUPS[] = {{", rows, "};")
        + "\n"
    )
    at = f"{name}_GROUPS[i].start + {place.format(f'{name}_GROUPS[i].from')}"
    at = at if outputs == 1 else f"({at}) * {outputs} + k"
    return [f"for (int i = 0; i < {len(rows)}; i++) score += {name}_WEIGHTS[{at}];"]


_REFUSED = """
/* The input that the largest term is computed from. */
static int largest(const double *v)
{
    int found = 0;
    double top = -1.0;
    for (int i = 0; i < @count@; i++) {
@size@        if (size > top) {
            top = size;
            found = INPUTS[i];
        }
    }
    return found;
}

/* Why what is in v gives no finite score. */
static int refused(const double *v)
{
    for (int i = 0; i < @count@; i++) {
        if (!isfinite(v[@at@])) return status_of(INPUTS[i], UNUSABLE);
    }
    return status_of(largest(v), TOO_LARGE);
}
"""

_NOBODY = """
static int largest(const double *v)
{
    (void)v;
    return @anybody@;
}

static int refused(const double *v)
{
    return status_of(largest(v), TOO_LARGE);
}
"""
