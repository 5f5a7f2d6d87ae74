"""What a plan says, for a person and for programs."""

import json

from registry.cli.text import aligned as table

from .plan import CONTAINER, FILES, ZIP, Built, Plan


def manifest(plan: Plan, content_digest: str, folder_digest: str) -> bytes:
    """The plan as the file that lies in a build.

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


#: How each variant is told.
_AS = {ZIP: "a zip", CONTAINER: "a container", FILES: "files"}


def lines(plan: Plan) -> list[str]:
    """The plan for a person to read."""
    what = f"{plan.model} version {plan.version}" if plan.version else plan.uri
    found = [
        f"{plan.name}: {what} for {plan.target}, as {_AS[plan.variant]}: {plan.reason}",
        f"gates: {plan.gates}",
        "",
    ]
    rows = [(file.path, f"{file.size:,}", file.what) for file in (*plan.package, *plan.beside)]
    found += table([("file", "bytes", "what"), *rows])
    sizes = [(one.what, f"{one.size:,}", f"{one.most:,}", "ok" if one.kept else "over") for one in plan.limits]
    if sizes:
        found += ["", *table([("limit", "bytes", "at most", ""), *sizes])]
    if plan.settings:
        found += ["", *table([("setting", "value"), *((name, _said(value)) for name, value in plan.settings.items())])]
    if plan.permissions:
        rows = [(", ".join(one.actions), ", ".join(one.resources), one.why) for one in plan.permissions]
        found += ["", *table([("permission", "on", "for"), *rows])]
    found += ["", *(f"note: {note}" for note in plan.notes)] if plan.notes else []
    return found


def built(result: Built) -> list[str]:
    """What was written, for a person to read."""
    found = [f"{result.path}: {result.size:,} bytes, sha256 {result.sha256}"]
    found += [f"  {command}" for command in result.plan.commands]
    return found


def _said(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else str(value)
