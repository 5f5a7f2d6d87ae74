"""Registered versions for tests of their moves, and judges that say what a test wants."""

from collections.abc import Sequence

from mlflow import MlflowClient

from registry import history, stages
from registry.gates import GateResult, Verdict
from registry.ledger import Ledger
from registry.promotion import Judge
from registry.stages import PRODUCTION, STAGING, State
from registry.transitions import execute, planned


def register(client: MlflowClient, name: str, count: int, source: str = "s3://nowhere/model") -> None:
    """Register versions ``1`` to ``count`` of a new model; where no source is given, there is nothing in them."""
    client.create_registered_model(name)
    for _ in range(count):
        client.create_model_version(name, source, description="as trained", tags={"evidence.digest": "sha256:ab"})


def passing(version: str, champion: str | None) -> Verdict:
    """The judge that every version passes."""
    return Verdict(True, (GateResult("bound", True, "rmse 53 <= 60"),), "sha256:ab", champion)


def failing(version: str, champion: str | None) -> Verdict:
    """The judge that no version passes."""
    results = (
        GateResult("suite", False, "2 of 12 expectations failed"),
        GateResult("bound", False, "rmse 71 > 60"),
        GateResult("champion", False, "worse by 3", judged=False),
    )
    return Verdict(False, results, "sha256:ab", champion)


def recording(asked: list[tuple[str, str | None]]) -> Judge:
    """The judge that every version passes, and that keeps what it was asked."""

    def judge(version: str, champion: str | None) -> Verdict:
        asked.append((version, champion))
        return passing(version, champion)

    return judge


def by_ui(client: MlflowClient, name: str, version: str, stage: str, *, archive: bool = False) -> None:
    """Move a version as MLflow's own page does: only the stage."""
    client.transition_model_version_stage(name, version, stage, archive_existing_versions=archive)


def take_back(
    client: MlflowClient,
    book: Ledger,
    name: str,
    version: str,
    calls: Sequence[tuple[str, str]],
) -> None:
    """Carry out a transition of several calls, which ``watch`` makes of a version that was moved by hand."""
    with book.lock(name) as lock:
        state = stages.read(client, name)
        plan = planned(state, history.REVERT, version, calls, told=True)
        execute(client, book, lock, state, plan, actor="watch", reason="its gates failed")


def staged(state: State) -> dict[str, str]:
    """The stage of every version that has one."""
    return {number: version.stage for number, version in state.versions.items() if version.stage != stages.NONE}


def assert_mirrored(state: State) -> None:
    """Fail unless there is at most one version in Production and Staging, and the aliases point at them."""
    for stage, alias in ((PRODUCTION, "champion"), (STAGING, "challenger")):
        there = [version.number for version in state.in_stage(stage)]
        assert len(there) <= 1, f"in {stage}: {there}"
        pointed = [state.aliases[alias]] if alias in state.aliases else []
        assert pointed == there, f"{alias} points at {pointed}, in {stage}: {there}"
