"""What to type next, after each command: the platform's own commands with the real names in them, to be pasted."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from registry.cli.text import escaped
from registry.cli.training_command import TrainingCommand, reading
from registry.redaction import words as redacted_words
from registry.stages import PRODUCTION

if TYPE_CHECKING:
    from registry.gates import Verdict
    from registry.policy import Policies

#: The console command, which has the commands of all packages.
PROGRAM = "lifecycle"

# Purposes stand below each other behind lines up to this width, and directly behind longer ones.
_ALIGNED = 70


class Step(NamedTuple):
    """A line to paste, and what it is for."""

    line: str
    purpose: str = ""


def command(package: str, *words: str) -> str:
    """A command line of this project as a person here types it: ``lifecycle ...``, else ``python -m PACKAGE ...``."""
    return shlex.join([*(_console() or ["python", "-m", package]), *words])


def again(*words: str) -> str:
    """The command that runs now, without secrets and blank options, with more words behind it."""
    package = Path(sys.argv[0]).parent.name or "pipelines"
    given = redacted_words(sys.argv[1:])
    blank = {place for place, word in enumerate(given) if word == "" and place and given[place - 1].startswith("--")}
    kept = [word for place, word in enumerate(given) if not {place, place + 1} & blank]
    return command(package, *kept, *words)


def _console() -> list[str]:
    return [PROGRAM] if (Path(sys.prefix) / "bin" / PROGRAM).exists() else []


def show(steps: Sequence[Step]) -> None:
    """Print steps under "Next:" on standard output, first the activation of this environment where it is needed."""
    if not steps:
        return
    ours = any(step.line.startswith(("python ", f"{PROGRAM} ")) for step in steps)
    if ours and not os.environ.get("VIRTUAL_ENV") and shutil.which(PROGRAM if _console() else "python") is None:
        steps = [Step(f". {shlex.quote(str(Path(sys.prefix) / 'bin' / 'activate'))}"), *steps]
    click.echo("\nNext:")
    widths = [len(step.line) for step in steps if step.purpose]
    width = max((width for width in widths if width <= _ALIGNED), default=0)
    for step in steps:
        click.echo(f"  {escaped(f'{step.line:{width}}  # {step.purpose}' if step.purpose else step.line)}")


def of_version(name: str, version: str) -> list[Step]:
    """Of a version that was registered: whether it may go to Production, and how."""
    return [
        Step(command("registry", "gates", name, version), "may it go to Production? each gate, with its reason"),
        _promotion(name, version, PRODUCTION, ())._replace(purpose="if it may"),
    ]


def of_trained(name: str, version: str) -> list[Step]:
    """After a version was registered."""
    return [
        *of_version(name, version),
        Step(command("registry", "ui"), "MLflow's pages: the runs, their pictures, the registry to promote in"),
    ]


def of_evaluated(name: str, version: str) -> list[Step]:
    """After a version was evaluated."""
    return [Step(command("registry", "gates", name, version), "may it go to Production? each gate, with its reason")]


def of_project(folder: Path) -> list[Step]:
    """After a project was written."""
    return [
        Step(shlex.join(["cd", str(folder)])),
        Step("make train", "sets up the project's own .venv, trains, and registers a version"),
    ]


def of_checked(data: str, target: str | None, suite: str | None) -> list[Step]:
    """After a table passed its suite: train on it."""
    words = [*_given("--target", target), *reading(redacted_words(sys.argv[1:])), *_given("--suite", suite)]
    return [Step(command("pipelines", "train", "--data", data, *words))]


def of_promoted(name: str, version: str, stage: str, policy: str | None, *, portable: bool = True) -> list[Step]:
    """After a version came to a stage.

    Parameters
    ----------
    portable : whether it has a scorecard; without one, only a server that runs the models' code serves it.
    """
    if stage != PRODUCTION:
        return [_promotion(name, version, PRODUCTION, _given("--policy", policy))]
    words = [*_given("--policy", policy), *([] if portable else ["--pyfunc", "yes"])]
    follows = (
        "a server that runs already follows by itself" if portable else "a server without --pyfunc does not serve it"
    )
    return [
        Step(command("serving", "serve", *words), follows),
        Step(
            command("serving", "ask", "http://127.0.0.1:8080", "--model", name, "--wait", "60"), "in another terminal"
        ),
    ]


def of_rolled_back(name: str) -> list[Step]:
    """After an earlier version came back to Production: servers follow by themselves."""
    return [Step(command("registry", "history", name), "the ledger: what was moved, when, by whom and why")]


def of_rejected(name: str) -> list[Step]:
    """After a version was rejected."""
    return [Step(command("registry", "list", name), "the versions that are left")]


def of_served(url: str, name: str) -> str:
    """The command that asks a model of a server."""
    return command("serving", "ask", url, "--model", name)


def of_judged(
    name: str,
    version: str,
    verdict: "Verdict",
    *,
    tags: Mapping[str, str],
    policies: "Policies",
    given: str | None,
    trained_by: str = "",
) -> list[Step]:
    """After the gates spoke, or refused a promotion: what helps with each that failed.

    Parameters
    ----------
    tags : the version's, which tell the table that it was trained on.
    given : the policy's file, if it was named on the command line.
    trained_by : the command that trained the version; empty if it is not known.
    """
    policy = _given("--policy", given)
    if verdict.passed:
        return [_promotion(name, version, verdict.stage, policy)]
    steps: list[Step] = []
    trained = TrainingCommand(trained_by, name, tags)
    for result in verdict.failures:
        steps += _remedies(result.gate, name, version, verdict, trained, policies)
    words = [name, version, "--stage", verdict.stage, *policy]
    return [*dict.fromkeys(steps), Step(command("registry", "gates", *words), "judges it again")]


def _remedies(
    gate: str, name: str, version: str, verdict: "Verdict", trained: TrainingCommand, policies: "Policies"
) -> list[Step]:
    """The steps that help where a gate failed; none where only a better model does."""
    uri = f"models:/{name}/{version}"
    if gate in ("evidence", "champion") and trained.known:
        words = ["--model", uri, *trained.reading()]
        return [Step(command("pipelines", "evaluate", *words), "measure it on rows of this table")]
    if gate == "champion":
        words = ["--model", uri, "--data", "TABLE", "--unseen", "yes"]
        return [Step(command("pipelines", "evaluate", *words), "TABLE: rows that neither version was trained on")]
    if gate == "suite" and trained.known:
        return [
            Step(command("pipelines", "train", *trained.training("--suite", "auto")), "train it again, with a suite"),
            *_policy_lines("or, to do without a check of the data", policies, "suite: optional"),
        ]
    if gate in ("bound", "baseline") and trained.known and not trained.pipeline:
        return [Step(command("pipelines", "tune", *trained.searching()), "search for better parameters")]
    if gate == "schema" and len(verdict.failures) == 1:
        words = ["--stage", verdict.stage, "--reason", "callers know of the new columns", "--breaking", "yes"]
        return [Step(command("registry", "promote", name, version, *words), "if they do")]
    if gate == "lineage" and trained.known:
        return [
            Step("# commit what trains the model (git init, git add, git commit), and train again in the checkout:"),
            Step(command("pipelines", "train", *trained.training())),
            *_policy_lines("or, to do without a commit", policies, "lineage:", "  commit: optional"),
        ]
    if gate == "parity":
        return _policy_lines("where it may be served by its own code alone", policies, "parity: optional")
    return []


def _policy_lines(when: str, policies: "Policies", *lines: str) -> list[Step]:
    """Lines of a policy as comments, which a shell passes over, with the file to put them into."""
    count = "this line" if len(lines) == 1 else f"these {len(lines)} lines"
    return [Step(f"# {when}, {count} in {policies.own_file}:"), *(Step(f"#   {line}") for line in lines)]


def _promotion(name: str, version: str, stage: str, policy: Sequence[str]) -> Step:
    reason = "the first version" if version == "1" else f"version {version} passed its gates"
    return Step(command("registry", "promote", name, version, "--stage", stage, "--reason", reason, *policy))


def _given(option: str, value: str | None) -> list[str]:
    return [option, value] if value else []
