"""What AWS Lambda calls where a SageMaker endpoint has the model: the same handler, over the endpoint."""

import json
import os

from ..sagemaker import Endpoint
from .handler import Handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: Tries of one call, the first among them.
ATTEMPTS = 3
#: Seconds that connecting may take.
_CONNECT = 1.0


def load(folder: str, environment: "Mapping[str, str]" = os.environ) -> Handler:
    """The handler of the endpoint that ``ENDPOINT_NAME`` names; ``about.json`` in a folder tells of its model."""
    with open(os.path.join(folder, "about.json"), encoding="utf-8") as file:
        about = json.loads(file.read())
    # Made while Lambda counts it as the function's start, which is not slowed down.
    client = _client(float(environment.get("ENDPOINT_TIMEOUT", "8")))
    made: list[Handler] = []
    endpoint = Endpoint(
        environment["ENDPOINT_NAME"],
        about["contract"],
        lambda: client,
        rows=int(environment.get("CACHE_ROWS", "1000")),
        seconds=float(environment.get("CACHE_SECONDS", "60")),
        accept=frozenset(environment.get("ACCEPT", "").split()),
        failed=lambda error: made[0].failure(error, ""),
    )
    made.append(Handler(endpoint, {name: about[name] for name in ("model", "version", "digest")}, environment))
    return made[0]


def _client(seconds: float) -> "Any":
    """SageMaker's runtime by boto3, which Lambda's own runtime brings.

    Parameters
    ----------
    seconds : that one try may take; all of them, and the pauses between, are over before the function is.
    """
    import boto3
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": ATTEMPTS}
    settings = Config(retries=retries, connect_timeout=_CONNECT, read_timeout=seconds)
    return boto3.client("sagemaker-runtime", config=settings)
