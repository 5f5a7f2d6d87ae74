"""MLflow's deployment plugin for AWS Lambda: ``mlflow deployments ... -t aws-lambda:/REGION``.

``client`` is what MLflow calls, ``settings`` what its options may say. ``packages`` makes what is wanted of a model;
``deploying`` compares it with what is there, by ``function``, ``role`` and ``extras``; ``shifting`` moves the requests,
by the state in ``traffic`` and what ``metrics`` say. ``aws`` is the only way to AWS.
"""

from .client import LambdaDeploymentClient
from .local import run_local
from .manual import target_help

__all__ = ["LambdaDeploymentClient", "run_local", "target_help"]
