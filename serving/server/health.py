"""Routes of MLflow's protocol and the short forms: predictions, health, and what is served."""

from serving.contract import RequestError
from serving.scorecard import Scorecard
from serving.server.guard.admission import OPEN
from serving.server.messages import Request, Response
from serving.server.model_lookup import AGAIN, NotYet, find_model
from serving.server.protocols.lenient import named, release
from serving.server.protocols.mlflow import MLFLOW, written
from serving.server.pyfunc.model import PyfuncModel
from serving.server.router import GET, POST, Route, Router, versioned
from serving.server.settings import ServerSettings
from serving.server.state import Served, ServedModel

# MLflow's clients, SageMaker and Google read only the status; TorchServe's clients read the body.
_HEALTHY, _UNHEALTHY = b'{"status": "Healthy"}\n', b'{"status": "Unhealthy"}\n'


def add(router: Router, settings: ServerSettings) -> None:
    """Register the routes."""
    predicting = Route(POST, protocol=MLFLOW)
    ping = Route(GET, answer=alive, access=OPEN)
    router.add("/invocations", predicting)
    router.add("/predict", Route(POST, protocol=MLFLOW))
    router.add("/ping", ping)
    router.add("/health", ping)
    router.add("/ready", Route(GET, answer=ready, access=OPEN))
    router.add("/live", Route(GET, answer=live, access=OPEN))
    router.add("/version", Route(GET, answer=mlflow_version, access=OPEN))
    router.add("/models", Route(GET, answer=listed))
    router.under("models", of_model)
    if settings.predict_route:
        router.add(settings.predict_route, predicting)
    if settings.health_route:
        router.add(settings.health_route, ping)


def of_model(parts: list[str]) -> Route | None:
    """The routes below ``/models/NAME``, and below ``/models/NAME/versions/V``."""
    name, number, rest = versioned(parts)
    if not rest:
        return Route(GET, answer=details, model=name, version=number)
    if len(rest) > 1 or rest[0] not in ("invocations", "predict", "ping", "health"):
        return None
    if rest[0] in ("ping", "health"):
        return Route(GET, answer=alive, model=name, version=number)
    return Route(POST, protocol=MLFLOW, model=name, version=number)


def live(request: Request, served: Served, route: Route) -> Response:
    """Liveness: the process is running."""
    return Response(200, written({"status": "live"}))


def ready(request: Request, served: Served, route: Route) -> Response:
    """Readiness: 503 until a model is served."""
    number = sum(found.champion.ready for found in served.models.values())
    if number:
        return Response(200, written({"status": "ready", "models": number}))
    try:
        if served.models:
            raise NotYet(f"the server is loading its models; try again in {AGAIN} s")
        find_model(served, None)
    except RequestError as error:
        headers = getattr(error, "headers", ())
        return Response(503, written({"status": "not ready", **error.payload()}), headers=headers)
    raise AssertionError("a default without models")


def alive(request: Request, served: Served, route: Route) -> Response:
    """MLflow's ``/ping``, which SageMaker and Google use: 200 if the model is served."""
    if route.model is None or served.loading:
        healthy = any(found.champion.ready for found in served.models.values())
        return Response(200, _HEALTHY) if healthy else Response(503, _UNHEALTHY)
    if route.model not in served.models:
        return Response(404, _UNHEALTHY)
    ready = served.models[route.model].champion.ready
    return Response(200, _HEALTHY) if ready else Response(503, _UNHEALTHY)


def mlflow_version(request: Request, served: Served, route: Route) -> Response:
    """The release of MLflow that is installed here, as MLflow's own server answers."""
    return Response(200, release("mlflow", "none").encode(), media_type=b"text/plain; charset=utf-8")


def listed(request: Request, served: Served, route: Route) -> Response:
    """All models that are served, and those that are not with the reason."""
    content = {
        "models": [described(found) for found in served.models.values()],
        "default": served.default,
        "refused": dict(served.refused),
    }
    return Response(200, written(content))


def details(request: Request, served: Served, route: Route) -> Response:
    """One model: its versions and inputs."""
    found, chosen = named(served, route)
    card = chosen.card
    content = {
        **described(found),
        "task": card.task,
        "digest": card.digest,
        "classes": card.classes,
        "inputs": [{**item.to_dict(), "required": item.name not in card.optional} for item in card.inputs],
    }
    if isinstance(card, PyfuncModel):
        content["signature"] = {"inputs": card.signature.given, "params": card.signature.params}
        content["lanes"] = [
            {"up": lane.up, "starts": lane.starts, "memory": lane.memory} for lane in card.places.states()
        ]
    content["request" if chosen.loose else "example"] = dict(chosen.example)
    return Response(200, written(content), model=found.name, version=chosen.version)


def described(found: ServedModel) -> dict:
    """A model in a list."""
    challenger = found.challenger
    content = {
        "name": found.name,
        "version": found.champion.version,
        "stage": found.champion.stage,
        "challenger": challenger.version if challenger else None,
        "traffic": {"mode": found.traffic.mode, "weight": found.traffic.weight},
        "refused": found.refused,
        "served_by": "scorecard" if isinstance(found.champion.card, Scorecard) else "pyfunc",
        "ready": found.champion.ready,
    }
    if isinstance(found.champion.card, PyfuncModel) and not found.champion.ready:
        content["refused"] = found.refused or found.champion.card.lanes.trouble()
    return content
