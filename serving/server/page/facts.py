"""What the page shows of a version's evidence and promotion."""

from collections.abc import Sequence

from registry.cli.text import age, figure
from registry.last_report import LastReport
from serving.server.page import numbers
from serving.server.page.markup import Markup, tag
from serving.server.state import ServedVersion
from serving.server.version_facts import Arrival, MeasuredMetric, VersionFacts

#: What the ledger's kinds of transitions are called.
_ARRIVALS = {"promote": "Promoted", "rollback": "Brought back (rollback)", "by-hand": "Moved by hand"}


def row(facts: VersionFacts, *, columns: int) -> Markup | None:
    """A row of a table of models with the facts of one's champion, a line each; None if there are none."""
    first = next((metric for metric in facts.ordered if metric.value is not None), None)
    lines = [
        tag("p", _sentence(first, facts)) if first else None,
        tag("p", f"{_arrived(facts.arrival)}: {facts.arrival.reason}") if facts.arrival else None,
        tag("p", _caveat(facts), class_="warning") if facts.caveat else None,
        _monitored(facts.monitored) if facts.monitored else None,
    ]
    if not any(lines):
        return None
    return tag("tr", tag("td", lines, colspan=columns, role="cell"), class_="why facts", role="row")


def _sentence(metric: MeasuredMetric, facts: VersionFacts) -> str:
    """``Log loss 0.2989 (95 % interval 0.2118 to 0.4052; baseline 0.6915)``."""
    interval, baseline = _interval(metric), "" if metric.baseline is None else f"baseline {figure(metric.baseline)}"
    beside = "; ".join(filter(None, (interval and f"{_interval_title(facts)} {interval}", baseline)))
    return f"{metric.label} {figure(metric.value)}" + (f" ({beside})" if beside else "")


def _interval(metric: MeasuredMetric) -> str:
    return "" if metric.low is None or metric.high is None else f"{figure(metric.low)} to {figure(metric.high)}"


def _interval_title(facts: VersionFacts) -> str:
    return "interval" if facts.level is None else f"{numbers.percent(facts.level)} interval"


def _arrived(arrival: Arrival) -> str:
    """``Promoted by ann on 2026-03-01 12:00 UTC``."""
    # The actor of what was done by hand is MLflow's page.
    who = "" if arrival.kind == "by-hand" else f" by {arrival.actor}"
    return f"{_ARRIVALS.get(arrival.kind, arrival.kind)}{who} on {arrival.time[:16].replace('T', ' ')} UTC"


def _monitored(last: LastReport) -> Markup:
    """``Monitored on 2026-03-01 12:00 UTC (3 h ago): 2 alerts``."""
    when = f"{last.time[:16].replace('T', ' ')} UTC"
    told = tag("p", "Monitored on ", tag("time", when, datetime=last.time), f" ({age(last.age())} ago): {last.verdict}",
               class_="warning" if last.alerts else None)  # fmt: skip
    return told


def _caveat(facts: VersionFacts) -> str:
    return f"{facts.caveat[0].upper()}{facts.caveat[1:]}."


def cards(versions: Sequence[tuple[ServedVersion, Markup]]) -> Markup | None:
    """A card for each version of which there are facts, with its title; None if there are none."""
    found = [_card(version, title) for version, title in versions if version.facts.known]
    return tag("div", found, class_="facts") if found else None


def _card(version: ServedVersion, title: Markup) -> Markup:
    facts, name = version.facts, f"facts-{version.version}"
    held_out = "" if facts.caveat else "held-out "
    rows = f"Measured on {facts.rows:,} {held_out}rows. " if facts.rows else ""
    return tag(
        "section",
        tag("h2", title, id=name),
        _metrics(facts) if facts.metrics else None,
        tag("p", f"{rows}The baseline is a model that does not look at the inputs.", class_="note")
        if facts.metrics
        else None,
        tag("p", _caveat(facts), class_="warning") if facts.caveat else None,
        tag("p", _arrived(facts.arrival), tag("q", facts.arrival.reason), class_="arrival") if facts.arrival else None,
        _monitored(facts.monitored) if facts.monitored else None,
        class_="card",
        aria_labelledby=name,
    )


def _metrics(facts: VersionFacts) -> Markup:
    heads = ("Metric", "Value", _interval_title(facts).capitalize(), "Baseline")
    return tag(
        "table",
        tag("thead", tag("tr", [tag("th", head, scope="col") for head in heads])),
        tag(
            "tbody",
            [
                tag(
                    "tr",
                    tag("th", metric.label, scope="row"),
                    tag("td", figure(metric.value)),
                    tag("td", _interval(metric) or "–"),
                    tag("td", figure(metric.baseline)),
                    class_="judged" if metric.name == facts.metric else None,
                )
                for metric in facts.ordered
            ],
        ),
        class_="metrics",
    )
