"""The IAM actions of a Lambda function, each in one place: for plans, for templates and for the role of a deployment.

A resource is an ARN; or the logical name of one that a template makes (``RequestQueue``), also with a path in it
(``Bucket/in/*``).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ..plan import Permission
from .settings import DYNAMODB, S3, SQS

#: The policy by which Lambda may run a function as its role.
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}

NETWORK = Permission(
    (
        *("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces"),
        *("ec2:DescribeSubnets", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
    ),
    ("*",),
    "a place in the VPC; these actions know no resources",
)
_READ_QUEUE = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility")
_READ_STREAM = ("dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream")
_WRITE_OBJECTS = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")


def log(function: str) -> Permission:
    """Writing the function's own log; the group is made with the function."""
    place = f"arn:aws:logs:*:*:log-group:/aws/lambda/{function}:*"
    return Permission(("logs:CreateLogStream", "logs:PutLogEvents"), (place,), "its own log")


def key(arn: str, events: tuple[str, ...]) -> Permission:
    """Using the customer's key: also to write, where answers are stored."""
    actions = ("kms:Decrypt", *(("kms:GenerateDataKey",) if events else ()))
    return Permission(actions, (arn,), "variables, queues and tables under your key")


def reading(events: tuple[str, ...]) -> list[Permission]:
    """Reading the queue and the stream that events come from."""
    found = []
    if SQS in events:
        found.append(Permission(_READ_QUEUE, ("RequestQueue",), "requests"))
    if DYNAMODB in events:
        found.append(Permission(_READ_STREAM, ("StreamArn",), "new images"))
        found.append(Permission(("dynamodb:ListStreams",), ("*",), "finding the stream; it knows no resources"))
    return found


def writing(events: tuple[str, ...]) -> list[Permission]:
    """Writing answers to a queue and a table, and keeping events that failed."""
    found = []
    if SQS in events:
        found.append(Permission(("sqs:SendMessage",), ("ResultsQueue",), "answers"))
    if DYNAMODB in events:
        found.append(Permission(("dynamodb:BatchWriteItem",), ("ResultsTable",), "predictions"))
    if {S3, DYNAMODB} & set(events):
        found.append(Permission(("sqs:SendMessage",), ("FailedEvents",), "events that failed for good are kept there"))
    return found


def bucket(events: tuple[str, ...]) -> list[Permission]:
    """Reading objects of the bucket, and writing what was made of them beside."""
    if S3 not in events:
        return []
    return [
        Permission(("s3:GetObject", "s3:GetObjectVersion"), ("Bucket/in/*",), "objects to score"),
        Permission(_WRITE_OBJECTS, ("Bucket/output/*", "Bucket/refused/*"), "scored objects, refused rows"),
    ]


def endpoint(name: str) -> Permission:
    """Asking a SageMaker endpoint, which IAM knows by its name in lower case."""
    place = f"arn:aws:sagemaker:*:*:endpoint/{name.lower()}"
    return Permission(("sagemaker:InvokeEndpoint",), (place,), "the endpoint that has the model")


def recording(destination: str) -> tuple[Permission, ...]:
    """Writing rows of the prediction log to a stream of Firehose, or below a prefix in S3; to its own log it may."""
    kind, _, name = destination.partition(":")
    if kind == "firehose":
        stream = f"arn:aws:firehose:*:*:deliverystream/{name}"
        return (Permission(("firehose:PutRecordBatch",), (stream,), "the prediction log"),)
    if kind == "s3":
        return (Permission(("s3:PutObject",), (f"arn:aws:s3:::{name.removeprefix('//')}/*",), "the prediction log"),)
    return ()


def permissions(
    function: str, *, key_arn: str = "", vpc: bool = False, events: tuple[str, ...] = ()
) -> tuple[Permission, ...]:
    """Return all that a function's role is allowed, least first.

    Parameters
    ----------
    function : the function's name.
    key_arn : of the customer's key; empty for none.
    vpc : whether the function runs in a VPC.
    events : what it answers beside requests: of ``sqs``, ``s3``, ``dynamodb``.
    """
    own = [log(function), *([key(key_arn, events)] if key_arn else []), *([NETWORK] if vpc else [])]
    return (*own, *reading(events), *writing(events), *bucket(events))


def placed(arn: str, *, partition: str, region: str, account: str) -> str:
    """Return an ARN ``arn:aws:SERVICE:*:*:...`` or of S3 with its partition, region and account; any other as it is."""
    if arn.startswith("arn:aws:s3:::"):
        return arn.replace("arn:aws:", f"arn:{partition}:", 1)
    service, marked, rest = arn.removeprefix("arn:aws:").partition(":*:*:")
    return f"arn:{partition}:{service}:{region}:{account}:{rest}" if marked else arn


def statement(permission: Permission, resource: Any) -> dict[str, Any]:
    """Return a permission as a statement of a policy, with its resource as the policy writes it."""
    return {"Effect": "Allow", "Action": [*permission.actions], "Resource": resource}


def policy(statements: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a policy's document."""
    return {"Version": "2012-10-17", "Statement": [*statements]}
