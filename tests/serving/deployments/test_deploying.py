"""Create, update, roll back and delete on a simulated cloud: what is made, what is left alone, what is refused.

The cloud is moto's, which runs no code, with what ``simulated`` adds; whether AWS itself agrees is not shown here.
"""

import json
import re

import pytest

from serving.deployments import deploying, describing, function, traffic
from serving.deployments.aws import Cloud
from serving.deployments.errors import DeploymentError
from serving.deployments.settings import DeploymentOptions
from serving.deployments.shifting import Trial
from tests.logged import logged
from tests.serving.deployments.made import NAME, Time, code, measured, package
from tests.serving.deployments.simulated import ACCOUNT, REGION, Simulated

FIRST = DeploymentOptions(create_role=True, url=True, tags={"team": "credit"})
TRIAL = Trial(0.1, 600)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/{NAME}-{REGION}-lambda"


def writes(aws: Simulated) -> list[str]:
    return [str(call) for call in aws.calls if call.writes]


def create(cloud: Cloud, number: int = 1, settings: DeploymentOptions = FIRST, **more) -> None:
    made = package(number, variables={"LEVEL": "info"}, **more)
    deploying.create(cloud, NAME, made, settings)


def update(cloud: Cloud, number: int, settings: DeploymentOptions | None = None, **more) -> list[str]:
    with logged() as said:
        deploying.update(cloud, NAME, package(number, **more), settings or DeploymentOptions())
    return said


def test_create_makes_a_role_a_log_a_function_a_version_an_alias_and_a_url(aws: Simulated, cloud: Cloud):
    create(cloud)
    state = aws.state()
    latest, first = state["functions"][NAME]["versions"]
    assert first["Version"] == "1"
    assert first["CodeSha256"] == code(1).digest
    for version in (latest, first):
        assert version["Description"] == "MLflow deployment of models:/diabetes/1"
        assert (version["Role"], version["Runtime"], version["Handler"]) == (ROLE, "python3.13", "handler.handle")
        assert (version["MemorySize"], version["Timeout"], version["Architectures"]) == (256, 10, ["arm64"])
        assert version["Environment"] == {"Variables": {"LEVEL": "info"}}
    (alias,) = state["functions"][NAME]["aliases"]
    assert (alias["Name"], alias["FunctionVersion"]) == ("live", "1")
    assert state["functions"][NAME]["url"] == {"AuthType": "AWS_IAM"}
    assert state["functions"][NAME]["tags"] == {"team": "credit", "mlflow-deployment": NAME}
    assert state["logs"] == {f"/aws/lambda/{NAME}": 30}


def test_the_role_that_is_made_may_do_what_the_package_needs_and_nothing_else(aws: Simulated, cloud: Cloud):
    create(cloud)
    document = json.loads(aws.state()["roles"][f"{NAME}-{REGION}-lambda"]["function"])
    (statement,) = document["Statement"]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/{NAME}:*"]
    trust = cloud.call("iam", "get_role", RoleName=f"{NAME}-{REGION}-lambda")["Role"]["AssumeRolePolicyDocument"]
    assert [one["Principal"] for one in trust["Statement"]] == [{"Service": "lambda.amazonaws.com"}]


def test_a_role_that_is_named_is_used_and_none_is_made(aws: Simulated, cloud: Cloud):
    arn = cloud.call("iam", "create_role", RoleName="mine", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    create(cloud, settings=DeploymentOptions(role=arn))
    assert list(aws.state()["roles"]) == ["mine"]
    assert aws.state()["functions"][NAME]["versions"][1]["Role"] == arn
    deploying.delete(cloud, NAME, DeploymentOptions())
    assert list(aws.state()["roles"]) == ["mine"]


def test_create_again_changes_nothing(aws: Simulated, cloud: Cloud):
    create(cloud)
    before = aws.state()
    aws.calls.clear()
    create(cloud)
    assert writes(aws) == []
    assert aws.state() == before


def test_create_of_another_model_or_with_other_settings_is_refused(aws: Simulated, cloud: Cloud):
    create(cloud)
    before = aws.state()
    with pytest.raises(DeploymentError, match=r"exists already, and differs.*models:/diabetes/1.*`update`") as refused:
        create(cloud, 2)
    assert refused.value.error_code == "RESOURCE_ALREADY_EXISTS"
    with pytest.raises(DeploymentError, match=r"differs \(MemorySize\)"):
        deploying.create(cloud, NAME, package(1, settings={"MemorySize": 512}, variables={"LEVEL": "info"}), FIRST)
    assert aws.state() == before


def test_a_function_of_somebody_else_is_left_alone(aws: Simulated, cloud: Cloud):
    arn = cloud.call("iam", "create_role", RoleName="mine", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    cloud.call(
        "lambda", "create_function", FunctionName=NAME, Role=arn, Runtime="python3.13", Handler="a.b",
        Code={"ZipFile": code(9).content},
    )  # fmt: skip
    before = aws.state()
    for command in (
        lambda: create(cloud),
        lambda: update(cloud, 2),
        lambda: deploying.roll_back(cloud, NAME),
        lambda: deploying.delete(cloud, NAME, DeploymentOptions()),
        lambda: describing.describe(cloud, NAME),
    ):
        with pytest.raises(DeploymentError, match=r"was not made by this plugin.*choose another name"):
            command()
    assert aws.state() == before
    assert describing.listed(cloud) == []


def test_a_role_of_somebody_else_is_left_alone(aws: Simulated, cloud: Cloud):
    name = f"{NAME}-{REGION}-lambda"
    cloud.call("iam", "create_role", RoleName=name, AssumeRolePolicyDocument="{}")
    with pytest.raises(DeploymentError, match=f"the role {name} is there, and was not made by this plugin"):
        create(cloud)
    assert aws.state()["functions"] == {}
    deploying.delete(cloud, NAME, DeploymentOptions())
    assert list(aws.state()["roles"]) == [name]


def test_update_publishes_a_version_and_moves_all_requests_to_it(aws: Simulated, cloud: Cloud):
    create(cloud)
    said = update(cloud, 2)
    assert said == [f"version 2 of function {NAME}", "all requests go to version 2"]
    found = describing.describe(cloud, NAME)
    assert (found["model_uri"], found["version"], found["before"]) == ("models:/diabetes/2", "2", "1")
    aws.calls.clear()
    assert update(cloud, 2) == []
    assert writes(aws) == []


def test_an_update_after_one_of_the_settings_leaves_them_as_they_are(aws: Simulated, cloud: Cloud):
    create(cloud)
    deploying.update(cloud, NAME, package(1, settings={"MemorySize": 512}), DeploymentOptions())
    aws.calls.clear()
    assert update(cloud, 1) == []
    assert update(cloud, 1, DeploymentOptions(trial=TRIAL)) == []
    assert writes(aws) == []
    assert describing.describe(cloud, NAME)["settings"]["MemorySize"] == 512


def test_a_vpc_and_a_key_are_taken_away_where_that_is_said(aws: Simulated, cloud: Cloud):
    vpc = {"SubnetIds": ["subnet-01"], "SecurityGroupIds": ["sg-01"]}
    guarded = {"VpcConfig": vpc, "KMSKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"}
    deploying.create(cloud, NAME, package(1, settings=guarded), FIRST)
    update(cloud, 2)
    latest = aws.state()["functions"][NAME]["versions"][-1]
    assert (latest["VpcConfig"]["SubnetIds"], latest["KMSKeyArn"]) == (["subnet-01"], guarded["KMSKeyArn"])
    nothing = {"VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}, "KMSKeyArn": ""}
    deploying.update(cloud, NAME, package(2, settings=nothing), DeploymentOptions())
    latest = aws.state()["functions"][NAME]["versions"][-1]
    assert (latest["VpcConfig"]["SubnetIds"], latest["VpcConfig"]["SecurityGroupIds"]) == ([], [])
    assert not latest["KMSKeyArn"]


def test_a_log_that_is_kept_longer_is_not_shortened_unless_that_is_said(aws: Simulated, cloud: Cloud):
    group = f"/aws/lambda/{NAME}"
    cloud.call("logs", "create_log_group", logGroupName=group)
    cloud.call("logs", "put_retention_policy", logGroupName=group, retentionInDays=365)
    create(cloud)
    assert aws.state()["logs"] == {group: 365}
    deploying.update(cloud, NAME, package(2, log_days=7), DeploymentOptions())
    assert aws.state()["logs"] == {group: 7}


class TestVersionsOutOfUse:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deploying, "KEPT", 3)

    def numbers(self, aws: Simulated) -> list[str]:
        return [one["Version"] for one in aws.state()["functions"][NAME]["versions"][1:]]

    def test_are_deleted_but_for_the_newest_and_those_that_something_points_to(self, aws: Simulated, cloud: Cloud):
        create(cloud)
        cloud.call("lambda", "create_alias", FunctionName=NAME, Name="pinned", FunctionVersion="1")
        weights = {"AdditionalVersionWeights": {"2": 0.5}}
        for number in (2, 3, 4):
            update(cloud, number)
        split = {"FunctionVersion": "3", "RoutingConfig": weights}
        cloud.call("lambda", "create_alias", FunctionName=NAME, Name="split", **split)
        for number in (5, 6):
            update(cloud, number)
        assert self.numbers(aws) == ["1", "2", "3", "4", "5", "6"]
        said = update(cloud, 7)
        assert said[-1] == "versions out of use deleted: 4"
        assert self.numbers(aws) == ["1", "2", "3", "5", "6", "7"]

    def test_are_kept_where_a_rollback_leads_to_them(self, aws: Simulated, cloud: Cloud):
        create(cloud)
        for number in (2, 3):
            update(cloud, number)
        cloud.call("lambda", "update_alias", FunctionName=NAME, Name="live", FunctionVersion="1", Description="")
        update(cloud, 4)
        assert self.numbers(aws) == ["1", "2", "3", "4"]
        deploying.roll_back(cloud, NAME)
        assert describing.describe(cloud, NAME)["version"] == "1"

    def test_are_left_where_they_may_not_be_deleted(self, aws: Simulated, cloud: Cloud):
        create(cloud)
        for number in (2, 3):
            update(cloud, number)
        denied = (403, "AccessDeniedException", "not authorized")
        aws.before = lambda call: denied if call.method == "DELETE" else None
        said = update(cloud, 4)
        assert said[-1].startswith("versions out of use are not deleted: AWS refused lambda delete_function")
        assert describing.describe(cloud, NAME)["version"] == "4"
        aws.before = lambda call: None
        assert update(cloud, 4) == ["versions out of use deleted: 1"]

    def test_of_somebody_else_are_left(self, aws: Simulated, cloud: Cloud):
        create(cloud)
        cloud.call("lambda", "update_function_configuration", FunctionName=NAME, Description="by hand")
        cloud.call("lambda", "publish_version", FunctionName=NAME)
        for number in (2, 3, 4, 5):
            update(cloud, number)
        assert "2" in self.numbers(aws)
        assert "1" not in self.numbers(aws)


def test_what_an_update_does_not_name_stays(aws: Simulated, cloud: Cloud):
    create(cloud)
    deploying.update(cloud, NAME, package(1, settings={"MemorySize": 512}), DeploymentOptions())
    update(cloud, 2)
    latest = aws.state()["functions"][NAME]["versions"][-1]
    assert (latest["MemorySize"], latest["Timeout"], latest["CodeSha256"]) == (512, 10, code(2).digest)
    deploying.update(cloud, NAME, package(2, settings={"Timeout": 20}), DeploymentOptions())
    latest = aws.state()["functions"][NAME]["versions"][-1]
    assert (latest["MemorySize"], latest["Timeout"], latest["CodeSha256"]) == (512, 20, code(2).digest)


def test_back_to_the_model_before_is_the_version_before_with_its_settings_and_at_once(aws: Simulated, cloud: Cloud):
    create(cloud)
    deploying.update(cloud, NAME, package(2, settings={"MemorySize": 512}), DeploymentOptions())
    said = update(cloud, 1, DeploymentOptions(trial=TRIAL))
    assert said == ["all requests go to version 1"]
    assert len(aws.state()["functions"][NAME]["versions"]) == 3  # $LATEST, 1 and 2: none was published


def test_rollback_is_at_once_and_done_once(aws: Simulated, cloud: Cloud):
    create(cloud)
    update(cloud, 2)
    update(cloud, 3)
    with logged() as said:
        deploying.roll_back(cloud, NAME)
    assert said == ["all requests go to version 2 again, none to version 3"]
    aws.calls.clear()
    with logged() as said:
        deploying.roll_back(cloud, NAME)
    assert said == ["it was rolled back from version 3 already: nothing to do"]
    assert writes(aws) == []
    assert describing.describe(cloud, NAME)["model_uri"] == "models:/diabetes/2"


def test_a_rollback_of_the_first_version_leads_nowhere(aws: Simulated, cloud: Cloud):
    create(cloud)
    with pytest.raises(DeploymentError, match="no version to go back to: version 1 was the first"):
        deploying.roll_back(cloud, NAME)


def test_what_is_not_there_is_told(aws: Simulated, cloud: Cloud):
    for command in (
        lambda: update(cloud, 2),
        lambda: deploying.roll_back(cloud, NAME),
        lambda: describing.describe(cloud, NAME),
        lambda: describing.live_model(cloud, NAME),
    ):
        with pytest.raises(DeploymentError, match=f"'{NAME}' is not in {REGION}") as refused:
            command()
        assert refused.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_delete_takes_all_that_was_made_and_may_be_repeated(aws: Simulated, cloud: Cloud):
    create(cloud)
    update(cloud, 2)
    deploying.delete(cloud, NAME, DeploymentOptions())
    state = aws.state()
    assert (state["functions"], state["roles"], list(state["logs"])) == ({}, {}, [f"/aws/lambda/{NAME}"])
    aws.calls.clear()
    deploying.delete(cloud, NAME, DeploymentOptions())
    assert writes(aws) == []
    deploying.delete(cloud, NAME, DeploymentOptions(delete_logs=True))
    assert aws.state()["logs"] == {}
    assert describing.listed(cloud) == []


def test_a_list_tells_what_each_answers_with(aws: Simulated, cloud: Cloud):
    create(cloud)
    deploying.create(cloud, "other", package(5), DeploymentOptions(create_role=True))
    update(cloud, 2)
    deploying.roll_back(cloud, NAME)
    found = {one["name"]: (one["model_uri"], one["traffic"]) for one in describing.listed(cloud)}
    assert found == {NAME: ("models:/diabetes/1", "version 1"), "other": ("models:/diabetes/5", "version 1")}


def test_reserved_instances_and_those_kept_ready_are_the_answering_versions(aws: Simulated, cloud: Cloud):
    deploying.create(cloud, NAME, package(1, reserved=20, provisioned=2), FIRST)
    assert aws.state()["functions"][NAME]["reserved"] == 20
    assert aws.provisioned == {(NAME, "1"): 2}
    update(cloud, 2)  # as many as before
    assert aws.provisioned == {(NAME, "2"): 2}
    deploying.roll_back(cloud, NAME)
    assert aws.provisioned == {(NAME, "1"): 2}
    deploying.update(cloud, NAME, package(1, reserved=-1, provisioned=0), DeploymentOptions())
    assert aws.provisioned == {}
    assert aws.state()["functions"][NAME]["reserved"] is None


def test_instances_are_ready_before_the_first_request(aws: Simulated, cloud: Cloud):
    deploying.create(cloud, NAME, package(1, provisioned=2), FIRST)
    aws.calls.clear()
    update(cloud, 2)
    calls = writes(aws)
    ready = next(place for place, call in enumerate(calls) if "provisioned" in call and call.startswith("PUT"))
    assert ready < next(place for place, call in enumerate(calls) if "aliases" in call)


def test_a_zip_is_not_made_an_image(aws: Simulated, cloud: Cloud):
    create(cloud)
    image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/trees@sha256:{'a' * 64}"
    tree = package(2)
    tree = type(tree)(**{**tree.__dict__, "code": function.Code(image=image)})
    with pytest.raises(DeploymentError, match="deploy it under another name"):
        deploying.update(cloud, NAME, tree, DeploymentOptions())


class TestTrial:
    """A version that is tried with a share of the requests, and judged."""

    def test_one_that_does_well_gets_all_requests_at_the_end(self, aws: Simulated, cloud: Cloud, passing: Time):
        create(cloud)
        seen = set()

        def meanwhile() -> None:
            seen.add(describing.describe(cloud, NAME)["traffic"])
            measured(aws.address, "2", now=passing.now, requests=12, p99=6)
            measured(aws.address, "1", now=passing.now, requests=100, p99=6)

        passing.meanwhile = meanwhile
        began = passing.now
        said = update(cloud, 2, DeploymentOptions(trial=TRIAL))
        assert seen == {"version 1, and 0.1 of the requests to version 2"}
        assert 600 <= passing.now - began < 640
        assert said[-1] == "all requests go to version 2"
        assert any("version 2: 24 requests, 0 failed, p99 6 ms; version 1: 200 requests" in words for words in said)
        assert describing.describe(cloud, NAME)["before"] == "1"

    @pytest.mark.parametrize(
        ("errors", "p99", "says"), [(3, 5, r"3 of its 12 requests failed \(25.00%\)"), (0, 500, "its p99 is 500 ms")]
    )
    def test_one_that_does_badly_is_taken_back_at_once(
        self, aws: Simulated, cloud: Cloud, passing: Time, errors: int, p99: float, says: str
    ):
        deploying.create(cloud, NAME, package(1, provisioned=2), FIRST)

        def meanwhile() -> None:
            measured(aws.address, "2", now=passing.now, requests=12, errors=errors, p99=p99)
            measured(aws.address, "1", now=passing.now, requests=100)

        passing.meanwhile = meanwhile
        began = passing.now
        with pytest.raises(DeploymentError, match=f"version 2 of 'diabetes' was taken back: {says}"):
            update(cloud, 2, DeploymentOptions(trial=TRIAL))
        assert passing.now - began < 100
        found = describing.describe(cloud, NAME)
        assert (found["traffic"], found["taken_back"]) == ("version 1", "2")
        assert aws.provisioned == {(NAME, "1"): 2}
        # A command that follows a promotion is run again when it fails: nobody is to meet that version again.
        with pytest.raises(DeploymentError, match=r"was tried and taken back.*-C again=true"):
            update(cloud, 2, DeploymentOptions(trial=TRIAL))
        deploying.roll_back(cloud, NAME)
        assert describing.describe(cloud, NAME)["traffic"] == "version 1"

    def test_one_that_was_taken_back_is_tried_again_where_that_is_wanted(self, aws, cloud: Cloud, passing: Time):
        create(cloud)
        passing.meanwhile = lambda: measured(aws.address, "2", now=passing.now, requests=12, errors=12)
        with pytest.raises(DeploymentError, match="taken back"):
            update(cloud, 2, DeploymentOptions(trial=TRIAL))
        passing.now += 3600
        passing.meanwhile = lambda: measured(aws.address, "2", now=passing.now, requests=12)
        update(cloud, 2, DeploymentOptions(trial=Trial(0.1, 600, again=True)))
        assert describing.describe(cloud, NAME)["traffic"] == "version 2"

    def test_one_that_could_not_be_judged_is_not_tried(self, aws: Simulated, cloud: Cloud):
        create(cloud)
        denied = (403, "AccessDenied", "not authorized to perform: cloudwatch:GetMetricData")
        aws.before = lambda call: denied if "GetMetricData" in call.action else None
        with pytest.raises(DeploymentError, match="GetMetricData"):
            update(cloud, 2, DeploymentOptions(trial=TRIAL))
        assert describing.describe(cloud, NAME)["traffic"] == "version 1"

    def test_one_that_nobody_asked_goes_on_and_it_is_said(self, aws: Simulated, cloud: Cloud):
        create(cloud)
        said = update(cloud, 2, DeploymentOptions(trial=TRIAL))
        assert said[-2:] == ["no request came to version 2 while it was tried", "all requests go to version 2"]

    def test_a_rollback_ends_a_trial_and_its_command_says_so(self, aws: Simulated, cloud: Cloud, passing: Time):
        create(cloud)
        passing.meanwhile = lambda: deploying.roll_back(cloud, NAME)
        with pytest.raises(DeploymentError, match=r"somebody else moved the traffic of 'diabetes'.*goes to version 1"):
            update(cloud, 2, DeploymentOptions(trial=TRIAL))
        assert describing.describe(cloud, NAME)["traffic"] == "version 1"

    def test_a_newer_update_takes_the_place_of_one_that_is_tried(self, aws: Simulated, cloud: Cloud, passing: Time):
        create(cloud)
        inner: list[str] = []

        def meanwhile() -> None:
            passing.meanwhile = lambda: None
            inner.extend(update(cloud, 3, DeploymentOptions(trial=TRIAL)))

        passing.meanwhile = meanwhile
        with pytest.raises(DeploymentError, match=r"somebody else moved the traffic.*goes to version 3"):
            update(cloud, 2, DeploymentOptions(trial=TRIAL))
        assert inner[-1] == "all requests go to version 3"

    def test_two_processes_that_try_the_same_version_both_end_well(self, aws: Simulated, cloud: Cloud, passing: Time):
        create(cloud)
        inner: list[str] = []

        def meanwhile() -> None:
            passing.meanwhile = lambda: None
            inner.extend(update(cloud, 2, DeploymentOptions(trial=TRIAL)))

        passing.meanwhile = meanwhile
        said = update(cloud, 2, DeploymentOptions(trial=TRIAL))
        assert "version 2 is being tried already: resuming" in inner
        assert inner[-1] == "all requests go to version 2"
        assert said[-1] == "all requests go to version 2: another process finished it"

    def test_a_trial_goes_on_where_it_was_left(self, aws: Simulated, cloud: Cloud, passing: Time):
        create(cloud)

        class Killed(BaseException):
            pass

        def meanwhile() -> None:
            if passing.now - began > 200:
                raise Killed

        began, passing.meanwhile = passing.now, meanwhile
        with pytest.raises(Killed):
            update(cloud, 2, DeploymentOptions(trial=TRIAL))
        passing.meanwhile = lambda: None
        update(cloud, 2, DeploymentOptions(trial=TRIAL))
        assert 600 <= passing.now - began < 640

    def test_one_that_is_no_longer_wanted_is_taken_back_and_may_come_again(self, aws, cloud: Cloud, passing: Time):
        create(cloud)
        wanted = iter([True, True, False])
        with pytest.raises(DeploymentError, match="taken back: its model is no longer the one that was asked for"):
            deploying.update(cloud, NAME, package(2), DeploymentOptions(trial=TRIAL), is_current=lambda: next(wanted))
        assert describing.describe(cloud, NAME)["traffic"] == "version 1"
        update(cloud, 2, DeploymentOptions(trial=TRIAL))
        assert describing.describe(cloud, NAME)["traffic"] == "version 2"

    def test_ctrl_c_says_how_things_are_left(self, aws: Simulated, cloud: Cloud, passing: Time):
        create(cloud)

        def interrupt() -> None:
            raise KeyboardInterrupt

        passing.meanwhile = interrupt
        with logged() as said, pytest.raises(KeyboardInterrupt):
            deploying.update(cloud, NAME, package(2), DeploymentOptions(trial=TRIAL))
        assert said[-1].startswith("interrupted: version 2 goes on getting 0.1 of the requests")
        assert describing.describe(cloud, NAME)["trying"]["version"] == "2"

    def test_versions_of_two_roles_do_not_share_requests(self, aws: Simulated, cloud: Cloud):
        create(cloud)
        arn = cloud.call("iam", "create_role", RoleName="mine", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        aws.calls.clear()
        with pytest.raises(DeploymentError, match="only if they run as the same role"):
            update(cloud, 2, DeploymentOptions(role=arn, trial=TRIAL))
        assert writes(aws) == []
        update(cloud, 2, DeploymentOptions(role=arn))
        assert aws.state()["functions"][NAME]["versions"][-1]["Role"] == arn


def test_a_name_that_is_too_long_for_a_description_is_told():
    with pytest.raises(DeploymentError, match="a function's description holds 256 characters"):
        function.described("models:/" + "x" * 260 + "/1")
    assert re.fullmatch(r"MLflow deployment of models:/x/1", function.described("models:/x/1"))
    assert traffic.ALIAS == "live"
