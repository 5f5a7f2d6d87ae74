"""The azure-ml target: its files by Azure's own package, and the routes they name by the image's server."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from serving.errors import ServingError
from serving.packaging import PackagePlan
from tests import tools
from tests.serving.contract import cases
from tests.serving.contract.cases import NAMES, ROWS
from tests.serving.packaging import containers, made
from tests.serving.server import pyfuncs

IMAGE = "team.azurecr.io/made:3"
EXAMPLE = dict(zip(NAMES, ROWS[0], strict=True))
#: The package that `az ml` is made of, which reads these files by its own schemas.
AZURE = "azure-ai-ml==1.35.2"
READ = """
import json, sys
from azure.ai.ml import load_online_deployment, load_online_endpoint
found = []
for folder in sys.argv[1:]:
    try:
        endpoint = load_online_endpoint(source=folder + "/endpoint.yml")
        deployment = load_online_deployment(source=folder + "/deployment.yml")
        found.append([type(deployment).__name__, endpoint._to_dict(), deployment._to_dict()])
    except Exception as error:
        found.append(str(error))
print(json.dumps(found))
"""


def planned(folder: Path, **options: str) -> tuple[PackagePlan, dict, dict]:
    """A plan, its endpoint and its deployment."""
    plan = made.plan(made.model(folder), "azure-ml", **({"image": IMAGE} | options))
    files = {file.path: file.read() for file in plan.beside}
    return plan, yaml.safe_load(files["endpoint.yml"]), yaml.safe_load(files["deployment.yml"])


def test_azures_own_package_reads_the_files(tmp_path: Path) -> None:
    given = {"image": IMAGE, "instances": "3", "auth": "aad_token", "workers": "4"}
    forest = pyfuncs.forest(tmp_path / "forest")
    made.built(made.model(tmp_path), "azure-ml", tmp_path / "image", **given)
    made.built(made.unsaid(forest), "azure-ml", tmp_path / "mlflow", mlflow="yes")
    made.built(made.model(tmp_path), "azure-ml", tmp_path / "wrong", **given)
    wrong = tmp_path / "wrong" / "deployment.yml"
    wrong.write_text(wrong.read_text().replace("scoring_route", "score_route"))
    folders = [tmp_path / name for name in ("image", "mlflow", "wrong")]
    done = subprocess.run([tools.python(AZURE), "-c", READ, *folders], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    image, mlflow, refused = json.loads(done.stdout.splitlines()[-1])

    kind, endpoint, deployment = image
    assert kind == "ManagedOnlineDeployment"
    assert (endpoint["name"], endpoint["auth_mode"]) == ("made", "aad_token")
    assert (deployment["name"], deployment["endpoint_name"]) == ("version-3", "made")
    assert deployment["environment"]["image"] == IMAGE
    assert deployment["instance_count"] == 3
    assert deployment["environment_variables"]["SERVING_WORKERS"] == "4"
    assert deployment["request_settings"]["max_concurrent_requests_per_instance"] > 1

    _, _, deployment = mlflow
    assert deployment["model"]["type"] == "mlflow_model"
    assert Path(deployment["model"]["path"]) == tmp_path / "mlflow" / "model"
    assert (tmp_path / "mlflow" / "model" / "MLmodel").read_bytes() == (forest / "MLmodel").read_bytes()
    assert "environment" not in deployment
    # It refuses what it does not know, so what it takes is right.
    assert "score_route" in refused


def test_the_routes_are_the_images(tmp_path: Path) -> None:
    model = made.model(tmp_path)
    made.built(model, "docker", tmp_path / "context")
    _, _, deployment = planned(tmp_path)
    routes = deployment["environment"]["inference_config"]
    assert {route["port"] for route in routes.values()} == {8080}
    azure = {"AZUREML_MODEL_DIR": "/var/azureml-app", "AZUREML_ENTRY_SCRIPT": "score.py", "WORKER_TIMEOUT": "300"}
    with containers.running(tmp_path / "context", tmp_path, **azure, **deployment["environment_variables"]) as running:
        assert running.ask(routes["liveness_route"]["path"]).status == 200
        assert running.ask(routes["readiness_route"]["path"]).status == 200
        plan, _, _ = planned(tmp_path)
        request = next(file.read() for file in plan.beside if file.path == "request.json")
        # The key of the endpoint comes along.
        answer = running.ask(routes["scoring_route"]["path"], request, Authorization="Bearer the-endpoints-key")
        assert answer.status == 200
        assert len(answer.json["predictions"]) == 1
        assert answer.headers["x-model-version"] == "made/3"


def test_each_server_gets_a_request_in_its_own_form(tmp_path: Path) -> None:
    forest = pyfuncs.forest(tmp_path / "forest")
    plan = made.plan(made.model(forest), "azure-ml", mlflow="yes")
    body = json.loads(next(file.read() for file in plan.beside if file.path == "request.json"))
    assert body["input_data"].keys() == {"columns", "index", "data"}
    assert body["input_data"]["columns"] == [item.name for item in cases.scorecard("labels").inputs]
    plan = made.plan(made.unsaid(forest), "azure-ml", mlflow="yes")
    assert not any("invoke" in command for command in plan.commands)


def test_the_commands_say_where(tmp_path: Path) -> None:
    plan, _, _ = planned(tmp_path, group="team-(eu)", workspace="models", deployment="blue")
    assert "az ml online-deployment create -g 'team-(eu)' -w models -f deployment.yml" in plan.commands
    assert plan.commands[-1] == "az ml online-endpoint update -g 'team-(eu)' -w models -n made --traffic blue=100"
    assert "az ml online-endpoint create -f endpoint.yml" in planned(tmp_path)[0].commands


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"image": ""}, "option image: expected the image of this version; build it with --target docker"),
        ({"mlflow": "yes"}, "image= and mlflow=yes exclude each other"),
        ({"name": "ab"}, "option name: 3 to 32 letters, digits and -"),
        ({"name": "a" * 33}, "option name"),
        ({"deployment": "3"}, "option deployment: expected 3 to 32 letters"),
        ({"group": "a;b"}, "option group"),
        ({"workspace": "a b"}, "option workspace"),
        ({"instance_type": "F2"}, "option instance_type: expected a size such as Standard_F2s_v2"),
        ({"auth": "none"}, "option auth: expected one of key, aad_token, aml_token"),
        ({"image": "", "mlflow": "yes"}, r"has no MLmodel and no conda\.yaml, which Azure's MLflow server needs"),
    ],
)
def test_what_azure_does_not_take_is_refused(tmp_path: Path, options: dict[str, str], says: str) -> None:
    with pytest.raises(ServingError, match=says):
        planned(tmp_path, **options)


def test_an_image_that_may_change_is_told(tmp_path: Path) -> None:
    for image, told in ((IMAGE, False), ("team.azurecr.io/made", True)):
        plan, _, _ = planned(tmp_path, image=image)
        assert any("no fixed tag" in note for note in plan.notes) == told
