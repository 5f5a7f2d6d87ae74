"""Azure Functions, the v2 Python model: ``function_app.py``, ``host.json`` and the scorecard."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import cloud_functions, recording
from .model import PackagedModel
from .naming import named
from .options import Target, one_of, option
from .plan import File, PackagePlan

FUNCTION, ANONYMOUS = "function", "anonymous"
_PYTHON = ("3.11", "3.12", "3.13")
#: What the worker of a function app brings too; named, so that a test on a laptop runs the same.
_REQUIREMENTS = "azure-functions==1.26.0\n"
#: https://learn.microsoft.com/azure/azure-functions/functions-scale: the smallest temporary storage, in bytes.
_SIZE = 500 * 1024**2
#: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules, Microsoft.Web/sites.
_NAME = r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])"


@dataclass(frozen=True)
class AzureOptions:
    """Options of a function app."""

    name: str = option("", "name of the function app, unique in Azure [default: after the model]")
    python: str = option("3.12", f"Python version: {', '.join(_PYTHON)}", one_of(*_PYTHON))
    auth: str = option(
        FUNCTION,
        "function: Azure requires the app's key (?code= or X-Functions-Key); anonymous: it does not",
        one_of(FUNCTION, ANONYMOUS),
    )
    api_keys: tuple[str, ...] = cloud_functions.api_keys()
    record: str = recording.record()
    record_share: float = recording.share()
    record_columns: tuple[str, ...] = recording.columns()
    record_hash: tuple[str, ...] = recording.hashes()


def plan(model: PackagedModel, options: AzureOptions) -> PackagePlan:
    """Return the plan of a package for Azure Functions.

    Raises
    ------
    ServingError
        if the model has no scorecard, or Azure will not take its name.
    """
    expected = "2 to 60 lower-case letters, digits and -"
    called, notes = named(model, options.name, pattern=_NAME, expected=expected, target="azure-functions")
    package = cloud_functions.files(
        model, entry="azure_entry", called="function_app.py", more={"level": options.auth.upper()}
    )
    # Azure would answer at / with a page of its own.
    variables = {"AzureWebJobsDisableHomepage": "true"}
    variables |= cloud_functions.variables(options.api_keys) | recording.variables(options)
    notes += recording.notes(options)
    beside = (
        File("host.json", _json(_HOST), "the host's settings"),
        File("requirements.txt", _REQUIREMENTS.encode(), "what Azure installs"),
        File(".funcignore", b".venv\nlocal.settings.json\nplan.json\nREADME.md\n", "what is not uploaded"),
        File("local.settings.json", _json(_local(variables)), "settings for `func start` on this machine"),
    )
    open_to_all = options.auth == ANONYMOUS and not options.api_keys
    if open_to_all:
        notes += ("anyone with the URL is answered: set auth=function or api_keys",)
    create = (
        f"az functionapp create -g GROUP -n {called} --storage-account STORAGE --flexconsumption-location REGION "
        f"--runtime python --runtime-version {options.python} --https-only true"
    )
    given = " ".join(f"{key}={value}" for key, value in variables.items())
    settle = f"az functionapp config appsettings set -g GROUP -n {called} --settings {given}"
    return cloud_functions.planned(
        model,
        [*package, *beside],
        target="azure-functions",
        called=called,
        limits={"files": _SIZE},
        settings={"Name": called, "Python": options.python, "AuthLevel": options.auth, "Route": "/{*path}"},
        environment=variables,
        notes=notes,
        commands=[create, settle, f"func azure functionapp publish {called}"],
    )


_HOST = {
    "version": "2.0",
    "extensions": {"http": {"routePrefix": ""}},
    "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
    "logging": {"applicationInsights": {"samplingSettings": {"isEnabled": True, "excludedTypes": "Request"}}},
}


def _local(variables: Mapping[str, str]) -> dict[str, Any]:
    storage = {"FUNCTIONS_WORKER_RUNTIME": "python", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    return {"IsEncrypted": False, "Values": {**storage, **variables}}


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


TARGET = Target(
    "azure-functions",
    "A function app on Azure (the v2 Python model), for HTTP.",
    AzureOptions,
    plan,
)
