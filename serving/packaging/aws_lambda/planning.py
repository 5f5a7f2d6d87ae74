"""The plan of a package for AWS Lambda, zip or image, with the templates that deploy it and a sample event."""

import json
from collections.abc import Mapping, Sequence

from ..code import HANDLER, NOTE
from ..model import PackagedModel
from ..plan import CONTAINER, ZIP, File, Limit, PackagePlan, Permission
from ..render import as_yaml
from ..zipping import zipped
from . import iam, sam, serverless, settings
from .events import http_event
from .settings import FunctionOptions
from .spec import FunctionSpec

ARCHIVE = "function.zip"
#: The sample event: ``python -m serving invoke FOLDER --event @FOLDER/event.json``.
EVENT = "event.json"


def planned(
    model: PackagedModel,
    called: str,
    options: FunctionOptions,
    package: Sequence[File],
    *,
    variant: str = ZIP,
    target: str = "aws-lambda",
    about: str | None = None,
    reason: str,
    memory: int,
    timeout: int,
    variables: Mapping[str, str] | None = None,
    more: tuple[Permission, ...] = (),
    notes: tuple[str, ...] = (),
    commands: tuple[str, ...] = (),
) -> PackagePlan:
    """Return the plan of a function.

    Parameters
    ----------
    called : the function's name.
    package : what goes into the zip, or the image's context.
    variant : ``ZIP`` or ``CONTAINER``.
    about : what it predicts with, in words [default: the model and its version].
    memory, timeout : in MB and seconds, where the options name none.
    variables : beside those that follow from the options.
    more : what the role is allowed beside what every function is.
    commands : what comes before the two that deploy it.
    """
    about = about or (f"{model.name} version {model.version}" if model.version else model.digest[:19])
    package = tuple(sorted(package, key=lambda file: file.path))
    unpacked = sum(file.size for file in package)
    variables = {**settings.environment(options), **(variables or {})}
    if variant == CONTAINER:
        archive, weight = None, None
        limits = [Limit("image, before what is installed", unpacked, settings.IMAGE)]
        kind = {"PackageType": "Image", "Handler": None, "Runtime": None}
    else:
        archive, weight = ARCHIVE, len(zipped(package))
        limits = [Limit("zipped", weight, settings.ZIPPED), Limit("unzipped", unpacked, settings.UNZIPPED)]
        kind = {"PackageType": "Zip", "Handler": HANDLER, "Runtime": options.runtime}
    configured = {**settings.function(called, options, memory=memory, timeout=timeout), **kind}
    spec = FunctionSpec(called, about, options, configured, variables, archive, more)
    vpc, events = bool(options.subnets), options.events
    return PackagePlan(
        target=target,
        variant=variant,
        reason=reason,
        name=called,
        **model.facts,
        package=package,
        beside=(
            File("template.yaml", as_yaml(sam.template(spec), f"sam deploy --guided: {about}"), "for SAM"),
            File(
                "serverless.yml", as_yaml(serverless.service(spec), f"serverless deploy: {about}"), "for Serverless v3"
            ),
            File(EVENT, _sample(model), "a sample event, as a function URL sends it"),
        ),
        archive=archive,
        zipped=weight,
        limits=(*limits, Limit("variables", len(json.dumps(variables)), settings.VARIABLES)),
        settings=configured,
        permissions=(*iam.permissions(called, key_arn=options.kms_key, vpc=vpc, events=events), *more),
        environment=variables,
        notes=(*settings.notes(options), *notes, NOTE),
        commands=(*commands, "sam deploy --guided", "serverless deploy"),
    )


def _sample(model: PackagedModel) -> bytes:
    """Return a request with the model's example row; without one, the question whether the function is there."""
    if model.example:
        event = http_event(json.dumps({"dataframe_records": [dict(model.example)]}, ensure_ascii=False))
    else:
        event = http_event("", method="GET", path="/ping", headers={})
    return (json.dumps(event, indent=2, ensure_ascii=False) + "\n").encode()
