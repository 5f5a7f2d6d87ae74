"""The kubernetes target: its manifests by Kubernetes' own schemas, and what they promise each other."""

import json
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from registry.cli.sizes import parse_size
from serving.errors import ServingError
from serving.packaging import PackagePlan
from serving.server.memory import BESIDE
from serving.server.settings import ServerSettings
from tests.serving.packaging import made
from tests.serving.packaging.test_docker import instructions

IMAGE = "registry.example:5000/team/made:3"
#: Of KServe's PredictorSpec, what is not a pod's: https://kserve.github.io/website/docs/reference/crd-api
EXTENSION = {"minReplicas", "maxReplicas", "timeout", "scaleTarget", "scaleMetric", "containerConcurrency"}


def planned(folder: Path, *, model: str = made.NAME, **options: str) -> tuple[PackagePlan, dict[str, dict]]:
    """A plan, and its manifests by kind."""
    plan = made.plan(made.model(folder, name=model), "kubernetes", **{"image": IMAGE, **options})
    found = {}
    for file in plan.beside:
        [manifest] = yaml.safe_load_all(file.read())
        assert manifest["kind"] not in found
        found[manifest["kind"]] = manifest
    return plan, found


@pytest.fixture
def manifests(tmp_path: Path) -> dict[str, dict]:
    return planned(tmp_path)[1]


def pod(manifests: dict[str, dict]) -> dict:
    return manifests["Deployment"]["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"open": "yes"},
        {"from_namespaces": "ingress,shop", "secret": "own", "namespace": "scoring", "cpu_limit": "2.5"},
    ],
)
@pytest.mark.parametrize("version", ["1.30", "1.34", kubernetes_validate.latest_version()])
def test_every_manifest_keeps_to_the_schema(tmp_path: Path, version: str, options: dict[str, str]) -> None:
    _, found = planned(tmp_path, **options)
    kinds = {"Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"}
    assert found.keys() == kinds | {"ServiceAccount", "InferenceService"}
    for kind in found.keys() - {"InferenceService"}:
        kubernetes_validate.validate(found[kind], version, strict=True)
    # KServe's predictor is a pod's specification, with some of its own.
    predictor = found["InferenceService"]["spec"]["predictor"]
    inside = {name: value for name, value in predictor.items() if name not in EXTENSION}
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "made"}, "spec": inside}
    kubernetes_validate.validate(whole, version, strict=True)
    assert found["InferenceService"]["spec"].keys() == {"predictor"}


def test_the_parts_find_each_other(manifests: dict[str, dict]) -> None:
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        manifests["Deployment"]["spec"]["selector"]["matchLabels"],
        manifests["Service"]["spec"]["selector"],
        manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        pod(manifests)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
    [container] = pod(manifests)["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    [port] = manifests["Service"]["spec"]["ports"]
    assert ports == {port["targetPort"]: 8080}
    assert {
        container[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    } <= set(ports)
    target = manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", manifests["Deployment"]["metadata"]["name"])
    assert "replicas" not in manifests["Deployment"]["spec"]
    assert pod(manifests)["serviceAccountName"] == manifests["ServiceAccount"]["metadata"]["name"]


def test_a_pod_may_do_nothing_but_answer(manifests: dict[str, dict]) -> None:
    spec = pod(manifests)
    assert not spec["automountServiceAccountToken"]
    for container in (spec["containers"][0], manifests["InferenceService"]["spec"]["predictor"]["containers"][0]):
        context = container["securityContext"]
        assert context["runAsNonRoot"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["resources"]["limits"].keys() == container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert {"/tmp", "/etc/serving/keys"} == {mount["mountPath"] for mount in container["volumeMounts"]}
    policy = manifests["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    assert policy["ingress"] == [{"from": [{"podSelector": {}}], "ports": [{"port": 8080, "protocol": "TCP"}]}]


def test_it_is_told_to_stop_in_time_to_finish(manifests: dict[str, dict]) -> None:
    spec = pod(manifests)
    [container] = spec["containers"]
    grace = next(int(one["value"]) for one in container["env"] if one["name"] == "SERVING_GRACE")
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    # The server's own margin is 3 seconds.
    assert spec["terminationGracePeriodSeconds"] > grace + pause + 3


def test_it_runs_the_image_of_the_docker_target(tmp_path: Path, manifests: dict[str, dict]) -> None:
    model = made.model(tmp_path)
    docker = made.plan(model, "docker")
    file = next(file for file in docker.package if file.path == "Dockerfile")
    said = dict(instructions(file.read().decode()))
    [container] = pod(manifests)["containers"]
    assert (
        said["USER"] == f"{container['securityContext']['runAsUser']}:{pod(manifests)['securityContext']['runAsGroup']}"
    )
    assert said["EXPOSE"] == str(container["ports"][0]["containerPort"])
    expected = next(one["value"] for one in container["env"] if one["name"] == "EXPECTED_DIGEST")
    about = next(file for file in docker.package if file.path == "about.json")
    assert json.loads(about.read())["digest"] == expected == model.digest


def test_keys_are_a_secrets(tmp_path: Path) -> None:
    plan, closed = planned(tmp_path)
    [container] = pod(closed)["containers"]
    assert {"name": "SERVING_KEYS_FILE", "value": "/etc/serving/keys/keys.json"} in container["env"]
    volume = next(one for one in pod(closed)["volumes"] if one["name"] == "keys")
    assert volume["secret"]["secretName"] == "made-keys"
    assert any(command.startswith("kubectl create secret generic made-keys ") for command in plan.commands)
    plan, opened = planned(tmp_path, open="yes")
    [container] = pod(opened)["containers"]
    assert {"name": "SERVING_OPEN", "value": "yes"} in container["env"]
    assert [one["name"] for one in pod(opened)["volumes"]] == ["tmp"]
    assert not any("secret" in command for command in plan.commands)
    assert any("anyone who reaches the Service" in note for note in plan.notes)


def test_further_namespaces_may_ask(tmp_path: Path) -> None:
    _, found = planned(tmp_path, from_namespaces="ingress-nginx")
    [rule] = found["NetworkPolicy"]["spec"]["ingress"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}} in rule["from"]


def test_kserve_runs_it_by_its_second_protocol(manifests: dict[str, dict]) -> None:
    service = manifests["InferenceService"]
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    predictor = service["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 10)
    [container] = predictor["containers"]
    assert (container["name"], container["image"]) == ("kserve-container", IMAGE)
    assert {"name": "PROTOCOL", "value": "v2"} in container["env"]
    # Knative takes one port, and knows its protocol by its name; and no startup probe.
    assert [port["name"] for port in container["ports"]] == ["http1"]
    assert "startupProbe" not in container


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"image": ""}, "option image: expected the image of this version"),
        ({"image": "Made:3"}, "option image: expected an image such as"),
        ({"name": "3d"}, "option name: up to 45 lower-case letters"),
        ({"name": "a" * 46}, "option name"),
        ({"name": "made-"}, "option name"),
        ({"namespace": "My_Space"}, "option namespace"),
        ({"secret": "x/y"}, "option secret"),
        ({"replicas": "11"}, "max_replicas=10 is less than replicas=11"),
        ({"cpu": "2"}, "cpu_limit=1 is less than cpu=2"),
        ({"memory": "512M"}, "option memory: expected such as 512Mi"),
        ({"memory": "128Mi"}, "expected memory to be at least 256Mi, found 128Mi"),
        ({"utilization": "0"}, "option utilization"),
    ],
)
def test_what_kubernetes_does_not_take_is_refused(tmp_path: Path, options: dict[str, str], says: str) -> None:
    with pytest.raises(ServingError, match=says):
        planned(tmp_path, **options)


@pytest.mark.parametrize(("memory", "limit"), [(None, "256MiB"), ("1Gi", "896MiB")])
def test_the_worker_has_what_the_pod_has_but_for_what_is_beside_it(
    tmp_path: Path, memory: str | None, limit: str
) -> None:
    """Requests are refused before Kubernetes ends the pod; without options both have their defaults."""
    _, manifests = planned(tmp_path, **({} if memory is None else {"memory": memory}))
    [container] = pod(manifests)["containers"]
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert variables["SERVING_MAX_MEMORY"] == limit
    assert variables["SERVING_WORKERS"] == "1"
    most = parse_size(container["resources"]["limits"]["memory"])
    assert most == parse_size(limit) + BESIDE
    if memory is None:
        assert parse_size(limit) == ServerSettings().max_memory


def test_an_image_that_may_change_is_told(tmp_path: Path) -> None:
    for image, told in ((IMAGE, False), ("made", True), ("host:5000/made", True), ("made:latest", True)):
        plan, _ = planned(tmp_path, image=image)
        assert any("no fixed tag" in note for note in plan.notes) == told
    digest = "made@sha256:" + "ab" * 32
    assert not any("no tag" in note for note in planned(tmp_path, image=digest)[0].notes)


def test_any_models_name_makes_good_manifests(tmp_path: Path) -> None:
    name = 'Breast "Cancer": {x}\n#é & 日本'
    _, found = planned(tmp_path, model=name)
    assert found["Deployment"]["metadata"]["name"] == "breast-cancer-x"
    assert found["Deployment"]["metadata"]["annotations"]["model-lifecycle/model"] == name
    for kind in found.keys() - {"InferenceService"}:
        kubernetes_validate.validate(found[kind], kubernetes_validate.latest_version(), strict=True)
