"""The zip variant: the scorecard, its version, and code that needs the standard library alone."""

from serving.errors import ServingError

from .. import bytecode, code
from ..model import PackagedModel
from ..plan import File, PackagePlan
from . import settings
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
    package = files(model)
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
        notes=notes,
    )


def files(model: PackagedModel) -> tuple[File, ...]:
    """Return the files of the zip, without bytecode."""
    assert model.scorecard is not None
    _, modules = code.lambda_function(HANDLERS, "handler")
    found = (
        File("scorecard.json", code.compact(model.scorecard.document.content), "the model"),
        File("about.json", code.compact(dict(model.about)), "which version it is"),
        *modules,
    )
    if model.example:
        found += (File(EXAMPLE, code.compact(dict(model.example)), "a row to try it with"),)
    return found
