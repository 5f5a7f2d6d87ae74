"""``mlflow deployments -t aws-lambda`` and its Python client, with trained models on a simulated cloud (moto).

The package that is deployed is the real one, and what answers a request is the handler that is in it; only the cloud
between them is simulated.
"""

import base64
import json
import os
import re
import signal
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import click
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from mlflow.deployments import PredictionsResponse, get_deploy_client
from mlflow.deployments.cli import commands
from mlflow.exceptions import MlflowException
from mlflow.sklearn import save_model
from sklearn.ensemble import RandomForestRegressor

from serving.functions.aws_lambda.handler import Handler
from serving.models import find
from tests.command import Command
from tests.logged import logged
from tests.serving.deployments.simulated import REGION, Cut, Simulated

TARGET = f"aws-lambda:/{REGION}"
RECORD = {"x": 1.5, "colour": "red"}
NEW = ["-C", "create_role=true", "-C", "allow_ungated=true"]


@pytest.fixture
def deployed(aws: Simulated, models: Path) -> Simulated:
    """The cloud with the deployment ``scores`` of version 1, whose function is the package's own handler."""
    card = find("models:/linear/1").portable()
    about = {"model": "linear", "version": "1", "digest": card.digest}
    handler = Handler(card, about, {}, write=lambda line: None)
    aws.answers = lambda body: json.dumps(handler(json.loads(body), None)).encode()
    done = mlflow("create", "-m", "models:/linear/1", *NEW)
    assert done.exit_code == 0, done.output
    assert "  all requests go to version 1\n" in done.stderr
    return aws


def mlflow(command: str, *words: str, name: str | None = "scores") -> Result:
    """Run a command of MLflow's own in this process."""
    named = ["--name", name] if name else []
    return CliRunner().invoke(commands, [command, "-t", TARGET, *named, *words])


def test_create_deploys_the_package_and_says_so(deployed: Simulated):
    content = deployed.state()["functions"]["scores"]["versions"][1]
    assert content["Handler"] == "lambda_function.handler"
    assert content["Description"] == "MLflow deployment of models:/linear/1"
    again = mlflow("create", "-m", "models:/linear/1", *NEW)
    assert "python_function deployment scores is created" in again.stdout
    (sent,) = [call.body for call in deployed.calls if call.action == "/2015-03-31/functions" and call.writes]
    code = BytesIO(base64.b64decode(json.loads(sent)["Code"]["ZipFile"]))
    assert "lambda_function.py" in zipfile.ZipFile(code).namelist()


def test_a_program_sees_the_steps_by_its_own_logging(aws: Simulated, models: Path, capsys: pytest.CaptureFixture[str]):
    config = {"create_role": True, "allow_ungated": True}
    with logged("serving.deployments") as steps:
        get_deploy_client(TARGET).create_deployment("scores", "models:/linear/1", config=config)
    assert steps[-1] == "all requests go to version 1"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "request_",
    [
        {"dataframe_split": {"columns": ["x", "colour"], "data": [[1.5, "red"]]}},
        {"dataframe_records": [RECORD]},
        {"instances": [[1.5, "red"]]},
        {"inputs": {"x": [1.5], "colour": ["red"]}},
        {"input_data": [1.5, "red"]},
        {"features": {"x": 1.5, "colour": "red"}},
        {"X": [[1.5, "red"], [2.5, "blue"]]},
        [1.5, "red"],
        [RECORD],
        {"dataframe_split": {"columns": ["x", "colour"], "data": [[1.5, "red"]]}, "params": {"output": "explain"}},
    ],
)
def test_predict_reads_the_contracts_json(deployed: Simulated, tmp_path: Path, request_):
    file = tmp_path / "request.json"
    file.write_text(json.dumps(request_))
    done = mlflow("predict", "-I", str(file), "-O", str(tmp_path / "answer.json"))
    assert done.exit_code == 0, done.output
    assert deployed.invoked[-1] == ("scores", "live", file.read_bytes())
    answer = json.loads((tmp_path / "answer.json").read_text())
    shown = mlflow("predict", "-I", str(file))
    assert json.loads(shown.stdout) == answer
    card = find("models:/linear/1").portable()
    expected = card.predict_row(RECORD)
    found = answer.get("predictions", answer.get("prediction"))
    one = found[0] if isinstance(found, list) else found
    assert one == expected or one["prediction"] == expected


def test_predict_reads_a_table_of_pandas_too(deployed: Simulated, tmp_path: Path):
    file = tmp_path / "table.json"
    pd.DataFrame({"x": [1.5], "colour": ["red"]}).to_json(file)
    done = mlflow("predict", "-I", str(file))
    assert json.loads(done.stdout) == {"predictions": [find("models:/linear/1").portable().predict_row(RECORD)]}


def test_a_refused_request_is_one_line(deployed: Simulated, tmp_path: Path):
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"instances": [["many", "red"]]}))
    done = mlflow("predict", "-I", str(file))
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: 'scores' refuses the request: row 0")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.output


def test_explain_asks_for_the_terms(deployed: Simulated, tmp_path: Path):
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"instances": [[1.5, "red"]]}))
    done = mlflow("explain", "-I", str(file))
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["predictions"]
    assert row["prediction"] == find("models:/linear/1").portable().predict_row(RECORD)


def test_the_python_client_does_the_same(deployed: Simulated):
    client = get_deploy_client(TARGET)
    expected = find("models:/linear/1").portable().predict_row(RECORD)
    answer = client.predict("scores", pd.DataFrame([RECORD]))
    assert isinstance(answer, PredictionsResponse)
    assert answer.get_predictions("ndarray").tolist() == [expected]
    assert client.predict("scores", {"input_data": [1.5, "red"]}) == {"prediction": expected}

    updated = client.update_deployment("scores", "models:/linear/2", config={"allow_ungated": True, "memory": 512})
    assert (updated["model_uri"], updated["version"], updated["before"]) == ("models:/linear/2", "2", "1")
    assert updated["settings"]["MemorySize"] == 512
    assert client.get_deployment("scores") == updated
    assert [one["model_uri"] for one in client.list_deployments()] == ["models:/linear/2"]
    assert client.update_deployment("scores", config={"rollback": True})["model_uri"] == "models:/linear/1"
    client.delete_deployment("scores")
    client.delete_deployment("scores")
    assert client.list_deployments() == []


def test_settings_alone_are_updated_with_the_model_that_answers(deployed: Simulated):
    done = mlflow("update", "-C", "timeout=5", "-C", "allow_ungated=true")
    assert done.stdout == "Deployment scores is updated (with flavor python_function)\n"
    latest = deployed.state()["functions"]["scores"]["versions"][-1]
    assert (latest["Timeout"], latest["MemorySize"], latest["Version"]) == (5, 256, "2")
    assert latest["Description"] == "MLflow deployment of models:/linear/1"


def test_get_list_and_delete_say_what_is_there(deployed: Simulated):
    got = dict(line.split(": ", 1) for line in mlflow("get").stdout.strip().splitlines())
    assert (got["name"], got["model_uri"], got["traffic"]) == ("scores", "models:/linear/1", "version 1")
    assert "'model_uri': 'models:/linear/1'" in mlflow("list", name=None).stdout
    assert mlflow("delete").stdout == "Deployment scores is deleted\n"
    gone = mlflow("get")
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert gone.stderr == f"Error: the deployment 'scores' is not in {REGION}: see `list`, or `create` it\n"


def test_help_names_every_option(aws: Simulated):
    from serving.deployments import settings

    told = mlflow("help", name=None).stdout
    for command in settings.OWN:
        for option in settings.options(command):
            assert f"-C {option.name}=" in told
    assert aws.calls == []


DRY_CREATE = ("dry run of create: scores", "models:/linear/1", "zipped", "role", "logs:PutLogEvents", "MemorySize: 256")


class TestDryRun:
    """What would be done is said, and no cloud is asked, nor are credentials looked for."""

    @pytest.fixture(autouse=True)
    def no_cloud(self, aws: Simulated, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        yield
        assert aws.calls == []

    def test_create(self, models: Path):
        done = mlflow("create", "-m", "models:/linear/1", *NEW, "-C", "url=true", "-C", "dry_run=true")
        assert done.exit_code == 0, done.output
        for words in (*DRY_CREATE, "function URL", "not passed, and let through"):
            assert words in done.stdout
        assert "is created" not in done.stdout

    def test_secrets_among_the_variables_are_hidden(self, models: Path):
        variables = "environment=DB_PASSWORD=s3cr3t,DB=postgresql://u:s3cr3t@h/d,LEVEL=info"
        done = mlflow("create", "-m", "models:/linear/1", *NEW, "-C", "dry_run=true", "-C", variables)
        assert done.exit_code == 0, done.output
        for told in ("variable DB_PASSWORD=***", "variable DB=postgresql://u:***@h/d", "variable LEVEL=info"):
            assert told in done.stdout
        assert "s3cr3t" not in done.output

    def test_update(self, models: Path):
        words = ["-m", "models:/linear/2", "-C", "canary=0.1", "-C", "allow_ungated=true", "-C", "memory=512"]
        done = mlflow("update", *words, "-C", "dry_run=true")
        assert done.exit_code == 0, done.output
        for told in ("models:/linear/2", "MemorySize: 512", "0.1 of the requests to it, for 600 s", "taken back where"):
            assert told in done.stdout
        assert "is updated" not in done.stdout

    def test_an_update_that_takes_settings_away(self, models: Path):
        words = ["-m", "models:/linear/2", "-C", "allow_ungated=true", "-C", "kms_key=none"]
        done = mlflow("update", *words, "-C", "subnets=none", "-C", "security_groups=none", "-C", "dry_run=true")
        assert done.exit_code == 0, done.output
        for told in ("KMSKeyArn: none", "VpcConfig: none"):
            assert told in done.stdout

    def test_rollback_and_delete(self):
        done = mlflow("update", "-C", "rollback=true", "-C", "dry_run=true")
        assert "all requests to the version that had them before" in done.stdout
        done = mlflow("delete", "-C", "delete_logs=true", "-C", "dry_run=true")
        assert "log group /aws/lambda/scores" in done.stdout
        assert "is deleted" not in done.stdout

    def test_python_gets_the_plan(self, models: Path):
        config = {"create_role": True, "allow_ungated": True, "dry_run": True}
        planned = get_deploy_client(TARGET).create_deployment("scores", "models:/linear/1", config=config)
        assert planned["dry_run"]
        assert any("published version" in line for line in planned["plan"])


class TestBeforeTheFirstCall:
    """What can be known without the cloud is told without it."""

    @pytest.fixture(autouse=True)
    def no_call(self, aws: Simulated) -> Iterator[None]:
        yield
        assert aws.calls == []

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["-C", "allow_ungated=true"], "no role for the function"),
            (["-C", "create_role=true"], "version 1 of 'linear' does not pass its gates"),
            ([*NEW, "-C", "memry=1"], "did you mean 'memory'?"),
            ([*NEW, "-C", "memory=1"], "option memory: expected a whole number from 128 to 10,240"),
            ([*NEW, "-C", "subnets=subnet-1"], "a VPC needs both subnets and security_groups"),
            ([*NEW, "--flavor", "sklearn"], "a model is deployed by its flavor python_function"),
            ([*NEW, "--endpoint", "prod"], "aws-lambda has no endpoints"),
            ([*NEW, "-C", f"environment=LONG={'x' * 5000}"], "the environment's variables are of"),
            ([*NEW, "-m", "models:/linear/9"], "model 'linear' has no version '9'"),
            ([*NEW, "-m", "models:/none/1"], "no registered model 'none'"),
        ],
    )
    def test_what_is_wrong_is_one_line(self, models: Path, words: list[str], says: str):
        uri = [] if "-m" in words else ["-m", "models:/linear/1"]
        done = mlflow("create", *uri, *words)
        assert done.exit_code == 1
        assert done.stderr.startswith("Error: ")
        assert says in done.stderr
        assert done.stderr.count("\n") == 1

    def test_a_name_or_a_region_that_is_not_taken(self, models: Path):
        done = mlflow("create", "-m", "models:/linear/1", *NEW, name="linear model")
        assert "1 to 64 letters, digits, - and _" in done.stderr
        done = CliRunner().invoke(commands, ["list", "-t", "aws-lambda:/eu-centrl-1"])
        assert "did you mean 'eu-central-1'?" in done.stderr

    def test_no_credentials(self, models: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        done = mlflow("create", "-m", "models:/linear/1", *NEW)
        assert "AWS" in done.stderr
        assert done.exit_code == 1

    def test_programs_get_mlflows_exception(self, models: Path):
        with pytest.raises(MlflowException, match="did you mean 'memory'") as refused:
            get_deploy_client(TARGET).create_deployment("scores", "models:/linear/1", config={"memry": "1"})
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


class TestImage:
    """A model that no scorecard can say: an image that somebody has pushed."""

    IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/trees@sha256:"

    @pytest.fixture
    def tree(self, tmp_path: Path) -> str:
        table = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [1.0, 1.0, 2.0]})
        model = RandomForestRegressor(n_estimators=2, random_state=0).fit(table[["x"]], table["y"])
        pins = ["scikit-learn==1.9.1", "mlflow==3.17.2", "cloudpickle==3.1.2"]
        save_model(model, tmp_path / "tree", pip_requirements=pins, serialization_format="cloudpickle")
        return str(tmp_path / "tree")

    def test_without_an_image_it_is_told_how_to_make_one(self, aws: Simulated, tree: str):
        done = mlflow("create", "-m", tree, *NEW)
        assert done.exit_code == 1
        assert re.search("needs an image .*python -m serving package .*push it to ECR, and give -C image=", done.stderr)
        assert aws.calls == []

    def test_an_image_is_deployed_updated_and_found_again(self, aws: Simulated, tree: str):
        first, second = (f"image={self.IMAGE}{digit * 64}" for digit in "ab")
        assert mlflow("create", "-m", tree, *NEW, "-C", first).exit_code == 0
        again = mlflow("create", "-m", tree, *NEW, "-C", first)
        assert (again.exit_code, again.stderr) == (0, "")
        done = mlflow("update", "-m", tree, "-C", "allow_ungated=true", "-C", second)
        assert done.exit_code == 0, done.output
        versions = aws.state()["functions"]["scores"]["versions"]
        assert [(one["Version"], one["PackageType"]) for one in versions[1:]] == [("1", "Image"), ("2", "Image")]
        back = mlflow("update", "-m", tree, "-C", "allow_ungated=true", "-C", first)
        assert back.stderr == "  all requests go to version 1\n"
        assert mlflow("update", "-m", tree, "-C", "allow_ungated=true", "-C", first).stderr == ""

    def test_a_model_with_a_scorecard_takes_none(self, models: Path, aws: Simulated):
        done = mlflow("create", "-m", "models:/linear/1", *NEW, "-C", f"image={self.IMAGE}{'a' * 64}")
        assert "has a scorecard and is deployed as a zip; leave out image" in done.stderr
        assert aws.calls == []


def test_another_program_of_click_is_not_taken_for_mlflows(deployed: Simulated, tmp_path: Path):
    (tmp_path / "other.json").write_text('[9.5, "blue"]')
    found: list[dict] = []

    @click.command()
    @click.option("--input-path")
    def ask(input_path: str) -> None:
        found.append(get_deploy_client(TARGET).predict("scores", {"input_data": [1.5, "red"]}))

    CliRunner().invoke(ask, ["--input-path", str(tmp_path / "other.json")], catch_exceptions=False)
    assert found == [{"prediction": find("models:/linear/1").portable().predict_row(RECORD)}]


def test_a_process_that_is_killed_in_the_middle_is_finished_by_the_next(deployed: Simulated, models: Path):
    words = [
        "deployments",
        "update",
        "-t",
        TARGET,
        "--name",
        "scores",
        "-m",
        "models:/linear/2",
        "-C",
        "allow_ungated=true",
    ]
    with Command(*words, folder=models, package="mlflow") as command:

        def before(call):
            if call.writes and call.action.endswith("/aliases/live"):
                os.kill(command.process.pid, signal.SIGKILL)
                raise Cut

        deployed.before = before
        assert command.done().code == -signal.SIGKILL
    deployed.before = lambda call: None
    assert "'traffic': 'version 1'" in mlflow("list", name=None).stdout
    with Command(*words, folder=models, package="mlflow") as command:
        done = command.done()
    assert done.code == 0, done.err
    assert done.out.strip().endswith("Deployment scores is updated (with flavor python_function)")
    assert done.line == "all requests go to version 2"
    assert "'traffic': 'version 2'" in mlflow("list", name=None).stdout
    assert len(deployed.state()["functions"]["scores"]["versions"]) == 3
