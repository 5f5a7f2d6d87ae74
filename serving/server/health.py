"""Whether the server lives, whether it is ready, and what it serves."""

from serving.contract import RequestError
from serving.server.guard.admission import OPEN
from serving.server.messages import Request, Response
from serving.server.model_lookup import model, version
from serving.server.protocols.lenient import release
from serving.server.protocols.mlflow import MLFLOW, written
from serving.server.router import GET, POST, Route, Router
from serving.server.settings import ServerSettings
from serving.server.state import Served, ServedModel

# MLflow's clients, SageMaker and Google look at the status alone; TorchServe's look at this.
_HEALTHY, _UNHEALTHY = b'{"status": "Healthy"}\n', b'{"status": "Unhealthy"}\n'


def add(router: Router, settings: ServerSettings) -> None:
    """Register MLflow's routes, the short forms', health and the list of models."""
    predicting = Route("/invocations", POST, protocol=MLFLOW)
    ping = Route("/ping", GET, answer=alive, access=OPEN)
    router.add("/invocations", predicting)
    router.add("/predict", Route("/predict", POST, protocol=MLFLOW))
    router.add("/ping", ping)
    router.add("/health", ping)
    router.add("/ready", Route("/ready", GET, answer=ready, access=OPEN))
    router.add("/live", Route("/live", GET, answer=live, access=OPEN))
    router.add("/version", Route("/version", GET, answer=mlflow_version, access=OPEN))
    router.add("/models", Route("/models", GET, answer=listed))
    router.under("models", of_model)
    if settings.predict_route:
        router.add(settings.predict_route, predicting)
    if settings.health_route:
        router.add(settings.health_route, ping)


def of_model(parts: list[str]) -> Route | None:
    """The routes below ``/models/NAME``, and below ``/models/NAME/versions/V``."""
    name, *rest = parts
    of, number = "/models/{name}", None
    if len(rest) >= 2 and rest[0] == "versions":
        of, number, rest = of + "/versions/{version}", rest[1], rest[2:]
    if not rest:
        return Route(of, GET, answer=one, model=name, version=number)
    if len(rest) > 1 or rest[0] not in ("invocations", "predict", "ping", "health"):
        return None
    if rest[0] in ("ping", "health"):
        return Route(f"{of}/ping", GET, answer=alive, model=name, version=number)
    return Route(f"{of}/{rest[0]}", POST, protocol=MLFLOW, model=name, version=number)


def live(request: Request, served: Served, route: Route) -> Response:
    """The process lives; whether it can answer is another question."""
    return Response(200, written({"status": "live"}))


def ready(request: Request, served: Served, route: Route) -> Response:
    """Whether there is a model that can be asked: 503 until there is."""
    if served.models:
        return Response(200, written({"status": "ready", "models": len(served.models)}))
    try:
        model(served, None)
    except RequestError as error:
        headers = getattr(error, "headers", ())
        return Response(503, written({"status": "not ready", **error.payload()}), headers=headers)
    raise AssertionError("a default without models")


def alive(request: Request, served: Served, route: Route) -> Response:
    """As MLflow's own server answers: 200 where the model can be asked; SageMaker and Google ask this."""
    if route.model is None or served.loading:
        return Response(200, _HEALTHY) if served.models else Response(503, _UNHEALTHY)
    return Response(200, _HEALTHY) if route.model in served.models else Response(404, _UNHEALTHY)


def mlflow_version(request: Request, served: Served, route: Route) -> Response:
    """The release of MLflow beside which this runs, as MLflow's own server tells it."""
    return Response(200, release("mlflow", "none").encode(), media_type=b"text/plain; charset=utf-8")


def listed(request: Request, served: Served, route: Route) -> Response:
    """All models that are served, and those that are not, with the reason."""
    content = {
        "models": [described(found) for found in served.models.values()],
        "default": served.default,
        "refused": dict(served.refused),
    }
    return Response(200, written(content))


def one(request: Request, served: Served, route: Route) -> Response:
    """One model: its versions, and its inputs as they are asked for."""
    found = model(served, route.model)
    chosen = version(found, route.version) if route.version else found.champion
    card = chosen.card
    content = {
        **described(found),
        "task": card.task,
        "classes": card.classes,
        "inputs": [{**item.to_dict(), "required": item.name not in card.optional} for item in card.inputs],
        "example": dict(chosen.example),
    }
    return Response(200, written(content), model=found.name, version=chosen.version)


def described(found: ServedModel) -> dict:
    """A model in a list."""
    challenger = found.challenger
    return {
        "name": found.name,
        "version": found.champion.version,
        "stage": found.champion.stage,
        "challenger": challenger.version if challenger else None,
        "traffic": {"mode": found.traffic.mode, "weight": found.traffic.weight},
        "refused": found.refused,
    }
