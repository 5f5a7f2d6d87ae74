"""The vertex-ai target: its requests by Google's own types, and the routes they name by the image's server."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from serving.errors import ServingError
from serving.packaging import PackagePlan
from tests import tools
from tests.serving.packaging import containers, made

IMAGE = "europe-west4-docker.pkg.dev/our-project/models/made:3"
#: The package that has the messages of Google's API; a field that it does not know is an error.
GOOGLE = "google-cloud-aiplatform==2.7.0"
READ = """
import json, sys
from google.cloud import aiplatform_v1 as api
kinds = {"model": api.UploadModelRequest, "endpoint": api.Endpoint, "deployment": api.DeployModelRequest}
found = []
for name, body in json.load(sys.stdin):
    try:
        read = kinds[name].from_json(json.dumps(body))
        found.append([name, json.loads(kinds[name].to_json(read, including_default_value_fields=False))])
    except Exception as error:
        found.append(str(error))
print(json.dumps(found))
"""


def planned(folder: Path, **options: str) -> tuple[PackagePlan, dict[str, dict]]:
    """A plan, and its requests by their names."""
    plan = made.plan(made.model(folder), "vertex-ai", **({"image": IMAGE} | options))
    return plan, {file.path.removesuffix(".json"): json.loads(file.read()) for file in plan.beside}


def flags(plan: PackagePlan, command: str) -> dict[str, str]:
    """The flags of the one ``gcloud`` command that begins so."""
    [found] = [words for words in map(shlex.split, plan.commands) if words[: len(command.split())] == command.split()]
    return dict(word[2:].split("=", 1) for word in found if word.startswith("--"))


def test_googles_own_types_take_the_requests_whole(tmp_path: Path) -> None:
    bodies = []
    for options in ({}, {"parent": "older", "service_account": "silent@our-project.iam.gserviceaccount.com"}):
        _, requests = planned(tmp_path, **options)
        del requests["request"]
        bodies += [[name, body] for name, body in requests.items()]
    unknown = ["endpoint", {"displayName": "made", "colour": "red"}]
    asked = json.dumps([*bodies, unknown])
    done = subprocess.run([tools.python(GOOGLE), "-c", READ], input=asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    *found, refused = json.loads(done.stdout)
    assert found == bodies
    assert "colour" in refused


def test_the_routes_are_the_images(tmp_path: Path) -> None:
    made.built(made.model(tmp_path), "docker", tmp_path / "context")
    _, requests = planned(tmp_path)
    container = requests["model"]["model"]["containerSpec"]
    assert container["ports"] == [{"containerPort": 8080}]
    # https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements#variables
    google = {
        "AIP_HEALTH_ROUTE": container["healthRoute"],
        "AIP_PREDICT_ROUTE": container["predictRoute"],
        "AIP_MODE": "PREDICTION",
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
        "AIP_STORAGE_URI": "",
    }
    variables = {one["name"]: one["value"] for one in container["env"]}
    with containers.running(tmp_path / "context", tmp_path, port="AIP_HTTP_PORT", **google, **variables) as running:
        assert running.ask(container["healthRoute"]).status == 200
        body = requests["request"]
        assert body.keys() == {"instances"}
        for more in ({}, {"parameters": {"confidence": 0.5}}):
            answer = running.ask(container["predictRoute"], json.dumps(body | more).encode())
            assert answer.status == 200
            assert answer.json.keys() == {"predictions"}
            assert len(answer.json["predictions"]) == len(body["instances"])


def test_the_commands_say_what_the_requests_say(tmp_path: Path) -> None:
    plan, requests = planned(tmp_path, machine_type="n1-standard-4", replicas="2", utilization="50")
    container = requests["model"]["model"]["containerSpec"]
    upload = flags(plan, "gcloud ai models upload")
    assert upload["model-id"] == requests["model"]["modelId"] == "made"
    assert upload["container-image-uri"] == container["imageUri"] == IMAGE
    assert upload["container-env-vars"] == ",".join(f"{one['name']}={one['value']}" for one in container["env"])
    assert (upload["container-predict-route"], upload["container-health-route"]) == (
        container["predictRoute"],
        container["healthRoute"],
    )
    assert [upload["version-aliases"]] == requests["model"]["model"]["versionAliases"]
    deploy = flags(plan, "gcloud ai endpoints deploy-model made")
    deployed = requests["deployment"]["deployedModel"]
    assert deployed["model"] == f"projects/our-project/locations/europe-west4/models/{deploy['model']}"
    assert deploy["machine-type"] == deployed["dedicatedResources"]["machineSpec"]["machineType"] == "n1-standard-4"
    assert (deploy["min-replica-count"], deploy["max-replica-count"]) == ("2", "10")
    assert deployed["dedicatedResources"]["minReplicaCount"] == 2
    for command in ("gcloud ai models upload", "gcloud ai endpoints create", "gcloud ai endpoints deploy-model"):
        found = flags(plan, command)
        assert (found["project"], found["region"]) == ("our-project", "europe-west4")


def test_a_later_version_goes_to_the_model_that_is_there(tmp_path: Path) -> None:
    plan, requests = planned(tmp_path, parent="older")
    assert requests["model"]["parentModel"] == "projects/our-project/locations/europe-west4/models/older"
    assert "modelId" not in requests["model"]
    assert requests["deployment"]["deployedModel"]["model"].endswith("/models/older@version-3")
    assert flags(plan, "gcloud ai models upload")["parent-model"] == requests["model"]["parentModel"]


def test_project_and_region_are_the_images_unless_given(tmp_path: Path) -> None:
    plan, _ = planned(tmp_path, project="other-project", region="us-central1")
    assert (plan.settings["project"], plan.settings["region"]) == ("other-project", "us-central1")
    plan, _ = planned(tmp_path, image="eu.gcr.io/older-project/made:3", region="europe-west1")
    assert plan.settings["project"] == "older-project"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"image": ""}, "option image: expected the image of this version; build it with --target docker"),
        ({"image": "registry.example/made:3"}, "option image: expected an image such as europe-west1-docker.pkg.dev"),
        (
            {"image": "europe-docker.pkg.dev/our-project/models/made:3"},
            "option region: .*found 'europe' in the image's",
        ),
        ({"image": "gcr.io/our-project/made:3"}, "option region: .*give -C region="),
        ({"project": "Ours"}, "option project: expected the ID of a project"),
        ({"region": "europe"}, "option region: expected a region such as europe-west1"),
        ({"name": "3d"}, "option name: up to 63 lower-case letters"),
        ({"replicas": "11"}, "max_replicas=10 is less than replicas=11"),
        ({"machine_type": "big machine"}, "option machine_type"),
        ({"service_account": "me@example.com"}, "option service_account"),
        ({"parent": "projects/p/models/m"}, "option parent: expected the ID of a model"),
    ],
)
def test_what_google_does_not_take_is_refused(tmp_path: Path, options: dict[str, str], says: str) -> None:
    with pytest.raises(ServingError, match=says):
        planned(tmp_path, **options)


def test_a_version_without_a_scorecard_goes_in_its_image(tmp_path: Path) -> None:
    plan = made.plan(made.unsaid(tmp_path), "vertex-ai", image=IMAGE)
    assert [file.path for file in plan.beside] == ["model.json", "endpoint.json", "deployment.json"]
    assert not any("predict forest" in command for command in plan.commands)
