"""AWS Lambda: a zip of the scorecard and its handler; of a model without a scorecard, an image with MLflow's pyfunc."""

from ..model import PackagedModel
from ..options import Target
from ..plan import PackagePlan
from . import container, zipped
from .settings import LambdaOptions


def plan(model: PackagedModel, options: LambdaOptions) -> PackagePlan:
    """Return the plan of a package for AWS Lambda.

    Raises
    ------
    ServingError
        if Lambda will not take it: a name, a size, settings that do not go together.
    """
    return (zipped if model.scorecard else container).plan(model, options)


TARGET = Target(
    "aws-lambda",
    "A function on AWS Lambda: for HTTP, direct invocation, queues (SQS), objects (S3) and table streams (DynamoDB).",
    LambdaOptions,
    plan,
)
