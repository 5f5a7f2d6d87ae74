"""Scorecards that no pipeline gave, drawn by hypothesis: every step in every place where a document may have it."""

import math
from itertools import pairwise

from hypothesis import strategies as st

from serving.scorecard import Scorecard, document, nodes, steps

NAMES = (
    *("age", "a b", "A B", "__proto__", "constructor", "toString", "int", "été", "??/", "*/", "\\", '"', "'", "\n", ""),
    *("\u2028", "日本", "x\x00y", "\x41f", "1st", "</script>", "NUMBERS", "${x}", "%s", "@name@"),
)
WORDS = (
    "red",
    "Red",
    "",
    " ",
    "a\nb",
    "it's",
    '"',
    "\\",
    "??/",
    "日本",
    "\x00",
    "a\x00",
    "x" * 70,
    "NA",
    "\u2028",
    "1",
    "</script>",
)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -3.25, 7.0, 1e-7, -1e9, 1e300, -1e300, 5e-324)
CONSTANTS = st.sampled_from((0.5, -2.0, 3.0, 1.0, -0.25, 1e-3, 10.0))
FUNCTIONS = steps.FUNCTIONS
CELLS = {
    "number": (None, math.nan, *NUMBERS, math.inf, -math.inf),
    "boolean": (None, 0.0, 1.0, 2.0, -0.0, 0.5),
    "category": (None, *WORDS, " red\t", "\u3000red\u2028", "\ufeffred", "\x1fred\x85", "never seen", "\xa0"),
}


@st.composite
def scorecards(draw) -> Scorecard:
    """A scorecard over up to five inputs."""
    names = list(draw(st.permutations(NAMES)))[: draw(st.integers(1, 5))]
    inputs = [
        {
            "name": name,
            "type": draw(st.sampled_from(("number", "number", "category", "category", "boolean"))),
            "integer": draw(st.integers(0, 3)) == 0,
            "null": draw(st.integers(0, 3)) > 0,
        }
        for name in names
    ]
    kinds: dict[str, str] = {}
    columns: list[dict] = []
    for place in range(draw(st.integers(1, 7))):
        _column(draw, f"column {place}", inputs, kinds, columns)
    numeric = [name for name, kind in kinds.items() if kind == "number"]
    model, decision, task = _model(draw, numeric)
    body = {
        "task": task,
        "inputs": inputs,
        "cleaning": draw(
            st.sampled_from(
                ({"trim": True, "missing": ["", "NA", "?", "@count@", "{x}", "%s"]}, {"trim": False, "missing": []})
            )
        ),
        "columns": columns,
        "model": model,
        "decision": decision,
    }
    return Scorecard(document.seal(body))


def rows(scorecard: Scorecard):
    """Rows for a scorecard, hard ones among them."""
    cells = {item.name: st.sampled_from(CELLS[item.type]) for item in scorecard.inputs}
    return st.lists(st.fixed_dictionaries(cells), min_size=8, max_size=8)


def _column(draw, name, inputs, kinds, columns) -> None:
    choice = draw(st.integers(0, 10))
    numeric = [other for other, kind in kinds.items() if kind == "number"]
    if choice == 0 and numeric:
        columns.append({"name": name, "product": draw(st.lists(st.sampled_from(numeric), max_size=3))})
        kinds[name] = "number"
        return
    if choice == 1 and numeric:
        summed = draw(st.lists(st.sampled_from(numeric), max_size=4))
        weights = [draw(CONSTANTS) for _ in summed]
        columns.append({"name": name, "combine": summed, "weights": weights, "offset": draw(CONSTANTS)})
        kinds[name] = "number"
        return
    item: dict
    if choice <= 4 and kinds:
        source = draw(st.sampled_from(sorted(kinds)))
        item, kind = {"column": source}, kinds[source]
    else:
        chosen = draw(st.sampled_from(inputs))
        item, kind = {"input": chosen["name"]}, "text" if chosen["type"] == "category" else "number"
    item["steps"] = []
    for _ in range(draw(st.integers(0, 3))):
        step, kind = _step(draw, kind)
        item["steps"].append(step)
    if draw(st.integers(0, 2)) == 0:
        keys = list(draw(st.permutations((None, *(WORDS if kind == "text" else (0.0, 1.0, 2.0, -1.0, 3.0))))))
        groups = [
            {"name": f"{name} = {place}", "of": [keys.pop() for _ in range(draw(st.integers(0, 2)))]}
            for place in range(draw(st.integers(1, 3)))
        ]
        item["one_hot"], item["zero"] = groups, keys[: draw(st.integers(0, 2))]
        item["otherwise"] = draw(st.sampled_from(({"do": "zero"}, {"do": "refuse"}, {"is": groups[0]["name"]})))
        kinds.update({group["name"]: "number" for group in groups})
        columns.append(item)
    else:
        kinds[name] = kind
        columns.append({"name": name, **item})


def _step(draw, kind) -> tuple[dict, str]:
    if kind == "text":
        name = draw(st.sampled_from(("impute", "replace", "is", "lookup")))
        words = st.sampled_from(WORDS)
        if name == "impute":
            return {name: draw(words)}, kind
        if name == "replace":
            return {name: {"value": draw(words), "by": draw(words)}}, kind
        if name == "is":
            return {name: draw(st.none() | words)}, "number"
        return {name: _lookup(draw, (None, *WORDS))}, "number"
    name = draw(
        st.sampled_from(
            ("impute", "impute", "replace", "is", "add", "subtract", "multiply", "divide", "clip", "function", "bin")
            + ("function", "box_cox", "yeo_johnson", "inverse_box_cox", "inverse_yeo_johnson", "lookup", "piecewise")
        )
    )
    if name in ("impute", "add", "subtract", "multiply", "divide"):
        return {name: draw(CONSTANTS)}, kind
    if name == "replace":
        return {name: {"value": draw(st.sampled_from(NUMBERS[:8])), "by": draw(CONSTANTS)}}, kind
    if name == "is":
        return {name: draw(st.none() | st.sampled_from(NUMBERS[:8]))}, kind
    if name == "clip":
        return {name: sorted(draw(st.tuples(CONSTANTS, CONSTANTS)))}, kind
    if name == "function":
        return {name: draw(st.sampled_from(FUNCTIONS))}, kind
    if name == "bin":
        return {name: sorted(draw(st.lists(CONSTANTS, max_size=4)))}, kind
    if name == "lookup":
        return {name: _lookup(draw, (None, 0.0, 1.0, 2.0, -1.0, 7.0))}, kind
    if name == "piecewise":
        edges = sorted(draw(st.lists(CONSTANTS, max_size=3)))
        rows = [draw(st.lists(CONSTANTS, max_size=4)) for _ in range(len(edges) + 1)]
        return {name: {"edges": edges, "origins": [draw(CONSTANTS) for _ in rows], "coefficients": rows}}, kind
    return {name: draw(st.sampled_from((0.0, 2.0, 0.5, -0.7, 1e-20)))}, kind


def _lookup(draw, choices) -> dict:
    keys = list(draw(st.permutations(choices)))[: draw(st.integers(0, 4))]
    values = [draw(st.none() | CONSTANTS) for _ in keys]
    return {"keys": keys, "values": values, "otherwise": draw(st.sampled_from((None, "refuse", 4.0)))}


def _model(draw, numeric) -> tuple[dict, dict | None, str]:
    chosen = [name for name in numeric if draw(st.integers(0, 3))]
    task = draw(st.sampled_from(("regression", "classification")))
    links = nodes.LINKS[task]
    link = draw(st.sampled_from(links))
    several = task == "classification" and (
        link in ("softmax", "one-vs-rest") or (link in ("none", "isotonic", "clipped") and draw(st.booleans()))
    )
    outputs = draw(st.integers(2, 3)) if several else 1
    calibration = _calibration(draw, link, outputs)
    target = []
    if task == "regression":
        for _ in range(draw(st.integers(0, 2))):
            step, _kind = _step(draw, "number")
            target += [step] if steps.STEPS[next(iter(step))] in steps.TARGET_STEPS else []
    model = {"link": link, "calibration": calibration, "target": target}
    weights = st.sampled_from((0.0, 0.5, -1.0, 2.5))
    if task == "classification" and draw(st.integers(0, 3)) == 0:
        return _ensemble(draw, chosen, target)
    if draw(st.integers(0, 4)) == 0 and chosen:
        units = draw(st.integers(1, 3))
        layers = []
        for inside, outside in ((len(chosen), units), (units, outputs)):
            rows = [[draw(weights) for _ in range(inside)] for _ in range(outside)]
            layers.append({"weights": rows, "intercepts": [draw(CONSTANTS) for _ in range(outside)]})
        activation = draw(st.sampled_from(nodes.ACTIVATIONS))
        model = {"kind": "mlp", **model, "columns": chosen, "activation": activation, "layers": layers}
    else:
        terms = [{"column": name, "weights": [draw(weights) for _ in range(outputs)]} for name in chosen]
        model = {"kind": "linear", **model, "intercepts": [draw(CONSTANTS) for _ in range(outputs)], "terms": terms}
    return model, _decision(draw, task, outputs, link), task


def _calibration(draw, link, outputs) -> list | None:
    if link == "isotonic":
        return [{"piecewise": _curve(draw)} for _ in range(outputs)]
    if link in ("logistic", "one-vs-rest") and draw(st.booleans()):
        return [{"slope": draw(CONSTANTS), "offset": draw(CONSTANTS)} for _ in range(outputs)]
    return None


def _curve(draw) -> dict:
    edges = sorted(draw(st.sets(CONSTANTS, max_size=3)))
    levels = st.sampled_from((0.0, 0.25, 0.5, 1.0))
    lines = []
    for low, high in pairwise(edges):
        first, last = draw(levels), draw(levels)
        lines.append([first, (last - first) / (high - low)])
    ends = [[draw(levels)] for _ in range(2 if edges else 1)]
    origins = [0.0, *edges[:-1], 0.0] if edges else [0.0]
    return {"edges": edges, "origins": origins, "coefficients": [ends[0], *lines, *ends[1:]]}


def _ensemble(draw, chosen, target) -> tuple[dict, dict | None, str]:
    classes = draw(st.integers(2, 3))
    links = ("softmax", "isotonic", "clipped", "logistic" if classes == 2 else "one-vs-rest")
    members, outputs = [], 0
    for _ in range(draw(st.integers(1, 3))):
        link = draw(st.sampled_from(links))
        scores = 1 if classes == 2 and link != "softmax" else classes
        calibration = _calibration(draw, link, scores)
        members.append(
            {"link": link, "calibration": calibration, "weight": draw(st.sampled_from((1.0, 1.0, 0.5, 3.0)))}
        )
        outputs += scores
    weights = st.sampled_from((0.0, 0.5, -1.0, 2.5))
    terms = [{"column": name, "weights": [draw(weights) for _ in range(outputs)]} for name in chosen]
    intercepts = [draw(CONSTANTS) for _ in range(outputs)]
    model = {"kind": "ensemble", "link": "mean", "calibration": None, "target": target}
    model |= {"intercepts": intercepts, "terms": terms, "members": members}
    decision = _decision(draw, "classification", classes if classes > 2 else 1, "mean")
    if decision and decision["threshold"]:
        decision["threshold"]["on"] = "probability"
    return model, decision, "classification"


def _decision(draw, task, outputs, link) -> dict | None:
    if task == "regression":
        return None
    kinds = (("b", "a", 'q"\n??/'), (2, -1, 0), (False, True), (0.5, -1.0, 2.0), (2**53 + 1, 7, -5))
    classes = list(draw(st.sampled_from(kinds)))[: max(2, outputs)]
    if len(classes) < outputs:
        classes = ["b", "a", "c"]
    threshold = None
    if outputs == 1 and draw(st.booleans()):
        on = "score" if link == "none" else draw(st.sampled_from(("score", "probability")))
        threshold = {"on": on, "value": draw(st.sampled_from((0.3, 0.55))), "positive": draw(st.sampled_from(classes))}
    return {"classes": classes, "threshold": threshold}
