"""A Lambda function in front of a SageMaker endpoint: requests are checked there, and only good rows go on."""

import shlex
from dataclasses import dataclass
from typing import Any

from serving.errors import ServingError
from serving.functions.aws_lambda.proxy import ATTEMPTS
from serving.functions.signature import Signature
from serving.models.files import Folder, mlmodel

from . import bytecode, code
from .aws_lambda import iam, settings
from .aws_lambda.planning import planned
from .aws_lambda.settings import FunctionOptions
from .model import PackagedModel
from .options import Target, listed, matching, option, some_of, whole
from .plan import File, PackagePlan

_HANDLERS = (
    "web.py",
    *("keys.py", "failures.py", "answer_cache.py", "passing.py", "sagemaker.py"),
    *(f"aws_lambda/{name}.py" for name in ("__init__", "handler", "runtime", "http", "large", "queue", "proxy")),
)
#: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html
_NAME = r"[A-Za-z0-9](?:-*[A-Za-z0-9]){0,62}"
#: https://www.rfc-editor.org/rfc/rfc9110#name-media-type, without parameters.
_MEDIA = r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*"
#: Beyond its waiting, what one try takes to connect, and all of them to pause in between; in seconds.
_CONNECT, _PAUSES = 1, 3


@dataclass(frozen=True)
class ProxyOptions(FunctionOptions):
    """Options of the function: those of any on AWS Lambda, and the endpoint's."""

    endpoint: str = option(
        "",
        "SageMaker endpoint of the model (required)",
        matching(_NAME, "up to 63 letters, digits and single -"),
    )
    endpoint_timeout: int = option(
        7, f"timeout of a call to the endpoint, in seconds; it is tried {ATTEMPTS} times", whole(1, 60)
    )
    cache_rows: int = option(1_000, "answers to cache, one for each row; 0 for none", whole(0, 100_000))
    cache_seconds: int = option(60, "how long answers are cached, in seconds", whole(0, 86_400))
    accept: tuple[str, ...] = option(
        (),
        "media types of bodies to pass on as they are, such as image/jpeg,application/x-npy",
        listed(_MEDIA, "media types in lower case, such as image/jpeg,application/x-npy"),
    )
    events: tuple[str, ...] = option((), "further event sources: sqs", some_of(settings.SQS))
    memory: int = option(512, "memory, 128 to 10,240 MB", whole(128, 10_240))
    timeout: int | None = option(
        None, "timeout, in seconds [default: enough for all tries of the endpoint, and at least 29]", whole(1, 900)
    )


def plan(model: PackagedModel, options: ProxyOptions) -> PackagePlan:
    """Return the plan of a function in front of a SageMaker endpoint.

    Raises
    ------
    ServingError
        if no endpoint is named, Lambda will not take it, or the model does not say which columns it reads.
    """
    endpoint = options.endpoint
    if not endpoint:
        raise ServingError("sagemaker-proxy: option endpoint: expected the endpoint's name; give -C endpoint=NAME")
    settings.check(options)
    longest = ATTEMPTS * (options.endpoint_timeout + _CONNECT) + _PAUSES
    if options.timeout and options.timeout < longest:
        raise ServingError(
            f"sagemaker-proxy: {ATTEMPTS} tries of {options.endpoint_timeout} s take up to {longest} s, "
            f"and timeout={options.timeout} is shorter; nobody would hear that the endpoint is away"
        )
    called, notes = _called(model, options)
    package = _files(model, options)
    if options.accept:
        notes += (
            "bodies of the types in accept are not checked, and answers come as the endpoint gives them; a REST API "
            "has to list these types as binary",
        )
    if options.bytecode:
        package += bytecode.compiled(package, options.runtime)
    timeout = max(29, longest)
    if options.front == settings.HTTP_API and (options.timeout or timeout) > 30:
        notes += ("an HTTP API times out after 30 s: set a shorter endpoint_timeout, or front=function-url",)
    what = f"{model.name} version {model.version}" if model.version else model.digest[:19]
    return planned(
        model,
        called,
        options,
        package,
        target="sagemaker-proxy",
        about=f"{what} at the SageMaker endpoint {endpoint}",
        reason="the model stays at the SageMaker endpoint; the function needs boto3 alone, which Lambda brings",
        memory=512,
        timeout=timeout,
        variables={
            "ENDPOINT_NAME": endpoint,
            "ENDPOINT_TIMEOUT": str(options.endpoint_timeout),
            "CACHE_ROWS": str(options.cache_rows),
            "CACHE_SECONDS": str(options.cache_seconds),
            **({"ACCEPT": " ".join(options.accept)} if options.accept else {}),
        },
        more=(iam.endpoint(endpoint),),
        notes=notes,
        commands=_commands(model, endpoint),
    )


def _called(model: PackagedModel, options: ProxyOptions) -> tuple[str, tuple[str, ...]]:
    """The function's name: not that of the function which holds the model itself."""
    called, notes = settings.name(model, options)
    if options.name:
        return called, notes
    called = called[:58].rstrip("-") + "-proxy"
    return called, (f"the function is called {called}: give -C name= for another name",)


def _files(model: PackagedModel, options: ProxyOptions) -> tuple[File, ...]:
    about = {**model.about, "contract": contract(model, unknown=bool(options.accept))}
    _, modules = code.lambda_function(_HANDLERS, "proxy")
    return (File("about.json", code.compact(about), "which version it is, and what it reads"), *modules)


def contract(model: PackagedModel, *, unknown: bool = False) -> dict[str, Any]:
    """What the function has to know of a model to check requests: its columns, how text is read, its classes.

    Parameters
    ----------
    unknown : whether a model that does not say its columns is proxied, for bodies that are passed on as they are.

    Raises
    ------
    ServingError
        if it has neither a scorecard nor a signature of named columns.
    """
    card = model.scorecard
    if card is not None:
        return {
            "inputs": [item.to_dict() for item in card.inputs],
            "optional": sorted(card.optional),
            "cleaning": {"trim": card.cleaning.trim, "missing": sorted(card.cleaning.missing)},
            "classes": card.classes,
            "probabilities": card.has_probabilities,
        }
    signature = Signature(mlmodel(Folder(model.folder)))
    if signature.loose and not unknown:
        raise ServingError(
            f"{model.uri} cannot be proxied: its signature has no named columns of plain types; log it with an input "
            "example that is a DataFrame, or give -C accept= to pass bodies of other types on"
        )
    return {
        "inputs": [item.to_dict() for item in signature.inputs],
        "optional": sorted(signature.optional),
        "cleaning": {"trim": False, "missing": []},
        "classes": None,
        "probabilities": False,
    }


def _commands(model: PackagedModel, endpoint: str) -> tuple[str, ...]:
    uri = shlex.quote(f"models:/{model.name}/{model.version}" if model.version else model.uri)
    found = [
        "# the endpoint, by MLflow's own image:",
        "mlflow sagemaker build-and-push-container",
        f"mlflow deployments create -t sagemaker:/REGION --name {endpoint} -m {uri} -C execution_role_arn=ROLE_ARN",
    ]
    if model.scorecard is not None:
        creating = [
            f"create-model --model-name {endpoint} --execution-role-arn ROLE_ARN --primary-container Image=IMAGE",
            f"create-endpoint-config --endpoint-config-name {endpoint} --production-variants "
            f"VariantName=main,ModelName={endpoint},InitialInstanceCount=1,InstanceType=ml.t2.medium",
            f"create-endpoint --endpoint-name {endpoint} --endpoint-config-name {endpoint}",
        ]
        found += [
            "# or by this project's image, pushed to ECR:",
            f"python -m serving package {uri} --target docker -C open=yes -o image",
            *(f"aws sagemaker {words}" for words in creating),
        ]
    return (*found, "# the function:")


TARGET = Target(
    "sagemaker-proxy",
    "A function on AWS Lambda in front of a SageMaker endpoint, with a small cache of its answers.",
    ProxyOptions,
    plan,
)
