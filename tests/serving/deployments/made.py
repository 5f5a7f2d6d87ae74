"""Packages made by hand, and a cloud whose time a test sets: what most tests of the plugin start from."""

import functools
import io
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3

from serving.deployments import metrics
from serving.deployments.aws import Cloud
from serving.deployments.function import Code
from serving.deployments.packages import Package
from tests.serving.deployments.simulated import REGION

NAME = "diabetes"

CONFIGURATION = {
    "Runtime": "python3.13",
    "Handler": "handler.handle",
    "MemorySize": 256,
    "Timeout": 10,
    "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
    "KMSKeyArn": "",
}


def code(number: int) -> Code:
    """A zip that is always the same for a number."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("handler.py"), f"handle = lambda event, context: {number}\n")
    return Code(stream.getvalue())


def package(number: int, *, settings: dict | None = None, **more) -> Package:
    """A package of version ``number`` of a model, with settings that the command names."""
    settings = settings or {}
    return Package(
        uri=f"models:/diabetes/{number}",
        code=code(number),
        configuration={**CONFIGURATION, **settings},
        architectures=("arm64",),
        chosen=frozenset(settings),
        **more,
    )


@dataclass
class ObservedCloud(Cloud):
    """A cloud that tells the service of each call before it is made; who is told may raise, as if the process died."""

    observe: Callable[[str], None] = lambda call: None

    def client(self, service: str) -> Any:
        self.observe(service)
        return super().client(service)


class Time:
    """A clock that goes on only when somebody sleeps; what is to happen meanwhile is told it."""

    def __init__(self):
        self.now = float(int(time.time()))
        self.slept: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.meanwhile()


def measured(
    address: str, version: str, *, now: float, requests: int, errors: int = 0, p99: float = 5.0, name: str = NAME
) -> None:
    """Let the cloud have measured a version that an alias sends requests to."""
    put(
        address,
        metrics.NAMESPACE,
        metrics.dimensions(name, version),
        now,
        Invocations=requests,
        Errors=errors,
        Duration=p99,
    )


def put(address: str, namespace: str, dimensions: list, now: float, **values: float) -> None:
    """Put values of metrics into CloudWatch."""
    about = {"Dimensions": dimensions, "Timestamp": datetime.fromtimestamp(now, UTC)}
    data = [{"MetricName": metric, "Value": value, **about} for metric, value in values.items()]
    _cloudwatch(address).put_metric_data(Namespace=namespace, MetricData=data)


@functools.cache
def _cloudwatch(address: str):
    return boto3.client("cloudwatch", region_name=REGION, endpoint_url=address)
