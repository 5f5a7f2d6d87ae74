"""A registry with versions that can be served, moved as people and the platform move them."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from mlflow import MlflowClient

from registry import ledger, promotion, stages
from serving.scorecard import Scorecard
from tests.logged import before_writes
from tests.registry import made, registered
from tests.serving.server import servers


@dataclass
class Registry:
    """A registry in a folder, and its ledger.

    Parameters
    ----------
    uri : of the tracking store.
    env : what a process needs to find it, and the ledger.
    """

    uri: str
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri, self.uri)

    @property
    def ledger(self) -> ledger.Ledger:
        return ledger.open(self.env["LEDGER_URI"])

    def version(
        self, name: str, card: Scorecard | None, example: dict | None = None, *, model: Path | None = None, **evidence
    ) -> str:
        """Register a version with evidence that passes all gates, unless said otherwise; its number.

        Parameters
        ----------
        model : the folder of the model, in place of one with the scorecard.
        """
        number = made.register(self.client, name, **evidence)
        run = self.client.get_model_version(name, number).run_id
        folder = servers.model(self.folder / "made" / name / number, card, example)
        self.client.log_artifacts(run, str(model or folder), "model")
        shutil.rmtree(folder)
        return number

    def artifact(self, name: str, number: str, file: str = "scorecard.json") -> Path:
        """Where a file of a version is, on this machine."""
        run = self.client.get_run(self.client.get_model_version(name, number).run_id)
        return Path(run.info.artifact_uri.removeprefix("file://")) / "model" / file

    def promote(
        self, name: str, number: str, stage: str = "Production", *, observe: Callable[[str], None] = lambda step: None
    ) -> None:
        """Promote a version, as the command does where its gates are passed; ``observe`` is told of each step."""
        with self.ledger as book, before_writes(observe):
            promotion.promote(
                self.client,
                book,
                name,
                number,
                stage=stage,
                reason="test",
                actor="ann",
                judge=_passing(stage),
            )

    def rollback(self, name: str) -> None:
        """What a rollback moves; that the version loads is not tried first, which takes seconds."""
        with self.ledger as book, book.lock(name) as lock:
            state = stages.read(self.client, name)
            plan, _, left = promotion._return(book, state)
            mover = promotion._Mover(self.client, book, name, "test", "ann")
            mover.move(lock, state, plan, left=left)

    def by_hand(self, name: str, number: str, stage: str, *, archive: bool = True) -> None:
        """Move a version as the registry's pages do."""
        registered.by_ui(self.client, name, number, stage, archive=archive)


def _passing(stage: str):
    def judge(version: str, champion: str | None):
        verdict = registered.passing(version, champion)
        return type(verdict)(verdict.passed, verdict.results, verdict.digest, champion, stage)

    return judge


def on_sqlite(store: Path, folder: Path) -> Registry:
    """A registry that is a file, copied from an empty one."""
    path = folder / "mlflow.db"
    shutil.copyfile(store, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", (str(folder / "mlruns" / "0"),))
    uri = f"sqlite:///{path}"
    env = {"MLFLOW_TRACKING_URI": uri, "LEDGER_URI": f"sqlite:///{folder / 'ledger.db'}"}
    return Registry(uri, folder, env)


def on_server(address: str, folder: Path) -> Registry:
    """A registry behind a tracking server."""
    env = {"MLFLOW_TRACKING_URI": address, "LEDGER_URI": f"sqlite:///{folder / 'ledger.db'}"}
    return Registry(address, folder, env)


def apply(registry: Registry) -> None:
    """Let MLflow in this process use the registry; the test's own fixture forgets it."""
    os.environ.update(registry.env)
