"""The SAM template and the Serverless file of a package, judged by the tools that deploy them."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from serving.errors import ServingError
from serving.packaging import building
from tests import tools
from tests.serving.packaging.packages import planned

KEY = "arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d"
OPTIONS: dict[str, dict[str, str]] = {
    "plain": {},
    "all events, HTTP API": {"front": "http-api", "events": "sqs s3 dynamodb"},
    "guarded": {
        "auth": "api-key",
        "api_keys": "0" * 64,
        "kms_key": KEY,
        "subnets": "subnet-01,subnet-02",
        "security_groups": "sg-01",
        "events": "sqs,s3,dynamodb",
        "reserved_concurrency": "10",
        "provisioned_concurrency": "2",
        "alarm_topic": "arn:aws:sns:eu-west-1:123456789012:alarms",
        "architecture": "x86_64",
        "runtime": "python3.11",
        "record": "firehose:log",
    },
    "no HTTP, from a snapshot": {"front": "none", "events": "s3", "snap_start": "yes", "runtime": "python3.14"},
    "an open URL": {"auth": "api-key", "events": "dynamodb", "record": "s3://rows-1/log"},
    "keys behind an API": {"front": "http-api", "auth": "api-key", "log_retention": "365"},
}


@pytest.fixture(scope="module", params=OPTIONS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built package."""
    return building.build(planned(**OPTIONS[request.param]), tmp_path_factory.mktemp("built") / "out").folder


def template(**options: str) -> dict:
    (file,) = (file for file in planned(**options).beside if file.path == "template.yaml")
    return yaml.safe_load(file.read())


def test_cfn_lint_finds_nothing(folder: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("cfn-lint")),
        "--include-checks",
        "I",
        "--",
        str(folder / "template.yaml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_sam_finds_it_valid(folder: Path) -> None:
    variables = {**os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-west-1"}
    command = [*tools.sam(), "validate", "--lint", "--template", str(folder / "template.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is a valid SAM Template" in done.stdout


def test_serverless_packages_it(folder: Path, tmp_path: Path) -> None:
    variables = {
        **os.environ,
        **{"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "HOME": str(tmp_path)},
        **{"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off", "SLS_INTERACTIVE_SETUP_ENABLE": "0"},
        **{"BUCKET": "rows-1", "API_KEYS": "0" * 64, "KEY_NAME": "id"},
        "STREAM_ARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/2026",
    }
    command = [*tools.serverless(), "package", "--package", str(tmp_path / "made")]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    # Of a function that scores objects, too, which takes longer than HTTP waits, it says so.
    warnings = [line for line in (done.stdout + done.stderr).splitlines() if "Warning" in line]
    assert all("timeout setting (900)" in line for line in warnings)
    made = json.loads((tmp_path / "made" / "cloudformation-template-update-stack.json").read_text())
    function = made["Resources"]["PredictLambdaFunction"]["Properties"]
    told = json.loads((folder / "plan.json").read_text())["settings"]
    assert function["Runtime"] == told["Runtime"]
    assert function["Architectures"] == told["Architectures"]
    assert function["FunctionName"] == told["FunctionName"]
    permissions = {
        one["Properties"]["Action"]: one["Properties"]
        for one in made["Resources"].values()
        if one["Type"] == "AWS::Lambda::Permission" and one["Properties"]["Principal"] == "*"
    }
    # An open function URL wants both since October 2025.
    if told["Front"] == "function-url" and told["Auth"] == "api-key":
        assert set(permissions) == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
        own = permissions["lambda:InvokeFunction"]
        assert own["InvokedViaFunctionUrl"] is True
        assert own["FunctionName"]["Ref"] in made["Resources"]
        (url,) = (one for one in made["Resources"].values() if one["Type"] == "AWS::Lambda::Url")
        of_an_alias = "Fn::Join" in json.dumps(url["Properties"]["TargetFunctionArn"])
        assert (made["Resources"][own["FunctionName"]["Ref"]]["Type"] == "AWS::Lambda::Alias") == of_an_alias
    else:
        assert permissions == {}
    (policy,) = made["Resources"]["IamRoleLambdaExecution"]["Properties"]["Policies"]
    allowed = [
        action
        for one in policy["PolicyDocument"]["Statement"]
        if one["Resource"] == told["KMSKeyArn"]
        for action in one["Action"]
    ]
    # Without the second no answer could be written under the customer's key.
    assert allowed == (["kms:Decrypt", "kms:GenerateDataKey"] if told["KMSKeyArn"] else [])
    if "s3" in told["Events"]:
        (rule,) = made["Resources"]["S3BucketObjects"]["Properties"]["LifecycleConfiguration"]["Rules"]
        assert rule["ExpiredObjectDeleteMarker"] is True


class TestSafe:
    def test_by_default_only_signed_requests_are_let_in(self) -> None:
        assert template()["Resources"]["Function"]["Properties"]["FunctionUrlConfig"] == {"AuthType": "AWS_IAM"}
        api = template(front="http-api")["Resources"]["Api"]["Properties"]
        assert api["Auth"] == {"EnableIamAuthorizer": True, "DefaultAuthorizer": "AWS_IAM"}

    @pytest.mark.parametrize("front", ["function-url", "http-api"])
    def test_an_open_address_is_guarded_by_keys(self, front: str) -> None:
        made = template(auth="api-key", front=front)
        variables = made["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
        assert variables["API_KEYS"] == {"Ref": "ApiKeys"}
        assert "Default" not in made["Parameters"]["ApiKeys"]
        assert made["Parameters"]["ApiKeys"]["NoEcho"] is True

    def test_keys_that_a_stack_is_given_are_those_that_are_let_in(self) -> None:
        # SAM publishes no version where a parameter is all that changed: an alias would go on with the keys of before.
        function = template(auth="api-key")["Resources"]["Function"]["Properties"]
        assert "AutoPublishAlias" not in function
        for fixed in ({"provisioned_concurrency": "1"}, {"snap_start": "yes"}):
            with pytest.raises(ServingError, match=f"with {next(iter(fixed))} wants api_keys="):
                planned(auth="api-key", **fixed)
            made = template(auth="api-key", api_keys="0" * 64, **fixed)
            function = made["Resources"]["Function"]["Properties"]
            assert (function["AutoPublishAlias"], function["AutoPublishAliasAllProperties"]) == ("live", True)
            assert function["Environment"]["Variables"]["API_KEYS"] == "0" * 64
            assert "ApiKeys" not in made["Parameters"]

    def test_the_results_have_the_keys_of_the_table_that_is_watched(self) -> None:
        made = template(events="dynamodb")
        table = made["Resources"]["ResultsTable"]["Properties"]
        for part in ("AttributeDefinitions", "KeySchema"):
            first, second = table[part]
            assert first["AttributeName"] == {"Ref": "KeyName"}
            condition, sort, otherwise = second["Fn::If"]
            assert (condition, otherwise) == ("HasSortKey", {"Ref": "AWS::NoValue"})
            assert sort["AttributeName"] == {"Ref": "SortKeyName"}
        assert made["Parameters"]["SortKeyName"]["Default"] == ""

    def test_the_role_is_allowed_no_wildcard_that_can_be_avoided(self) -> None:
        made = template(events="sqs s3 dynamodb", front="http-api")["Resources"]
        statements = [
            *made["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"],
            *made["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"],
        ]
        for statement in statements:
            statement = statement["Fn::If"][1] if "Fn::If" in statement else statement
            assert all("*" not in action for action in statement["Action"])
            if statement["Resource"] == "*":
                assert {action.partition(":")[0] for action in statement["Action"]} <= {"ec2", "dynamodb"}
                assert statement["Action"] in (["dynamodb:ListStreams"], [a for a in statement["Action"] if "ec2" in a])
        assert "ManagedPolicyArns" not in made["Role"]["Properties"]

    def test_what_is_stored_is_encrypted_private_and_outlives_the_stack(self) -> None:
        made = template(events="sqs s3 dynamodb")["Resources"]
        kept = {name for name, resource in made.items() if resource.get("DeletionPolicy") == "Retain"}
        assert kept == {
            *("LogGroup", "Bucket", "ResultsTable"),
            *("RequestQueue", "ResultsQueue", "DeadLetterQueue", "FailedEvents"),
        }
        assert set(made["Bucket"]["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
        for name in ("RequestQueue", "ResultsQueue", "DeadLetterQueue", "FailedEvents"):
            assert made[name]["Properties"]["SqsManagedSseEnabled"]["Fn::If"][2] is True

    def test_no_event_is_lost(self) -> None:
        function = template(events="sqs s3 dynamodb")["Resources"]["Function"]["Properties"]
        queue, stream = (function["Events"][name]["Properties"] for name in ("Requests", "Images"))
        assert queue["FunctionResponseTypes"] == stream["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert stream["BisectBatchOnFunctionError"] is True
        assert stream["DestinationConfig"]["OnFailure"]["Type"] == "SQS"
        assert function["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Type"] == "SQS"

    def test_alarms_watch_errors_answers_and_the_slowest_hundredth(self) -> None:
        alarms = {
            name: resource["Properties"]
            for name, resource in template(events="sqs s3", p99="50")["Resources"].items()
            if resource["Type"] == "AWS::CloudWatch::Alarm"
        }
        assert set(alarms) == {"ErrorsAlarm", "AnswersAlarm", "LatencyAlarm", "DeadLettersAlarm", "FailedEventsAlarm"}
        assert alarms["LatencyAlarm"]["ExtendedStatistic"] == "p99"


def test_the_plan_and_the_template_ask_for_the_same_actions() -> None:
    options = {"events": "sqs s3 dynamodb", "subnets": "subnet-01", "security_groups": "sg-01", "kms_key": KEY}
    made = template(**options)["Resources"]
    statements = [
        *made["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"],
        *made["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"],
    ]
    asked = {
        action
        for statement in statements
        for action in (statement["Fn::If"][1] if "Fn::If" in statement else statement)["Action"]
    }
    assert asked == {action for one in planned(**options).permissions for action in one.actions}


def test_a_plan_is_a_value() -> None:
    assert planned() == planned()
    assert planned(memory="512") != planned()
    assert replace(planned(), name="other") != planned()
