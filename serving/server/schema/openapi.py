"""The OpenAPI 3.1 document of what is served: each model with its own columns, types and examples."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from serving.server.protocols.lenient import loaded, release
from serving.server.schema import examples
from serving.server.schema.components import ERRORS, SHARED, key, of_model, ref
from serving.server.settings import ServerSettings
from serving.server.state import Served, ServedModel

_JSON = "application/json"
#: What the statuses of errors mean.
REFUSED = {
    400: "The request is malformed, or a value is not accepted: the message names row and column.",
    404: "There is no such model or version.",
    408: "The request did not arrive in time.",
    413: "The request is too large, or has too many rows.",
    415: "The media type or the encoding is not supported.",
    429: "The rate limit is reached; Retry-After says when to try again.",
    500: "An error of the server; the request may be repeated.",
    503: "The server is too busy (Retry-After says when to try again), or serves no model yet.",
    504: "The answer took too long: send fewer rows at a time.",
}
_KEYED = {401: "The key is missing or unknown.", 403: "The key does not allow this."}
_FORMS = {"mlflow": "mlflow", "v2": "plain", "tensorflow": "plain", "torchserve": "torchserve"}
_ANSWERED = {
    "X-Model-Version": {"description": "The version that answered, NAME/VERSION.", "schema": {"type": "string"}}
}


def build(served: Served, settings: ServerSettings) -> dict[str, Any]:
    """Build the document.

    Parameters
    ----------
    served : what the caller may see.
    """
    schemas: dict[str, dict] = {f"Error.{name}": form for name, form in ERRORS.items()} | dict(SHARED)
    paths: dict[str, dict] = {}
    names: dict[str, str] = {}
    for name, model in served.models.items():
        names[name] = key(name, names.values())
        schemas |= of_model(names[name], model.champion)
        paths |= _of_model(model, names[name])
    if served.default is not None and served.default in served.models:
        paths = _of_default(served.models[served.default], names[served.default], settings) | paths
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Served models",
            "version": release(),
            "description": "Predictions of the registry's models, each in several wire formats.",
        },
        "servers": [{"url": "/"}],
        "tags": [*(_tag(model) for model in served.models.values()), {"name": "server", "description": "The server."}],
        "paths": _of_server(settings) | paths,
        "components": {"schemas": schemas, "responses": _responses(keyed=settings.keyed)},
    }
    if settings.keyed:
        bearer = {"type": "http", "scheme": "bearer", "description": "A key of the server's key file."}
        document["components"]["securitySchemes"] = {"key": bearer}
        document["security"] = [{"key": []}]
    return document


def _tag(model: ServedModel) -> dict:
    champion = model.champion
    said = f"Version {champion.version}{f', {champion.stage}' if champion.stage else ''}: a {champion.card.task}"
    said += f" of {len(champion.card.inputs)} columns."
    if model.challenger is not None:
        said += f" Version {model.challenger.version} challenges it."
    return {"name": model.name, "description": said}


def _of_default(model: ServedModel, key: str, settings: ServerSettings) -> dict:
    found = {"/invocations": {"post": _invoke(model, key, "invocations")}}
    found["/predict"] = {"post": _predict(model, key, "predict")}
    if settings.predict_route:
        found[settings.predict_route] = {"post": _invoke(model, key, "route")}
    return found


def _of_model(model: ServedModel, key: str) -> dict:
    """All paths of a model, with and without a version or label."""
    name = quote(model.name, safe="")
    version = _parameter("version", [item.version for item in loaded(model)])
    label = _parameter("label", ["champion"] + ["challenger"] * (model.challenger is not None))
    found: dict[str, dict] = {
        f"/models/{name}": {"get": _look(model, f"{key}.describe", "Versions and inputs", "mlflow")}
    }
    for suffix, parameters, id in (("", [], ""), ("/versions/{version}", [version], ".version")):
        found[f"/models/{name}{suffix}/invocations"] = {"post": _invoke(model, f"{key}", f"{key}.invocations{id}")}
        found[f"/models/{name}{suffix}/predict"] = {"post": _predict(model, key, f"{key}.predict{id}")}
        v2 = f"/v2/models/{name}{suffix}"
        found[v2] = {"get": _look(model, f"{key}.v2{id}", "Tensors of inputs and outputs", "v2")}
        found[f"{v2}/ready"] = {"get": _look(model, f"{key}.v2.ready{id}", "Whether the model is ready", "v2")}
        found[f"{v2}/infer"] = {"post": _infer(model, key, f"{key}.v2.infer{id}")}
        _with(found, parameters, suffix)
    for suffix, parameters, id in (
        ("", [], ""),
        ("/versions/{version}", [version], ".version"),
        ("/labels/{label}", [label], ".label"),
    ):
        v1 = f"/v1/models/{name}{suffix}"
        found[v1] = {"get": _look(model, f"{key}.v1{id}", "Status of the versions", "tensorflow")}
        found[f"{v1}/metadata"] = {"get": _look(model, f"{key}.v1.metadata{id}", "Signatures", "tensorflow")}
        for verb in _verbs(model):
            found[f"{v1}:{verb}"] = {"post": _verb(model, key, verb, f"{key}.v1.{verb}{id}")}
        _with(found, parameters, suffix)
    for suffix, parameters, id in (("", [], ""), ("/{version}", [version], ".version")):
        found[f"/predictions/{name}{suffix}"] = {"post": _torch(model, key, "predictions", f"{key}.torchserve{id}")}
        if model.champion.card.kind == "linear":
            at = f"/explanations/{name}{suffix}"
            found[at] = {"post": _torch(model, key, "explanations", f"{key}.torchserve.explain{id}")}
        _with(found, parameters, suffix)
    return found


def _with(found: dict, parameters: list, suffix: str) -> None:
    for path, item in found.items():
        if parameters and suffix in path:
            item.setdefault("parameters", parameters)


def _verbs(model: ServedModel) -> list[str]:
    card = model.champion.card
    found = ["predict"]
    if card.has_probabilities:
        found.append("classify")
    if card.task == "regression":
        found.append("regress")
    return found + ["explain"] * (card.kind == "linear")


def _of_server(settings: ServerSettings) -> dict:
    probes = {
        "/ping": "Whether the server is ready, for SageMaker, Google and TorchServe",
        "/health": "The same, by MLflow's name",
        "/live": "Whether the process is alive",
        "/ready": "Whether the server is ready",
        "/v2/health/live": "Whether the process is alive",
        "/v2/health/ready": "Whether the server is ready",
    }
    if settings.health_route:
        probes[settings.health_route] = probes["/ping"]
    looks = {
        "/models": ("All models, and those that are not served, with the reason", "mlflow"),
        "/v2": ("This server, as the Open Inference Protocol describes it", "v2"),
        "/v1/models": ("The names of all models", "tensorflow"),
        "/v2/models": ("The names of all models", "v2"),
        "/openapi.json": ("This document", "mlflow"),
        "/postman.json": ("This document as a Postman collection", "mlflow"),
    }
    found: dict[str, dict] = {path: {"get": _probe(path, what)} for path, what in probes.items()}
    version = {"200": {"description": "A release.", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    found["/version"] = {"get": _open("version", "The release of MLflow beside which this runs", version)}
    found |= {path: {"get": _look(None, _id(path), what, form)} for path, (what, form) in looks.items()}
    versions = {"type": "array", "items": {"type": "object"}}
    listed = _look(None, "v2.index", "All versions that are served", "v2", schema=versions)
    found["/v2/repository/index"] = {"post": listed}
    if settings.metrics:
        text = {"200": {"description": "Metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}}
        text |= _errors("mlflow", (429, 503))
        found["/metrics"] = {
            "get": {
                "tags": ["server"],
                "operationId": "metrics",
                "summary": "Metrics for Prometheus",
                "responses": text,
            }
        }
    return found


def _id(path: str) -> str:
    return path.strip("/").replace("/", ".")


def _probe(path: str, what: str) -> dict:
    answers = {
        "200": {"description": "It can.", "content": {_JSON: {"schema": {}}}},
        "503": {"description": "Not yet.", "content": {_JSON: {"schema": {}}}},
    }
    return _open(_id(path), what, answers)


def _open(id: str, what: str, responses: dict) -> dict:
    """An operation that needs no key."""
    return {"tags": ["server"], "operationId": id, "summary": what, "security": [], "responses": responses}


def _look(model: ServedModel | None, id: str, what: str, form: str, *, schema: dict | None = None) -> dict:
    answer = {"description": what + ".", "content": {_JSON: {"schema": schema or {"type": "object"}}}}
    return {
        "tags": [model.name if model else "server"],
        "operationId": id,
        "summary": what,
        "responses": {"200": answer, **_errors(form, (404, 429, 500, 503))},
    }


def _ask(model: ServedModel, id: str, what: str, form: str, content: dict, answer: dict) -> dict:
    said = {"description": "The answers.", "headers": _ANSWERED, "content": answer}
    return {
        "tags": [model.name],
        "operationId": id,
        "summary": what,
        "requestBody": {"required": True, "content": content},
        "responses": {"200": said, **_errors(form, REFUSED)},
    }


def _invoke(model: ServedModel, key: str, id: str) -> dict:
    content: dict[str, dict] = _body(f"{key}.Invocation", examples.mlflow(model.champion))
    if not model.champion.loose:
        content["text/csv"] = {"schema": {"type": "string"}, "example": _csv(examples.row(model.champion))}
    return _ask(model, id, "MLflow's scoring protocol", "mlflow", content, _json(f"{key}.Predictions"))


def _predict(model: ServedModel, key: str, id: str) -> dict:
    content = _body(f"{key}.Short", examples.short(model.champion))
    return _ask(model, id, "The short forms", "mlflow", content, _json(f"{key}.ShortAnswer"))


def _infer(model: ServedModel, key: str, id: str) -> dict:
    content = _body(f"{key}.Inference", examples.v2(model.champion))
    return _ask(model, id, "Open Inference Protocol V2", "v2", content, _json("InferenceResponse"))


def _verb(model: ServedModel, key: str, verb: str, id: str) -> dict:
    asked = "Examples" if verb in ("classify", "regress") else "Instances"
    answer: dict = {_JSON: {"schema": {"type": "object"}}} if verb != "predict" else _json(f"{key}.InstancesAnswer")
    content = _body(f"{key}.{asked}", examples.tensorflow(model.champion, verb))
    return _ask(model, id, f"TensorFlow Serving, KServe V1: {verb}", "tensorflow", content, answer)


def _torch(model: ServedModel, key: str, what: str, id: str) -> dict:
    content = {_JSON: {"schema": {}, "examples": _named(examples.torchserve(model.champion))}}
    return _ask(model, id, f"TorchServe: {what}", "torchserve", content, {_JSON: {"schema": {}}})


def _body(schema: str, bodies: dict[str, Any]) -> dict:
    return {_JSON: {"schema": ref(schema), "examples": _named(bodies)}}


def _named(bodies: dict[str, Any]) -> dict:
    return {name: {"value": body} for name, body in bodies.items()}


def _json(schema: str) -> dict:
    return {_JSON: {"schema": ref(schema)}}


def _csv(row: dict) -> str:
    import csv
    import io

    out = io.StringIO()
    csv.writer(out).writerows([row.keys(), ["" if value is None else value for value in row.values()]])
    return out.getvalue()


def _parameter(name: str, values: list[str]) -> dict:
    return {"name": name, "in": "path", "required": True, "schema": {"enum": values}, "example": values[0]}


def _errors(form: str, statuses: Iterable[int]) -> dict:
    return {
        str(status): {"$ref": f"#/components/responses/{_FORMS[form]}.{status}"}
        for status in sorted({*statuses, *_KEYED})
    }


def _responses(*, keyed: bool) -> dict:
    return {
        f"{form}.{status}": {"description": what, "content": _json(f"Error.{form}")}
        for form in ERRORS
        for status, what in (REFUSED | _KEYED).items()
    }
