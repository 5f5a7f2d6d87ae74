"""What ``-C name=value`` may say: every option is read or refused in one line, before anything is called."""

import pytest

from serving.deployments import settings
from serving.deployments.errors import DeploymentError
from serving.deployments.metrics import Bounds
from serving.deployments.settings import CREATE, DELETE, OWN, RUN, UPDATE
from serving.deployments.shifting import Trial

ROLE = "arn:aws:iam::123456789012:role/service-role/scores"
IMAGE = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/trees@sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("command", "config", "says"),
    [
        (CREATE, {"memry": "512"}, "`create` has no option 'memry'; did you mean 'memory'?"),
        (UPDATE, {"Canary": "0.1"}, "`update` has no option 'Canary'; did you mean 'canary'?"),
        (CREATE, {"canary": "0.1"}, "`create` has no option 'canary'"),
        (DELETE, {"memory": "512"}, "there are: delete_logs, dry_run"),
        (CREATE, {"alarm_topic": "x"}, "alarm_topic is an option of the templates"),
        (CREATE, {"role": "admin"}, "option role: expected a role's ARN, arn:aws:iam::123456789012:role/NAME"),
        (CREATE, {}, "no role for the function: give -C role=ARN, set AWS_LAMBDA_ROLE"),
        (CREATE, {"role": ROLE, "create_role": "true"}, "expected role or create_role, found both"),
        (UPDATE, {"canary": "10%"}, "option canary: expected a share between 0 and 1, such as 0.1, found '10%'"),
        (UPDATE, {"canary": "1"}, "expected a share between 0 and 1"),
        (UPDATE, {"canary": "nan"}, "expected a share between 0 and 1"),
        (UPDATE, {"canary": "0.1", "bake": "0"}, "option bake: expected a whole number from 1 to 86,400, found '0'"),
        (UPDATE, {"bake": "60"}, "bake: options of a trial; give -C canary"),
        (UPDATE, {"canary": "0.1", "max_p99": "-1"}, "option max_p99: expected a number of at least 0"),
        (UPDATE, {"rollback": "true", "memory": "512"}, "as it was; it takes no memory"),
        (UPDATE, {"rollback": "perhaps"}, "option rollback: expected yes or no, found 'perhaps'"),
        (UPDATE, {"tags": "team"}, "option tags: expected tags as team=credit,stage=live, found 'team'"),
        (UPDATE, {"tags": "aws:x=1"}, "option tags: expected tags"),
        (UPDATE, {"environment": "AWS_REGION=x"}, "AWS_... and LAMBDA_... are Lambda's own"),
        (UPDATE, {"reserved_concurrency": "-1"}, "expected a whole number from 0 to 100,000, or none"),
        (CREATE, {"image": "trees:latest"}, "option image: expected an image in ECR by its digest"),
        (RUN, {"port": "80000"}, "option port: expected a whole number from 0 to 65,535"),
    ],
)  # fmt: skip
def test_what_is_refused_says_what_was_expected(command: str, config: dict, says: str):
    with pytest.raises(DeploymentError) as refused:
        settings.read(command, config)
    assert says in refused.value.message
    assert "\n" not in refused.value.message
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


def test_every_command_is_read():
    created = settings.read(
        CREATE,
        {"role": ROLE, "url": "true", "memory": "512", "tags": "team=credit, stage=live", "image": IMAGE,
         "environment": "LEVEL=a,b,OTHER=", "reserved_concurrency": "5"},
    )  # fmt: skip
    assert (created.role, created.url, created.image, created.reserved_concurrency) == (ROLE, True, IMAGE, 5)
    assert created.tags == {"team": "credit", "stage": "live"}
    assert created.environment == {"LEVEL": "a,b", "OTHER": ""}
    assert created.package == {"memory": "512"}
    updated = settings.read(UPDATE, {"canary": "0.1", "max_errors": "0.05", "min_requests": "100", "again": "yes"})
    assert updated.trial == Trial(0.1, 600, Bounds(0.05, None, 100), again=True)
    assert settings.read(UPDATE, None).trial is None
    assert settings.read(UPDATE, {"reserved_concurrency": "none"}).reserved_concurrency < 0
    assert settings.read(DELETE, {"delete_logs": "true"}).delete_logs
    assert settings.read(RUN, {"port": "0"}).port == 0


def test_python_values_are_taken_as_their_texts_are():
    given = {"canary": 0.25, "bake": 60, "url": True, "memory": 512, "tags": {"a": "b"}, "environment": {"LEVEL": "x"}}
    as_text = {"canary": "0.25", "bake": "60", "url": "true", "memory": "512", "tags": "a=b", "environment": "LEVEL=x"}
    assert settings.read(UPDATE, given) == settings.read(UPDATE, as_text)
    subnets = {"subnets": ["subnet-1", "subnet-2"], "security_groups": ["sg-1"]}
    assert settings.read(UPDATE, subnets).package == {"subnets": "subnet-1,subnet-2", "security_groups": "sg-1"}
    assert settings.read(UPDATE, {"role": None, "canary": ""}) == settings.read(UPDATE, {})


def test_a_role_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_LAMBDA_ROLE", ROLE)
    assert settings.read(CREATE, {}).role == ROLE
    assert settings.read(CREATE, {"create_role": "true"}).role == ""
    monkeypatch.setenv("AWS_LAMBDA_ROLE", "admin")
    with pytest.raises(DeploymentError, match="AWS_LAMBDA_ROLE: expected a role's ARN"):
        settings.read(CREATE, {})


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "modèle", "a/b", "a.b", None, 3])
def test_a_name_that_the_cloud_will_not_take_is_refused(name):
    with pytest.raises(DeploymentError, match="1 to 64 letters, digits, - and _"):
        settings.name(name)


def test_a_name_that_it_takes_is_taken():
    assert settings.name("x" * 64) == "x" * 64
    assert settings.name("Credit_risk-2") == "Credit_risk-2"


def test_every_option_has_a_help_and_no_name_twice():
    for command in OWN:
        names = [option.name for option in settings.options(command)]
        assert len(names) == len(set(names))
        assert all(option.help for option in settings.options(command))
