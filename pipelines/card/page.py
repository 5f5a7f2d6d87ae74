"""The card's page: evidence, pictures and commands through the template beside this module."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2

from pipelines.card import columns, metrics, sections
from pipelines.card.caveats import caveats
from pipelines.card.gallery import gallery
from pipelines.card.parts import keyed, part
from pipelines.card.snippets import commands
from pipelines.coefficients import Coefficient
from pipelines.formatting import percent, shown
from serving import models
from serving.models.uri import AliasURI

_TEMPLATE = "card.html"


def render(
    evidence: Mapping,
    *,
    model_uri: str,
    pictures: Mapping[str, bytes] | None = None,
    coefficients: Sequence[Coefficient] = (),
    score: str = "score",
    champion: Mapping | None = None,
    data_docs_link: str | None = None,
    run_id: str | None = None,
    example: Mapping[str, Any] | None = None,
) -> str:
    """One self-contained HTML page about one model version, with the sections of Mitchell et al. (2019).

    The page loads nothing and runs no script: pictures are inside it. It follows the reader's light or dark scheme.

    Parameters
    ----------
    evidence : the evidence document; any part of it may be None or missing.
    model_uri : what the commands name: ``models:/m-<id>``, the logged model's own, or ``models:/NAME/VERSION``.
    pictures : name -> PNG or SVG bytes, named as `pipelines.pictures` names them.
    coefficients : what `pipelines.coefficients.table` (or ``importances``) gave.
    score : what the coefficients are changes of (`pipelines.coefficients.score_name`).
    champion : the version in Production on the same rows: ``{"version": "3", "rows": 89, "metrics": {name: number},
        "candidate": {name: number}}``; a metric may also be ``{"value": number}``, ``candidate`` (this version on those
        rows) is this version's own metrics where it is missing, ``unseen`` whether neither was trained on them, and
        ``note`` says why there is no comparison.
    data_docs_link : where the Great Expectations page is, relative to the card or http(s).
    run_id : the MLflow run the version came from.
    example : one raw row, for the commands; without one they ask nothing.

    Returns
    -------
    str : the page, UTF-8.
    """
    model, schema = part(evidence, "model"), part(evidence, "schema")
    registered = models.registered(model_uri)
    name = model.get("name") or (registered and registered.name)
    html = _template().render(
        name=name or model_uri,
        registered_model=name,
        version=registered and f"{'alias' if isinstance(registered, AliasURI) else 'version'} {registered.choice}",
        model=keyed(model, "task", "estimator", "target", "classes", "positive", "threshold", "threshold_rule"),
        parameters=part(model, "parameters"),
        headlines=metrics.headlines(evidence),
        metrics=metrics.measured(evidence),
        baseline=part(evidence, "baseline").get("strategy"),
        champion=metrics.against_champion(champion, part(evidence, "metrics")),
        folds=metrics.by_fold(evidence.get("cross_validation")),
        holdout=sections.holdout(part(evidence, "holdout")),
        suite=sections.suite(evidence.get("suite")),
        fairness=[metrics.by_group(section) for section in evidence.get("fairness") or []],
        few_rows=metrics.FEW_ROWS,
        parity=sections.parity(evidence.get("parity")),
        inputs=columns.inputs(evidence),
        left_out=[keyed(column, "column", "reason") for column in schema.get("left_out") or []],
        lineage=sections.lineage(part(evidence, "lineage")),
        caveats=caveats(evidence),
        pictures=gallery(pictures or {}),
        coefficients=list(coefficients),
        score=score,
        importance="importances" in (pictures or {}),
        data_docs=data_docs_link,
        data_docs_href=_link(data_docs_link),
        run_id=run_id,
        model_uri=model_uri,
        commands=commands(model_uri, example, evidence),
    )
    # Half of a surrogate pair, which a file of names may hold, has no UTF-8.
    return html.encode("utf-8", "replace").decode("utf-8")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"readable": shown, "exact": _exact, "percent": percent}
    return environment.get_template(_TEMPLATE)


def _link(address: str | None) -> str | None:
    """An address that may be followed: relative or http(s), and nothing that a browser would run."""
    return address if address and urlsplit(address).scheme in ("", "http", "https") else None


def _exact(value: Any) -> str:
    """All digits of a number, for whoever hovers over it."""
    return "" if value is None else repr(value)
