"""The commands that move versions: ``promote``, ``reject``, ``rollback``."""

from typing import TYPE_CHECKING, Any

import click

from registry.cli.commands import Command, option, policy_option, switch

if TYPE_CHECKING:
    from registry.promotion import Transition


def _given(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """What is required is not blank either, as MLproject would pass it."""
    if value is None:
        raise click.MissingParameter(ctx=ctx, param=param)
    return value


_NAME = click.argument("name")
_VERSION = click.argument("version")
_REASON = option(
    "--reason",
    required=True,
    callback=_given,
    help="Reason of the transition, kept in the ledger and on the version.",
)
_JSON = option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_DRY_RUN = switch("--dry-run", help="Show what would be done, and change nothing.")


@click.command(
    cls=Command,
    examples="""
    lifecycle promote churn 3 --stage Staging --reason "challenges version 2"
    lifecycle promote churn latest --stage Production --reason "better log loss"
    """,
)
@_NAME
@_VERSION
@option(
    "--stage",
    type=click.Choice(["Staging", "Production"], case_sensitive=False),
    required=True,
    callback=_given,
    help="Target stage.",
)
@_REASON
@switch("--breaking", help="Allow a schema that is incompatible with the champion's.")
@switch("--if-vacant", help="Do nothing if a version is in the stage already.")
@_DRY_RUN
@policy_option
@_JSON
@click.pass_context
def promote(
    ctx: click.Context,
    name: str,
    version: str,
    stage: str,
    reason: str,
    breaking: bool,
    if_vacant: bool,
    dry_run: bool,
    policy: str | None,
    as_json: bool,
) -> None:
    """Move a VERSION of model NAME to a stage if it passes the stage's gates; exit code 1 if it does not.

    VERSION is a number, or latest for the newest one. The version that was in the stage is archived, and the alias
    moves along. A version may go to Production from any stage: the gates of Production check everything it needs.
    """
    from registry import judging, ledger, promotion, stages
    from registry import policy as policies
    from registry.cli import next_steps, terminal, training_command
    from registry.client import connect

    read = policies.read(policy)
    rules = read.for_model(name)
    client = connect()
    state = stages.read(client, name)
    found = state.version(version)
    version, stage = found.number, stage.capitalize()
    if if_vacant and (there := state.in_stage(stage)):
        terminal.echo(f"{name}: version {there[0].number} is in {stage}, nothing is moved")
        return
    with ledger.open() as book:
        try:
            transition = promotion.promote(
                client,
                book,
                name,
                version,
                stage=stage,
                reason=reason,
                actor=promotion.who(),
                judge=judging.StageJudge(client, name, rules, stage, breaking).judge_or_fail,
                breaking=breaking,
                dry_run=dry_run,
                followers=rules.follow,
            )
        except promotion.PromotionRefused as refusal:
            if as_json:
                terminal.echo(f"error: {refusal}", err=True)
            else:
                terminal.show_refusal(refusal)
                verdict = refusal.verdict
                next_steps.show(
                    next_steps.of_judged(
                        name,
                        version,
                        verdict,
                        tags=found.tags,
                        policies=read,
                        given=policy,
                        trained_by=training_command.of_run(client, found.run_id),
                    )
                )
            ctx.exit(1)
    if transition.verdict and dry_run and not as_json:
        terminal.show_verdict(name, version, transition.verdict, as_json=False)
    _show(transition, dry_run=dry_run, as_json=as_json)
    if not (as_json or dry_run):
        portable = transition.verdict is None or transition.verdict.portable
        next_steps.show(next_steps.of_promoted(name, version, stage, policy, portable=portable))
    ctx.exit(0 if transition.verdict is None or transition.verdict.passed else 1)


@click.command(
    cls=Command,
    examples="""
    lifecycle reject churn 3 --reason "trained on wrong labels"
    """,
)
@_NAME
@_VERSION
@_REASON
@_DRY_RUN
@policy_option
@_JSON
def reject(name: str, version: str, reason: str, dry_run: bool, policy: str | None, as_json: bool) -> None:
    """Archive a VERSION of model NAME for good, so that it cannot be promoted or rolled back to.

    The version in Production cannot be rejected.
    """
    from registry import ledger, promotion
    from registry import policy as policies
    from registry.cli import next_steps
    from registry.client import connect

    rules = policies.read(policy).for_model(name)
    client = connect()
    with ledger.open() as book:
        transition = promotion.reject(
            client,
            book,
            name,
            version,
            reason=reason,
            actor=promotion.who(),
            dry_run=dry_run,
            followers=rules.follow,
        )
    _show(transition, dry_run=dry_run, as_json=as_json)
    if not (as_json or dry_run):
        next_steps.show(next_steps.of_rejected(name))


@click.command(
    cls=Command,
    examples="""
    lifecycle rollback churn --reason "complaints since noon"
    """,
)
@_NAME
@_REASON
@_DRY_RUN
@policy_option
@_JSON
def rollback(name: str, reason: str, dry_run: bool, policy: str | None, as_json: bool) -> None:
    """Return to the version of model NAME that was in Production before; it is loaded and asked first.

    Versions that were rolled back from, or rejected, are skipped.
    """
    from registry import ledger, promotion
    from registry import policy as policies
    from registry.cli import next_steps
    from registry.client import connect

    rules = policies.read(policy).for_model(name)
    client = connect()
    with ledger.open() as book:
        transition = promotion.rollback(
            client, book, name, reason=reason, actor=promotion.who(), dry_run=dry_run, followers=rules.follow
        )
    _show(transition, dry_run=dry_run, as_json=as_json)
    if not (as_json or dry_run):
        next_steps.show(next_steps.of_rolled_back(name))


def _show(transition: "Transition", *, dry_run: bool, as_json: bool) -> None:
    """Print what was done, or would be; or JSON."""
    from dataclasses import asdict

    from registry.cli import terminal

    plan, verdict = transition.plan, transition.verdict
    if as_json:
        terminal.show_json(
            {
                "model": plan.name,
                "version": plan.version,
                "kind": plan.kind,
                "dry_run": dry_run,
                "ledger_id": transition.id,
                "moves": [move for move in plan.to_dict()["moves"] if move["from"] != move["to"]],
                "aliases": plan.to_dict()["aliases"],
                "verdict": verdict.to_dict() if verdict else None,
                "followed": [asdict(outcome) for outcome in transition.outcomes],
                "notes": list(transition.notes),
            }
        )
        return
    for note in (*transition.notes, *(verdict.caveats if verdict else ())):
        terminal.say(note)
    would = "would move " if dry_run else ""
    for move in plan.moves:
        if move.source != move.target:
            terminal.echo(f"{would}{plan.name} version {move.version}: {move.source} → {move.target}")
        elif transition.id is not None:
            terminal.echo(f"{plan.name} version {move.version} stays in {move.target}")
    for pointing in plan.aliases:
        where = f"version {pointing.after}" if pointing.after else "no version"
        terminal.echo(f"{'would point ' if dry_run else ''}alias {pointing.alias} → {where}")
    if transition.id is not None:
        terminal.echo(f"ledger entry {transition.id}")
    for outcome in transition.outcomes:
        word = "followed by" if outcome.followed else f"not followed ({outcome.said}; tries: {outcome.tries}) by"
        terminal.echo(f"{word} {outcome.follower}", err=not outcome.followed)
