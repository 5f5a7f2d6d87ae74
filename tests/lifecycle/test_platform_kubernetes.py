"""The platform on Kubernetes: manifests by Kubernetes' own schemas, and what they promise each other.

Its commands and environments are those of the platform by Docker Compose, which ``test_platform.py`` runs.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from pipelines.__main__ import cli
from serving.prediction_log.database import TABLE
from tests.lifecycle.test_platform import FOLDER, SECRETS, read

ALL_SECRETS = {**SECRETS, "S3_PASSWORD": "secret-of-S3_PASSWORD"}
OURS = ("tracking", "watch", "serve")


@pytest.fixture(scope="module")
def kustomization() -> dict:
    return yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def manifests(kustomization: dict) -> list[dict]:
    """All manifests, in the order of the kustomization."""
    texts = [(FOLDER / name).read_text(encoding="utf-8") for name in kustomization["resources"]]
    return [one for text in texts for one in yaml.safe_load_all(text)]


@pytest.fixture(scope="module")
def templates(manifests: list[dict]) -> dict[str, dict]:
    """The templates of pods, by the name of what makes them."""
    found = {}
    for one in manifests:
        spec = one.get("spec", {})
        made = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in made:
            found[one["metadata"]["name"]] = made["template"]
    return found


def container(template: dict) -> dict:
    """The one container of a pod."""
    [found] = template["spec"]["containers"]
    return found


def environment(template: dict) -> dict[str, str]:
    """A container's variables, secrets filled in and references resolved, as the kubelet does it."""
    found: dict[str, str] = {}
    for one in container(template).get("env", ()):
        if "valueFrom" in one:
            reference = one["valueFrom"]["secretKeyRef"]
            assert reference["name"] == "passwords"
            found[one["name"]] = ALL_SECRETS[reference["key"]]
        else:
            found[one["name"]] = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], one["value"])
    return found


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_every_manifest_keeps_to_the_schema(manifests: list[dict], version: str) -> None:
    kinds = {"Namespace", "NetworkPolicy", "StatefulSet", "Deployment", "CronJob", "Service", "PodDisruptionBudget"}
    assert {one["kind"] for one in manifests} == kinds
    for one in manifests:
        kubernetes_validate.validate(one, version, strict=True)
    names = [(one["kind"], one["metadata"]["name"]) for one in manifests]
    assert len(set(names)) == len(names)


def test_the_kustomization_names_what_is_there(kustomization: dict, templates: dict[str, dict]) -> None:
    assert sorted(kustomization["resources"]) == sorted(
        f"kubernetes/{path.name}" for path in Path(FOLDER, "kubernetes").iterdir()
    )
    assert all((FOLDER / name).is_file() for one in kustomization["configMapGenerator"] for name in one["files"])
    made = {kind: {one["name"] for one in kustomization[f"{kind}Generator"]} for kind in ("secret", "configMap")}
    volumes = [one for template in templates.values() for one in template["spec"].get("volumes", ())]
    assert {one["configMap"]["name"] for one in volumes if "configMap" in one} == made["configMap"]
    assert {one["secret"]["secretName"] for one in volumes if "secret" in one} | {"passwords"} == made["secret"]
    # The secrets are files that no one commits.
    ignored = (FOLDER.parents[2] / ".gitignore").read_text(encoding="utf-8").splitlines()
    for name in (".env", "keys.json"):
        assert f"/docs/examples/platform/{name}" in ignored
    assert {one["name"] for one in kustomization["images"]} == {container(templates[name])["image"] for name in OURS}


def test_kustomize_makes_a_whole_of_it(tmp_path: Path, kustomization: dict, manifests: list[dict]) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed on this system")
    own = shutil.ignore_patterns(".env", "keys.json", "compose.override.yaml")
    shutil.copytree(FOLDER, tmp_path / "platform", ignore=own)
    command = [kubectl, "kustomize", tmp_path / "platform"]
    (tmp_path / "platform" / ".env").write_text("".join(f"{name}={value}\n" for name, value in ALL_SECRETS.items()))
    missing = subprocess.run(command, capture_output=True, text=True)
    assert missing.returncode != 0
    assert "keys.json" in missing.stderr
    (tmp_path / "platform" / "keys.json").write_text("{}")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = list(yaml.safe_load_all(done.stdout))
    for one in made:
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == kustomization["namespace"]
    assert len(made) == len(manifests) + 4
    found = {(one["kind"], one["metadata"]["name"]): one for one in made}
    assert found["ConfigMap", "databases"]["data"]["databases.sql"] == (FOLDER / "databases.sql").read_text()
    assert found["Secret", "passwords"]["data"].keys() == ALL_SECRETS.keys()
    [image] = kustomization["images"]
    for name in OURS:
        pod = found["Deployment", name]["spec"]["template"]
        assert container(pod)["image"] == f"{image['newName']}:{image['newTag']}"


def test_commands_images_and_environments_are_those_of_compose(templates: dict[str, dict]) -> None:
    services = read(ALL_SECRETS)["services"]
    # Services that are off unless asked for are left to the reader, but for monitoring, which is a job here.
    always = {name for name, service in services.items() if not service.get("profiles")}
    assert templates.keys() == always | {"monitor"}
    for name in OURS:
        assert container(templates[name])["command"] == services[name]["command"]
    assert container(templates["objects"])["args"] == services["objects"]["command"]
    for name in ("database", "objects"):
        assert container(templates[name])["image"] == services[name]["image"]
    for name, template in templates.items():
        theirs = {key: value for key, value in services[name]["environment"].items() if value}
        found = environment(template)
        assert {key: found[key] for key in theirs} == theirs
        # And nothing else, but the passwords that an address is made of, and where the database has its folder.
        assert found.keys() - theirs.keys() <= {"MLFLOW_DB_PASSWORD", "LEDGER_DB_PASSWORD", "PGDATA", "PGPASSWORD"}
        seen = {key for key, value in ALL_SECRETS.items() if any(value in one for one in found.values())}
        assert seen == {key for key, value in ALL_SECRETS.items() if any(value in one for one in theirs.values())}


def test_monitoring_is_a_job_that_is_off_and_whose_command_is_one(
    manifests: list[dict], templates: dict[str, dict]
) -> None:
    """It reads the table that the server writes where its comment is followed."""
    [job] = [one["spec"] for one in manifests if one["kind"] == "CronJob"]
    assert (job["suspend"], job["jobTemplate"]["spec"]["backoffLimit"]) == (True, 0)
    program, name, *options = container(templates["monitor"])["command"]
    assert (program, name) == ("lifecycle", "monitor")
    given = cli.commands[name].make_context(name, options).params
    assert {"since": "7d", "window": "1d", "watch": None}.items() <= given.items()
    serve = Path(FOLDER, "kubernetes", "serve.yaml").read_text(encoding="utf-8")
    comment = yaml.safe_load(next(line for line in serve.splitlines() if "SERVING_RECORD" in line).strip("# "))
    there, here = (urlsplit(url) for url in (comment[0]["value"], given["data"]))
    assert (there.hostname, there.path, there.username) == (here.hostname, here.path, here.username)
    assert f"FROM {TABLE}{given['model']} " in given["query"]


def test_a_pod_may_do_what_it_is_there_for_and_no_more(templates: dict[str, dict]) -> None:
    for name, template in templates.items():
        spec = template["spec"]
        assert not spec["automountServiceAccountToken"], name
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["runAsUser"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for one in (*spec["containers"], *spec.get("initContainers", ())):
            context = one["securityContext"]
            assert not context["allowPrivilegeEscalation"], name
            assert context["readOnlyRootFilesystem"], name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert one["resources"]["limits"]["memory"], name


def test_services_lead_to_pods_and_probes_to_ports(manifests: list[dict], templates: dict[str, dict]) -> None:
    services = {one["metadata"]["name"]: one["spec"] for one in manifests if one["kind"] == "Service"}
    for name, service in services.items():
        assert service["selector"].items() <= templates[name]["metadata"]["labels"].items()
        ports = {one["name"]: one["containerPort"] for one in container(templates[name])["ports"]}
        assert [ports[one["targetPort"]] for one in service["ports"]] == [one["port"] for one in service["ports"]]
    for template in templates.values():
        named = {one["name"] for one in container(template).get("ports", ())}
        probes = [
            value["httpGet"]["port"]
            for key, value in container(template).items()
            if key.endswith("Probe") and "httpGet" in value
        ]
        assert set(probes) <= named
        # Hosts in addresses are services, at their ports.
        for value in environment(template).values():
            for host, port in re.findall(r"(?:http://|@)([a-z]+)(?::(\d+))?", value):
                assert int(port or 5432) in [one["port"] for one in services[host]["ports"]]


def test_the_network_lets_through_what_is_needed_and_no_more(manifests: list[dict], templates: dict[str, dict]) -> None:
    policies = [one["spec"] for one in manifests if one["kind"] == "NetworkPolicy"]
    needed = {
        (name, host)
        for name, template in templates.items()
        for value in environment(template).values()
        for host in re.findall(r"(?:http://|@)([a-z]+)", value)
    }
    assert ("serve", "tracking") in needed
    assert ("tracking", "objects") in needed
    allowed = {
        (one, other)
        for one in templates
        for other in templates
        if one != other
        and _lets(policies, templates, one, other, "Egress")
        and _lets(policies, templates, other, one, "Ingress")
    }
    assert allowed == needed
    nothing = next(one for one in policies if one["podSelector"] == {} and "egress" not in one)
    assert nothing["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in nothing


def _lets(policies: list[dict], templates: Mapping[str, dict], name: str, peer: str, way: str) -> bool:
    """Whether the policies of a pod let it send to, or receive from, another."""
    labels, other = (templates[one]["metadata"]["labels"] for one in (name, peer))
    port = container(templates[peer if way == "Egress" else name]).get("ports", [{"containerPort": None}])[0]
    for policy in policies:
        if not _selects(policy["podSelector"], labels):
            continue
        for rule in policy.get(way.lower(), ()):
            peers = rule["to" if way == "Egress" else "from"]
            pods = [one["podSelector"] for one in peers if "podSelector" in one and "namespaceSelector" not in one]
            if any(_selects(one, other) for one in pods) and port["containerPort"] in [
                one["port"] for one in rule["ports"]
            ]:
                return True
    return False


def _selects(selector: dict[str, Any], labels: Mapping[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items()
