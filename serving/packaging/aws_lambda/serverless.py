"""The Serverless file (version 3): the plan's settings as they are, and resources that events need."""

from collections.abc import Mapping
from typing import Any

from . import cfn_resources, iam
from .cfn_resources import arn, ref, statement
from .settings import DYNAMODB, HTTP_API, S3, SQS, URL
from .spec import FunctionSpec

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


def service(spec: FunctionSpec) -> dict[str, Any]:
    """Return a file for ``serverless deploy``."""
    configured, events, archive = spec.settings, spec.events, spec.archive
    key = configured["KMSKeyArn"] or None
    resources = _resources(spec, key)
    extensions: dict[str, Any] = {}
    provider: dict[str, Any] = {
        "name": "aws",
        "region": "${opt:region, env:AWS_REGION, 'us-east-1'}",
        "stage": "${opt:stage, 'live'}",
        "architecture": configured["Architectures"][0],
        "logRetentionInDays": configured["LogRetentionInDays"],
        "deploymentMethod": "direct",
        "iam": {"role": {"statements": _statements(spec, key)}},
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
        "service": spec.name,
        "frameworkVersion": "3",
        "configValidationMode": "error",
        "provider": provider,
    }
    if archive:
        found["package"] = {"artifact": archive}
    found["functions"] = {"predict": _function(spec)}
    found["resources"] = {"Resources": resources}
    if DYNAMODB in events:
        none = {"Fn::Equals": [_WATCHED["sort_name"], ""]}
        found["resources"]["Conditions"] = {cfn_resources.HAS_SORT_KEY: {"Fn::Not": [none]}}
    if archive and configured["Runtime"] != _NEWEST:
        extensions[_LOGICAL] = {"Properties": {"Runtime": configured["Runtime"]}}
    if extensions:
        found["resources"]["extensions"] = extensions
    return found


def _function(spec: FunctionSpec) -> dict[str, Any]:
    options, configured, keyed = spec.options, spec.settings, spec.keyed
    known: dict[str, Any] = {**spec.variables, **cfn_resources.variables(spec.events)}
    if keyed and "API_KEYS" not in known:
        known["API_KEYS"] = "${env:API_KEYS}"
    found: dict[str, Any] = {"name": spec.name, "description": f"Predictions of {spec.about}"}
    found |= {"handler": configured["Handler"]} if spec.archive else {"image": {"name": "function"}}
    found |= {"memorySize": configured["MemorySize"], "timeout": configured["Timeout"]}
    if known:
        found["environment"] = known
    if configured["ReservedConcurrentExecutions"] is not None:
        found["reservedConcurrency"] = configured["ReservedConcurrentExecutions"]
    if configured["ProvisionedConcurrentExecutions"]:
        found["provisionedConcurrency"] = configured["ProvisionedConcurrentExecutions"]
    if configured["SnapStart"]:
        found["snapStart"] = True
    if options.front == URL:
        found["url"] = True if keyed else {"authorizer": "aws_iam"}
    if events := _events(spec):
        found["events"] = events
    if S3 in spec.events:
        found["maximumRetryAttempts"] = 2
        found["destinations"] = {"onFailure": {"type": "sqs", "arn": arn("FailedEvents")}}
    return found


def _events(spec: FunctionSpec) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if spec.options.front == HTTP_API:
        whole: Any = {"method": "*", "path": "*"}
        found.append({"httpApi": whole if spec.keyed else {**whole, "authorizer": {"type": "aws_iam"}}})
    if SQS in spec.events:
        settings = {"batchSize": 10, "functionResponseType": "ReportBatchItemFailures"}
        found.append({"sqs": {"arn": arn("RequestQueue"), **settings}})
    if S3 in spec.events:
        rules = [{"prefix": "in/"}]
        found.append({"s3": {"bucket": "objects", "event": "s3:ObjectCreated:*", "rules": rules}})
    if DYNAMODB in spec.events:
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


def _statements(spec: FunctionSpec, key: str | None) -> list[dict[str, Any]]:
    events = spec.events
    # Serverless itself adds what the log, the VPC and each source of events want.
    own = [*([iam.key(key, events)] if key else []), *iam.writing(events), *iam.bucket(events), *spec.more]
    return [statement(one, bucket=_BUCKET) for one in own]


def _resources(spec: FunctionSpec, key: str | None) -> dict[str, Any]:
    options, configured = spec.options, spec.settings
    found = cfn_resources.stores(spec.events, key=key, timeout=configured["Timeout"], watched=_WATCHED)
    if options.front == URL and spec.keyed:
        found["OpenUrlPermission"] = _open_url(configured)
    topic = [options.alarm_topic] if options.alarm_topic else None
    found |= cfn_resources.alarms(ref(_LOGICAL), spec.events, topic=topic, p99=options.p99)
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
