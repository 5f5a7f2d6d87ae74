"""Kubernetes: plain manifests, and a KServe InferenceService, for the image of one version."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from registry.cli.sizes import parse_size
from serving.errors import ServingError
from serving.server.memory import BESIDE, LEAST, MAX_MEMORY

from . import images
from .docker import PORT, USER
from .model import PackagedModel
from .naming import named
from .options import Target, listed, matching, option, whole, yes_no
from .plan import FILES, File, PackagePlan
from .render import as_yaml

Manifest = dict[str, Any]

#: RFC 1035, as a Service's name has to be; short enough for what KServe appends to it.
_NAME = r"[a-z](?:[a-z0-9-]{0,43}[a-z0-9])?"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAMED = "up to 45 lower-case letters, digits and -, a letter first"
_CPU = r"[1-9]\d*m|\d+(?:\.\d{1,3})?"
_MEMORY = r"[1-9]\d*(?:Ki|Mi|Gi)"
#: Seconds: of the server to finish what has begun, before it until nobody sends any more, and to be sure.
_GRACE, _DRAIN, _SPARE = 30, 5, 10
_KEYS = "/etc/serving/keys"
#: In the image, by what it is mounted for: https://kubernetes.io/docs/concepts/configuration/secret/
_KEYS_FILE = "keys.json"


@dataclass(frozen=True)
class KubernetesOptions:
    """Options of the manifests."""

    image: str = images.image("your registry", "registry.example/team/diabetes:3")
    name: str = option("", "name of all resources [default: after the model]")
    namespace: str = option("default", "namespace", matching(_LABEL, "lower-case letters, digits and -"))
    replicas: int = option(2, "minimum number of pods", whole(1, 1_000))
    max_replicas: int = option(10, "maximum number of pods", whole(1, 1_000))
    cpu: str = option("250m", "CPU request of a pod", matching(_CPU, "such as 250m or 1"))
    cpu_limit: str = option("1", "CPU limit of a pod", matching(_CPU, "such as 250m or 1"))
    memory: str = option(
        f"{(MAX_MEMORY + BESIDE) // 2**20}Mi",
        f"memory request and limit of a pod: its worker's, and {BESIDE // 2**20}Mi for the rest",
        matching(_MEMORY, "such as 512Mi or 1Gi"),
    )
    utilization: int = option(
        70, "CPU utilization above which pods are added, in per cent of the request", whole(1, 100)
    )
    secret: str = option(
        "",
        f"Secret with the API keys, as {_KEYS_FILE} [default: NAME-keys]",
        matching(_LABEL, "lower-case letters, digits and -"),
    )
    open: bool = option(False, "answer without keys", yes_no)
    from_namespaces: tuple[str, ...] = option(
        (),
        "further namespaces whose pods may send requests, such as the ingress controller's",
        listed(_LABEL, "lower-case letters, digits and -"),
    )


def plan(model: PackagedModel, options: KubernetesOptions) -> PackagePlan:
    """Return the plan of the manifests of a version.

    Raises
    ------
    ServingError
        if the model has no scorecard, no image is named, or Kubernetes will not take a name or a size.
    """
    if model.scorecard is None:
        raise ServingError(f"{model.uri} has no scorecard ({model.why}), and the server answers from one")
    told = images.notes("kubernetes", options.image)
    _check(options)
    called, notes = named(model, options.name, pattern=_NAME, expected=_NAMED, target="kubernetes", most=45)
    notes += told
    made = Manifests(model, called, options)
    beside = [
        File(f"manifests/{place:02d}-{kind.lower()}.yaml", as_yaml(one, f"{kind} of {made.what}"), what)
        for place, (kind, what, one) in enumerate(made.plain(), start=1)
    ]
    beside.append(
        File(
            "kserve/inferenceservice.yaml",
            as_yaml(made.kserve(), f"InferenceService of {made.what}"),
            "for KServe, instead",
        )
    )
    namespace = f"-n {options.namespace}"
    keys = () if options.open else (
        f"python -m serving keys add me --file {_KEYS_FILE}",
        f"kubectl create secret generic {made.secret} {namespace} --from-file={_KEYS_FILE}",
    )  # fmt: skip
    if options.open:
        notes += ("anyone who reaches the Service is answered: restrict access to it",)
    return PackagePlan(
        target="kubernetes",
        variant=FILES,
        reason="the image contains the version; the manifests run it",
        name=called,
        **model.facts,
        package=(),
        beside=tuple(beside),
        settings={name: getattr(options, name) for name in _SHOWN} | {"secret": "" if options.open else made.secret},
        environment=made.variables,
        notes=(*notes, f"KServe's V2 protocol: POST /v2/models/{quote(model.title, safe='')}/infer"),
        commands=(
            *keys,
            f"kubectl apply {namespace} -f manifests/",
            f"kubectl rollout status {namespace} deployment/{called}",
            "# or by KServe:",
            f"kubectl apply {namespace} -f kserve/",
        ),
    )


_SHOWN = ("image", "namespace", "replicas", "max_replicas", "cpu", "cpu_limit", "memory", "utilization", "open",
          "from_namespaces")  # fmt: skip


def _check(options: KubernetesOptions) -> None:
    if options.max_replicas < options.replicas:
        raise ServingError(f"kubernetes: max_replicas={options.max_replicas} is less than replicas={options.replicas}")
    if _cores(options.cpu_limit) < _cores(options.cpu) or not _cores(options.cpu):
        raise ServingError(f"kubernetes: cpu_limit={options.cpu_limit} is less than cpu={options.cpu}, or that is 0")
    if parse_size(options.memory) - BESIDE < LEAST:
        raise ServingError(
            f"kubernetes: expected memory to be at least {(LEAST + BESIDE) // 2**20}Mi, found {options.memory}"
        )


def _cores(text: str) -> float:
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


class Manifests:
    """The manifests of a version.

    Attributes
    ----------
    what : the version, for people.
    variables : of the container.
    secret : the name of the Secret with the keys.
    """

    def __init__(self, model: PackagedModel, called: str, options: KubernetesOptions):
        self._called, self._options = called, options
        self.what = f"{model.name} version {model.version}" if model.version else model.digest[:19]
        self.secret = options.secret or f"{called}-keys"
        self.variables = {
            # The image refuses to serve another model than these manifests say.
            "EXPECTED_DIGEST": model.digest,
            "SERVING_GRACE": str(_GRACE),
            # Within the pod's limit, so that requests are refused before the pod is killed.
            "SERVING_MAX_MEMORY": f"{(parse_size(options.memory) - BESIDE) // 2**20}MiB",
            "SERVING_WORKERS": "1",
            **({"SERVING_OPEN": "yes"} if options.open else {"SERVING_KEYS_FILE": f"{_KEYS}/{_KEYS_FILE}"}),
        }
        self._selector = {"app.kubernetes.io/name": called}
        labels = {**self._selector, "app.kubernetes.io/component": "model-server"}
        if model.version:
            labels["app.kubernetes.io/version"] = model.version
        self._labels = labels
        self._annotations = {"model-lifecycle/model": model.title, "model-lifecycle/digest": model.digest}

    def plain(self) -> list[tuple[str, str, Manifest]]:
        """Kind, purpose and content of each manifest."""
        return [
            ("ServiceAccount", "an identity without rights", self._account()),
            ("NetworkPolicy", "who may ask it; it asks nobody", self._network()),
            ("Deployment", "the pods", self._deployment()),
            ("Service", "their address", self._service()),
            ("HorizontalPodAutoscaler", "how many there are", self._autoscaler()),
            ("PodDisruptionBudget", "how many may be taken away", self._budget()),
        ]

    def _manifest(self, version: str, kind: str, **more: Any) -> Manifest:
        metadata = {"name": self._called, "namespace": self._options.namespace, "labels": self._labels}
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}

    def _account(self) -> Manifest:
        return self._manifest("v1", "ServiceAccount", automountServiceAccountToken=False)

    def _deployment(self) -> Manifest:
        pod = {
            "serviceAccountName": self._called,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": _GRACE + _DRAIN + _SPARE,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": self._selector},
                }
            ],
            "containers": [
                self._container("server", lifecycle={"preStop": {"exec": {"command": ["sleep", str(_DRAIN)]}}})
            ],
            "volumes": self._volumes(0o440),
        }
        template = {"metadata": {"labels": self._labels, "annotations": self._annotations}, "spec": pod}
        # How many there are is the autoscaler's to say.
        spec = {
            "revisionHistoryLimit": 5,
            "selector": {"matchLabels": self._selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        }
        found = self._manifest("apps/v1", "Deployment", spec=spec)
        found["metadata"]["annotations"] = self._annotations
        return found

    def _container(self, name: str, **more: Any) -> Manifest:
        options = self._options
        mounts: list[Manifest] = [{"name": "tmp", "mountPath": "/tmp"}]
        if not options.open:
            mounts.append({"name": "keys", "mountPath": _KEYS, "readOnly": True})
        return {
            "name": name,
            "image": options.image,
            "ports": [{"name": "http1", "containerPort": PORT, "protocol": "TCP"}],
            "env": [{"name": key, "value": value} for key, value in self.variables.items()],
            "resources": {
                "requests": {"cpu": options.cpu, "memory": options.memory},
                "limits": {"cpu": options.cpu_limit, "memory": options.memory},
            },
            "startupProbe": _probe("/ready", periodSeconds=2, failureThreshold=60),
            "readinessProbe": _probe("/ready", periodSeconds=5, failureThreshold=2),
            "livenessProbe": _probe("/live", periodSeconds=10, failureThreshold=3),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumeMounts": mounts,
            **more,
        }

    def _volumes(self, mode: int) -> list[Manifest]:
        found: list[Manifest] = [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}]
        if not self._options.open:
            found.append({"name": "keys", "secret": {"secretName": self.secret, "defaultMode": mode}})
        return found

    def _service(self) -> Manifest:
        port = {"name": "http", "port": 80, "targetPort": "http1", "protocol": "TCP"}
        return self._manifest("v1", "Service", spec={"type": "ClusterIP", "selector": self._selector, "ports": [port]})

    def _autoscaler(self) -> Manifest:
        target = {"type": "Utilization", "averageUtilization": self._options.utilization}
        spec = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self._called},
            "minReplicas": self._options.replicas,
            "maxReplicas": self._options.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        }
        return self._manifest("autoscaling/v2", "HorizontalPodAutoscaler", spec=spec)

    def _budget(self) -> Manifest:
        # Not "at least one": with one pod, no node could ever be emptied.
        spec = {"maxUnavailable": 1, "selector": {"matchLabels": self._selector}}
        return self._manifest("policy/v1", "PodDisruptionBudget", spec=spec)

    def _network(self) -> Manifest:
        callers: list[Manifest] = [{"podSelector": {}}]
        for name in self._options.from_namespaces:
            callers.append({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}})
        spec = {
            "podSelector": {"matchLabels": self._selector},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": callers, "ports": [{"port": PORT, "protocol": "TCP"}]}],
            # The model is in the image: nothing is asked of anybody.
            "egress": [],
        }
        return self._manifest("networking.k8s.io/v1", "NetworkPolicy", spec=spec)

    def kserve(self) -> Manifest:
        """The InferenceService: https://kserve.github.io/website/docs/reference/crd-api"""
        container = self._container("kserve-container")
        container["env"].append({"name": "PROTOCOL", "value": "v2"})
        # Knative, by which KServe may run it, knows no such probe.
        del container["startupProbe"]
        container["livenessProbe"]["initialDelaySeconds"] = 60
        predictor = {
            "minReplicas": self._options.replicas,
            "maxReplicas": self._options.max_replicas,
            "timeout": 60,
            "automountServiceAccountToken": False,
            "containers": [container],
            # Nobody gives the files to this user here, so they are readable by all of the pod.
            "volumes": self._volumes(0o444),
        }
        found = self._manifest("serving.kserve.io/v1beta1", "InferenceService", spec={"predictor": predictor})
        found["metadata"]["annotations"] = self._annotations
        return found


def _probe(path: str, **more: int) -> Manifest:
    return {"httpGet": {"path": path, "port": "http1"}, "timeoutSeconds": 3, **more}


TARGET = Target(
    "kubernetes",
    "Manifests that run the docker target's image on Kubernetes, plain or by KServe.",
    KubernetesOptions,
    plan,
)
