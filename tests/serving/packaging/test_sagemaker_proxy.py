"""The package of the function in front of a SageMaker endpoint: its zip, its role, its settings, and its answers."""

import json
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestRegressor

from serving.contract import reply
from serving.errors import ServingError
from serving.packaging import emulator, sagemaker_proxy
from tests.command import run
from tests.serving.contract import cases
from tests.serving.contract.cases import ROWS
from tests.serving.functions import endpoint
from tests.serving.functions.lambdas import second
from tests.serving.packaging import made

TARGET = "sagemaker-proxy"
#: How a forest is saved.
SAVED = {"pip_requirements": ["scikit-learn"], "skops_trusted_types": ["sklearn.tree._tree.Tree"]}


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that no scorecard can say, with a signature."""
    table = pd.DataFrame(
        {"age": np.arange(20), "weight": np.linspace(0, 1, 20), "member": [True, False] * 10, "town": ["a", "b"] * 10}
    )
    folder = tmp_path_factory.mktemp("forest") / "forest"
    numbers = table[["age", "weight", "member"]]
    model = RandomForestRegressor(n_estimators=2, random_state=0).fit(numbers, table["weight"])
    signature = infer_signature(table, table["weight"])
    mlflow.sklearn.save_model(model, folder, signature=signature, **SAVED)
    return folder


def test_the_built_zip_answers_under_the_runtime_client_as_the_model_would(tmp_path: Path) -> None:
    built = made.built(made.model(tmp_path), TARGET, tmp_path / "out", endpoint=endpoint.NAME)
    card = cases.scorecard("labels")
    with endpoint.simulated(card) as live:
        variables = {**built.plan.environment, **live.variables}
        with emulator.running(tmp_path / "out", environment=variables) as function:
            for params in ({}, {"params": {"output": "probabilities"}}):
                body = json.dumps({"instances": ROWS, **params}).encode()
                event = second(body, content_type="application/json")
                for _ in range(2):
                    found = function.invoke(event)
                    assert (found["statusCode"], json.loads(found["body"])) == reply(card, body, "application/json")
            live.error("AccessDeniedException", 403)
            broken = function.invoke(
                second(json.dumps({"X": [1, 2, True, "z"]}).encode(), content_type="application/json")
            )
            assert broken["statusCode"] == 500
        # Each was asked once, and then remembered; the last was not.
        assert len(live.asked) == 3


def test_the_zip_is_small_and_holds_no_model(tmp_path: Path) -> None:
    built = made.built(made.model(tmp_path), TARGET, tmp_path / "out", endpoint="live")
    with zipfile.ZipFile(built.path) as archive:
        names = archive.namelist()
        about = json.loads(archive.read("about.json"))
    assert "scorecard.json" not in names
    assert {about["model"], about["version"]} == {"made", "3"}
    assert [one["name"] for one in about["contract"]["inputs"]] == cases.NAMES
    assert about["contract"]["classes"] == ["no", "yes"]
    assert built.size < 60_000


def test_the_role_may_ask_this_endpoint_and_no_other(tmp_path: Path) -> None:
    built = made.built(made.model(tmp_path), TARGET, tmp_path / "out", endpoint="Live-1")
    template = yaml.safe_load((tmp_path / "out" / "template.yaml").read_text())
    service = yaml.safe_load((tmp_path / "out" / "serverless.yml").read_text())
    policies = template["Resources"]["Role"]["Properties"]["Policies"]
    granted = [one for policy in policies for one in policy["PolicyDocument"]["Statement"] if "Action" in one]
    statements = service["provider"]["iam"]["role"]["statements"]
    place = "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:endpoint/live-1"
    for found in (granted, statements):
        asking = [one for one in found if any(action.startswith("sagemaker:") for action in one["Action"])]
        assert asking == [{"Effect": "Allow", "Action": ["sagemaker:InvokeEndpoint"], "Resource": {"Fn::Sub": place}}]
    assert built.plan.permissions[-1].actions == ("sagemaker:InvokeEndpoint",)
    environment = template["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    assert environment["ENDPOINT_NAME"] == "Live-1"
    assert service["functions"]["predict"]["environment"]["CACHE_ROWS"] == "1000"


@pytest.mark.parametrize("more", [{}, {"front": "http-api", "auth": "api-key", "events": "sqs"}])
def test_cfn_lint_finds_nothing(tmp_path: Path, more: dict[str, str]) -> None:
    made.built(made.model(tmp_path), TARGET, tmp_path / "out", endpoint="Live-1", **more)
    program = Path(sys.executable).with_name("cfn-lint")
    command = [str(program), "--include-checks", "I", "--", str(tmp_path / "out" / "template.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give -C endpoint=NAME"),
        ({"endpoint": "no_such"}, "option endpoint: expected up to 63 letters"),
        ({"endpoint": "a" * 64}, "option endpoint"),
        ({"endpoint": "live", "timeout": "20"}, "take up to 27 s, and timeout=20 is shorter"),
        ({"endpoint": "live", "events": "s3"}, "option events: expected some of sqs"),
        ({"endpoint": "live", "output": "probabilities"}, "no option 'output'"),
        ({"endpoint": "live", "cache_rows": "-1"}, "option cache_rows"),
        ({"endpoint": "live", "name": "a b"}, "Lambda takes"),
        ({"endpoint": "live", "subnets": "subnet-1"}, "both subnets and security_groups"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, options: dict[str, str], says: str) -> None:
    with pytest.raises(ServingError, match=says):
        made.plan(made.model(tmp_path), TARGET, **options)


def test_the_function_waits_longer_than_all_tries(tmp_path: Path) -> None:
    plan = made.plan(made.model(tmp_path), TARGET, endpoint="live", endpoint_timeout="30", front="http-api")
    assert plan.settings["Timeout"] == 96
    assert any("HTTP API times out after 30 s" in note for note in plan.notes)
    assert made.plan(made.model(tmp_path), TARGET, endpoint="live").settings["Timeout"] == 29


def test_it_is_not_called_as_the_function_that_holds_the_model(tmp_path: Path) -> None:
    assert made.plan(made.model(tmp_path), TARGET, endpoint="live").name == "made-proxy"
    assert made.plan(made.model(tmp_path, name="x" * 64), TARGET, endpoint="live").name == "x" * 58 + "-proxy"
    assert made.plan(made.model(tmp_path), TARGET, endpoint="live", name="mine").name == "mine"


def test_the_commands_make_the_endpoint_by_mlflow_or_by_our_image(tmp_path: Path) -> None:
    commands = made.plan(made.model(tmp_path, name="a name"), TARGET, endpoint="live").commands
    [create] = [one for one in commands if one.startswith("mlflow deployments create")]
    words = shlex.split(create)
    assert words[3:9] == ["-t", "sagemaker:/REGION", "--name", "live", "-m", "models:/a name/3"]
    # They are commands that MLflow has.
    for command in ("mlflow sagemaker build-and-push-container", "mlflow deployments create"):
        assert any(one.startswith(command) for one in commands)
    assert any("--target docker" in one and "open=yes" in one for one in commands)
    assert "aws sagemaker create-endpoint --endpoint-name live --endpoint-config-name live" in commands


def test_a_model_without_a_scorecard_is_proxied_by_its_signature(forest: Path, tmp_path: Path) -> None:
    words = [str(forest), "--target", TARGET, "-C", "endpoint=live", "--allow-ungated", "-o", "out"]
    run("package", *words, folder=tmp_path, package="serving")
    with zipfile.ZipFile(tmp_path / "out" / "function.zip") as archive:
        about = json.loads(archive.read("about.json"))
    assert {one["name"]: (one["type"], one["integer"], one["null"]) for one in about["contract"]["inputs"]} == {
        "age": ("number", True, False),
        "weight": ("number", False, True),
        "member": ("boolean", False, False),
        "town": ("category", False, True),
    }
    assert not about["contract"]["probabilities"]
    assert not any(
        "--target docker" in one for one in json.loads((tmp_path / "out" / "plan.json").read_text())["commands"]
    )


def test_a_model_that_does_not_say_its_columns_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    model = RandomForestRegressor(n_estimators=1).fit([[0.0], [1.0]], [0.0, 1.0])
    mlflow.sklearn.save_model(model, folder, **SAVED)
    with pytest.raises(ServingError, match="cannot be proxied: its signature has no named columns"):
        sagemaker_proxy.contract(made.unsaid(folder))
