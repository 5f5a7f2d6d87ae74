"""Azure Machine Learning: a managed online endpoint, for the image of one version or for its MLflow model."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from serving.errors import ServingError
from serving.models import example
from serving.models.files import MLMODEL

from . import images, pyfunc
from .docker import PORT
from .model import PackagedModel
from .naming import named
from .options import Target, matching, one_of, option, whole, yes_no
from .plan import FILES, File, PackagePlan
from .render import as_yaml

_SCHEMAS = "https://azuremlschemas.azureedge.net/latest"
#: https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas, of an endpoint, and of a deployment.
_NAME = r"[A-Za-z](?:[A-Za-z0-9-]{1,30}[A-Za-z0-9])"
_EXPECTED = "3 to 32 letters, digits and -, a letter first"
#: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
_GROUP, _WORKSPACE = r"[\w.()-]{0,89}[\w()-]", r"[A-Za-z0-9][A-Za-z0-9_-]{2,32}"
#: Seconds of Azure's proxy to wait for an answer, and the requests of an instance that it lets wait.
_TIMEOUT, _CONCURRENT = 30, 64
#: Seconds between two looks, and how often one may fail.
_PROBES = {
    "liveness_probe": {"initial_delay": 10, "period": 10, "timeout": 5, "failure_threshold": 3},
    "readiness_probe": {"initial_delay": 5, "period": 5, "timeout": 5, "failure_threshold": 30},
}


@dataclass(frozen=True)
class AzureMlOptions:
    """Options of an endpoint and its deployment."""

    image: str = images.image(
        "a registry that the workspace may pull from",
        "team.azurecr.io/diabetes:3",
        needed="required, unless mlflow=yes",
    )
    mlflow: bool = option(
        False, "deploy the model's own files instead, which Azure's MLflow server answers for", yes_no
    )
    name: str = option("", "name of the endpoint, unique in its region [default: after the model]")
    deployment: str = option("", "name of the deployment [default: version-N]", matching(_NAME, _EXPECTED))
    group: str = option(
        "", "resource group [default: that of `az configure`]", matching(_GROUP, "the name of a resource group")
    )
    workspace: str = option(
        "", "workspace [default: that of `az configure`]", matching(_WORKSPACE, "the name of a workspace")
    )
    instance_type: str = option(
        "Standard_F2s_v2", "size of an instance", matching(r"Standard_\w+", "a size such as Standard_F2s_v2")
    )
    instances: int = option(2, "number of instances", whole(1, 1_000))
    workers: int = option(2, "worker processes of the image in each instance", whole(1, 256))
    auth: str = option(
        "key",
        "key: the endpoint's keys; aad_token: Entra ID; aml_token: tokens of the workspace",
        one_of("key", "aad_token", "aml_token"),
    )


def plan(model: PackagedModel, options: AzureMlOptions) -> PackagePlan:
    """Return the plan of an endpoint and a deployment of a version.

    Raises
    ------
    ServingError
        if neither an image nor mlflow=yes is given, or both; or Azure will not take a name or the model.
    """
    if options.mlflow and options.image:
        raise ServingError("azure-ml: image= and mlflow=yes exclude each other: Azure's MLflow server needs no image")
    told = () if options.mlflow else images.notes("azure-ml", options.image)
    called, notes = named(model, options.name, pattern=_NAME, expected=_EXPECTED, target="azure-ml", most=32)
    deployment = options.deployment or f"version-{model.version or model.digest.removeprefix('sha256:')[:12]}"
    endpoint = {
        "$schema": f"{_SCHEMAS}/managedOnlineEndpoint.schema.json",
        "name": called,
        "auth_mode": options.auth,
        "tags": _tags(model),
    }
    variables = {} if options.mlflow else _variables(model, options)
    content = {
        "$schema": f"{_SCHEMAS}/managedOnlineDeployment.schema.json",
        "name": deployment,
        "endpoint_name": called,
        "tags": _tags(model),
        **(_mlflow() if options.mlflow else _image(options.image, variables)),
        "instance_type": options.instance_type,
        "instance_count": options.instances,
        "request_settings": {
            "request_timeout_ms": _TIMEOUT * 1000,
            "max_concurrent_requests_per_instance": _CONCURRENT,
        },
    }
    what = f"{model.name} version {model.version}" if model.version else model.digest[:19]
    beside = [
        File("endpoint.yml", as_yaml(endpoint, f"Endpoint of {model.title}"), "the endpoint"),
        File("deployment.yml", as_yaml(content, f"Deployment of {what}"), "the version at the endpoint"),
        *_request(model, mlflow=options.mlflow),
    ]
    if options.mlflow:
        beside += _files(model)
        reason = "Azure's MLflow server loads the model by its python_function flavor"
        notes += ("Azure builds the environment from the model's conda.yaml, which takes minutes",)
    else:
        reason = "the image contains the version; Azure runs it behind the endpoint"
        notes += (*told, "Azure checks the caller, so the image is told to answer without keys (SERVING_OPEN)")
    return PackagePlan(
        target="azure-ml",
        variant=FILES,
        reason=reason,
        name=called,
        **model.facts,
        package=(),
        beside=tuple(beside),
        settings={name: getattr(options, name) for name in _SHOWN}
        | {"endpoint": called, "deployment": deployment, "workers": None if options.mlflow else options.workers},
        environment=variables,
        notes=notes,
        commands=_commands(options, called, deployment, tried=any(one.path == _REQUEST for one in beside)),
    )


_SHOWN = ("image", "mlflow", "group", "workspace", "instance_type", "instances", "auth")
_REQUEST = "request.json"


def _tags(model: PackagedModel) -> dict[str, str]:
    return {"model": model.title, "version": model.version or "none", "digest": model.digest}


def _variables(model: PackagedModel, options: AzureMlOptions) -> dict[str, str]:
    return {"EXPECTED_DIGEST": model.digest, "SERVING_OPEN": "yes", "SERVING_WORKERS": str(options.workers)}


def _image(image: str, variables: dict[str, str]) -> dict[str, Any]:
    """The part of a deployment that runs our image: https://learn.microsoft.com/azure/machine-learning/how-to-deploy-custom-container"""
    routes = {"liveness_route": "/live", "readiness_route": "/ready", "scoring_route": "/invocations"}
    config = {name: {"port": PORT, "path": path} for name, path in routes.items()}
    environment = {"image": image, "inference_config": config}
    return {"environment": environment, "environment_variables": variables, **_PROBES}


def _mlflow() -> dict[str, Any]:
    """The part without code of ours: https://learn.microsoft.com/azure/machine-learning/how-to-deploy-mlflow-models"""
    return {"model": {"path": "model", "type": "mlflow_model"}}


def _files(model: PackagedModel) -> list[File]:
    found = list(pyfunc.files(model, "model"))
    missing = {MLMODEL, "conda.yaml"} - {file.path.removeprefix("model/") for file in found}
    if missing:
        raise ServingError(
            f"azure-ml: {model.uri} has no {' and no '.join(sorted(missing))}, which Azure's MLflow server needs; "
            "give -C image= instead"
        )
    return found


def _request(model: PackagedModel, *, mlflow: bool) -> list[File]:
    """A request to try the endpoint with: each server has its own form."""
    if model.scorecard is None:
        return []
    row = example.complete(model.scorecard, model.example)
    if mlflow:
        body: dict[str, Any] = {"input_data": {"columns": [*row], "index": [0], "data": [[*row.values()]]}}
    else:
        body = {"dataframe_records": [row]}
    text = json.dumps(body, indent=1, ensure_ascii=False) + "\n"
    return [File(_REQUEST, text.encode(), "a request to try it with")]


def _commands(options: AzureMlOptions, called: str, deployment: str, *, tried: bool) -> tuple[str, ...]:
    where = "".join(
        f" -{letter} {shlex.quote(value)}"
        for letter, value in (("g", options.group), ("w", options.workspace))
        if value
    )
    found = [
        "# once:",
        f"az ml online-endpoint create{where} -f endpoint.yml",
        "# each version:",
        f"az ml online-deployment create{where} -f deployment.yml",
    ]
    if tried:
        found.append(
            f"az ml online-endpoint invoke{where} -n {called} --deployment-name {deployment} --request-file {_REQUEST}"
        )
    found.append(f"az ml online-endpoint update{where} -n {called} --traffic {deployment}=100")
    return tuple(found)


TARGET = Target(
    "azure-ml",
    "A managed online endpoint of Azure Machine Learning: for the docker target's image, or for the MLflow model.",
    AzureMlOptions,
    plan,
)
