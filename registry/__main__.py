"""``python -m registry``: what is registered, what the gates say of it, and its way through the stages."""

if __name__ == "__main__":  # importing takes a moment
    from registry.cli import early

    early.listen()

import click

from registry.cli.commands import Group, Option, option, policy_option, run, switch
from registry.cli.moves import promote, reject, rollback

_JSON = click.option("--json", "as_json", is_flag=True, cls=Option, help="Print the result as JSON.")


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Move versions through the stages of MLflow's registry: checked by gates, recorded in a ledger, reversible."""


for _command in (promote, reject, rollback):
    cli.add_command(_command)


@cli.command(
    "list",
    examples="""
    lifecycle list
    lifecycle list churn
    """,
)
@click.argument("name", required=False)
@policy_option
@_JSON
def list_(name: str | None, policy: str | None, as_json: bool) -> None:
    """Show the registered models, or one: their versions, stages, aliases and metrics side by side."""
    from registry import client, listing
    from registry import policy as policies
    from registry.cli import terminal

    terminal.show_list(listing.rows(client.connect(), policies.read(policy), name or None), as_json=as_json)


@cli.command(
    examples="""
    lifecycle gates churn latest
    lifecycle gates churn 3 --stage Staging
    """
)
@click.argument("name")
@click.argument("version")
@option("--stage", type=click.Choice(["Staging", "Production"], case_sensitive=False), default="Production",
        help="Stage whose gates to evaluate.")  # fmt: skip
@switch("--breaking", help="Allow a schema that is incompatible with the champion's.")
@policy_option
@_JSON
def gates(name: str, version: str, stage: str, breaking: bool, policy: str | None, as_json: bool) -> int:
    """Show each gate's verdict on a version and its reason; exit code 1 if the version does not pass."""
    from registry import client, judging, stages
    from registry import policy as policies
    from registry.cli import next_steps, terminal, training_command

    rules = policies.read(policy)
    connected = client.connect()
    state = stages.read(connected, name)
    found = state.version(version)
    judge = judging.StageJudge(connected, name, rules.for_model(name), stage, breaking)
    verdict = judge.judge(found.number, state.champion)
    terminal.show_verdict(name, found.number, verdict, as_json=as_json)
    if not as_json:
        next_steps.show(
            next_steps.of_judged(
                name,
                found.number,
                verdict,
                tags=found.tags,
                policies=rules,
                given=policy,
                trained_by="" if verdict.passed else training_command.of_run(connected, found.run_id),
            )
        )
    return 0 if verdict.passed else 1


@cli.command(
    examples="""
    lifecycle history churn --verify
    """
)
@click.argument("name")
@switch("--verify", help="Check that no row of the ledger was changed; exit code 1 if one was.")
@_JSON
def history(name: str, verify: bool, as_json: bool) -> int:
    """Show a model's ledger: every transition, when, by whom and why."""
    from registry import annotations, client, ledger, stages
    from registry.cli import terminal

    with ledger.open() as opened:
        entries = opened.entries(name)
        if not verify:
            if not entries:
                # It says so where there is no such model.
                stages.read(client.connect(), name)
            terminal.show_history(entries, as_json=as_json)
            return 0
        connected = client.connect()
        # It says so where there is no such model.
        stages.read(connected, name)
        broken = opened.verify(lambda: annotations.anchors(connected))
        if not as_json:
            terminal.show_history(entries, as_json=False)
        terminal.show_verified(broken, len(opened.entries()), as_json=as_json)
        return 1 if broken else 0


@cli.command(
    examples="""
    lifecycle watch
    lifecycle watch --once
    """
)
@switch("--once", help="Reconcile what was changed so far, and exit.")
@option("--interval", type=click.FloatRange(0.1, 60), help="Seconds between two polls. [default: the policy's]")
@policy_option
def watch(once: bool, interval: float | None, policy: str | None) -> None:
    """Watch for stages and aliases that are changed by hand, in MLflow's UI for example, and apply the gates to them.

    A change that passes is kept; one that fails is reverted or flagged, as the policy says. Stage and alias are kept
    in sync, and every change is recorded in the ledger. Several watchers may run: one works, the others stand by.
    """
    from registry import client, ledger, logs
    from registry import policy as policies
    from registry.cli import interrupts, log_output, terminal
    from registry.watch import Watch

    read = policies.read(policy)
    with ledger.open() as opened, log_output.shown(logs.timed_line):
        watcher = Watch(client.connect(), opened, read, poll=interval)
        if once:
            if not watcher.once():
                terminal.say("nothing was changed by hand")
            return
        try:
            watcher.run()
        except KeyboardInterrupt:
            # This is how it ends, and no failure.
            interrupts.close()
            logs.get_logger("registry.watch").info("stopped watching")


@cli.command(
    examples="""
    lifecycle ui
    lifecycle ui --host 0.0.0.0 --backend postgresql://mlflow@db/mlflow --artifacts s3://bucket/mlflow
    """
)
@option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 for all addresses of this machine.")
@option("--port", type=click.IntRange(1, 65535), default=5000, help="Port to listen on.")
@option("--backend", metavar="URI", help="Database of runs and registry: sqlite:///mlflow.db, postgresql://... "
        "[default: MLFLOW_TRACKING_URI, else MLflow's own]")  # fmt: skip
@option("--artifacts", metavar="URI", help="Where the server keeps artifacts: a folder, s3://... [default: MLflow's]")
@option("--workers", type=click.IntRange(1), default=1, help="Number of processes of the server.")
@policy_option
def ui(**given) -> int:
    """Run MLflow's tracking server with its pages, and `watch` beside it, until Ctrl-C.

    What is promoted in the pages is judged by the gates, and a model server follows it. Where one of the two ends, the
    other one is stopped.
    """
    from registry.cli import log_output
    from registry.logs import timed_line
    from registry.ui import PageSettings
    from registry.ui import run as run_both

    with log_output.shown(timed_line):
        return run_both(PageSettings(**given))


if __name__ == "__main__":
    run(cli)
