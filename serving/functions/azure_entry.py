"""What Azure Functions loads (the v2 Python model); the build copies it as ``function_app.py``."""

import importlib
import logging
import os

import azure.functions as func

_log = logging.getLogger("lifecycle")
_answer = importlib.import_module("{package}.functions.function").load(os.path.dirname(os.path.abspath(__file__)))
# Application Insights finds failures by the level.
_answer.write = lambda line, severity: _log.log(logging.ERROR if severity == "ERROR" else logging.INFO, line)

app = func.FunctionApp(http_auth_level=func.AuthLevel["{level}"])


@app.function_name("answer")
@app.route(route="{*path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def answer(request: func.HttpRequest) -> func.HttpResponse:
    """Answer a request at any path."""
    path = "/" + request.route_params.get("path", "")
    found = _answer(request.method, path, request.headers.items(), request.get_body())
    return func.HttpResponse(found.body, status_code=found.status, headers=found.headers, mimetype="application/json")
