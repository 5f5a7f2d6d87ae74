"""Render a plan: as text for people, as JSON, as the README of a build; and documents as YAML."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from registry.cli.text import aligned as table
from registry.cli.text import one_line

from .plan import CONTAINER, FILES, ZIP, Built, File, PackagePlan


def manifest(plan: PackagePlan, content_digest: str, folder_digest: str) -> bytes:
    """Return the plan as the JSON file of a build.

    Parameters
    ----------
    content_digest : of the files in the package, whatever packed them.
    folder_digest : of all that is written.
    """
    told = {**plan.to_dict(), "content_digest": content_digest, "folder_digest": folder_digest}
    # How the version was asked for, and what was found of its gates, changes without the package changing.
    for name in ("uri", "gates", "gated"):
        told.pop(name)
    return (json.dumps(told, indent=1) + "\n").encode()


#: The variants in words.
_AS = {ZIP: "a zip", CONTAINER: "a container", FILES: "files"}


def lines(plan: PackagePlan) -> list[str]:
    """Return the plan as lines for people."""
    what = f"{plan.model} version {plan.version}" if plan.version else plan.uri
    found = [
        f"{plan.name}: {what} for {plan.target}, as {_AS[plan.variant]}: {plan.reason}",
        f"gates: {plan.gates}",
        "",
    ]
    rows = [(file.path, f"{file.size:,}", one_line(file.what, 70)) for file in (*plan.package, *plan.beside)]
    found += table([("file", "bytes", "what"), *rows])
    sizes = [(one.what, f"{one.size:,}", f"{one.most:,}", "ok" if one.ok else "over") for one in plan.limits]
    if sizes:
        found += ["", *table([("limit", "bytes", "at most", ""), *sizes])]
    if plan.settings:
        found += ["", *table([("setting", "value"), *((name, _said(value)) for name, value in plan.settings.items())])]
    if plan.permissions:
        rows = [(", ".join(one.actions), ", ".join(one.resources), one.why) for one in plan.permissions]
        found += ["", *table([("permission", "on", "for"), *rows])]
    found += ["", *(f"note: {note}" for note in plan.notes)] if plan.notes else []
    return found


def readme(plan: PackagePlan) -> bytes:
    """Return the README of a build: its files, settings and permissions, and how to check, try and deploy it."""
    version = f"`{plan.model}` version {plan.version}" if plan.version else f"the model `{plan.digest}`"
    found = [
        f"# {plan.name}",
        "",
        f"{version[0].upper()}{version[1:]} for {plan.target}, as {_AS[plan.variant]}: {plan.reason}. It was built by",
        "`python -m serving package`; `plan.json` has this page as JSON, with digests of the content.",
        "",
    ]
    if plan.archive:
        found += [f"`{plan.archive}` holds:", "", *_files(plan.package), "", "Beside it:", "", *_files(plan.beside)]
    else:
        found += _files((*plan.package, *plan.beside))
    if plan.permissions:
        found += ["", "## Permissions", ""]
        found += [
            f"- {one.why}: `{', '.join(one.actions)}` on `{', '.join(one.resources)}`" for one in plan.permissions
        ]
    if plan.settings:
        found += ["", "## Settings", ""]
        found += [f"- {name}: {_said(value)}" for name, value in plan.settings.items()]
    if plan.notes:
        found += ["", "## Notes", "", *(f"- {note}" for note in plan.notes)]
    if plan.archive:
        found += ["", "## Try it here", "", *_console(["python -m serving invoke . --event @event.json"])]
    found += ["", "## Deploy", "", *_console(plan.commands)]
    return ("\n".join(found) + "\n").encode()


def _files(files: Sequence[File]) -> list[str]:
    return [f"- `{file.path}`: {file.what}" for file in files]


def _console(commands: Sequence[str]) -> list[str]:
    return ["```sh", *commands, "```"]


def as_yaml(content: Mapping[str, Any], title: str) -> bytes:
    """Return a document as YAML, after a comment with its title."""
    import yaml

    class Plain(yaml.SafeDumper):
        """Writes a value that is there twice twice: neither tool wants anchors."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    body = yaml.dump(dict(content), Dumper=Plain, sort_keys=False, width=110, allow_unicode=True)
    return f"# {' '.join(title.split())}\n{body}".encode()


def built(result: Built) -> list[str]:
    """Return what was written, as lines for people."""
    found = [f"{result.path}: {result.size:,} bytes, sha256 {result.sha256}"]
    found += [f"  {command}" for command in result.plan.commands]
    return found


def _said(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else str(value)
