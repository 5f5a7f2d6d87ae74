"""Google Cloud Functions, the second generation: ``main.py`` for functions-framework, and the scorecard."""

from dataclasses import dataclass

from serving.errors import ServingError

from . import cloud_functions, google, recording
from .model import PackagedModel
from .naming import named
from .options import Target, one_of, option, whole, yes_no
from .plan import File, PackagePlan

_RUNTIMES = ("python311", "python312", "python313", "python314")
_REQUIREMENTS = "functions-framework==3.10.2\n"
#: https://cloud.google.com/functions/quotas, the source's size when deployed, in bytes.
_SIZE = 500 * 1024**2
#: https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services, the name of a service.
_NAME = r"[a-z](?:[a-z0-9-]{0,47}[a-z0-9])?"


@dataclass(frozen=True)
class GcpOptions:
    """Options of a function on Google Cloud."""

    name: str = option("", "name of the function [default: after the model]")
    runtime: str = option("python312", ", ".join(_RUNTIMES), one_of(*_RUNTIMES))
    region: str = google.region("europe-west1", "region")
    memory: int = option(256, "memory, in MiB", whole(128, 32_768))
    timeout: int = option(30, "timeout of a request, in seconds", whole(1, 3_600))
    min_instances: int = option(0, "minimum number of instances", whole(0, 1_000))
    max_instances: int = option(100, "maximum number of instances", whole(1, 1_000))
    service_account: str = google.service_account("the project's, which has some")
    open: bool = option(False, "answer without Google's authentication", yes_no)
    api_keys: tuple[str, ...] = cloud_functions.api_keys()
    record: str = recording.record()
    record_share: float = recording.share()
    record_columns: tuple[str, ...] = recording.columns()
    record_hash: tuple[str, ...] = recording.hashes()


def plan(model: PackagedModel, options: GcpOptions) -> PackagePlan:
    """Return the plan of a package for Google Cloud Functions.

    Raises
    ------
    ServingError
        if the model has no scorecard, or Google will not take its name or these settings.
    """
    expected = "up to 49 lower-case letters, digits and -, a letter first"
    called, notes = named(model, options.name, pattern=_NAME, expected=expected, target="gcp-functions", most=49)
    if options.min_instances > options.max_instances:
        raise ServingError(
            f"gcp-functions: max_instances={options.max_instances} is less than min_instances={options.min_instances}"
        )
    package = cloud_functions.files(model, entry="gcp_entry", called="main.py")
    beside = (
        File("requirements.txt", _REQUIREMENTS.encode(), "what Google installs"),
        File(".gcloudignore", b".venv\nplan.json\nREADME.md\n", "what is not uploaded"),
    )
    variables = cloud_functions.variables(options.api_keys) | recording.variables(options)
    notes += recording.notes(options)
    if options.open and not options.api_keys:
        notes += ("anyone with the URL is answered: leave open at no, or set api_keys",)
    words = [
        f"gcloud functions deploy {called} --gen2 --source=. --entry-point=answer --trigger-http",
        f"--runtime={options.runtime} --region={options.region} --memory={options.memory}Mi",
        f"--timeout={options.timeout}s --min-instances={options.min_instances}",
        f"--max-instances={options.max_instances}",
        "--allow-unauthenticated" if options.open else "--no-allow-unauthenticated",
    ]
    if options.service_account:
        words.append(f"--service-account={options.service_account}")
    else:
        notes += ("it runs as the project's default service account: set service_account= to one without roles",)
    # A comma would begin another variable: gcloud lets the separator be named, by one that no shell reads as its own.
    words += [f"--set-env-vars=^@^{key}={value}" for key, value in variables.items()]
    shown = {
        name: getattr(options, name)
        for name in ("runtime", "region", "memory", "timeout", "min_instances", "max_instances")
    }
    return cloud_functions.planned(
        model,
        [*package, *beside],
        target="gcp-functions",
        called=called,
        limits={"files": _SIZE},
        settings={"name": called, **shown, "service_account": options.service_account, "open": options.open},
        environment=variables,
        notes=notes,
        commands=[" ".join(words)],
    )


TARGET = Target(
    "gcp-functions",
    "A function on Google Cloud (second generation), for HTTP.",
    GcpOptions,
    plan,
)
