"""The SAM template: a stack whose parameters have the plan's settings as their defaults."""

from typing import Any

from . import cfn_resources, iam
from .cfn_resources import HAS_SORT_KEY, NOTHING, arn, ref, statement, sub
from .settings import DYNAMODB, HTTP_API, S3, SQS, URL
from .spec import FunctionSpec

_KEY = {"Fn::If": ["HasKey", ref("KmsKeyArn"), NOTHING]}
#: What the parameters say of the keys of the table that is watched.
_WATCHED = {
    "name": ref("KeyName"),
    "type": ref("KeyType"),
    "sort_name": ref("SortKeyName"),
    "sort_type": ref("SortKeyType"),
}


def template(spec: FunctionSpec) -> dict[str, Any]:
    """Return a template for ``sam deploy``."""
    resources: dict[str, Any] = {"LogGroup": _log_group(spec.name)}
    resources["Role"] = _role(spec)
    resources["Function"] = _function(spec)
    resources |= _stores(spec.events, spec.settings["Timeout"])
    if spec.options.front == HTTP_API:
        resources["Api"] = _api(keyed=spec.keyed)
    topic = {"Fn::If": ["HasTopic", [ref("AlarmTopicArn")], NOTHING]}
    resources |= cfn_resources.alarms(ref("Function"), spec.events, topic=topic, p99=ref("LatencyAlarmMs"))
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Description": f"Predictions of {spec.about}",
        "Parameters": _parameters(spec),
        "Conditions": _conditions(spec),
        "Resources": resources,
        "Outputs": _outputs(spec),
    }


def _parameters(spec: FunctionSpec) -> dict[str, Any]:
    options, configured = spec.options, spec.settings
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
        "AlarmTopicArn": {"Type": "String", "Default": options.alarm_topic},
        "LatencyAlarmMs": {"Type": "Number", "Default": options.p99},
    }
    if configured["ProvisionedConcurrentExecutions"]:
        found["ProvisionedConcurrency"] = {
            "Type": "Number",
            "Default": configured["ProvisionedConcurrentExecutions"],
            "MinValue": 0,
            "Description": "So many instances that are always started.",
        }
    if spec.keyed and not options.api_keys:
        found["ApiKeys"] = {
            "Type": "String",
            "NoEcho": True,
            "AllowedPattern": "[0-9a-f]{64}(,[0-9a-f]{64})*",
            "Description": "SHA-256 of each key that is let in, with commas between: printf %s KEY | sha256sum",
        }
    if DYNAMODB in spec.events:
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


def _conditions(spec: FunctionSpec) -> dict[str, Any]:
    def given(value: Any, empty: Any) -> dict[str, Any]:
        return {"Fn::Not": [{"Fn::Equals": [value, empty]}]}

    found = {
        "HasReserved": given(ref("ReservedConcurrency"), -1),
        "HasKey": given(ref("KmsKeyArn"), ""),
        "HasVpc": given({"Fn::Join": ["", ref("SubnetIds")]}, ""),
        "HasTopic": given(ref("AlarmTopicArn"), ""),
    }
    if spec.settings["ProvisionedConcurrentExecutions"]:
        found["HasProvisioned"] = given(ref("ProvisionedConcurrency"), 0)
    if DYNAMODB in spec.events:
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


def _role(spec: FunctionSpec) -> dict[str, Any]:
    events = spec.events
    key = iam.statement(iam.key("", events), ref("KmsKeyArn"))
    statements = [
        iam.statement(iam.log(spec.name), arn("LogGroup")),
        *(statement(one) for one in (*iam.reading(events), *iam.writing(events), *spec.more)),
        {"Fn::If": ["HasKey", key, NOTHING]},
        {"Fn::If": ["HasVpc", statement(iam.NETWORK), NOTHING]},
    ]
    policy = {"PolicyName": "function", "PolicyDocument": iam.policy(statements)}
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": iam.TRUST, "Policies": [policy]}}


def _function(spec: FunctionSpec) -> dict[str, Any]:
    configured, keyed = spec.settings, spec.keyed
    known: dict[str, Any] = {**({"API_KEYS": ref("ApiKeys")} if keyed else {}), **spec.variables}
    known |= cfn_resources.variables(spec.events)
    vpc: dict[str, Any] = {"SubnetIds": ref("SubnetIds"), "SecurityGroupIds": ref("SecurityGroupIds")}
    if spec.archive:
        code: dict[str, Any] = {
            "CodeUri": spec.archive,
            "Handler": configured["Handler"],
            "Runtime": configured["Runtime"],
        }
    else:
        code = {"PackageType": "Image"}
    properties: dict[str, Any] = {
        "FunctionName": spec.name,
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
    if spec.options.front == URL:
        # With keys anybody may reach it, and the function asks for the key.
        properties["FunctionUrlConfig"] = {"AuthType": "NONE" if keyed else "AWS_IAM"}
    if found := _events(spec):
        properties["Events"] = found
    if S3 in spec.events:
        failed = {"OnFailure": {"Type": "SQS", "Destination": arn("FailedEvents")}}
        properties["EventInvokeConfig"] = {"MaximumRetryAttempts": 2, "DestinationConfig": failed}
    found = {"Type": "AWS::Serverless::Function", "Properties": properties}
    if not spec.archive:
        found["Metadata"] = {"Dockerfile": "Dockerfile", "DockerContext": ".", "DockerTag": "latest"}
    return found


def _events(spec: FunctionSpec) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if spec.options.front == HTTP_API:
        found["Http"] = {"Type": "HttpApi", "Properties": {"ApiId": ref("Api")}}
    if SQS in spec.events:
        found["Requests"] = {
            "Type": "SQS",
            "Properties": {
                "Queue": arn("RequestQueue"),
                "BatchSize": 10,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            },
        }
    if S3 in spec.events:
        rules: dict[str, Any] = {"S3Key": {"Rules": [{"Name": "prefix", "Value": "in/"}]}}
        properties: dict[str, Any] = {"Bucket": ref("Bucket"), "Events": "s3:ObjectCreated:*", "Filter": rules}
        found["Objects"] = {"Type": "S3", "Properties": properties}
    if DYNAMODB in spec.events:
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


def _outputs(spec: FunctionSpec) -> dict[str, Any]:
    found: dict[str, Any] = {"FunctionArn": {"Value": arn("Function")}}
    if spec.options.front == URL:
        found["Url"] = {"Value": {"Fn::GetAtt": ["FunctionUrl", "FunctionUrl"]}}
    elif spec.options.front == HTTP_API:
        found["Url"] = {"Value": sub("https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}")}
    if SQS in spec.events:
        found["RequestQueueUrl"] = {"Value": ref("RequestQueue")}
        found["ResultsQueueUrl"] = {"Value": ref("ResultsQueue")}
    if S3 in spec.events:
        found["BucketName"] = {"Value": ref("Bucket")}
    if DYNAMODB in spec.events:
        found["ResultsTableName"] = {"Value": ref("ResultsTable")}
    return found
