"""Promotion through real tracking servers: one that refuses a user, and one on PostgreSQL by either driver."""

from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from registry import annotations, ledger, promotion, stages
from registry import client as clients
from registry.errors import RegistryError
from registry.ledger import DONE, INTENT, UNDONE
from registry.stages import PRODUCTION
from registry.transitions import recover
from tests import stores
from tests.registry.registered import passing, register, staged


def promote(client, book, version: str) -> promotion.Transition:
    return promotion.promote(
        client, book, "diabetes", version, stage=PRODUCTION, reason="better", actor="ann", judge=passing
    )


def test_a_user_without_the_right_gets_the_servers_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config, admin = tmp_path / "auth.ini", "administrator-1"
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{tmp_path}/auth.db\nadmin_username = admin\n"
        f"admin_password = {admin}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    env = {"MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": "for this test"}

    def become(user: str, password: str):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        return clients.connect()

    with (
        stores.tracking_server(tmp_path, env=env, options=["--app-name", "basic-auth"]) as address,
        ledger.open(f"sqlite:///{tmp_path}/ledger.db") as book,
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        chief = become("admin", admin)
        register(chief, "diabetes", 2)
        user = {"username": "ann", "password": "anns-password-1"}
        requests.post(f"{address}/api/2.0/mlflow/users/create", json=user, auth=("admin", admin)).raise_for_status()

        ann = become("ann", "anns-password-1")
        with pytest.raises(RegistryError, match=r"refused \(403\): Permission denied; check .* and the rights") as told:
            promote(ann, book, "1")
        assert "\n" not in str(told.value)
        assert staged(stages.read(ann, "diabetes")) == {}
        # The intent has moved nothing, and stays until a command of somebody who may move versions.
        assert [entry.state for entry in book.entries()] == [INTENT]
        assert book.verify(lambda: annotations.anchors(ann)) is None

        chief = become("admin", admin)
        promote(chief, book, "1")
        assert staged(stages.read(chief, "diabetes")) == {"1": PRODUCTION}
        assert [entry.state for entry in book.entries()] == [INTENT, UNDONE, INTENT, DONE]
        assert book.verify(lambda: annotations.anchors(chief)) is None
        assert recover(chief, book) == []


def test_a_server_on_postgresql(new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    database = new_database()
    with ledger.open(new_database()) as book:
        with stores.tracking_server(tmp_path, backend=database) as address:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            client = clients.connect()
            register(client, "diabetes", 2)
            # MLflow compares a number with a text, which psycopg 3 does not let pass.
            with pytest.raises(
                RegistryError, match=r"start it with `--backend-store-uri postgresql\+psycopg2://"
            ) as told:
                promote(client, book, "1")
            assert "\n" not in str(told.value)
            assert staged(stages.read(client, "diabetes")) == {}
            assert book.open_intents() == []
        with stores.tracking_server(
            tmp_path, backend=database.replace("postgresql:", "postgresql+psycopg2:")
        ) as address:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            client = clients.connect()
            for version in "12":
                promote(client, book, version)
            assert staged(stages.read(client, "diabetes")) == {"1": "Archived", "2": PRODUCTION}
            assert stages.read(client, "diabetes").aliases == {"champion": "2"}
