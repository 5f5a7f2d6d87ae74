"""``python -m registry``: what is registered, what the gates say of it, and its way through the stages."""

import click

from registry.cli.commands import Group, Option, option, policy_option, run, switch
from registry.cli.moves import promote, reject, rollback

_JSON = click.option("--json", "as_json", is_flag=True, cls=Option, help="Print the result as JSON.")


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A version's way through the stages of MLflow's registry: judged, written into a ledger, and reversible."""


for _command in (promote, reject, rollback):
    cli.add_command(_command)


@cli.command("list")
@click.argument("name", required=False)
@policy_option
@_JSON
def list_(name: str | None, policy: str | None, as_json: bool) -> None:
    """Show the registered models, or one: their versions, stages, aliases and metrics side by side."""
    from registry import client, listing
    from registry import policy as policies
    from registry.cli import terminal

    terminal.show_list(listing.rows(client.connect(), policies.read(policy), name or None), as_json=as_json)


@cli.command()
@click.argument("name")
@click.argument("version")
@option("--stage", type=click.Choice(["Staging", "Production"], case_sensitive=False), default="Production",
        help="The stage whose gates count.")  # fmt: skip
@switch("--breaking", help="Callers know that the columns change: let that pass.")
@policy_option
@_JSON
def gates(name: str, version: str, stage: str, breaking: bool, policy: str | None, as_json: bool) -> int:
    """Show what the gates say of a version, and why. It exits with 1 where one that counts is not passed."""
    from registry import client, judging, stages
    from registry import policy as policies
    from registry.cli import terminal

    own = policies.read(policy).for_model(name)
    connected = client.connect()
    state = stages.read(connected, name)
    version = state.version(version).number
    verdict = judging.StageJudge(connected, name, own, stage, breaking).judge(version, state.champion)
    terminal.show_verdict(name, version, verdict, as_json=as_json)
    return 0 if verdict.passed else 1


@cli.command()
@click.argument("name")
@switch("--verify", help="Check that no row of the ledger was changed; exits with 1 where one was.")
@_JSON
def history(name: str, verify: bool, as_json: bool) -> int:
    """Show what the ledger tells of a model: every move, when, by whom, why."""
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


@cli.command()
@switch("--once", help="Settle what was changed by hand until now, and end.")
@option("--interval", type=click.FloatRange(0.1, 60), help="Seconds between two looks. [default: the policy's]")
@policy_option
def watch(once: bool, interval: float | None, policy: str | None) -> None:
    """See stages and aliases that are changed by hand, in MLflow's pages say, and judge them by the same gates.

    One that passes is adopted, one that fails is put back or flagged, as the policy says; stage and alias are brought
    into line, and the ledger tells it. Of several watchers one is at work, the others stand by.
    """
    from registry import client, ledger
    from registry import policy as policies
    from registry.cli import interrupts, terminal
    from registry.watch import Watch

    read = policies.read(policy)
    with ledger.open() as opened:
        watcher = Watch(client.connect(), opened, read, poll=interval, say=terminal.log)
        if once:
            if not watcher.once():
                terminal.say("nothing was changed by hand")
            return
        try:
            watcher.run()
        except KeyboardInterrupt:
            # This is how it ends, and no failure.
            interrupts.close()
            terminal.log("stopped watching")


if __name__ == "__main__":
    run(cli)
