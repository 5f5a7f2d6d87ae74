"""The SAM template: a stack whose parameters have the plan's settings as their defaults."""

from collections.abc import Mapping
from typing import Any

from ..plan import Permission
from . import cfn_resources, iam
from .cfn_resources import HAS_SORT_KEY, NOTHING, arn, ref, statement, sub
from .settings import API_KEY, DYNAMODB, HTTP_API, S3, SQS, URL

_KEY = {"Fn::If": ["HasKey", ref("KmsKeyArn"), NOTHING]}
#: What the parameters say of the keys of the table that is watched.
_WATCHED = {
    "name": ref("KeyName"),
    "type": ref("KeyType"),
    "sort_name": ref("SortKeyName"),
    "sort_type": ref("SortKeyType"),
}


def template(
    called: str,
    about: str,
    options: Mapping[str, Any],
    configured: Mapping[str, Any],
    variables: Mapping[str, str],
    *,
    archive: str | None,
    more: tuple[Permission, ...] = (),
) -> dict[str, Any]:
    """A template for ``sam deploy``.

    Parameters
    ----------
    called : the function's name; about : the version's, for people.
    configured : the settings of the plan.
    variables : those of the function that are known.
    archive : the zip's name; None for an image.
    more : what the role is allowed beside what every function is.
    """
    events = tuple(options["events"])
    keyed = configured["Auth"] == API_KEY
    resources: dict[str, Any] = {"LogGroup": _log_group(called)}
    resources["Role"] = _role(called, events, more)
    resources["Function"] = _function(called, options, configured, variables, archive=archive, keyed=keyed)
    resources |= _stores(events, configured["Timeout"])
    if options["front"] == HTTP_API:
        resources["Api"] = _api(keyed=keyed)
    topic = {"Fn::If": ["HasTopic", [ref("AlarmTopicArn")], NOTHING]}
    resources |= cfn_resources.alarms(ref("Function"), options, topic=topic, p99=ref("LatencyAlarmMs"))
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Description": f"Predictions of {about}",
        "Parameters": _parameters(options, configured, keyed=keyed),
        "Conditions": _conditions(configured, events),
        "Resources": resources,
        "Outputs": _outputs(options, events),
    }


def _parameters(options: Mapping[str, Any], configured: Mapping[str, Any], *, keyed: bool) -> dict[str, Any]:
    reserved = configured["ReservedConcurrentExecutions"]
    found: dict[str, Any] = {
        "LogRetentionDays": {"Type": "Number", "Default": configured["LogRetentionInDays"]},
        "ReservedConcurrency": {
            "Type": "Number",
            "Default": -1 if reserved is None else reserved,
            "MinValue": -1,
            "Description": "At most so many calls at once; -1 for what the account has.",
        },
        "KmsKeyArn": {
            "Type": "String",
            "Default": configured["KMSKeyArn"],
            "Description": "The customer key for variables, log, queues, objects and tables; empty for AWS's own.",
        },
        "SubnetIds": {"Type": "CommaDelimitedList", "Default": ",".join(configured["SubnetIds"])},
        "SecurityGroupIds": {"Type": "CommaDelimitedList", "Default": ",".join(configured["SecurityGroupIds"])},
        "AlarmTopicArn": {"Type": "String", "Default": options["alarm_topic"]},
        "LatencyAlarmMs": {"Type": "Number", "Default": options["p99"]},
    }
    if configured["ProvisionedConcurrentExecutions"]:
        found["ProvisionedConcurrency"] = {
            "Type": "Number",
            "Default": configured["ProvisionedConcurrentExecutions"],
            "MinValue": 0,
            "Description": "So many instances that are always started.",
        }
    if keyed and not options["api_keys"]:
        found["ApiKeys"] = {
            "Type": "String",
            "NoEcho": True,
            "AllowedPattern": "[0-9a-f]{64}(,[0-9a-f]{64})*",
            "Description": "SHA-256 of each key that is let in, with commas between: printf %s KEY | sha256sum",
        }
    if DYNAMODB in options["events"]:
        found["StreamArn"] = {"Type": "String", "Description": "The stream (new images) of the table to score."}
        found["KeyName"] = {"Type": "String", "Description": "That table's partition key."}
        found["KeyType"] = {"Type": "String", "Default": "S", "AllowedValues": ["S", "N", "B"]}
        found["SortKeyName"] = {
            "Type": "String",
            "Default": "",
            "Description": "Its sort key; empty for none.",
        }
        found["SortKeyType"] = {"Type": "String", "Default": "S", "AllowedValues": ["S", "N", "B"]}
    return found


def _conditions(configured: Mapping[str, Any], events: tuple[str, ...]) -> dict[str, Any]:
    def given(value: Any, empty: Any) -> dict[str, Any]:
        return {"Fn::Not": [{"Fn::Equals": [value, empty]}]}

    found = {
        "HasReserved": given(ref("ReservedConcurrency"), -1),
        "HasKey": given(ref("KmsKeyArn"), ""),
        "HasVpc": given({"Fn::Join": ["", ref("SubnetIds")]}, ""),
        "HasTopic": given(ref("AlarmTopicArn"), ""),
    }
    if configured["ProvisionedConcurrentExecutions"]:
        found["HasProvisioned"] = given(ref("ProvisionedConcurrency"), 0)
    if DYNAMODB in events:
        found[HAS_SORT_KEY] = given(ref("SortKeyName"), "")
    return found


def _log_group(called: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Logs::LogGroup",
        "UpdateReplacePolicy": "Retain",
        "DeletionPolicy": "Retain",
        "Properties": {
            "LogGroupName": f"/aws/lambda/{called}",
            "RetentionInDays": ref("LogRetentionDays"),
            "KmsKeyId": _KEY,
        },
    }


def _role(called: str, events: tuple[str, ...], more: tuple[Permission, ...]) -> dict[str, Any]:
    key = iam.statement(iam.key("", events), ref("KmsKeyArn"))
    statements = [
        iam.statement(iam.log(called), arn("LogGroup")),
        *(statement(one) for one in (*iam.reading(events), *iam.writing(events), *more)),
        {"Fn::If": ["HasKey", key, NOTHING]},
        {"Fn::If": ["HasVpc", statement(iam.NETWORK), NOTHING]},
    ]
    policy = {"PolicyName": "function", "PolicyDocument": iam.policy(statements)}
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": iam.TRUST, "Policies": [policy]}}


def _function(
    called: str,
    options: Mapping[str, Any],
    configured: Mapping[str, Any],
    variables: Mapping[str, str],
    *,
    archive: str | None,
    keyed: bool,
) -> dict[str, Any]:
    known: dict[str, Any] = {**({"API_KEYS": ref("ApiKeys")} if keyed else {}), **variables}
    known |= cfn_resources.variables(tuple(options["events"]))
    vpc: dict[str, Any] = {"SubnetIds": ref("SubnetIds"), "SecurityGroupIds": ref("SecurityGroupIds")}
    if archive:
        code: dict[str, Any] = {"CodeUri": archive, "Handler": configured["Handler"], "Runtime": configured["Runtime"]}
    else:
        code = {"PackageType": "Image"}
    properties: dict[str, Any] = {
        "FunctionName": called,
        **code,
        "Architectures": configured["Architectures"],
        "MemorySize": configured["MemorySize"],
        "Timeout": configured["Timeout"],
        "Role": arn("Role"),
        "KmsKeyArn": _KEY,
        "LoggingConfig": {"LogGroup": ref("LogGroup")},
        "ReservedConcurrentExecutions": {"Fn::If": ["HasReserved", ref("ReservedConcurrency"), NOTHING]},
        "VpcConfig": {"Fn::If": ["HasVpc", vpc, NOTHING]},
    }
    if known:
        properties["Environment"] = {"Variables": known}
    if configured["SnapStart"] or configured["ProvisionedConcurrentExecutions"]:
        # Of a version alone. Else requests go to what is deployed: SAM publishes none where a parameter is all that
        # changed, and a key that is taken away would go on being let in.
        properties |= {"AutoPublishAlias": "live", "AutoPublishAliasAllProperties": True}
    if configured["SnapStart"]:
        properties["SnapStart"] = {"ApplyOn": "PublishedVersions"}
    if configured["ProvisionedConcurrentExecutions"]:
        so_many = {"ProvisionedConcurrentExecutions": ref("ProvisionedConcurrency")}
        properties["ProvisionedConcurrencyConfig"] = {"Fn::If": ["HasProvisioned", so_many, NOTHING]}
    if options["front"] == URL:
        # With keys anybody may reach it, and the function asks for the key.
        properties["FunctionUrlConfig"] = {"AuthType": "NONE" if keyed else "AWS_IAM"}
    if found := _events(options):
        properties["Events"] = found
    if S3 in options["events"]:
        failed = {"OnFailure": {"Type": "SQS", "Destination": arn("FailedEvents")}}
        properties["EventInvokeConfig"] = {"MaximumRetryAttempts": 2, "DestinationConfig": failed}
    found = {"Type": "AWS::Serverless::Function", "Properties": properties}
    if not archive:
        found["Metadata"] = {"Dockerfile": "Dockerfile", "DockerContext": ".", "DockerTag": "latest"}
    return found


def _events(options: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if options["front"] == HTTP_API:
        found["Http"] = {"Type": "HttpApi", "Properties": {"ApiId": ref("Api")}}
    if SQS in options["events"]:
        found["Requests"] = {
            "Type": "SQS",
            "Properties": {
                "Queue": arn("RequestQueue"),
                "BatchSize": 10,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            },
        }
    if S3 in options["events"]:
        rules: dict[str, Any] = {"S3Key": {"Rules": [{"Name": "prefix", "Value": "in/"}]}}
        properties: dict[str, Any] = {"Bucket": ref("Bucket"), "Events": "s3:ObjectCreated:*", "Filter": rules}
        found["Objects"] = {"Type": "S3", "Properties": properties}
    if DYNAMODB in options["events"]:
        found["Images"] = {
            "Type": "DynamoDB",
            "Properties": {
                "Stream": ref("StreamArn"),
                "StartingPosition": "TRIM_HORIZON",
                "BatchSize": 100,
                "BisectBatchOnFunctionError": True,
                "MaximumRetryAttempts": 10,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "DestinationConfig": {"OnFailure": {"Type": "SQS", "Destination": arn("FailedEvents")}},
            },
        }
    return found


def _stores(events: tuple[str, ...], timeout: int) -> dict[str, Any]:
    found = cfn_resources.stores(events, key=ref("KmsKeyArn"), timeout=timeout, watched=_WATCHED)
    for resource in found.values():
        _conditional(resource["Properties"])
    if S3 in events:
        bucket = cfn_resources.bucket(ref("KmsKeyArn"))
        rules = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
        plain = {"SSEAlgorithm": "AES256"}
        own = rules["ServerSideEncryptionByDefault"]
        rules["ServerSideEncryptionByDefault"] = {"Fn::If": ["HasKey", own, plain]}
        found["Bucket"] = bucket
        # Apart from the role: the bucket tells the function, whose role would wait for the bucket.
        found["BucketPolicy"] = {
            "Type": "AWS::IAM::Policy",
            "Properties": {
                "PolicyName": "bucket",
                "Roles": [ref("Role")],
                "PolicyDocument": iam.policy(statement(one) for one in iam.bucket(events)),
            },
        }
    return found


def _conditional(properties: dict[str, Any]) -> None:
    """The customer's key where the stack is given one, AWS's own where not."""
    if "KmsMasterKeyId" in properties:
        properties["KmsMasterKeyId"] = _KEY
        properties["SqsManagedSseEnabled"] = {"Fn::If": ["HasKey", NOTHING, True]}
    if "SSESpecification" in properties:
        own = properties["SSESpecification"]
        properties["SSESpecification"] = {"Fn::If": ["HasKey", own, {"SSEEnabled": False}]}


def _api(*, keyed: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {"FailOnWarnings": True}
    if not keyed:
        properties["Auth"] = {"EnableIamAuthorizer": True, "DefaultAuthorizer": "AWS_IAM"}
    return {"Type": "AWS::Serverless::HttpApi", "Properties": properties}


def _outputs(options: Mapping[str, Any], events: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"FunctionArn": {"Value": arn("Function")}}
    if options["front"] == URL:
        found["Url"] = {"Value": {"Fn::GetAtt": ["FunctionUrl", "FunctionUrl"]}}
    elif options["front"] == HTTP_API:
        found["Url"] = {"Value": sub("https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}")}
    if SQS in events:
        found["RequestQueueUrl"] = {"Value": ref("RequestQueue")}
        found["ResultsQueueUrl"] = {"Value": ref("ResultsQueue")}
    if S3 in events:
        found["BucketName"] = {"Value": ref("Bucket")}
    if DYNAMODB in events:
        found["ResultsTableName"] = {"Value": ref("ResultsTable")}
    return found
