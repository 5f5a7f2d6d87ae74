"""What lies beside the package: a SAM template, a Serverless file, and the commands that deploy by one or the other."""

from collections.abc import Mapping
from typing import Any

from ..model import Model
from ..plan import File
from . import sam, serverless


def written(
    model: Model,
    called: str,
    options: Mapping[str, Any],
    configured: Mapping[str, Any],
    variables: Mapping[str, str],
    *,
    archive: str | None,
) -> tuple[tuple[File, ...], tuple[str, ...]]:
    """The files beside a package, and the commands that deploy it.

    Parameters
    ----------
    archive : the zip's name; None for an image.
    """
    about = f"{model.name} version {model.version}" if model.version else model.digest[:19]
    whole = (called, about, options, configured, variables)
    beside = (
        File("template.yaml", text(sam.template(*whole, archive=archive), f"sam deploy --guided: {about}"), "for SAM"),
        File("serverless.yml", text(serverless.service(*whole, archive=archive), f"serverless deploy: {about}"),
             "for Serverless v3"),
    )  # fmt: skip
    build = () if archive else ("sam build",)
    return beside, (*build, "sam deploy --guided", "serverless deploy")


def text(content: Mapping[str, Any], title: str) -> bytes:
    """A document as YAML, with a first line that says what it is."""
    import yaml

    class Plain(yaml.SafeDumper):
        """Writes a value that is there twice twice: neither tool wants anchors."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    body = yaml.dump(dict(content), Dumper=Plain, sort_keys=False, width=110, allow_unicode=True)
    return f"# {' '.join(title.split())}\n{body}".encode()
