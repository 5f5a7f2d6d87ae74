"""From a fitted scikit-learn pipeline to a scorecard that computes the same, or a refusal that says why not."""

from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from .. import document as documents
from ..errors import ScorecardError
from ..inputs import AS_IS, CATEGORY, NUMBER, Cleaning, Input
from ..scorecard import Scorecard
from .estimators import Fitted, estimate
from .trace import Trace

__all__ = ["compile_pipeline"]


def compile_pipeline(pipeline, inputs=None, *, cleaning: Cleaning = AS_IS, edges_moved: bool = True) -> Scorecard:
    """The scorecard of a fitted pipeline, or of an estimator alone.

    Parameters
    ----------
    pipeline : fitted scikit-learn ``Pipeline``, or estimator.
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
    try:
        check_is_fitted(pipeline)
    except (NotFittedError, TypeError) as error:
        raise ScorecardError(f"expected a fitted scikit-learn pipeline: {error}") from None
    given = None if inputs is None else list(inputs)
    names = _names(pipeline, given)
    types = dict.fromkeys(names) if given is None else {item.name: item.type for item in given}
    trace = Trace(types, edges_moved)
    fitted = estimate(pipeline, [trace.start(name) for name in names], trace, "")
    body = {"task": fitted.task, **_content(fitted, trace)}
    if given is None:
        given = [Input(name, trace.types[name] or NUMBER) for name in names]
    body["inputs"] = [{**item.to_dict(), "null": item.null and item.name not in trace.required} for item in given]
    body["cleaning"] = {"trim": cleaning.trim, "missing": sorted(cleaning.missing)}
    _check_cleaning(body, given, cleaning)
    order = ("task", "inputs", "cleaning", "columns", "model", "decision")
    return Scorecard(documents.seal({key: body[key] for key in order}))


def _check_cleaning(body, given, cleaning) -> None:
    """Refuses categories that no cleaned text can be: they say that training read its text otherwise."""
    texts = {item.name for item in given if item.type == CATEGORY}
    for item in body["columns"]:
        if item.get("input") not in texts:
            continue
        filled = {step["impute"] for step in item["steps"] if "impute" in step}
        keys = [key for group in item.get("one_hot", ()) for key in group["of"]] + item.get("zero", [])
        keys += [key for step in item["steps"] if "lookup" in step for key in step["lookup"]["keys"]]
        for key in keys:
            if isinstance(key, str) and key not in filled and cleaning.text(key) != key:
                raise ScorecardError(
                    f"cleaning: the pipeline knows a category of {item['input']!r} that the cleaning changes: "
                    "compile it with the cleaning that its training table was read with"
                )


def _names(pipeline, given) -> list[str]:
    """The names of the columns the pipeline takes, in its order."""
    known = _first(pipeline, "feature_names_in_")
    width = _first(pipeline, "n_features_in_")
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


def _first(step, attribute):
    """An attribute of the step, or of the first step inside it that knows it."""
    value = getattr(step, attribute, None)
    if value is not None:
        return value
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


def _keeps_columns(step) -> bool:
    """Whether what comes after a step that says nothing of its columns still has the same ones."""
    return step is None or isinstance(step, str) or type(step).__name__ == "FunctionTransformer"


def _content(fitted: Fitted, trace: Trace) -> dict:
    """The columns, the model and the decision, as the document says them."""
    model: dict = {"kind": "linear" if fitted.layers is None else "mlp", "link": fitted.link}
    model |= {"calibration": fitted.calibration, "target": fitted.target}
    if fitted.layers is None:
        terms, seen = [], set()
        for place, column in enumerate(fitted.columns):
            name = trace.write(column)
            if name in seen:
                name = trace.write(column, fresh=True)
            seen.add(name)
            terms.append({"column": name, "weights": [weights[place] for weights in fitted.weights]})
        for name in dict.fromkeys(map(trace.write, trace.checked)):
            if name not in seen:
                terms.append({"column": name, "weights": [0.0] * len(fitted.intercepts)})
        model |= {"intercepts": fitted.intercepts, "terms": terms}
    else:
        columns = [trace.write(column) for column in fitted.columns]
        unweighted = [name for name in dict.fromkeys(map(trace.write, trace.checked)) if name not in columns]
        first, *others = fitted.layers
        first = {**first, "weights": [[*unit, *[0.0] * len(unweighted)] for unit in first["weights"]]}
        model |= {"columns": columns + unweighted, "activation": fitted.activation, "layers": [first, *others]}
    decision = None
    if fitted.classes is not None:
        decision = {"classes": fitted.classes, "threshold": fitted.threshold}
    return {"columns": trace.columns, "model": model, "decision": decision}
