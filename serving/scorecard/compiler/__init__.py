"""From a fitted scikit-learn pipeline to a scorecard that computes the same, or a refusal that says why not."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.utils.validation import check_is_fitted

from ..document import seal
from ..errors import ScorecardError
from ..inputs import AS_IS, CATEGORY, NUMBER, Cleaning, Input
from ..nodes import Chain, ClassDecision, Column, Ensemble, Layer, Linear, Network, OneHot, Term
from ..scorecard import Scorecard
from ..steps import Impute, Lookup
from . import statsmodels
from .estimators import CompiledEstimator, estimate
from .trace import Trace
from .writing import to_json

__all__ = ["compile_pipeline"]


def compile_pipeline(
    pipeline: Any, inputs: Iterable[Input] | None = None, *, cleaning: Cleaning = AS_IS, edges_moved: bool = True
) -> Scorecard:
    """The scorecard of a fitted pipeline, or of an estimator alone.

    Parameters
    ----------
    pipeline : fitted scikit-learn ``Pipeline``, or estimator; or the fitted result of a linear model of statsmodels.
    inputs : sequence of Input, the raw columns in the order of the signature; those the pipeline does not know are
        carried and never read. Where an input may be missing but the pipeline takes no missing value there, the
        scorecard's input refuses it. By default the columns that the pipeline was fitted on (``x0``, ``x1``, ... for
        an array), of the types that its steps show.
    cleaning : how text is read; it has to be how it was read in training.
    edges_moved : move edges of bins before the functions they were drawn after (see ``edges``), as every scorecard
        that answers has them. Without it they stay where the pipeline has them: to learn how sensitive they are.

    Raises
    ------
    Unsupported
        where a step cannot be said exactly: names its path and class.
    ScorecardError
        where the inputs are not those of the pipeline.
    """
    foreign = statsmodels.is_results(pipeline)
    if not foreign:
        try:
            check_is_fitted(pipeline)
        except Exception as error:  # of an object that is no estimator it may raise anything
            raise ScorecardError(f"expected a fitted scikit-learn pipeline: {error}") from None
    given = None if inputs is None else list(inputs)
    names = _names(pipeline, given)
    types: dict[str, str | None] = dict.fromkeys(names) if given is None else {item.name: item.type for item in given}
    trace = Trace(types, edges_moved)
    convert = statsmodels.estimate_results if foreign else estimate
    fitted = convert(pipeline, [trace.start(name) for name in names], trace, "")
    model = _model(fitted, trace)
    if given is None:
        given = [Input(name, trace.types[name] or NUMBER) for name in names]
    _check_cleaning(trace.columns, given, cleaning)
    decision = None if fitted.classes is None else ClassDecision(fitted.classes, fitted.threshold)
    body = {
        "task": fitted.task,
        "inputs": [{**item.to_dict(), "null": item.null and item.name not in trace.required} for item in given],
        "cleaning": {"trim": cleaning.trim, "missing": sorted(cleaning.missing)},
        "columns": to_json(trace.columns),
        "model": to_json(model),
        "decision": to_json(decision),
    }
    return Scorecard(seal(body))


def _check_cleaning(columns: list[Column], given: Sequence[Input], cleaning: Cleaning) -> None:
    """Refuses categories that no cleaned text can be: they say that training read its text otherwise."""
    texts = {item.name for item in given if item.type == CATEGORY}
    for column in columns:
        if not isinstance(column, (Chain, OneHot)) or column.source.kind != "input" or column.source.name not in texts:
            continue
        filled = {step.fill for step in column.steps if isinstance(step, Impute)}
        keys = [*column.places()] if isinstance(column, OneHot) else []
        keys += [key for step in column.steps if isinstance(step, Lookup) for key in step.keys]
        for key in keys:
            if isinstance(key, str) and key not in filled and cleaning.text(key) != key:
                raise ScorecardError(
                    f"cleaning: the pipeline knows a category of {column.source.name!r} that the cleaning changes: "
                    "compile it with the cleaning that its training table was read with"
                )


def _names(pipeline: Any, given: Sequence[Input] | None) -> list[str]:
    """The names of the columns the pipeline takes, in its order."""
    if statsmodels.is_results(pipeline):
        known, width = statsmodels.names(pipeline, invented=given is None), statsmodels.width(pipeline)
    else:
        known, width = _first(pipeline, "feature_names_in_"), _first(pipeline, "n_features_in_")
    if width is None and hasattr(pipeline, "coef_"):
        width = np.atleast_1d(pipeline.coef_).shape[-1]  # of a linear model whose weights were put there by hand
    if known is not None:
        names = [str(name) for name in known]
        if given is not None:
            absent = [name for name in names if name not in {item.name for item in given}]
            if absent:
                raise ScorecardError(f"inputs: the pipeline was fitted on {absent[0]!r}, which is not among them")
        return names
    if given is not None:
        if width is not None and len(given) != width:
            raise ScorecardError(f"inputs: the pipeline was fitted on {width} columns, found {len(given)} inputs")
        return [item.name for item in given]
    if width is None:
        raise ScorecardError("inputs: the pipeline does not say which columns it was fitted on: name them")
    return [f"x{place}" for place in range(width)]


def _first(step: Any, attribute: str) -> Any:
    """An attribute of the step, or of the first step inside it that knows it."""
    value = getattr(step, attribute, None)
    if value is not None:
        return value
    if isinstance(step, IsotonicRegression) and attribute == "n_features_in_":
        return 1  # it does not say so itself
    inner = [item for _, item in step.steps] if hasattr(step, "steps") else []
    wrapped = (getattr(step, name, None) for name in ("estimator_", "regressor_", "best_estimator_", "estimator"))
    inner += [item for item in wrapped if item is not None]
    for item in inner:
        value = _first(item, attribute)
        if value is not None:
            return value
        if not _keeps_columns(item):
            return None
    return None


def _keeps_columns(step: object) -> bool:
    """Whether what comes after a step that says nothing of its columns still has the same ones."""
    return step is None or isinstance(step, str) or type(step).__name__ == "FunctionTransformer"


def _model(fitted: CompiledEstimator, trace: Trace) -> Linear | Network:
    """The model; writes its columns down."""
    common = fitted.link, fitted.calibration, fitted.target
    if fitted.layers is None:
        terms: dict[str, Term] = {}
        for place, column in enumerate(fitted.columns):
            name = trace.write(column)
            if name in terms:
                name = trace.write(column, fresh=True)
            terms[name] = Term(name, [weights[place] for weights in fitted.weights])
        for name in map(trace.write, trace.checked):
            terms.setdefault(name, Term(name, [0.0] * len(fitted.intercepts)))
        linear = *common, fitted.intercepts, tuple(terms.values())
        return Linear(*linear) if fitted.members is None else Ensemble(*linear, fitted.members)
    columns = [trace.write(column) for column in fitted.columns]
    unweighted = [name for name in dict.fromkeys(map(trace.write, trace.checked)) if name not in columns]
    first, *others = fitted.layers
    first = Layer([[*unit, *[0.0] * len(unweighted)] for unit in first.weights], first.intercepts)
    return Network(*common, (*columns, *unweighted), fitted.activation or "", (first, *others))
