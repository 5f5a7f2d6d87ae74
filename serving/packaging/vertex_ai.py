"""Vertex AI: a model, an endpoint and a deployment for the image of one version, as requests to its REST API."""

import json
import re
from dataclasses import dataclass
from typing import Any

from serving.errors import ServingError
from serving.models import example

from . import google, images
from .docker import PORT, TAGGED
from .model import PackagedModel
from .naming import named
from .options import Target, matching, option, whole
from .plan import FILES, File, PackagePlan

#: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models/upload and, with digits last,
#: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/create
_NAME = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EXPECTED = "up to 63 lower-case letters, digits and -, a letter first"
#: https://cloud.google.com/artifact-registry/docs/docker/names; and its older form.
_PROJECT = r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
_PLACE = r"(?P<place>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[a-z0-9.:-]+)/"
_OLDER = r"(?:[a-z]+\.)?gcr\.io/(?P<project>[a-z0-9.:-]+)/"
_HEALTH, _PREDICT = "/ping", "/invocations"


@dataclass(frozen=True)
class VertexOptions:
    """Options of a model, its endpoint and its deployment."""

    image: str = images.image(
        "Artifact Registry",
        "europe-west1-docker.pkg.dev/project/models/diabetes:3",
        pattern=rf"(?=[a-z0-9-]+-docker\.pkg\.dev/|(?:[a-z]+\.)?gcr\.io/){TAGGED}",
    )
    name: str = option("", "ID of the model and of the endpoint [default: after the model]")
    project: str = option("", "project [default: the image's]", matching(_PROJECT, "the ID of a project"))
    region: str = google.region("", "region [default: the image's]")
    parent: str = option(
        "",
        "model in Vertex AI that this becomes a version of [default: a new model]",
        matching(r"[a-z_][a-z0-9_-]{0,62}|[1-9]\d*", "the ID of a model"),
    )
    machine_type: str = option(
        "e2-standard-2", "machine type", matching(r"[a-z0-9]+(?:-[a-z0-9]+)+", "a machine type such as e2-standard-2")
    )
    replicas: int = option(1, "minimum number of replicas", whole(1, 1_000))
    max_replicas: int = option(10, "maximum number of replicas", whole(1, 1_000))
    utilization: int = option(60, "CPU utilization above which replicas are added, in per cent", whole(1, 100))
    workers: int = option(2, "worker processes of each replica", whole(1, 256))
    service_account: str = google.service_account("Vertex AI's")


def plan(model: PackagedModel, options: VertexOptions) -> PackagePlan:
    """Return the plan of the requests that deploy a version.

    Raises
    ------
    ServingError
        if no image is given, no region follows from it, or Google will not take a name or a number.
    """
    told = images.notes("vertex-ai", options.image)
    called, notes = named(model, options.name, pattern=_NAME, expected=_EXPECTED, target="vertex-ai", most=63)
    if options.max_replicas < options.replicas:
        raise ServingError(f"vertex-ai: max_replicas={options.max_replicas} is less than replicas={options.replicas}")
    project, region = _where(options)
    made = VertexRequests(model, called, options, project=project, region=region)
    requests = {"model.json": made.upload(), "endpoint.json": made.endpoint(), "deployment.json": made.deploy()}
    what = {
        "model.json": "models.upload",
        "endpoint.json": "endpoints.create",
        "deployment.json": "endpoints.deployModel",
    }
    beside = [File(name, _json(body), f"the body of {what[name]}") for name, body in requests.items()]
    if model.scorecard is not None:
        instance = example.complete(model.scorecard, model.example)
        beside.append(File(_REQUEST, _json({"instances": [instance]}), "a request to try it with"))
    return PackagePlan(
        target="vertex-ai",
        variant=FILES,
        reason="the image contains the version; Vertex AI runs it behind the endpoint",
        name=called,
        **model.facts,
        package=(),
        beside=tuple(beside),
        settings={"project": project, "region": region, "model": made.model_id, "alias": made.alias}
        | {name: getattr(options, name) for name in _SHOWN},
        environment=made.variables,
        notes=(
            *notes,
            *told,
            "Vertex AI checks the caller, so the image is told to answer without keys (SERVING_OPEN)",
            f"the JSON files are requests of the REST API: POST https://{region}-aiplatform.googleapis.com/v1/"
            f"projects/{project}/locations/{region}/models:upload, endpoints?endpointId={called}, "
            f"endpoints/{called}:deployModel",
        ),
        commands=made.commands(tried=model.scorecard is not None),
    )


_SHOWN = ("image", "machine_type", "replicas", "max_replicas", "utilization", "workers", "service_account")
_REQUEST = "request.json"


def _where(options: VertexOptions) -> tuple[str, str]:
    """The project and the region: those given, else those of the image's name."""
    found = re.match(_PLACE, options.image) or re.match(_OLDER, options.image)
    named_in = found.groupdict() if found else {}
    project, place = options.project or named_in.get("project", ""), named_in.get("place", "")
    if not re.fullmatch(_PROJECT, project):
        raise ServingError(
            f"vertex-ai: option project: expected the ID of a project, found {project!r}; give -C project="
        )
    if options.region:
        return project, options.region
    if not re.fullmatch(google.REGION, place):
        raise ServingError(
            f"vertex-ai: option region: expected a region such as europe-west1, found {place!r} in the image's name; "
            "give -C region="
        )
    return project, place


class VertexRequests:
    """The requests of a version.

    Attributes
    ----------
    variables : of the container.
    model_id : the model's in Vertex AI.
    alias : by which the version is named there, whose number Vertex AI gives.
    """

    def __init__(self, model: PackagedModel, called: str, options: VertexOptions, *, project: str, region: str):
        self._model, self._called, self._options = model, called, options
        self._region, self._location = region, f"projects/{project}/locations/{region}"
        self._project = project
        self.variables = {
            # The image refuses to serve another model than these requests say.
            "EXPECTED_DIGEST": model.digest,
            "SERVING_OPEN": "yes",
            "SERVING_WORKERS": str(options.workers),
        }
        self.model_id = options.parent or called
        digest = model.digest.removeprefix("sha256:")
        self.alias = f"version-{model.version or digest[:12]}"

    def upload(self) -> dict[str, Any]:
        """The body of models.upload."""
        container = {
            "imageUri": self._options.image,
            "ports": [{"containerPort": PORT}],
            "predictRoute": _PREDICT,
            "healthRoute": _HEALTH,
            "env": [{"name": name, "value": value} for name, value in self.variables.items()],
        }
        parent = self._options.parent
        target = {"parentModel": f"{self._location}/models/{parent}"} if parent else {"modelId": self.model_id}
        content = {
            "displayName": self._called,
            "versionAliases": [self.alias],
            "versionDescription": f"{self._model.title} {self._model.version or ''} {self._model.digest}",
            "containerSpec": container,
        }
        return {**target, "model": content}

    def endpoint(self) -> dict[str, Any]:
        """The body of endpoints.create."""
        return {"displayName": self._called}

    def deploy(self) -> dict[str, Any]:
        """The body of endpoints.deployModel."""
        options = self._options
        resources = {
            "machineSpec": {"machineType": options.machine_type},
            "minReplicaCount": options.replicas,
            "maxReplicaCount": options.max_replicas,
            "autoscalingMetricSpecs": [{"metricName": _CPU, "target": options.utilization}],
        }
        deployed = {
            "model": f"{self._location}/models/{self.model_id}@{self.alias}",
            "displayName": self.alias,
            "dedicatedResources": resources,
            **({"serviceAccount": options.service_account} if options.service_account else {}),
        }
        # 0 stands for the model that is being deployed.
        return {"deployedModel": deployed, "trafficSplit": {"0": 100}}

    def commands(self, *, tried: bool) -> tuple[str, ...]:
        """The same by ``gcloud``, which waits for each to be done."""
        options, where = self._options, f"--project={self._project} --region={self._region}"
        target = (
            f"--parent-model={self._location}/models/{options.parent}"
            if options.parent
            else f"--model-id={self.model_id}"
        )
        variables = ",".join(f"{name}={value}" for name, value in self.variables.items())
        account = f" --service-account={options.service_account}" if options.service_account else ""
        found = [
            f"gcloud ai models upload {where} {target} --display-name={self._called} --version-aliases={self.alias} "
            f"--container-image-uri={options.image} --container-ports={PORT} --container-predict-route={_PREDICT} "
            f"--container-health-route={_HEALTH} --container-env-vars={variables}",
            "# once:",
            f"gcloud ai endpoints create {where} --endpoint-id={self._called} --display-name={self._called}",
            "# each version:",
            f"gcloud ai endpoints deploy-model {self._called} {where} --model={self.model_id}@{self.alias} "
            f"--display-name={self.alias} --machine-type={options.machine_type} "
            f"--min-replica-count={options.replicas} --max-replica-count={options.max_replicas} "
            f"--autoscaling-metric-specs=cpu-usage={options.utilization} --traffic-split=0=100{account}",
        ]
        if tried:
            found.append(f"gcloud ai endpoints predict {self._called} {where} --json-request={_REQUEST}")
        return tuple(found)


_CPU = "aiplatform.googleapis.com/prediction/online/cpu/utilization"


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


TARGET = Target(
    "vertex-ai",
    "A model and an endpoint of Google's Vertex AI, for the docker target's image.",
    VertexOptions,
    plan,
)
