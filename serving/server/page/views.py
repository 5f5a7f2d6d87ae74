"""The page: a list of all models, or one model with its versions and the form."""

from urllib.parse import quote

from registry.cli.text import age
from serving.server.page import facts, numbers
from serving.server.page.figures import Figures, Live
from serving.server.page.form import form
from serving.server.page.markup import Markup, join, tag
from serving.server.pyfunc.model import PyfuncModel
from serving.server.state import Served, ServedModel, ServedVersion

_LOGO = tag("img", src="page/icon.svg", alt="", width="22", height="22")
_PROMOTE = 'python -m registry promote NAME VERSION --stage Production --reason "..."'
# What a model is called, by its kind.
_KINDS = {"mlp": "multi-layer perceptron", "pyfunc": "MLflow"}
#: So many classes are named.
_CLASSES = 6
_NUMBERS = (("requests", "Requests"), ("p50", "Median latency"), ("p99", "99th percentile"), ("failed", "Errors"))


def document(title: str, main: Markup, *, keyed: bool, ask: bool = False) -> bytes:
    """A whole page.

    Parameters
    ----------
    keyed : whether requests need a key.
    ask : whether this page only asks for it.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("link", rel="icon", href="page/icon.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href="page/page.css"),
        tag("script", src="page/page.js", type="module"),
    )
    header = tag(
        "header",
        tag(
            "a",
            _LOGO,
            "Model server",
            href="./",
            class_="brand",
        ),
        tag("span", "", id="state", class_="state", role="status"),
        tag(
            "nav",
            tag("a", "API", href="docs"),
            None if keyed else tag("a", "Metrics", href="metrics"),
            tag("button", "Forget key", type="button", id="forget", hidden=True) if keyed else None,
            aria_label="Server",
        ),
    )
    body = tag(
        "body",
        tag("a", "Skip to content", href="#main", class_="skip"),
        header,
        tag("main", main, id="main", tabindex="-1"),
        data_keyed="yes" if keyed else "no",
        data_ask="yes" if ask else "no",
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n".encode("utf-8", "replace")


def lock() -> Markup:
    """The page that asks for a key."""
    return tag(
        "section",
        tag("h1", "This server asks for a key"),
        tag("p", "Paste an API key to see its models. It stays in this tab, and is gone when the tab is closed."),
        tag("p", "This page needs JavaScript to send the key.", class_="warning", data_unscripted=True),
        tag(
            "form",
            tag("label", "API key", for_="key"),
            # Without a name it is never part of an address, even without the script.
            tag("input", type="password", id="key", autocomplete="off", spellcheck="false", required=True),
            tag("button", "Open", type="submit", class_="primary"),
            id="unlock",
            hidden=True,
        ),
        tag("p", "", id="refused", class_="warning", role="alert", hidden=True),
        class_="card lock",
    )


_LOADING = [
    tag("h2", "The models are being loaded"),
    tag("p", "They appear here when they are ready."),
]
_EMPTY = [
    tag("h2", "No model is served yet"),
    tag("p", "Promote a version to Production, and it appears here within seconds:"),
    tag("pre", tag("code", _PROMOTE), tabindex="0"),
]


def overview(served: Served, live: Live) -> Markup:
    """All models."""
    rows = [_row(model, live.models[name], default=name == served.default) for name, model in served.models.items()]
    rows += [
        join(
            tag(
                "tr",
                tag("th", tag("span", name, class_="name"), scope="row", role="rowheader"),
                tag("td", "not served", colspan="6", class_="quiet", role="cell"),
                role="row",
            ),
            _why(why),
        )
        for name, why in served.refused.items()
    ]
    heads = ("Model", "Champion", "Challenger", *(title for _, title in _NUMBERS))
    table = _table("Models", heads, rows)
    empty = tag("section", _LOADING if served.loading else _EMPTY, class_="card")
    number = len(served.models)
    return join(
        tag("h1", _counted(number, "model") if number else "Models"),
        _tiles(live.everything(), live, name=None) if rows else None,
        table if rows else empty,
        _foot(live),
    )


def detail(model: ServedModel, live: Live, *, address: str, keyed: bool, alone: bool) -> Markup:
    """One model.

    Parameters
    ----------
    alone : whether it is the only one.
    """
    figures = live.models[model.name]
    return join(
        None if alone else tag("p", tag("a", "← All models", href="./"), class_="back"),
        tag("h1", model.name or "(no name)"),
        tag("p", _summary(model.champion), class_="lead"),
        tag("p", model.refused, class_="warning card", role="note") if model.refused else None,
        _tiles(figures, live, name=model.name),
        _versions(model, figures),
        facts.cards([(version, _version(version, "Version")) for version in _both(model)]),
        form(model.champion, address=address, keyed=keyed),
        _foot(live),
    )


def _summary(version: ServedVersion) -> str:
    """The kind of a model, what it predicts and from what, in one line."""
    card, target = version.card, version.facts.target
    classes = card.classes or ()
    named = ", ".join(str(label) for label in classes) if 0 < len(classes) <= _CLASSES else ""
    said = (
        f"{_KINDS.get(card.kind, card.kind)} {card.task}"
        + (f" of {target}" if target else "")
        + (f" from {_counted(len(card.inputs), 'input column')}" if card.inputs else "")
        + (f", {_counted(len(classes), 'class', 'classes')}" if classes else "")
        + (f": {named}" if named else "")
    )
    return said[0].upper() + said[1:]


def missing(name: str) -> Markup:
    """The page of an unknown model."""
    return join(
        tag("p", tag("a", "← All models", href="./"), class_="back"),
        tag("h1", "No such model"),
        tag("p", "No model of this name is served, or the key is not for it: ", tag("code", name[:200])),
    )


def _row(model: ServedModel, figures: Figures, *, default: bool) -> Markup:
    titles, challenger = dict(_NUMBERS), model.challenger
    link = tag("a", model.name or "(no name)", href=f"?model={quote(model.name, safe='')}", class_="name")
    badge = tag("span", "default", class_="badge", title="Answers at /invocations, too") if default else None
    row = tag(
        "tr",
        tag("th", link, badge, scope="row", role="rowheader"),
        _cell("Champion", _version(model.champion)),
        _cell(
            "Challenger",
            join(_version(challenger), " ", tag("span", _traffic(model), class_="beneath")) if challenger else "–",
        ),
        [
            _cell(titles[figure], text, class_="number", data_model=model.name, data_figure=figure)
            for figure, text in _figures(figures).items()
        ],
        role="row",
    )
    return join(row, facts.row(model.champion.facts, columns=7), _why(model.refused) if model.refused else None)


def _why(text: str) -> Markup:
    """A row below a model's own that says why a version is not served."""
    return tag("tr", tag("td", text, colspan="7", class_="warning", role="cell"), class_="why", role="row")


def _cell(title: str, *children, **attributes) -> Markup:
    """A cell with its column's title, which narrow screens show before it."""
    return tag("td", tag("span", *children), role="cell", data_title=title, **attributes)


def _table(title: str, heads, rows, **attributes) -> Markup:
    # These are the elements' own roles, which they lose if a style sheet lays rows out as blocks.
    head = [tag("th", name, scope="col", class_=_side(name), role="columnheader") for name in heads]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", title, class_="unseen"),
            tag("thead", tag("tr", head, role="row"), role="rowgroup"),
            tag("tbody", rows, role="rowgroup"),
            role="table",
        ),
        class_="table card",
        tabindex="0",
        role="region",
        aria_label=title,
        **attributes,
    )


def _both(model: ServedModel) -> list[ServedVersion]:
    return [version for version in (model.champion, model.challenger) if version]


def _versions(model: ServedModel, figures: Figures) -> Markup:
    rows = []
    for role, version in (("Champion", model.champion), ("Challenger", model.challenger)):
        if version is None:
            continue
        requests = numbers.count(figures.versions.get(version.version, 0))
        rows.append(
            tag(
                "tr",
                tag("th", role, scope="row", role="rowheader"),
                _cell("Version", _version(version)),
                _cell("Traffic", _traffic(model) if role == "Challenger" else _rest(model)),
                _cell("Requests", requests, class_="number", data_model=model.name, data_version=version.version),
                _cell("Answered by", _answering(version)),
                role="row",
            )
        )
    return _table("Versions", ("Role", "Version", "Traffic", "Requests", "Answered by"), rows, id="versions")


def _tiles(figures: Figures, live: Live, *, name: str | None) -> Markup:
    texts = _figures(figures)
    since = tag("time", "since the start", datetime=numbers.moment(live.since))
    return tag(
        "div",
        [
            tag(
                "div",
                tag("h2", title),
                tag("p", texts[figure], class_="value", data_all=name is None, data_model=name, data_figure=figure),
                tag("p", since, class_="note", data_note=figure),
                class_="tile card",
                data_tile=figure,
            )
            for figure, title in _NUMBERS
        ],
        class_="tiles",
        id="tiles",
    )


def _foot(live: Live) -> Markup:
    seen = None if live.age is None else f"registry seen {age(live.age)} ago"
    parts = (_counted(live.workers, "worker"), f"state {live.generation}", seen)
    return tag(
        "p", " · ".join(part for part in parts if part), class_="foot", id="foot", data_generation=live.generation
    )


def _figures(figures: Figures) -> dict[str, str]:
    return {
        "requests": numbers.count(figures.requests),
        "p50": numbers.duration(figures.quantile(0.5)),
        "p99": numbers.duration(figures.quantile(0.99)),
        "failed": numbers.count(figures.failed),
    }


def _version(version: ServedVersion, word: str = "version") -> Markup:
    stage = tag("span", version.stage, class_=f"badge {version.stage.lower()}") if version.stage else None
    return join(tag("span", f"{word} {version.version}", class_="version"), " ", stage)


def _answering(version: ServedVersion) -> Markup:
    """What answers for a version: its scorecard or MLflow, and whether that is loaded."""
    code = tag("code", version.card.digest[:19], title=version.card.digest)
    if not isinstance(version.card, PyfuncModel):
        return join("scorecard ", code)
    return join("MLflow ", code, "" if version.ready else f" {version.card.lanes.trouble()}")


def _traffic(model: ServedModel) -> str:
    traffic = model.traffic
    if traffic.mode == "canary":
        return f"canary, answers {numbers.percent(traffic.weight)}"
    if traffic.mode == "shadow":
        return f"shadow, compared on {numbers.percent(traffic.weight)}"
    return "no traffic"


def _rest(model: ServedModel) -> str:
    canary = model.challenger is not None and model.traffic.mode == "canary"
    return f"answers {numbers.percent(1 - model.traffic.weight if canary else 1)}"


def _side(title: str) -> str | None:
    return "number" if title in dict(_NUMBERS).values() else None


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
