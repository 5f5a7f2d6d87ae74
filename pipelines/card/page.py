"""The card's page: evidence, pictures and commands through the template beside this module."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipelines import html_page
from pipelines.card import columns, metrics, sections
from pipelines.card.caveats import caveats
from pipelines.card.gallery import gallery
from pipelines.card.snippets import commands
from pipelines.coefficients import Coefficient
from pipelines.evaluation.comparison import Comparison
from pipelines.formatting import percent, shown
from registry import holdout as rules
from registry.evidence import Evidence
from serving import models
from serving.models.uri import AliasURI

_FOLDER = Path(__file__).parent
_TEMPLATE, _SCRIPT = "card.html", "card.js"
#: So many input columns are shown at once; the others are folded.
_SHOWN_INPUTS = 10


def render(
    evidence: Evidence,
    *,
    model_uri: str,
    pictures: Mapping[str, bytes] | None = None,
    coefficients: Sequence[Coefficient] = (),
    score: str = "score",
    champion: Comparison | None = None,
    data_docs_link: str | None = None,
    run_id: str | None = None,
    example: Mapping[str, Any] | None = None,
) -> str:
    """One self-contained HTML page about one model version, with the sections of Mitchell et al. (2019).

    The page loads nothing: pictures are inside it. It follows the reader's light or dark scheme. The one script that
    its policy lets run copies snippets; without it all can be read.

    Parameters
    ----------
    model_uri : what the commands name: ``models:/m-<id>``, the logged model's own, or ``models:/NAME/VERSION``.
    pictures : name -> PNG or SVG bytes, named as `pipelines.pictures` names them.
    coefficients : what `pipelines.coefficients.table` (or ``importances``) gave.
    score : what the coefficients are changes of (`pipelines.coefficients.score_name`).
    champion : this version beside the one in Production, on the same rows.
    data_docs_link : where the Great Expectations page is, relative to the card or http(s).
    run_id : the MLflow run the version came from.
    example : one raw row, for the commands; without one they ask nothing.

    Returns
    -------
    str : the page, UTF-8.
    """
    registered = models.registered(model_uri)
    script = (_FOLDER / _SCRIPT).read_text(encoding="utf-8")
    values = {
        "evidence": evidence,
        "name": evidence.model.name,
        "version": registered and f"{'alias' if isinstance(registered, AliasURI) else 'version'} {registered.choice}",
        "headlines": metrics.headlines(evidence),
        "metrics": metrics.beside_baseline(evidence),
        "champion": champion,
        "beside_champion": metrics.beside_champion(champion) if champion else [],
        "trained_on": sections.trained_on(evidence.holdout),
        "known_by_key": evidence.holdout.by in (rules.GROUP, rules.TIME),
        "few_rows": metrics.FEW_ROWS,
        "parity_facts": sections.parity_facts(evidence.parity) if evidence.parity else [],
        "inputs": columns.inputs(evidence),
        "shown_inputs": _SHOWN_INPUTS,
        "caveats": caveats(evidence),
        "pictures": gallery(pictures or {}),
        "coefficients": list(coefficients),
        "with_errors": any(one.error is not None for one in coefficients),
        "score": score,
        "importance": "importances" in (pictures or {}),
        "data_docs": data_docs_link,
        "data_docs_href": _link(data_docs_link),
        "run_id": run_id,
        "model_uri": model_uri,
        "commands": commands(model_uri, example, evidence),
        "script": script,
        "script_hash": f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
    }
    filters = {"readable": shown, "exact": _exact, "percent": percent, "label": metrics.label}
    return html_page.render(_FOLDER / _TEMPLATE, filters, values)


def _link(address: str | None) -> str | None:
    """An address that may be followed: relative or http(s), and nothing that a browser would run."""
    return address if address and urlsplit(address).scheme in ("", "http", "https") else None


def _exact(value: Any) -> str:
    """All digits of a number, for whoever hovers over it."""
    return "" if value is None else repr(value)
