"""The zip variant: the scorecard, its version, and code that needs the standard library alone."""

from collections.abc import Sequence

from serving.errors import ServingError

from .. import bytecode, code, recording
from ..model import PackagedModel
from ..plan import File, PackagePlan
from . import iam, settings
from .planning import planned
from .settings import LambdaOptions

#: A row to try the package with; the function does not read it.
EXAMPLE = "example.json"
#: The handlers' modules, of ``serving/functions``.
HANDLERS = (
    *("web.py", "keys.py", "by_row.py", "failures.py", "record.py", "sampling.py"),
    *(f"aws_lambda/{name}.py" for name in ("__init__", "handler", "runtime", "http", "large")),
    *(f"aws_lambda/{name}.py" for name in ("queue", "objects", "upload", "stream")),
)
_DELIVERY = "aws_lambda/delivery.py"


def plan(model: PackagedModel, options: LambdaOptions) -> PackagePlan:
    """Return the plan of a model that has a scorecard.

    Raises
    ------
    ServingError
        if Lambda does not accept it, or bytecode is asked for and the runtime's Python is missing.
    """
    settings.check(options)
    called, notes = settings.name(model, options)
    if model.scorecard is None:
        raise TypeError("a model without a scorecard has no zip")
    if options.output == "probabilities" and not model.scorecard.has_probabilities:
        raise ServingError("aws-lambda: option output: this model has no probabilities; leave it at predictions")
    package = files(model, handlers(options))
    if options.bytecode:
        package += bytecode.compiled(package, options.runtime)
    return planned(
        model,
        called,
        options,
        package,
        reason="the version has a scorecard, which needs nothing but Python",
        memory=256,
        timeout=29,
        more=iam.recording(options.record),
        notes=notes,
    )


def handlers(options: LambdaOptions) -> tuple[str, ...]:
    """Return the handlers' modules that a function with these options needs."""
    return (*HANDLERS, _DELIVERY) if recording.is_delivered(options) else HANDLERS


def files(model: PackagedModel, modules: Sequence[str] = HANDLERS) -> tuple[File, ...]:
    """Return the files of the zip, without bytecode.

    Parameters
    ----------
    modules : the handlers'.
    """
    assert model.scorecard is not None
    _, carried = code.lambda_function(modules, "handler")
    found = (
        File("scorecard.json", code.compact(model.scorecard.document.content), "the model"),
        File("about.json", code.compact(dict(model.about)), "which version it is"),
        *carried,
    )
    if model.example:
        found += (File(EXAMPLE, code.compact(dict(model.example)), "a row to try it with"),)
    return found
