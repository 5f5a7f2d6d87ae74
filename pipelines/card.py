"""The model card: what is known about one version, as one HTML page that needs nothing else."""

import base64
import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipelines.coefficients import Coefficient
from pipelines.wording import readable

TEMPLATE = Path(__file__).parent / "templates" / "card.html"

#: Each metric's name for people, and whether less of it is better.
METRICS = {
    **{"mse": ("MSE", True), "rmse": ("RMSE", True), "r2": ("R²", False), "mae": ("MAE", True)},
    **{"accuracy": ("Accuracy", False), "precision": ("Precision", False), "recall": ("Recall", False)},
    **{"f1": ("F1", False), "roc_auc": ("ROC AUC", False), "log_loss": ("Log loss", True)},
}
#: The metrics at the top of the card.
HEADLINES = {"regression": ("rmse", "r2", "mae"), "classification": ("accuracy", "roc_auc", "log_loss")}

#: The pictures in their order: title, and how to read each.
PICTURES = {
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

_PNG = b"\x89PNG"


def render(
    evidence: dict,
    *,
    model_uri: str,
    pictures: Mapping[str, bytes] | None = None,
    coefficients: Sequence[Coefficient] = (),
    score: str = "score",
    champion: dict | None = None,
    data_docs_link: str | None = None,
    run_id: str | None = None,
    example: Mapping[str, Any] | None = None,
) -> str:
    """One self-contained HTML page about one model version, with the sections of Mitchell et al. (2019).

    The page loads nothing and runs no script: pictures are inside it. It follows the reader's light or dark scheme.

    Parameters
    ----------
    evidence : the evidence document; any part of it may be None or missing.
    model_uri : ``models:/NAME/VERSION``, for the commands.
    pictures : name -> PNG or SVG bytes, named as `pipelines.pictures` names them.
    coefficients : what `pipelines.coefficients.table` (or ``importances``) gave.
    score : what the coefficients are changes of (`pipelines.coefficients.score_name`).
    champion : the version in Production on the same rows: ``{"version": "3", "rows": 89, "metrics": {name: number},
        "candidate": {name: number}}``; a metric may also be ``{"value": number}``, ``candidate`` (this version on those
        rows) is this version's own metrics where it is missing, and ``note`` says why there is no comparison.
    data_docs_link : where the Great Expectations page is, relative to the card or http(s).
    run_id : the MLflow run the version came from.
    example : one raw row, for the commands; where it is None a typical row from the profile.

    Returns
    -------
    str : the page, UTF-8.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"readable": _shown, "exact": _exact, "percent": _percent}
    document = {key: value for key, value in evidence.items() if value is not None}
    model, metrics = _part(document, "model"), _part(document, "metrics")
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    name, version = _version(model_uri, model.get("name"))
    row = dict(example) if example is not None else _typical(document)
    html = page.render(
        name=name,
        version=version,
        model=_keyed(model, "task estimator target classes positive threshold threshold_rule"),
        parameters=_part(model, "parameters"),
        headlines=_headlines(document),
        metrics=_metrics(document),
        baseline=_part(document, "baseline").get("strategy"),
        champion=_champion(champion, metrics),
        folds=_folds(_part(document, "cross_validation")),
        holdout=_keyed(_part(document, "holdout"), "by columns test_size cut rows training_rows bootstrap"),
        suite=_suite(document.get("suite")),
        fairness=[_fairness(column) for column in document.get("fairness") or []],
        parity=_parity(document.get("parity")),
        inputs=_inputs(document),
        left_out=[_keyed(gone, "column reason") for gone in _part(document, "schema").get("left_out") or []],
        lineage=_lineage(document),
        caveats=_caveats(document),
        pictures=_pictures(pictures or {}),
        coefficients=list(coefficients),
        score=score,
        importance="importances" in (pictures or {}),
        data_docs=data_docs_link,
        data_docs_href=_link(data_docs_link),
        run_id=run_id,
        model_uri=model_uri,
        commands=_commands(model_uri, row, document),
    )
    # Half of a surrogate pair, which a file of names may hold, has no UTF-8.
    return html.encode("utf-8", "replace").decode("utf-8")


def _part(document: Mapping, name: str) -> dict:
    return document.get(name) or {}


def _keyed(section: Mapping, names: str) -> dict:
    """A section with exactly these keys, None where it has none."""
    return {name: section.get(name) for name in names.split()}


def _version(model_uri: str, name: str | None) -> tuple[str, str | None]:
    found = re.fullmatch(r"models:/(.+?)(?:/([^/]+)|@([^/@]+))?", model_uri)
    if not found:
        return name or model_uri, None
    return name or found[1], found[2] or found[3]


def _link(address: str | None) -> str | None:
    """An address that may be followed: relative or http(s), and nothing that a browser would run."""
    return address if address and urlsplit(address).scheme in ("", "http", "https") else None


def _value(metric) -> float | None:
    """A metric given as a number or as ``{"value": number}``."""
    return metric.get("value") if isinstance(metric, Mapping) else metric


def _label(metric: str) -> str:
    return METRICS.get(metric, (metric, False))[0]


def _difference(metric: str, value: float | None, other: float | None) -> dict | None:
    """How a value stands against another: the difference, its share, and whether that is better."""
    if value is None or other is None:
        return None
    gap = value - other
    lower = METRICS.get(metric, (metric, False))[1]
    better = None if gap == 0 else (gap < 0) == lower
    # Shares of a score that can be negative or zero say nothing.
    share = gap / abs(other) if lower and other else None
    return {"gap": gap, "share": share, "better": better}


def _metrics(document: dict) -> list[dict]:
    dummy = _part(_part(document, "baseline"), "metrics")
    rows = []
    for name, metric in _part(document, "metrics").items():
        ends = metric if isinstance(metric, Mapping) else {}
        value, other = _value(metric), _value(dummy.get(name))
        rows.append(
            {
                **{"name": name, "label": _label(name), "value": value, "baseline": other},
                **{"low": ends.get("low"), "high": ends.get("high")},
                "difference": _difference(name, value, other),
            }
        )
    order = list(METRICS)
    return sorted(rows, key=lambda row: order.index(row["name"]) if row["name"] in order else len(order))


def _headlines(document: dict) -> list[dict]:
    names = HEADLINES.get(_part(document, "model").get("task") or "", ())
    return [row for name in names for row in _metrics(document) if row["name"] == name and row["value"] is not None]


def _champion(champion: dict | None, own: dict) -> dict | None:
    if not champion:
        return None
    mine = champion.get("candidate") or {} if "candidate" in champion else own
    rows = []
    for name, metric in (champion.get("metrics") or {}).items():
        value, other = _value(mine.get(name)), _value(metric)
        difference = _difference(name, value, other)
        rows.append({"label": _label(name), "value": value, "champion": other, "difference": difference})
    return {**_keyed(champion, "version rows note"), "metrics": rows}


def _folds(section: dict) -> dict | None:
    if not section:
        return None
    rows = [
        {"label": _label(name), **_keyed(summary or {}, "mean std"), "folds": (summary or {}).get("folds") or []}
        for name, summary in _part(section, "metrics").items()
    ]
    return {**_keyed(section, "kind folds"), "metrics": rows}


def _suite(section: dict | None) -> dict | None:
    if not section:
        return None
    keys = "expectation column severity success observed expected"
    findings = [_keyed(finding, keys) for finding in section.get("findings") or []]
    failed = [finding for finding in findings if finding["success"] is False]
    return {**_keyed(section, "name success evaluated failed"), "findings": findings, "failures": failed}


def _fairness(section: dict) -> dict:
    groups = section.get("groups") or []
    names = list(dict.fromkeys(name for group in groups for name in group.get("metrics") or {}))
    gaps = section.get("gaps") or {}
    return {
        "column": section.get("column"),
        "labels": [_label(name) for name in names],
        "groups": [
            {
                **_keyed(group, "group rows"),
                "values": [_value((group.get("metrics") or {}).get(name)) for name in names],
            }
            for group in groups
        ],
        "gaps": [_value(gaps.get(name)) for name in names],
    }


def _flat(section: Mapping, prefix: str = "") -> list[tuple[str, Any]]:
    """A nested section as rows of a path in words and a plain value."""
    rows: list[tuple[str, Any]] = []
    for key, value in section.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            rows += _flat(value, f"{name}, ")
        else:
            rows.append((name, value))
    return rows


def _parity(section: dict | None) -> dict | None:
    """Whether the scorecard agrees, the section's own facts, and the details that are nested in it."""
    if not section:
        return None
    nested = {key: value for key, value in section.items() if isinstance(value, Mapping)}
    facts = {key: value for key, value in section.items() if key not in nested and key != "passed"}
    return {"passed": section.get("passed"), "facts": _flat(facts), "details": _flat(nested)}


def _inputs(document: dict) -> list[dict]:
    profiles = _part(document, "profile")
    rows = []
    for column in _part(document, "schema").get("inputs") or []:
        seen = profiles.get(column.get("name")) or {}
        count, missing = seen.get("count"), seen.get("missing")
        top = list((seen.get("top") or {}).items())
        rows.append(
            {
                **_keyed(column, "name type integer null"),
                **_keyed(seen, "mean std distinct"),
                **{end: _whole(seen.get(end), column.get("integer")) for end in ("min", "max")},
                "missing": missing / count if count and missing is not None else None,
                "median": (seen.get("quantiles") or {}).get("0.5"),
                "top": [(text, times / count if count else None) for text, times in top[:4]],
                "more": max((seen.get("distinct") or len(top)) - 4, 0),
                "bars": _bars(seen),
            }
        )
    return rows


def _whole(value: float | None, integer: bool | None) -> float | int | None:
    """The end of a range, without decimals where the column has none."""
    return int(value) if integer and value is not None and float(value).is_integer() else value


def _bars(seen: dict) -> list[tuple[float, float, float]]:
    """A small histogram: (left, width, height) of bars within 100 x 20, between the outermost known quantiles."""
    histogram = seen.get("histogram") or {}
    edges, counts = histogram.get("edges") or [], histogram.get("counts") or []
    if len(edges) != len(counts) + 1 or len(edges) < 2:
        return []
    quantiles = seen.get("quantiles") or {}
    low, high = quantiles.get("0.01", edges[0]), quantiles.get("0.99", edges[-1])
    reach = high - low
    if not 0 < reach < math.inf:
        return []
    # The bins are of unequal width: their counts are spread evenly over 24 bars of equal width.
    count, width = 24, reach / 24
    heights = [0.0] * count
    for left, right, rows in zip(edges, edges[1:], counts, strict=False):
        for bar in range(count):
            start = low + bar * width
            shared = min(right, start + width) - max(left, start)
            if shared > 0:
                heights[bar] += rows * shared / (right - left)
    tallest = max(heights)
    if not 0 < tallest < math.inf:
        return []
    return [
        (round(bar * 100 / count, 2), round(90 / count, 2), round(h / tallest * 20, 2)) for bar, h in enumerate(heights)
    ]


def _lineage(document: dict) -> dict:
    section = _part(document, "lineage")
    return {
        **_keyed(section, "seed created command"),
        "data": _keyed(_part(section, "data"), "source digest rows columns dropped_rows"),
        "git": _keyed(_part(section, "git"), "commit dirty"),
        "versions": _part(section, "versions"),
    }


def _caveats(document: dict) -> list[str]:
    """What a reader should hold against the figures, each a sentence that the evidence itself gives rise to."""
    model, holdout, lineage = _part(document, "model"), _part(document, "holdout"), _lineage(document)
    found = []
    if (rows := holdout.get("rows")) is not None and rows < 200:
        found.append(f"The held-out rows are few ({rows:,}), so that every metric is uncertain: read its interval.")
    for row in _headlines(document):
        lower = METRICS[row["name"]][1]
        end = row["high"] if lower else row["low"]
        if end is None or row["baseline"] is None:
            continue
        if end >= row["baseline"] if lower else end <= row["baseline"]:
            found.append(
                f"The interval of {row['label']} reaches the baseline's {readable(row['baseline'])}: "
                "by this metric the model may be no better than a guess that looks at no column."
            )
    bootstrap = holdout.get("bootstrap") or {}
    if rows and (bootstrap.get("rows") or rows) < rows:
        found.append(f"Intervals are of {bootstrap['rows']:,} of the {rows:,} held-out rows.")
    suite = _suite(document.get("suite"))
    if suite is None:
        found.append("The data was not checked against a suite of expectations.")
    elif suite["success"] is False or suite["failures"]:
        count = suite["failed"] or len(suite["failures"])
        found.append(f"The data fails {count:,} expectation{'' if count == 1 else 's'} of its suite.")
    if dropped := lineage["data"]["dropped_rows"]:
        found.append(f"Rows without a target were left out of training and judging: {dropped:,}.")
    if not document.get("fairness"):
        found.append("No sensitive column was named, so nothing is known about groups of people or things.")
    if lineage["git"]["dirty"]:
        found.append("The working directory had uncommitted changes: the commit alone does not reproduce this version.")
    if (document.get("parity") or {}).get("passed") is False:
        found.append("The portable scorecard answers some rows otherwise than the fitted pipeline does.")
    if not document.get("parity"):
        found.append("Nothing shows that the portable scorecard answers as the fitted pipeline does.")
    if (
        model.get("task") == "classification"
        and model.get("threshold") is None
        and len(model.get("classes") or []) == 2
    ):
        found.append("The decision threshold is the default 0.5, chosen for no particular cost of errors.")
    return found


def _pictures(pictures: Mapping[str, bytes]) -> list[dict]:
    order = [name for name in PICTURES if name in pictures] + sorted(set(pictures) - set(PICTURES))
    shown = []
    for name in order:
        kind = "image/png" if pictures[name].startswith(_PNG) else "image/svg+xml"
        width, height = _size(pictures[name])
        title, reading = PICTURES.get(name, (name.replace("_", " ").capitalize(), ""))
        source = f"data:{kind};base64,{base64.b64encode(pictures[name]).decode()}"
        shape = {"aspect": round(width / height, 3), "inches": round(width, 2)}
        alone = name in ("coefficients", "importances")
        shown.append({"title": title, "reading": reading, "source": source, "alone": alone, **shape})
    return shown


def _size(picture: bytes) -> tuple[float, float]:
    """Width and height of a PNG (of 144 dots an inch) or an SVG, in inches."""
    width = height = 0.0
    if picture.startswith(_PNG):
        width, height = int.from_bytes(picture[16:20]) / 144, int.from_bytes(picture[20:24]) / 144
    elif found := re.search(rb'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', picture[:2000]):
        width, height = float(found[1]) / 72, float(found[2]) / 72
    return (width, height) if width > 0 and height > 0 else (6.4, 4.8)


def _typical(document: dict) -> dict | None:
    """A row of medians and most frequent values; None where the profile does not know every input."""
    row: dict[str, Any] = {}
    for column in _inputs(document):
        value: Any = column["median"] if column["type"] != "category" else next(iter(column["top"]), (None,))[0]
        if value is None:
            return None
        if column["type"] != "category" and (column["integer"] or column["type"] == "boolean"):
            value = float(round(value))
        row[column["name"]] = value
    return row or None


def _commands(model_uri: str, row: Mapping[str, Any] | None, document: dict) -> dict:
    """Commands to paste, quoted for a POSIX shell and for Python."""
    types = {column["name"]: column["type"] for column in _inputs(document)}
    serve = f"mlflow models serve -m {shlex.quote(model_uri)} --env-manager local -p 5001"
    load = f"import mlflow\nimport pandas as pd\n\nmodel = mlflow.pyfunc.load_model({model_uri!r})\n"
    native = f"import mlflow\n\npipeline = mlflow.sklearn.load_model({model_uri!r})\n"
    if row is None:
        return {"serve": serve, "ask": None, "load": load, "native": native}
    clean = {name: _plain(value) for name, value in row.items()}
    body = json.dumps({"dataframe_records": [clean]}, ensure_ascii=False, allow_nan=False)
    ask = (
        "curl -s http://127.0.0.1:5001/invocations \\\n  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(body)}"
    )
    missing = {name: "None" if types.get(name) == "category" else "float('nan')" for name in clean}
    cells = [f"    {name!r}: {missing[name] if value is None else repr(value)}," for name, value in clean.items()]
    load += "rows = pd.DataFrame([{\n" + "\n".join(cells) + "\n}])\nmodel.predict(rows)\n"
    if _part(document, "model").get("task") == "classification":
        load += 'model.predict(rows, params={"output": "probabilities"})\n'
    load += 'model.predict(rows, params={"output": "explain"})\n'
    return {"serve": serve, "ask": ask, "load": load, "native": native}


def _plain(value: Any) -> Any:
    """A cell as JSON has it: numpy's numbers as Python's, what is not finite as missing."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _shown(value: Any) -> str:
    """A value for people: numbers to three significant digits, counts in full, – where there is none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float):
        return readable(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(item) for item in value)
    return str(value)


def _exact(value: Any) -> str:
    """All digits of a number, for whoever hovers over it."""
    return "" if value is None else repr(value)


def _percent(share: float | None) -> str:
    """A share as a percentage to two or three digits: 0.1 %, 12.3 %, 100 %."""
    if share is None:
        return "–"
    size = abs(share) * 100
    digits = 0 if size >= 99.95 or size == 0 else 1
    return f"{share * 100:,.{digits}f} %".replace("-", "−") if size == 0 or size >= 0.05 else "< 0.1 %"
