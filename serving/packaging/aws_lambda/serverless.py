"""The Serverless file (version 3): the plan's settings as they are, and resources that events need."""

from collections.abc import Mapping
from typing import Any

from ..plan import Permission
from . import cfn_resources, iam
from .cfn_resources import arn, ref, statement
from .settings import API_KEY, DYNAMODB, HTTP_API, S3, SQS, URL

#: What version 3 calls the function and the bucket in its template.
_LOGICAL, _BUCKET_LOGICAL = "PredictLambdaFunction", "S3BucketObjects"
#: The newest Python that version 3 knows; a later one is put into its template.
_NEWEST = "python3.11"
_BUCKET = "${env:BUCKET}"
_WATCHED = {
    "name": "${env:KEY_NAME}",
    "type": "${env:KEY_TYPE, 'S'}",
    "sort_name": "${env:SORT_KEY_NAME, ''}",
    "sort_type": "${env:SORT_KEY_TYPE, 'S'}",
}


def service(
    called: str,
    about: str,
    options: Mapping[str, Any],
    configured: Mapping[str, Any],
    variables: Mapping[str, str],
    *,
    archive: str | None,
    more: tuple[Permission, ...] = (),
) -> dict[str, Any]:
    """A file for ``serverless deploy``; parameters are as of :func:`sam.template`."""
    events = tuple(options["events"])
    keyed = configured["Auth"] == API_KEY
    key = configured["KMSKeyArn"] or None
    resources = _resources(options, configured, events, key)
    extensions: dict[str, Any] = {}
    provider: dict[str, Any] = {
        "name": "aws",
        "region": "${opt:region, env:AWS_REGION, 'us-east-1'}",
        "stage": "${opt:stage, 'live'}",
        "architecture": configured["Architectures"][0],
        "logRetentionInDays": configured["LogRetentionInDays"],
        "deploymentMethod": "direct",
        "iam": {"role": {"statements": _statements(events, key, more)}},
    }
    if archive:
        provider["runtime"] = _NEWEST
    else:
        provider["ecr"] = {"images": {"function": {"path": "."}}}
    if key:
        provider["kmsKeyArn"] = key
    if S3 in events:
        bucket = cfn_resources.bucket(key)["Properties"]
        # Version 3 does not know all of it.
        extensions[_BUCKET_LOGICAL] = {"Properties": {"LifecycleConfiguration": bucket.pop("LifecycleConfiguration")}}
        settings = {name[0].lower() + name[1:]: value for name, value in bucket.items()}
        provider["s3"] = {"objects": {"name": _BUCKET, **settings}}
    if configured["SubnetIds"]:
        groups = configured["SecurityGroupIds"]
        provider["vpc"] = {"subnetIds": configured["SubnetIds"], "securityGroupIds": groups}
    found: dict[str, Any] = {
        "service": called,
        "frameworkVersion": "3",
        "configValidationMode": "error",
        "provider": provider,
    }
    if archive:
        found["package"] = {"artifact": archive}
    found["functions"] = {"predict": _function(called, about, options, configured, variables, keyed, archive)}
    found["resources"] = {"Resources": resources}
    if DYNAMODB in events:
        none = {"Fn::Equals": [_WATCHED["sort_name"], ""]}
        found["resources"]["Conditions"] = {cfn_resources.HAS_SORT_KEY: {"Fn::Not": [none]}}
    if archive and configured["Runtime"] != _NEWEST:
        extensions[_LOGICAL] = {"Properties": {"Runtime": configured["Runtime"]}}
    if extensions:
        found["resources"]["extensions"] = extensions
    return found


def _function(
    called: str,
    about: str,
    options: Mapping[str, Any],
    configured: Mapping[str, Any],
    variables: Mapping[str, str],
    keyed: bool,
    archive: str | None,
) -> dict[str, Any]:
    known: dict[str, Any] = {**variables, **cfn_resources.variables(tuple(options["events"]))}
    if keyed and "API_KEYS" not in known:
        known["API_KEYS"] = "${env:API_KEYS}"
    found: dict[str, Any] = {"name": called, "description": f"Predictions of {about}"}
    found |= {"handler": configured["Handler"]} if archive else {"image": {"name": "function"}}
    found |= {"memorySize": configured["MemorySize"], "timeout": configured["Timeout"]}
    if known:
        found["environment"] = known
    if configured["ReservedConcurrentExecutions"] is not None:
        found["reservedConcurrency"] = configured["ReservedConcurrentExecutions"]
    if configured["ProvisionedConcurrentExecutions"]:
        found["provisionedConcurrency"] = configured["ProvisionedConcurrentExecutions"]
    if configured["SnapStart"]:
        found["snapStart"] = True
    if options["front"] == URL:
        found["url"] = True if keyed else {"authorizer": "aws_iam"}
    if events := _events(options, keyed):
        found["events"] = events
    if S3 in options["events"]:
        found["maximumRetryAttempts"] = 2
        found["destinations"] = {"onFailure": {"type": "sqs", "arn": arn("FailedEvents")}}
    return found


def _events(options: Mapping[str, Any], keyed: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if options["front"] == HTTP_API:
        whole: Any = {"method": "*", "path": "*"}
        found.append({"httpApi": whole if keyed else {**whole, "authorizer": {"type": "aws_iam"}}})
    if SQS in options["events"]:
        settings = {"batchSize": 10, "functionResponseType": "ReportBatchItemFailures"}
        found.append({"sqs": {"arn": arn("RequestQueue"), **settings}})
    if S3 in options["events"]:
        rules = [{"prefix": "in/"}]
        found.append({"s3": {"bucket": "objects", "event": "s3:ObjectCreated:*", "rules": rules}})
    if DYNAMODB in options["events"]:
        settings = {
            "type": "dynamodb",
            "arn": "${param:streamArn, env:STREAM_ARN}",
            "startingPosition": "TRIM_HORIZON",
            "batchSize": 100,
            "bisectBatchOnFunctionError": True,
            "maximumRetryAttempts": 10,
            "functionResponseType": "ReportBatchItemFailures",
            "destinations": {"onFailure": {"type": "sqs", "arn": arn("FailedEvents")}},
        }
        found.append({"stream": settings})
    return found


def _statements(events: tuple[str, ...], key: str | None, more: tuple[Permission, ...]) -> list[dict[str, Any]]:
    # Serverless itself adds what the log, the VPC and each source of events want.
    own = [*([iam.key(key, events)] if key else []), *iam.writing(events), *iam.bucket(events), *more]
    return [statement(one, bucket=_BUCKET) for one in own]


def _resources(
    options: Mapping[str, Any], configured: Mapping[str, Any], events: tuple[str, ...], key: str | None
) -> dict[str, Any]:
    found = cfn_resources.stores(events, key=key, timeout=configured["Timeout"], watched=_WATCHED)
    if options["front"] == URL and configured["Auth"] == API_KEY:
        found["OpenUrlPermission"] = _open_url(configured)
    topic = [options["alarm_topic"]] if options["alarm_topic"] else None
    found |= cfn_resources.alarms(ref(_LOGICAL), options, topic=topic, p99=options["p99"])
    return found


def _open_url(configured: Mapping[str, Any]) -> dict[str, Any]:
    """The second of the two permissions that an open function URL wants since October 2025; version 3 gives the first.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
    """
    # By version 3's own names: the URL is the alias', where instances are kept ready or a snapshot is taken.
    asked = _LOGICAL
    if configured["ProvisionedConcurrentExecutions"]:
        asked = "PredictProvConcLambdaAlias"
    elif configured["SnapStart"]:
        asked = "PredictSnapStartLambdaAlias"
    properties = {"Action": "lambda:InvokeFunction", "Principal": "*", "InvokedViaFunctionUrl": True}
    return {"Type": "AWS::Lambda::Permission", "Properties": {"FunctionName": ref(asked), **properties}}
