"""The container variant: an image with MLflow's pyfunc, for a model that no scorecard can say."""

from serving.errors import ServingError

from .. import code, pyfunc
from ..model import PackagedModel
from ..plan import CONTAINER, File, PackagePlan
from . import iam, settings
from .planning import planned
from .settings import LambdaOptions
from .zipped import handlers

#: AWS's own image with a Python of Lambda; its tag is the release.
_BASE = "public.ecr.aws/lambda/python"

_PYFUNC = ("pyfunc.py", "loaded.py", "signature.py", "columns.py", "aws_lambda/pyfunc.py")

_DOCKERFILE = """\
FROM {base}:{release}

# What the model was logged with, at the very releases.
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt

COPY model/ ./model/
COPY {package}/ ./{package}/
COPY lambda_function.py about.json ./

# Lambda lets a function write below /tmp alone.
ENV HOME=/tmp MPLCONFIGDIR=/tmp
CMD ["lambda_function.handler"]
"""


def plan(model: PackagedModel, options: LambdaOptions) -> PackagePlan:
    """The plan of a model that has no scorecard.

    Raises
    ------
    ServingError
        if Lambda will not take it, or the model does not say exactly what it needs.
    """
    settings.check(options)
    called, notes = settings.name(model, options)
    if options.output == "probabilities":
        raise ServingError(
            "aws-lambda: option output: MLflow's pyfunc gives predictions alone; leave it at predictions"
        )
    for option in ("snap_start", "bytecode"):
        if getattr(options, option):
            raise ServingError(f"aws-lambda: option {option}: this is of zips alone, and the model wants an image")
    name, modules = code.lambda_function((*handlers(options), *_PYFUNC), "pyfunc")
    dockerfile = _DOCKERFILE.format(base=_BASE, release=_release(model), package=name)
    package = [
        File("Dockerfile", dockerfile.encode(), "the image"),
        File("requirements.txt", pyfunc.requirements(model), "what the model needs, pinned"),
        File("about.json", code.compact(dict(model.about)), "which version it is"),
        *modules,
        *pyfunc.files(model, "model"),
    ]
    return planned(
        model,
        called,
        options,
        package,
        variant=CONTAINER,
        reason=f"it has no scorecard: {model.why}",
        memory=2048,
        timeout=60,
        more=iam.recording(options.record),
        notes=(
            *notes,
            "an image starts in seconds, not milliseconds: MLflow and what the model needs are imported first",
            "it is built on a machine that has docker, and pushed to a registry of yours (ECR)",
        ),
        commands=("sam build",),
    )


def _release(model: PackagedModel) -> str:
    """The Python that the model was logged with, if Lambda has it.

    Raises
    ------
    ServingError
        if it has not, or the model does not say.
    """
    release = pyfunc.release(model)
    if f"python{release}" not in settings.RUNTIMES:
        there = ", ".join(name.removeprefix("python") for name in settings.RUNTIMES)
        raise ServingError(
            f"{model.uri} was logged with Python {release or 'of no known release'}, and Lambda's images have {there}; "
            "log it with one of these"
        )
    return release
