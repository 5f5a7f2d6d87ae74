"""CloudFormation resources that both templates make: queues, bucket, table, alarms, statements of policies."""

from collections.abc import Mapping
from typing import Any

from ..plan import Permission
from . import iam
from .settings import DYNAMODB, S3, SQS

Resources = dict[str, Any]

_DAY = 86_400
#: The property is not there.
NOTHING = {"Ref": "AWS::NoValue"}
#: The condition that the watched table has a sort key.
HAS_SORT_KEY = "HasSortKey"


def ref(name: str) -> dict[str, str]:
    """``!Ref name``."""
    return {"Ref": name}


def arn(name: str) -> dict[str, list[str]]:
    """``!GetAtt name.Arn``."""
    return {"Fn::GetAtt": [name, "Arn"]}


def sub(text: str) -> dict[str, str]:
    """``!Sub text``."""
    return {"Fn::Sub": text}


def queue(key: Any, **more: Any) -> Resources:
    """A queue whose messages are encrypted, by the customer's key where there is one.

    Parameters
    ----------
    key : the key's ARN or a condition on it; None for none.
    """
    own = {"KmsMasterKeyId": key} if key else {"SqsManagedSseEnabled": True}
    return {
        "Type": "AWS::SQS::Queue",
        "UpdateReplacePolicy": "Retain",
        "DeletionPolicy": "Retain",
        "Properties": {"MessageRetentionPeriod": 14 * _DAY, **own, **more},
    }


def stores(events: tuple[str, ...], *, key: Any, timeout: int, watched: Mapping[str, Any]) -> Resources:
    """What events come from and answers go to.

    Parameters
    ----------
    watched : ``name``, ``type``, ``sort_name`` and ``sort_type`` of the keys of the table that is watched.
    """
    found: Resources = {}
    if SQS in events:
        found["DeadLetterQueue"] = queue(key)
        again = {"deadLetterTargetArn": arn("DeadLetterQueue"), "maxReceiveCount": 5}
        # As AWS advises: six times what one batch may take.
        found["RequestQueue"] = queue(key, VisibilityTimeout=min(6 * timeout, 43_200), RedrivePolicy=again)
        found["ResultsQueue"] = queue(key)
    if S3 in events or DYNAMODB in events:
        found["FailedEvents"] = queue(key)
    if DYNAMODB in events:
        found["ResultsTable"] = _table(key, watched)
    return found


def bucket(key: Any) -> Resources:
    """A private bucket that keeps earlier versions of objects, and nothing of an upload that was cut short."""
    algorithm = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if key else {"SSEAlgorithm": "AES256"}
    return {
        "Type": "AWS::S3::Bucket",
        "UpdateReplacePolicy": "Retain",
        "DeletionPolicy": "Retain",
        "Properties": {
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": algorithm}]},
            "PublicAccessBlockConfiguration": dict.fromkeys(
                ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
            ),
            "VersioningConfiguration": {"Status": "Enabled"},
            "LifecycleConfiguration": {
                "Rules": [
                    {
                        "Id": "nothing-left-behind",
                        "Status": "Enabled",
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                        # Of what an earlier object might have left, and had not.
                        "ExpiredObjectDeleteMarker": True,
                    }
                ]
            },
        },
    }


def _table(key: Any, watched: Mapping[str, Any]) -> Resources:
    """A table with the keys of the one that is watched: of items that differ in one of them, each has its answer."""
    encryption = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key} if key else {"SSEEnabled": False}
    return {
        "Type": "AWS::DynamoDB::Table",
        "UpdateReplacePolicy": "Retain",
        "DeletionPolicy": "Retain",
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": watched["name"], "AttributeType": watched["type"]},
                _sorted({"AttributeName": watched["sort_name"], "AttributeType": watched["sort_type"]}),
            ],
            "KeySchema": [
                {"AttributeName": watched["name"], "KeyType": "HASH"},
                _sorted({"AttributeName": watched["sort_name"], "KeyType": "RANGE"}),
            ],
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "SSESpecification": encryption,
        },
    }


def _sorted(about: Resources) -> Resources:
    return {"Fn::If": [HAS_SORT_KEY, about, NOTHING]}


def variables(events: tuple[str, ...]) -> dict[str, Any]:
    """The variables that name what a template makes."""
    found: dict[str, Any] = {}
    if SQS in events:
        found["RESULTS_QUEUE_URL"] = ref("ResultsQueue")
    if S3 in events:
        found |= {"OUTPUT_PREFIX": "output/", "REFUSED_PREFIX": "refused/"}
    if DYNAMODB in events:
        found["RESULTS_TABLE"] = ref("ResultsTable")
    return found


def statement(permission: Permission, *, bucket: str = "${Bucket}") -> dict[str, Any]:
    """Return a permission as a statement, its resources as CloudFormation refers to them.

    Parameters
    ----------
    bucket : the bucket's name, as ``Fn::Sub`` takes it.
    """
    places = [_place(name, bucket) for name in permission.resources]
    return iam.statement(permission, places if len(places) > 1 else places[0])


def _place(name: str, bucket: str) -> Any:
    if name == "*":
        return name
    if name.startswith("arn:"):
        account = {"partition": "${AWS::Partition}", "region": "${AWS::Region}", "account": "${AWS::AccountId}"}
        text = iam.placed(name, **account)
        return text if text == name else sub(text)
    if name.startswith("Bucket/"):
        return sub(f"arn:${{AWS::Partition}}:s3:::{bucket}{name.removeprefix('Bucket')}")
    return ref(name) if name == "StreamArn" else arn(name)


def alarms(function: Any, events: tuple[str, ...], *, topic: Any, p99: Any) -> Resources:
    """Alarms on errors and on the slowest hundredth; sent to a topic where there is one.

    Parameters
    ----------
    topic : what ``AlarmActions`` is; None for no such property.
    """
    notified = {"AlarmActions": topic} if topic else {}
    by_function = [{"Name": "FunctionName", "Value": function}]

    def alarm(what: str, threshold: Any, **metric: Any) -> Resources:
        properties = {
            "AlarmDescription": what,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": threshold,
            "Period": 300,
            "EvaluationPeriods": 1,
            "TreatMissingData": "notBreaching",
            **metric,
            **notified,
        }
        return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}

    lambdas = {"Namespace": "AWS/Lambda", "Dimensions": by_function}
    own = {"Namespace": "ModelLifecycle", "Dimensions": [{"Name": "Function", "Value": function}]}
    found = {
        "ErrorsAlarm": alarm("The function failed.", 0, **lambdas, MetricName="Errors", Statistic="Sum"),
        "AnswersAlarm": alarm("Valid requests failed.", 0, **own, MetricName="Errors", Statistic="Sum"),
        "LatencyAlarm": alarm(
            "The 99th percentile is too long.",
            p99,
            **lambdas,
            MetricName="Duration",
            ExtendedStatistic="p99",
        ),
    }
    waiting = {"Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible", "Statistic": "Maximum"}
    if SQS in events:
        at = [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["DeadLetterQueue", "QueueName"]}}]
        found["DeadLettersAlarm"] = alarm("Messages are in the dead-letter queue.", 0, **waiting, Dimensions=at)
    if S3 in events or DYNAMODB in events:
        at = [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["FailedEvents", "QueueName"]}}]
        found["FailedEventsAlarm"] = alarm("Events failed for good.", 0, **waiting, Dimensions=at)
    return found
