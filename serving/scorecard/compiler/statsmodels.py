"""Fitted results of statsmodels, as MLflow's flavor of that name answers by them: the mean of the response.

statsmodels is not imported here: a result that is given has brought it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import steps as kinds
from .compiled import CompiledEstimator
from .formulas import design_columns, variables
from .trace import Trace, TracedColumn, finite, unsupported


def _functions(*names: str) -> tuple[kinds.Step, ...]:
    return tuple(map(kinds.NumpyFunction, names))


#: 1 / (1 + exp(-z)) in steps that lose no digit of small probabilities: exp(-log1p(exp(-z))).
_LOGISTIC = _functions("negative", "exp", "log1p", "negative", "exp")
#: The inverse of each link function, by its class.
_INVERSES: dict[str, tuple[kinds.Step, ...]] = {
    "Identity": (),
    "Log": _functions("exp"),
    "Logit": _LOGISTIC,
    "CLogLog": _functions("exp", "negative", "expm1", "negative"),
    "LogLog": _functions("negative", "exp", "negative", "exp"),
    "Sqrt": _functions("square"),
}
#: What the mean of a model follows by, by its class; a generalised linear model names its link itself.
_MODELS = {
    **dict.fromkeys(("OLS", "WLS", "GLS", "GLSAR", "QuantReg", "RLM"), "Identity"),
    **{"Logit": "Logit", "Poisson": "Log", "GLM": ""},
}
#: Models whose results predict from one date to another.
_TIME_SERIES = "statsmodels.tsa."


def is_results(found: object) -> bool:
    """Whether an object is a fitted result of statsmodels."""
    return type(found).__module__.startswith("statsmodels.") and hasattr(found, "params") and hasattr(found, "model")


def names(results: Any, *, invented: bool = False) -> list[str] | None:
    """The columns of the table that a result takes: those its formula uses, or else those of its exogenous DataFrame.

    None of a time series, of a result that was fitted on an array, and of one that was saved without its data.

    Parameters
    ----------
    invented : those that statsmodels gives the columns of an array, ``const``, ``x1``, ``x2``, ..., are taken, too.

    Raises
    ------
    Unsupported
        if the formula is none of patsy's.
    """
    design = _design(results)
    if design is not None:
        known = results.model.data.frame
        return [name for name in variables(design) if known is None or name in known]
    if (count := width(results)) is None:
        return None
    given = results.model.data.orig_exog
    told = getattr(given, "columns", [getattr(given, "name", None)])
    if not invented and not all(isinstance(name, str) for name in told):
        return None
    return [str(name) for name in results.model.exog_names[:count]]


def width(results: Any) -> int | None:
    """How many columns the exogenous array of a result has; None if it takes none or does not know."""
    exog = getattr(results.model, "exog", None)
    return None if exog is None or type(results.model).__module__.startswith(_TIME_SERIES) else int(exog.shape[1])


def constant(results: Any) -> int | None:
    """The place of the column of ones among the columns that a result takes; None without one, or of a formula."""
    return results.model.data.const_idx if width(results) is not None and _design(results) is None else None


def estimate_results(results: Any, columns: list[TracedColumn], trace: Trace, path: str) -> CompiledEstimator:
    """What a fitted result computes from columns.

    Raises
    ------
    Unsupported
        where no scorecard can say it exactly.
    """
    inverse = _inverse(results, path)
    params = [finite(one, path, results.model, "parameter") for one in np.ravel(np.asarray(results.params))]
    made: Sequence[TracedColumn | None] = columns
    design = _design(results)
    if design is not None:
        known = dict(zip(names(results) or (), columns, strict=True))
        made = [*design_columns(design, known, trace, path or "formula")]
    if len(made) != len(params):
        raise unsupported(path, results.model, f"it has {len(params)} parameters for {len(made)} columns")
    if design is None:
        made = [trace.require(trace.numeric(column, path, results.model)) for column in columns]
    used = [(column, weight) for column, weight in zip(made, params, strict=True) if column is not None]
    intercept = sum(weight for column, weight in zip(made, params, strict=True) if column is None)
    link, target = ("log", ()) if inverse == _INVERSES["Log"] else ("identity", inverse)
    return CompiledEstimator(
        "regression",
        [column for column, _ in used],
        link,
        weights=[[weight for _, weight in used]],
        intercepts=[float(intercept)],
        target=target,
    )


def _inverse(results: Any, path: str) -> tuple[kinds.Step, ...]:
    model = results.model
    link = _MODELS.get(type(model).__name__)
    if link is None:
        raise unsupported(path, model, "it is not among the models of statsmodels that a scorecard knows")
    if link == "":
        link = type(model.family.link).__name__
        if link not in _INVERSES:
            raise unsupported(path, model, f"the inverse of its link {link} is no function that a scorecard knows")
    for name in ("offset", "exposure"):
        if np.any(np.asarray(getattr(model, name, None) if getattr(model, name, None) is not None else 0.0)):
            raise unsupported(path, model, f"it was fitted with an {name}")
    return _INVERSES[link]


def _design(results: Any) -> Any:
    """The design of a formula by patsy; None for a model of arrays."""
    data = results.model.data
    design = getattr(data, "model_spec", None) or getattr(data, "design_info", None)
    if design is not None and not hasattr(design, "term_codings"):
        raise unsupported("formula", design, "a scorecard reads formulas by patsy, not by formulaic")
    return design
