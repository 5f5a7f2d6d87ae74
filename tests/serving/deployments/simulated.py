"""A simulated AWS: moto's server, with what it leaves out and these tests need, and faults on demand.

moto accepts Lambda functions, published versions, aliases with weights and function URLs, but it runs no code. Added
here are: revisions, with the preconditions that name them; the check of a code's digest when a version is published;
p99 in CloudWatch (the largest value); provisioned concurrency; updates of settings that moto passes over. What it
cannot show is whether AWS itself agrees.
"""

import contextlib
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from moto.backends import get_backend
from moto.cloudwatch import models as cloudwatch
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests import stores

ACCOUNT = "123456789012"
REGION = "eu-central-1"

_FUNCTION = re.compile(r"/20\d\d-\d\d-\d\d/functions/(?P<name>[^/]+)(?P<rest>/.*)?")


class Statistics(cloudwatch.Statistics):
    """moto's, and a percentile: of the few values that a test puts, the largest."""

    def get_statistics_for_type(self, stat: str):
        if stat.startswith("p"):
            self.stats.append("Maximum")
            return super().get_statistics_for_type("Maximum")
        return super().get_statistics_for_type(stat)


cloudwatch.Statistics = Statistics  # type: ignore[misc]


@dataclass(frozen=True)
class Call:
    """A request that came: ``PUT /2015-03-31/functions/f/code``, or ``POST CreateRole``."""

    method: str
    action: str
    body: bytes = field(repr=False)

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET" and not re.match("(Get|List|Describe)", self.action)

    def __str__(self) -> str:
        return f"{self.method} {self.action}"


class Cut(Exception):
    """The connection is lost."""


@dataclass
class Simulated:
    """The server's state that a test looks at or sets.

    Parameters
    ----------
    calls : that came.
    before, after : are called with each, before it is passed on, and after; they may raise ``Cut``, and ``before`` may
        give a status to be answered instead, alone or with a code and words.
    telling : may change what is told of a function.
    answers : from a request's payload to what the function answers; None for what moto answers.
    invoked : the function, the qualifier and the payload of every invocation.
    provisioned : by function and version.
    """

    address: str = ""
    calls: list[Call] = field(default_factory=list)
    before: Callable[[Call], int | tuple[int, str, str] | None] = lambda call: None
    after: Callable[[Call], None] = lambda call: None
    deployment_errors: Callable[[dict], None] = lambda configuration: None
    answers: Callable[[bytes], bytes] | None = None
    invoked: list[tuple[str, str, bytes]] = field(default_factory=list)
    provisioned: dict[tuple[str, str], int] = field(default_factory=dict)

    def reset(self) -> None:
        """Forget everything."""
        for service in ("lambda", "iam", "cloudwatch", "logs"):
            for account in get_backend(service).values():
                for backend in account.values():
                    backend.reset()
        fresh = Simulated(self.address)
        self.__dict__.update(fresh.__dict__)

    def state(self) -> dict[str, Any]:
        """What the cloud holds, without what is different each time: for comparing two ways to the same end."""
        backend = get_backend("lambda")[ACCOUNT][REGION]
        found: dict[str, Any] = {}
        for function in backend.list_functions():
            name = function.function_name
            found[name] = {
                "versions": [_steady(one.get_configuration()) for one in backend.list_versions_by_function(name)],
                "aliases": [_steady(one.to_json()) for one in backend.list_aliases(name)],
                "tags": function.tags,
                "url": function.url_config and function.url_config.config,
                "reserved": function.reserved_concurrency,
            }
        iam = get_backend("iam")[ACCOUNT]["aws"]
        logs = get_backend("logs")[ACCOUNT][REGION]
        return {
            "functions": found,
            "provisioned": dict(self.provisioned),
            "roles": {role.name: dict(role.policies) for role in iam.roles.values()},
            "logs": {group.name: group.retention_in_days for group in logs.groups.values()},
        }


def _steady(content: dict[str, Any]) -> dict[str, Any]:
    content = {key: value for key, value in content.items() if key not in ("LastModified", "RevisionId")}
    # When a trial began is as different as the time.
    if "Description" in content:
        content["Description"] = re.sub(r"since=\d+", "since=?", content["Description"])
    return content


class _Front:
    """What stands before moto."""

    def __init__(self, simulated: Simulated):
        self.simulated = simulated
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        call = Call(environ["REQUEST_METHOD"], _action(environ, body), body)
        self.simulated.calls.append(call)
        try:
            fault = self.simulated.before(call)
            if isinstance(fault, int):
                fault = fault, _CODES.get(fault, "ServiceException"), "as the test wants it"
            if fault and not call.action.startswith("/20"):
                return _refuse_as_xml(start_response, *fault)
            if fault:
                return _refuse(start_response, *fault)
            with self.lock:
                answer = self._answer(call, environ, start_response)
            self.simulated.after(call)
            return answer
        except Cut:
            # The answer never comes: the connection is closed in its middle.
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError from None

    def _answer(self, call: Call, environ, start_response):
        found = _FUNCTION.fullmatch(call.action)
        if not found:
            return self.moto(environ, start_response)
        name, rest = found["name"], found["rest"] or ""
        if rest == "/invocations" and self.simulated.answers:
            return self._invoke(name, call, environ, start_response)
        if rest.startswith("/provisioned-concurrency"):
            return self._provisioned(name, call, environ, start_response)
        if call.method == "DELETE" and not rest and (version := self._qualifier(environ)):
            backend = get_backend("lambda")[ACCOUNT][REGION]
            if any(version in (one.function_version, *_weights(one)) for one in backend.list_aliases(name)):
                return _refuse(start_response, 409, "ResourceConflictException", "The version has aliases")
        elif call.method == "DELETE" and not rest:
            kept = self.simulated.provisioned
            self.simulated.provisioned = {key: count for key, count in kept.items() if key[0] != name}
        refused = self._precondition(name, rest, call)
        if refused:
            return _refuse(start_response, *refused)
        return self._revised(name, rest, call, environ, start_response)

    @staticmethod
    def _qualifier(environ) -> str:
        return parse_qs(environ.get("QUERY_STRING", "")).get("Qualifier", [""])[0]

    def _invoke(self, name: str, call: Call, environ, start_response):
        qualifier = self._qualifier(environ) or "$LATEST"
        try:
            get_backend("lambda")[ACCOUNT][REGION].get_function(name, qualifier)
        except Exception:
            return _refuse(start_response, 404, "ResourceNotFoundException", "Function not found")
        self.simulated.invoked.append((name, qualifier, call.body))
        headers = [("Content-Type", "application/json")]
        try:
            content = self.simulated.answers(call.body)  # type: ignore[misc]
        except Exception as error:
            headers.append(("X-Amz-Function-Error", "Unhandled"))
            content = json.dumps({"errorMessage": str(error), "errorType": type(error).__name__}).encode()
        start_response("200 OK", headers)
        return [content]

    def _precondition(self, name: str, rest: str, call: Call) -> tuple[int, str, str] | None:
        """moto knows no revisions: the refusal that AWS has where one is not the latest."""
        if call.method == "GET" or call.method == "DELETE" or not call.body:
            return None
        given = json.loads(call.body)
        backend = get_backend("lambda")[ACCOUNT][REGION]
        try:
            latest = backend.get_function(name, None)
        except Exception:
            return None
        if rest.startswith("/aliases/"):
            alias = backend.list_aliases(name)
            current = next((one.revision_id for one in alias if one.name == rest.rpartition("/")[2]), None)
        else:
            current = _revision(latest.get_configuration())
        if given.get("RevisionId") and current and given["RevisionId"] != current:
            return 412, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id."
        wanted = given.get("CodeSha256")
        if rest == "/versions" and wanted and wanted != latest.code_sha_256:
            return 400, "InvalidParameterValueException", "CodeSHA256 is different from current CodeSHA256 in $LATEST."
        return None

    def _revised(self, name: str, rest: str, call: Call, environ, start_response):
        """Pass on, and tell the revision that moto does not; settings that moto passes over are set."""
        backend = get_backend("lambda")[ACCOUNT][REGION]
        if call.method == "PUT" and rest == "/configuration":
            given, latest = json.loads(call.body), backend.get_function(name, None)
            latest.kms_key_arn = given.get("KMSKeyArn", latest.kms_key_arn)
            latest.tracing_config = given.get("TracingConfig", latest.tracing_config)
            if "EphemeralStorage" in given:
                latest.ephemeral_storage = given["EphemeralStorage"]["Size"]
        if call.method == "PUT" and rest == "/code":
            given = json.loads(call.body)
            if given.get("Architectures"):
                backend.get_function(name, None).architectures = given["Architectures"]
        told: list[Any] = []

        def remember(status, headers, info=None):
            told[:] = [status, headers]

        content = b"".join(self.moto(environ, remember))
        status, headers = told
        if call.method == "PUT" and rest.startswith("/aliases/") and status.startswith("2"):
            alias = next(one for one in backend.list_aliases(name) if one.name == rest.rpartition("/")[2])
            alias.revision_id = hashlib.sha256(f"{alias.revision_id}{call.body!r}".encode()).hexdigest()
        if rest == "/versions" and status.startswith("2") and call.writes:
            # In moto a published version would change its image with the function.
            for published in backend.list_versions_by_function(name):
                published.code = dict(published.code)
        if status.startswith("2") and rest in ("", "/configuration", "/code"):
            answer = json.loads(content or b"{}")
            of = answer.get("Configuration", answer)
            if "FunctionName" in of:
                self.simulated.deployment_errors(of)
                of["RevisionId"] = _revision(backend.get_function(name, None).get_configuration())
                content = json.dumps(answer).encode()
                headers = [(key, value) for key, value in headers if key.lower() != "content-length"]
        start_response(status, headers)
        return [content]

    def _provisioned(self, name: str, call: Call, environ, start_response):
        query = parse_qs(environ.get("QUERY_STRING", ""))
        kept = self.simulated.provisioned
        qualifier = query.get("Qualifier", [""])[0]
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        if query.get("List"):
            listed = [
                {
                    "FunctionArn": f"{arn}:{version}",
                    "RequestedProvisionedConcurrentExecutions": count,
                    "Status": "READY",
                }
                for (function, version), count in kept.items()
                if function == name
            ]
            return _json(start_response, 200, {"ProvisionedConcurrencyConfigs": listed})
        if call.method == "PUT":
            kept[name, qualifier] = json.loads(call.body)["ProvisionedConcurrentExecutions"]
        if (name, qualifier) not in kept:
            return _refuse(start_response, 404, "ProvisionedConcurrencyConfigNotFoundException", "none")
        if call.method == "DELETE":
            del kept[name, qualifier]
            return _json(start_response, 204, {})
        count = kept[name, qualifier]
        return _json(start_response, 202, {"RequestedProvisionedConcurrentExecutions": count, "Status": "READY"})


def _weights(alias) -> dict[str, float]:
    return (alias.to_json().get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}


def _action(environ, body: bytes) -> str:
    """What is asked for: a path, or the name of the action where every service has but one path."""
    path = environ["PATH_INFO"]
    if named := environ.get("HTTP_X_AMZ_TARGET"):
        return named.rpartition(".")[2]
    if path.startswith("/service/"):
        return path.rpartition("/")[2]
    found = re.search(rb"Action=(\w+)", body) if path == "/" else None
    return found.group(1).decode() if found else path


_CODES = {429: "TooManyRequestsException", 409: "ResourceConflictException"}


def _revision(configuration: dict[str, Any]) -> str:
    kept = {key: value for key, value in configuration.items() if key not in ("LastModified", "LastUpdateStatus")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def _refuse(start_response, status: int, code: str, words: str):
    return _json(start_response, status, {"Type": "User", "message": words, "Message": words}, code=code)


def _refuse_as_xml(start_response, status: int, code: str, words: str):
    start_response(f"{status} Said", [("Content-Type", "text/xml")])
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error>"
    return [f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>".encode()]


def _json(start_response, status: int, content: dict, *, code: str = ""):
    headers = [("Content-Type", "application/json")]
    if code:
        headers.append(("x-amzn-ErrorType", code))
    start_response(f"{status} Said", headers)
    return [json.dumps(content).encode() if status != 204 else b""]


@contextlib.contextmanager
def running() -> Iterator[Simulated]:
    """The simulated cloud on a port of its own."""
    simulated = Simulated()
    server = make_server(stores.HOST, 0, _Front(simulated), threaded=True)
    simulated.address = f"http://{stores.HOST}:{server.port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield simulated
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
