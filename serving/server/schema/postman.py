"""A Postman collection, format 2.1, built from an OpenAPI document."""

import json
import re
from typing import Any

_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_PARAMETER = re.compile(r"\{(\w+)\}")


def collection(document: dict[str, Any]) -> dict[str, Any]:
    """A folder for each tag with a request for each operation and example, which tests its status when it is run.

    Set the variables ``baseUrl``, and ``key`` if the server needs one.
    """
    folders: dict[str, list] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        shared = {parameter["name"]: parameter for parameter in item.get("parameters", ())}
        for method in ("get", "post"):
            if method in item:
                folders[item[method]["tags"][0]] += _requests(path, method.upper(), item[method], shared)
    found: dict[str, Any] = {
        "info": {
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "version": document["info"]["version"],
            "schema": _SCHEMA,
        },
        "item": [{"name": name, "item": requests} for name, requests in folders.items()],
        "variable": [{"key": "baseUrl", "value": "http://127.0.0.1:8080"}, {"key": "key", "value": ""}],
    }
    if "security" in document:
        bearer = [{"key": "token", "value": "{{key}}", "type": "string"}]
        found["auth"] = {"type": "bearer", "bearer": bearer}
    return found


def _requests(path: str, method: str, operation: dict, parameters: dict) -> list[dict]:
    bodies: list[tuple[str, str, str]] = []
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        if "example" in content:
            bodies.append((media, media, content["example"]))
        for name, example in content.get("examples", {}).items():
            bodies.append((name, media, json.dumps(example["value"], indent=2, ensure_ascii=False)))
    base: dict[str, Any] = {"method": method, "url": _url(path, parameters)}
    if operation.get("security") == []:
        base["auth"] = {"type": "noauth"}
    name = f"{operation['summary']}: {path}"
    if not bodies:
        return [_item(name, base)]
    return [
        _item(
            f"{name} ({said})",
            {
                **base,
                "header": [{"key": "Content-Type", "value": media}],
                "body": {"mode": "raw", "raw": body, "options": {"raw": {"language": _language(media)}}},
            },
        )
        for said, media, body in bodies
    ]


def _item(name: str, request: dict) -> dict:
    lines = ['pm.test("is answered", () => pm.response.to.have.status(200));']
    return {
        "name": name,
        "request": request,
        "response": [],
        "event": [{"listen": "test", "script": {"type": "text/javascript", "exec": lines}}],
    }


def _url(path: str, parameters: dict) -> dict:
    # Postman's path variables are whole segments; ours may be followed by a verb.
    filled = _PARAMETER.sub(lambda found: str(parameters[found[1]]["example"]), path)
    return {"raw": "{{baseUrl}}" + filled, "host": ["{{baseUrl}}"], "path": filled.strip("/").split("/")}


def _language(media: str) -> str:
    return "json" if media.endswith("json") else "text"
