"""The form to try a prediction: a field for each input column, filled with the example."""

import json
import shlex
from urllib.parse import quote

from serving.models.example import categories
from serving.scorecard import Input
from serving.server.page.markup import Markup, join, tag
from serving.server.pyfunc.model import PyfuncModel
from serving.server.state import Card, ServedVersion

#: Maximum number of suggested values of a category.
SUGGESTED = 200

#: Minimum number of columns with a search box.
MANY = 12


def form(version: ServedVersion, *, address: str, keyed: bool) -> Markup:
    """The form of a version, and the same request for a terminal.

    Parameters
    ----------
    address : of the server, as the browser sees it.
    keyed : whether requests need a key.
    """
    card, inputs = version.card, version.card.inputs
    if version.loose:
        return _command_alone(version, address=address, keyed=keyed)
    values = known(card)
    fields = [_field(item, place, version, values.get(item.name, ())) for place, item in enumerate(inputs)]
    return tag(
        "section",
        tag("h2", "Try a prediction", id="try-title"),
        # The script hides it, so that it also shows if the script does not load.
        tag(
            "p",
            "The form needs JavaScript. The command below asks the same question.",
            class_="note",
            data_unscripted=True,
        ),
        tag(
            "div",
            tag(
                "form",
                _find() if len(inputs) >= MANY else None,
                tag("div", fields, class_="fields"),
                tag("p", "No column has this in its name.", class_="note nothing", hidden=True),
                tag(
                    "div",
                    tag("button", "Predict", type="submit", class_="primary"),
                    tag("button", "Example", type="reset", title="Fill in the model's example")
                    if version.example
                    else None,
                    tag("button", "Clear", type="button", data_do="clear"),
                    class_="buttons",
                ),
                autocomplete="off",
                novalidate=True,
                data_path=f"models/{quote(version.model, safe='')}/invocations",
                data_explains="yes" if card.kind == "linear" else "no",
                data_probabilities="yes" if card.has_probabilities else "no",
                data_target=version.facts.target,
                aria_labelledby="try-title",
            ),
            tag(
                "div",
                tag(
                    "p",
                    "The answer appears here, with the reasons for it."
                    if card.kind == "linear"
                    else "The answer appears here.",
                    class_="note",
                ),
                class_="answer",
                aria_live="polite",
            ),
            class_="try",
        ),
        tag(
            "details",
            tag("summary", "The same from a terminal"),
            tag("pre", tag("code", command(version, address=address, keyed=keyed)), tabindex="0"),
        ),
        id="try",
        class_="card",
        data_version=f"{version.version} {card.digest}",
    )


def command(version: ServedVersion, *, address: str, keyed: bool) -> str:
    """A command for a terminal that asks for the example's prediction."""
    names = [item.name for item in version.card.inputs]
    row = [version.example.get(name) for name in names]
    request = dict(version.example) if version.loose else {"dataframe_split": {"columns": names, "data": [row]}}
    body = json.dumps(request, ensure_ascii=False)
    url = f"{address}/models/{quote(version.model, safe='')}/invocations"
    parts = [f"curl -s {shlex.quote(url)}"]
    if keyed:
        parts.append('-H "Authorization: Bearer $KEY"')
    parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    return " \\\n  ".join(parts)


def _command_alone(version: ServedVersion, *, address: str, keyed: bool) -> Markup:
    """The section of a model that takes no named columns: a command, and no fields."""
    said = f"This model takes {version.card.signature.summary}." if isinstance(version.card, PyfuncModel) else ""
    return tag(
        "section",
        tag("h2", "Try a prediction", id="try-title"),
        tag("p", said, class_="note"),
        tag("pre", tag("code", command(version, address=address, keyed=keyed)), tabindex="0"),
        id="try",
        class_="card",
    )


def known(card: Card) -> dict[str, list[str]]:
    """The known values of each category."""
    return {name: sorted(found)[:SUGGESTED] for name, found in categories(card).items()}


def _find() -> Markup:
    return tag(
        "label",
        "Find a column",
        tag("input", type="search", class_="find", placeholder="part of its name"),
        class_="finder",
    )


def _field(item: Input, place: int, version: ServedVersion, values) -> Markup:
    name, said = f"input-{place}", _typed(version.example.get(item.name))
    facts = {"data_name": item.name, "data_type": item.type, "id": name, "aria_describedby": f"{name}-hint"}
    if item.type == "boolean":
        choice = {"true": "true", "1": "true", "1.0": "true", "false": "false", "0": "false", "0.0": "false"}.get(said)
        control = tag(
            "select",
            [
                tag("option", text, value=value, selected=value == (choice or ""))
                for value, text in (("", "empty (null)"), ("true", "true"), ("false", "false"))
            ],
            **facts,
        )
    else:
        number = item.type == "number"
        control = join(
            tag(
                "input",
                type="text",
                value=said,
                inputmode=("numeric" if item.integer else "decimal") if number else None,
                list=f"{name}-known" if values else None,
                spellcheck="false",
                placeholder="empty" if item.null else None,
                required=not item.null and item.name not in version.card.optional,
                **facts,
            ),
            tag("datalist", [tag("option", value=value) for value in values], id=f"{name}-known") if values else None,
        )
    return tag(
        "div",
        tag("label", item.name or "(no name)", for_=name, title=item.name),
        control,
        tag("small", hint(item, optional=item.name in version.card.optional), id=f"{name}-hint"),
        class_="field",
    )


def _typed(value: object) -> str:
    """A value as a person types it: ``40`` for 40.0; nothing for a missing one."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)


def hint(item: Input, *, optional: bool) -> str:
    """The values that a column accepts."""
    kind = (
        "whole number"
        if item.integer
        else {"number": "number", "boolean": "true or false", "category": "text"}[item.type]
    )
    if optional:
        return f"{kind}, not used by this version"
    return f"{kind}, may be empty (null)" if item.null else kind
