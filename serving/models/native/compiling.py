"""Compile the fitted object inside a model, or say in one line why there is no scorecard of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from registry.cli.text import listed, one_line
from serving.models.native import inside
from serving.models.native.messages import CompileRequest
from serving.scorecard import Cleaning, Input, Scorecard, ScorecardError, Unsupported
from serving.scorecard import compile as compile_pipeline
from serving.scorecard.document import seal
from serving.scorecard.errors import ELSEWHERE
from serving.scorecard.inputs import CATEGORY

_LOADERS = tuple(f"mlflow.{flavor}" for flavor in inside.COMPILABLE)


class Impossible(Exception):
    """No scorecard can be made of a model: says why, and what serves the model instead."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason if ELSEWHERE in reason else f"{reason}; {ELSEWHERE}")


def compile_model(fitted: Any, flavors: Mapping[str, Any], request: CompileRequest) -> Scorecard:
    """The scorecard that answers as the model's ``python_function`` does.

    Raises
    ------
    Impossible
        if there is none.
    """
    if not inside.compilable(flavors):
        known = ", ".join(sorted(set(flavors) - {"python_function"})) or "python_function"
        raise Impossible(f"it has no sklearn or statsmodels flavor to make one of (found {known})")
    function = flavors["python_function"]
    if (method := inside.method(flavors)) != "predict":
        raise Impossible(
            f"it was logged with pyfunc_predict_fn={method!r}, and a scorecard predicts; log it without that"
        )
    if function["loader_module"] not in _LOADERS:
        raise Impossible(f"its python_function is no model of these flavors, but {function['loader_module']}")
    inputs = None if request.inputs is None else [Input(**one) for one in request.inputs]
    reason: Exception | None = None
    for trim, missing in request.cleanings:
        try:
            return _compiled(fitted, inputs, Cleaning(trim, missing))
        except Unsupported as error:
            raise Impossible(str(error)) from None
        except ScorecardError as error:
            reason = error  # a category that this cleaning changes, say
        except Exception as error:
            raise Impossible(f"the compiler failed ({type(error).__name__}: {one_line(error, 200)})") from error
    raise Impossible(str(reason))


def _compiled(fitted: Any, inputs: Sequence[Input] | None, cleaning: Cleaning) -> Scorecard:
    """The scorecard of a pipeline, which may know columns that its signature leaves out: those that it drops.

    A pipeline that was fitted on a whole table knows its target, too.
    """
    fitted_on = inside.described(fitted, compilable=True).names or []
    known = {one.name for one in inputs or ()}
    absent = [name for name in fitted_on if name not in known] if inputs else []
    if not absent:
        return compile_pipeline(fitted, inputs, cleaning=cleaning)
    card = compile_pipeline(fitted, [*(inputs or ()), *(Input(name, CATEGORY) for name in absent)], cleaning=cleaning)
    content = card.document.content
    try:
        return Scorecard(seal({**content, "inputs": [one for one in content["inputs"] if one["name"] not in absent]}))
    except ScorecardError:
        raise Impossible(f"its pipeline needs columns that its signature does not have: {listed(absent)}") from None
