"""Options of a Lambda function, and the name, settings, variables and limits that follow from them."""

from dataclasses import dataclass
from typing import Any

from serving.errors import ServingError

from .. import recording
from ..model import PackagedModel
from ..naming import named
from ..options import listed, matching, one_of, option, or_none, some_of, whole, yes_no

RUNTIMES = ("python3.11", "python3.12", "python3.13", "python3.14")
SQS, S3, DYNAMODB = "sqs", "s3", "dynamodb"
URL, HTTP_API, NO_FRONT = "function-url", "http-api", "none"
IAM, API_KEY = "iam", "api-key"
#: Days that CloudWatch can keep logs for.
_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
#: A function's name.
NAME = r"[A-Za-z0-9_-]{1,64}"

#: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, in bytes.
ZIPPED, UNZIPPED, IMAGE = 50 * 1024**2, 250 * 1024**2, 10 * 1024**3
VARIABLES = 4 * 1024


def _days(text: str) -> int:
    if not text.isdigit() or int(text) not in _DAYS:
        raise ValueError(f"one of {', '.join(map(str, _DAYS))}")
    return int(text)


@dataclass(frozen=True)
class FunctionOptions:
    """Options of any function on AWS Lambda."""

    name: str = option("", "name of the function [default: after the model]")
    runtime: str = option(
        "python3.13", f"{', '.join(RUNTIMES)}; an image has the model's own Python", one_of(*RUNTIMES)
    )
    architecture: str = option("arm64", "arm64 or x86_64", one_of("arm64", "x86_64"))
    memory: int | None = option(None, "memory, 128 to 10,240 MB [default: 256; of an image 2,048]", whole(128, 10_240))
    timeout: int | None = option(
        None, "timeout, in seconds [default: 29; of an image 60; with events from s3 900]", whole(1, 900)
    )
    front: str = option(URL, "HTTP front end: function-url, http-api or none", one_of(URL, HTTP_API, NO_FRONT))
    auth: str = option(IAM, "authentication over HTTP: iam (signed requests) or api-key", one_of(IAM, API_KEY))
    api_keys: tuple[str, ...] = option(
        (),
        "SHA-256 (hexadecimal) of each key that auth=api-key accepts: A,B",
        listed(r"[0-9a-f]{64}", "64 hexadecimal digits, as `printf %s KEY | sha256sum` gives"),
    )
    events: tuple[str, ...] = option((), "further event sources: sqs, s3, dynamodb", some_of(SQS, S3, DYNAMODB))
    log_retention: int = option(30, "retention of the log, in days", _days)
    reserved_concurrency: int | None = option(None, "reserved concurrency of the function", whole(0, 100_000))
    provisioned_concurrency: int = option(0, "provisioned concurrency: instances kept warm", whole(0, 100_000))
    kms_key: str = option(
        "",
        "ARN of the KMS key that encrypts variables, log, queues and tables; or none",
        or_none(matching(r"arn:aws[\w-]*:kms:[\w-]+:\d{12}:key/[\w-]+", "arn:aws:kms:REGION:ACCOUNT:key/ID"), ""),
    )
    subnets: tuple[str, ...] = option(
        (),
        "subnets of a VPC: A,B; or none",
        or_none(listed(r"subnet-[0-9a-f]+", "subnet-..."), ()),
    )
    security_groups: tuple[str, ...] = option(
        (), "security groups in the VPC: A,B; or none", or_none(listed(r"sg-[0-9a-f]+", "sg-..."), ())
    )
    alarm_topic: str = option(
        "",
        "ARN of the SNS topic for alarms",
        matching(r"arn:aws[\w-]*:sns:[\w-]+:\d{12}:[\w.-]+", "arn:aws:sns:REGION:ACCOUNT:NAME"),
    )
    bytecode: bool = option(
        False, "add compiled modules, for faster cold starts; needs the runtime's Python on this machine", yes_no
    )
    p99: int = option(1000, "alarm if the 99th percentile of the duration exceeds this, in ms", whole(1, 900_000))
    snap_start: bool = option(False, "start from a snapshot (python3.12 and later, no provisioned concurrency)", yes_no)


@dataclass(frozen=True)
class LambdaOptions(FunctionOptions):
    """Options of a function that answers itself, also for records of S3 and DynamoDB."""

    output: str = option(
        "predictions",
        "for s3 and dynamodb: predictions, or predictions with probabilities",
        one_of("predictions", "probabilities"),
    )
    record: str = recording.record_on_aws()
    record_share: float = recording.share()
    record_columns: tuple[str, ...] = recording.columns()
    record_hash: tuple[str, ...] = recording.hashes()


def name(model: PackagedModel, options: FunctionOptions) -> tuple[str, tuple[str, ...]]:
    """Return the function's name, and a note where it is another than the model's.

    Raises
    ------
    ServingError
        if Lambda does not accept it.
    """
    expected = "Lambda takes up to 64 letters, digits, - and _"
    return named(model, options.name, pattern=NAME, expected=expected, target="aws-lambda", most=64, kept="A-Za-z0-9_")


def notes(options: FunctionOptions) -> tuple[str, ...]:
    """What else there is to know of these options."""
    found: tuple[str, ...] = ()
    if options.auth == API_KEY and options.front != NO_FRONT:
        found += ("anyone can call the URL, but only requests with a key are answered: the function checks X-API-Key",)
    if options.kms_key:
        found += ("the policy of the KMS key must allow logs.REGION.amazonaws.com to use it, for the log",)
    if options.events:
        found += ("events may be delivered twice; the same answer is then written twice",)
    if isinstance(options, LambdaOptions):
        found += recording.notes(options)
    return found


def check(options: FunctionOptions) -> None:
    """Refuse options that do not go together.

    Raises
    ------
    ServingError
        saying which.
    """
    if bool(options.subnets) != bool(options.security_groups):
        raise ServingError("aws-lambda: a VPC needs both subnets and security_groups")
    if options.api_keys and options.auth != API_KEY:
        raise ServingError("aws-lambda: api_keys are for auth=api-key")
    fixed = next((name for name in ("snap_start", "provisioned_concurrency") if getattr(options, name)), None)
    if fixed and options.auth == API_KEY and options.front != NO_FRONT and not options.api_keys:
        # A published version keeps the keys that it was published with.
        raise ServingError(f"aws-lambda: auth=api-key with {fixed} wants api_keys=, and another build for other keys")
    if options.snap_start and options.provisioned_concurrency:
        raise ServingError("aws-lambda: snap_start goes with no provisioned_concurrency")
    if options.snap_start and options.runtime == "python3.11":
        raise ServingError("aws-lambda: snap_start wants runtime python3.12 or later")
    reserved, provisioned = options.reserved_concurrency, options.provisioned_concurrency
    if reserved is not None and provisioned > reserved:
        raise ServingError("aws-lambda: provisioned_concurrency is part of reserved_concurrency, and cannot be more")


def function(called: str, options: FunctionOptions, *, memory: int, timeout: int) -> dict[str, Any]:
    """The settings that every function has, in the words of Lambda's API."""
    longest = 900 if S3 in options.events else timeout
    found: dict[str, Any] = {
        "FunctionName": called,
        "Architectures": [options.architecture],
        "MemorySize": options.memory or memory,
        "Timeout": options.timeout or longest,
        "LogRetentionInDays": options.log_retention,
        "ReservedConcurrentExecutions": options.reserved_concurrency,
        "ProvisionedConcurrentExecutions": options.provisioned_concurrency,
        "KMSKeyArn": options.kms_key,
        "SubnetIds": [*options.subnets],
        "SecurityGroupIds": [*options.security_groups],
        "SnapStart": options.snap_start,
        "Front": options.front,
        "Auth": options.auth if options.front != NO_FRONT else IAM,
        "Events": [*options.events],
    }
    return found


def environment(options: FunctionOptions) -> dict[str, str]:
    """The variables that are known before anything is deployed; the template adds the names of what it makes."""
    found = {}
    if options.auth == API_KEY and options.api_keys:
        found["API_KEYS"] = ",".join(options.api_keys)
    if isinstance(options, LambdaOptions) and {S3, DYNAMODB} & set(options.events):
        found["OUTPUT"] = options.output
    if isinstance(options, LambdaOptions):
        found |= recording.variables(options)
    return found
