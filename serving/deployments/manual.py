"""What ``mlflow deployments help -t aws-lambda`` says."""

from collections.abc import Sequence

from registry.cli.text import aligned
from serving.packaging import Setting

from .settings import CREATE, DELETE, OWN, RUN, UPDATE, options

_HEAD = """
AWS Lambda. The target is aws-lambda:/REGION, or aws-lambda for the region of the environment (AWS_DEFAULT_REGION).
Credentials are found as boto3 finds them (AWS_PROFILE, AWS_ACCESS_KEY_ID, ...).

  mlflow deployments create -t aws-lambda:/eu-central-1 --name diabetes -m models:/diabetes@champion -C create_role=true
  mlflow deployments update -t aws-lambda:/eu-central-1 --name diabetes -m models:/diabetes/4 -C canary=0.1 -C bake=600
  mlflow deployments update -t aws-lambda:/eu-central-1 --name diabetes -C rollback=true
  mlflow deployments predict -t aws-lambda:/eu-central-1 --name diabetes -I request.json
  mlflow deployments run-local -t aws-lambda --name diabetes -m models:/diabetes/4 -C port=8080

A deployment is a function of its name, with a published version for every model that it had, and the alias `live`,
which says which version answers. Every command can be run again: what is done is left, what is missing is added.
With `canary` a new version gets a share of the requests first. After `bake` seconds, or as soon as it fails or is slow,
the metrics of CloudWatch decide: it gets all requests, or none, and the command fails. The version that had them before
gets them back at once. `predict -I` takes a request, such as {"dataframe_records": [...]}.
"""


def target_help() -> str:
    """The plugin's manual, with the options of every command."""
    parts = [_HEAD.strip()]
    parts += [_table(f"Options of {command}:", OWN[command]) for command in (CREATE, UPDATE, DELETE, RUN)]
    own = {option.name for command in OWN for option in OWN[command]}
    package = [option for option in options(CREATE) if option.name not in own]
    title = "Options of create, update and run-local; what `update` is not given stays as the deployment has it:"
    return "\n\n".join([*parts, _table(title, package)])


def _table(title: str, told: Sequence[Setting]) -> str:
    rows = [(f"-C {option.name}=", _default(option.default), option.help) for option in told]
    return f"{title}\n\n" + "\n".join(aligned([("option", "default", "what"), *rows]))


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or value in ("", (), {}):
        return "-"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
