"""Writes the reference pages beside this file from the code: ``python docs/reference/generate.py``.

The pages are committed, so that they can be read and reviewed in the repository; a test demands that they are what this
program writes.
"""

import html
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

NOTE = "<!-- Written by docs/reference/generate.py; edit the code it is generated from. -->"

COMMANDS = """
# Commands

`lifecycle COMMAND` runs each of these. So does the package that has it (`python -m pipelines train`,
`python -m registry promote`, `python -m serving serve`) and, with `-P option=value`, an entry point of
the MLproject (`mlflow run . -e train -P data=diabetes`). `--debug` shows the trace of an error. Exit
code 1 is a verdict against what was asked (a gate or a suite that failed), 2 an error.
"""

POLICY = """
# Promotion policy

The policy says what a version has to show before it enters a stage, and what happens afterwards. This
is the policy that comes with the package. A file of your own holds only what it changes.
"""

EVIDENCE = """
# Evidence

`evidence.json` holds what was measured about a version. Training writes it to `evidence/training/` of
the version's run and never changes it; later evaluations are in `evidence/evaluations/`. Its JSON schema
is `registry/evidence/schema.json`. Beside it, `holdout.parquet` holds each judged row: `key`, `target`,
`prediction` and, for a classifier, `probability_<class>`. Of more than 1,000,000 judged rows it holds about
so many, chosen by their keys, so that two versions' files have the same ones; the metrics are those of all.
"""

SCORECARD = """
# Scorecard format

A scorecard is one strict, versioned JSON document: inputs (name, type, whether a value may be missing),
columns computed from them by steps, a model, and a decision. Its JSON schema is
`serving/scorecard/schema.json`. All arithmetic is float64, in scikit-learn's own order.
"""

STEPS_OF_A_COLUMN = """
## Steps

A column applies its steps to a value one after the other.
"""

RUN_METRICS = """
# Metrics

## Of a run in MLflow

MLflow's pages group the metrics of a run by the part of their names before the slash. `rmse` stands for
each metric of the task.
"""

METRICS = """
## Of the server

`GET /metrics` of the server answers in Prometheus' text format or OpenMetrics. The folder
`serving/server/telemetry/` has a Grafana dashboard (`dashboard.json`) and alert rules (`alerts.yaml`).
"""

HTTP = """
# HTTP API

The server describes itself: `/docs` is Swagger UI, `/openapi.json` the OpenAPI 3.1 document with the
columns, types and an example of each model, `/postman.json` a Postman collection. These are the paths
for a model called `NAME`.
"""

PYTHON = """
# Python API

These functions and classes are public: the commands call them, and a change of one has a line in the
changelog. Everything else is internal and may change in any release.

## A version, from training to Production

```python
from pipelines.dataset import Roles
from pipelines.planning import Settings
from pipelines.training import train
from registry import client, judging, ledger, policy, promotion

trained = train(Settings("diabetes", roles=Roles(target="target"), estimator="ridge"))
print(trained.name, trained.version, trained.metrics["rmse"].value)

connected = client.connect()
judge = judging.StageJudge(connected, trained.name, policy.read().for_model(trained.name), "Production")
verdict = judge.judge(trained.version, champion=None)
print(verdict.passed, [result.reason for result in verdict.results if not result.passed])

with ledger.open() as book:
    name, number = trained.name, trained.version
    why = {"reason": "the first version", "actor": "ann"}
    promotion.promote(connected, book, name, number, stage="Production", judge=judge.judge, **why)
```

MLflow loads the version like any other model; its scorecard (the portable form) needs no MLflow:

```python
import mlflow
import pandas as pd
from serving import models

champion = mlflow.pyfunc.load_model("models:/diabetes@champion")
rows = pd.DataFrame(champion.input_example)
print(champion.predict(rows), champion.predict(rows, params={"output": "explain"}))

card = models.find("models:/diabetes@champion").scorecard
print(card.predict(rows), card.explain_row(rows.iloc[0]))
```

Steps are logged under `model_lifecycle`. To see them in a notebook, call
`logging.getLogger("model_lifecycle").setLevel("INFO")`.
"""

#: What the page lists, by section.
PUBLIC = {
    "Training and evaluation": (
        "pipelines.planning:Settings",
        "pipelines.dataset:Roles",
        "pipelines.sources:ReadOptions",
        "pipelines.training:train",
        "pipelines.training:Trained",
        "pipelines.tuning.search_plan:Search",
        "pipelines.tuning.search:tune",
        "pipelines.evaluation.evaluate:EvaluationRequest",
        "pipelines.evaluation.evaluate:evaluate",
        "pipelines.evaluation.evaluate:Evaluation",
        "pipelines.validation.check:check",
    ),
    "Registry": (
        "registry.client:connect",
        "registry.policy:read",
        "registry.ledger:open",
        "registry.judging:StageJudge",
        "registry.promotion:promote",
        "registry.promotion:rollback",
        "registry.promotion:reject",
    ),
    "Models and scorecards": (
        "serving.models:find",
        "serving.models:ResolvedModel",
        "serving.scorecard:Scorecard",
        "serving.scorecard:compile",
        "serving.exporting:export",
    ),
}

ERRORS = """
## Errors

An error of MLflow's protocol is `{"error_code", "message"}`. It names row and column, and never contains
request data.
"""


def page(*parts: str) -> str:
    """The parts of a page with an empty line between each."""
    return "\n\n".join(part.strip() for part in parts)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a line break in a cell becomes a blank."""
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """The text of a cell; a ``|`` in it becomes a character reference, which in code needs a ``<code>``."""
    line = " ".join(str(text).split())
    line = re.sub(r"`([^`]*\|[^`]*)`", lambda found: f"<code>{html.escape(found[1])}</code>", line)
    return line.replace("|", "&#124;")


def prose(docstring: str | None) -> str:
    """The text of a docstring above its sections, with its code in single backquotes."""
    text = re.split(r"\n(\w+)\n-{3,}\n", inspect.cleandoc(docstring or ""))[0].strip()
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")


def sections(docstring: str | None) -> dict[str, list[tuple[str, str]]]:
    """The sections of a docstring: title -> (name, what it says), for each entry."""
    parts = re.split(r"\n(\w+)\n-{3,}\n", inspect.cleandoc(docstring or ""))
    return {title: list(_entries(body)) for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def _entries(body: str) -> Iterator[tuple[str, str]]:
    for entry in re.split(r"\n(?=\S)", body.strip()):
        first, _, rest = entry.partition("\n")
        name, colon, same = first.partition(" : ")
        text = f"{same if colon else ''} {rest}"
        yield name.strip(), re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(text.split())).replace("``", "`")


def commands() -> str:
    """Every command: its usage, what it does, its arguments and options."""
    import click

    from pipelines.console import SECTIONS

    parts = [COMMANDS]
    packages = dict(zip(SECTIONS, ("pipelines", "registry", "serving"), strict=True))
    for title, group in SECTIONS.items():
        parts.append(f"## {title}: `python -m {packages[title]}`")
        for name, command in sorted(group.commands.items()):
            parts += _command(click.Context(command, info_name=f"lifecycle {name}"), level="###")
    return page(*parts)


def _command(context: Any, *, level: str) -> list[str]:
    import click

    command = context.command
    usage = " ".join(["$", context.command_path, *command.collect_usage_pieces(context)])
    title = context.info_name.removeprefix("lifecycle ")
    parts = [f"{level} {title}", prose(command.help), f"```console\n{usage}\n```"]
    rows = [found for one in command.get_params(context) if (found := _option(one, context))]
    if rows:
        parts.append(table(("option", "meaning"), rows))
    if examples := getattr(command, "examples", ""):
        parts.append(f"```sh\n{examples}\n```")
    if isinstance(command, click.Group):
        for name, inner in sorted(command.commands.items()):
            parts += _command(click.Context(inner, info_name=name, parent=context), level=f"{level}#")
    return parts


def _option(option: Any, context: Any) -> tuple[str, str] | None:
    names, meaning = option.get_help_record(context) or ("", "")
    if not meaning or {"--help", "--debug"} & set(option.opts):
        return None
    return f"`{names.replace(' INTEGER RANGE', ' INTEGER').replace(' FLOAT RANGE', ' FLOAT')}`", _escaped(meaning)


def _escaped(text: str) -> str:
    """A line of a command's help as Markdown: nothing in it is markup but its backquotes."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_<\[\]\\])", r"\\\1", part) for part in parts)


def policy() -> str:
    """The shipped policy, which explains itself."""
    from registry import policy as policies

    return page(POLICY, f"```yaml\n{policies.SHIPPED.read_text(encoding='utf-8').rstrip()}\n```")


def evidence() -> str:
    """The sections of ``evidence.json``."""
    from registry import evidence as package
    from registry.evidence import document

    kinds = [package.Evidence]
    import msgspec

    for kind in kinds:  # grows: each section is followed by those that it holds
        named = re.findall(r"\w+", " ".join(inspect.formatannotation(one.type) for one in msgspec.structs.fields(kind)))
        sections_in_it = (getattr(document, name, None) for name in dict.fromkeys(named))
        kinds += [one for one in sections_in_it if _is_struct(one) and one not in kinds]
    parts = [EVIDENCE]
    for kind in kinds:
        parts += [f"## {kind.__name__}", prose(kind.__doc__), table(("field", "type", "meaning"), _fields(kind))]
    return page(*parts)


def _is_struct(found: Any) -> bool:
    return inspect.isclass(found) and hasattr(found, "__struct_fields__")


def _fields(kind: type) -> Iterator[tuple[str, str, str]]:
    import msgspec

    told: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        for names, text in sections(base.__doc__).get("Parameters", ()):
            told |= dict.fromkeys((name.strip() for name in names.split(",")), text)
    for field in msgspec.structs.fields(kind):
        annotation = re.sub(r"\b(\w+\.)+", "", inspect.formatannotation(field.type))
        annotation = re.sub(r"Annotated\[(\w+), .*?\)\]", r"\1", annotation)
        yield f"`{field.encode_name}`", f"`{annotation}`", told.get(field.name, "")


def scorecard() -> str:
    """The columns, steps and models of a scorecard."""
    from serving.scorecard.nodes import ESTIMATORS, Column
    from serving.scorecard.steps import STEPS

    columns = [(kind.__name__, prose(kind.__doc__)) for kind in Column.__args__]
    models = [(f"`{name}`", prose(kind.__doc__)) for name, kind in ESTIMATORS.items()]
    steps = [
        (f"`{name}`", ", ".join(f"`{field}`" for field in kind.fields), prose(kind.__doc__))
        for name, kind in STEPS.items()
    ]
    return page(
        SCORECARD,
        "## Columns",
        table(("kind", "what it is"), columns),
        STEPS_OF_A_COLUMN,
        table(("step", "fields", "what it does to a value"), steps),
        "## Models",
        table(("`kind`", "what it is"), models),
    )


def metrics() -> str:
    """The metrics of runs, and of the server."""
    from pipelines import run_metrics
    from serving.server.state import Served
    from serving.server.telemetry.metrics import Metrics

    text, _ = Metrics().exposition(Served({}), age=0.0)
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text.decode(), re.MULTILINE))
    rows = [
        (f"`{name}`", kinds[name], meaning)
        for name, meaning in re.findall(r"^# HELP (\S+) (.*)$", text.decode(), re.MULTILINE)
        if not name.endswith("_created")
    ]
    return page(
        RUN_METRICS,
        table(("metric", "meaning"), run_metrics.MEANINGS.items()),
        METRICS,
        table(("metric", "type", "meaning"), rows),
    )


def http() -> str:
    """The paths that the server answers, from its OpenAPI document."""
    from serving.server.schema import openapi
    from serving.server.settings import ServerSettings
    from serving.server.state import Served, ServedModel, ServedVersion

    model = ServedModel("NAME", ServedVersion("NAME", "1", "Production", _card()))
    document = openapi.build(Served({"NAME": model}, default="NAME"), ServerSettings())
    rows = [
        (f"`{method.upper()} {path}`", operation.get("summary", "") or operation.get("description", ""))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    ]
    errors = ((str(code), text) for code, text in sorted(openapi.REFUSED.items()))
    return page(HTTP, table(("request", "what"), rows), ERRORS, table(("status", "meaning"), errors))


def python() -> str:
    """The public functions and classes: signatures and docstrings."""
    parts = [PYTHON]
    for title, names in PUBLIC.items():
        parts.append(f"## {title}")
        for name in names:
            module, _, word = name.partition(":")
            found = getattr(importlib.import_module(module), word)
            parts += [f"### {word}", f"```python\nfrom {module} import {word}\n\n{_signature(word, found)}\n```"]
            parts += _documented(found)
            if inspect.isclass(found):
                parts += _methods(found)
    return page(*parts)


def _documented(found: Any) -> list[str]:
    """The docstring of a function or class: its text, and what its sections list."""
    parts = [prose(found.__doc__)]
    told = sections(found.__doc__)
    if rows := told.get("Parameters"):
        parts.append(table(("parameter", "meaning"), [(f"`{name}`", text) for name, text in rows]))
    if rows := told.get("Raises"):
        parts.append("Raises " + "; ".join(f"`{name}` {text.rstrip('.')}" for name, text in rows) + ".")
    return parts


def _methods(kind: type) -> list[str]:
    rows = [
        (f"`{_signature(name, found)}`", prose(found.__doc__))
        for name, found in vars(kind).items()
        if not name.startswith("_") and (inspect.isfunction(found) or isinstance(found, (classmethod, staticmethod)))
    ]
    return [table(("method", "meaning"), rows)] if rows else []


def _signature(name: str, found: Any) -> str:
    """How a function or class is called: types without their modules; with a line for each parameter if it is long."""
    found = getattr(found, "__func__", found)
    signature = inspect.signature(found)
    parameters = [str(one) for one in signature.parameters.values() if one.name not in ("self", "cls")]
    starred = [place for place, one in enumerate(signature.parameters.values()) if one.kind is one.KEYWORD_ONLY]
    if starred:
        parameters.insert(starred[0] - (len(signature.parameters) - len(parameters)), "*")
    returned = "" if inspect.isclass(found) else f" -> {inspect.formatannotation(signature.return_annotation)}"
    texts = [_short(text) for text in [*parameters, returned]]
    line = f"{name}({', '.join(texts[:-1])}){texts[-1]}"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {text},\n" for text in texts[:-1]) + f"){texts[-1]}"


def _short(text: str) -> str:
    """An annotation or a default without modules, quotes around types, and what a class is made of."""
    text = re.sub(r"(: |-> )'([^']+)'", r"\1\2", text)
    text = re.sub(r"'([A-Z]\w*)'", r"\1", text)
    text = re.sub(r"\b(?:\w+\.)+(?=[A-Z])", "", text).replace("<factory>", "...")
    return re.sub(r"= (\w+)\(.+\)$", r"= \1()", text)


def _card() -> Any:
    import numpy as np
    from sklearn.linear_model import LinearRegression

    from serving.scorecard import Input, compile

    return compile(LinearRegression().fit(np.array([[0.0], [1.0]]), [0.0, 1.0]), [Input("x", "number")])


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands,
    "policy.md": policy,
    "evidence.md": evidence,
    "scorecard-format.md": scorecard,
    "metrics.md": metrics,
    "http.md": http,
    "python.md": python,
}


def pages() -> Iterator[tuple[Path, str]]:
    """Each page and its text."""
    for name, write in PAGES.items():
        yield HERE / name, f"{NOTE}\n\n{write().strip()}\n"


if __name__ == "__main__":
    for path, text in pages():
        path.write_text(text, encoding="utf-8")
