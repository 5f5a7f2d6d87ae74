"""MLflow's deployment plugin for AWS Lambda: ``mlflow deployments ... -t aws-lambda:/REGION``.

``client`` is what MLflow calls, ``settings`` the options of its commands. ``packages`` makes what is wanted of a model;
``deploying`` compares it with what is there, by ``function``, ``role`` and ``extras``; ``describing`` tells what is
there; ``shifting`` moves the requests, by the state in ``traffic`` and the figures of ``metrics``. ``aws`` is the only
way to AWS.
"""

from .client import LambdaDeploymentClient
from .local import run_local
from .manual import target_help

__all__ = ["LambdaDeploymentClient", "run_local", "target_help"]
