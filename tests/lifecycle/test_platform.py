"""The platform by Docker Compose: the file by its schema, and its commands as processes, from training to an answer.

Docker itself is not needed. What the file says (command, environment, volumes, ports) is taken from it; PostgreSQL and
the object store are the tests' own, and the names of services become addresses on this machine.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import psycopg
import pytest
import yaml
from mlflow import MlflowClient
from sklearn.datasets import load_diabetes

from registry import last_report
from tests import stores, system, tools
from tests.command import BARE, ROOT
from tests.patience import soon
from tests.serving.functions.clouds import Answer, Request, over_http

FOLDER = ROOT / "docs" / "examples" / "platform"
#: What the tests' processes are told of the secrets, each by the variable that holds it.
SECRETS = {name: f"secret-of-{name}" for name in ("POSTGRES_PASSWORD", "MLFLOW_DB_PASSWORD", "LEDGER_DB_PASSWORD")}
#: A variable in the file: its name, and what stands behind it.
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
#: A package that has the specification's schema.
SCHEMA = "check-jsonschema==0.39.0"


def read(variables: Mapping[str, str]) -> dict:
    """The file with its variables replaced, as Compose does it."""

    def value(found: re.Match) -> str:
        name, kind, rest = found.groups()
        if variables.get(name):
            return variables[name]
        assert kind == "-", f"{name} {rest}"
        return rest

    def replaced(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: replaced(one) for key, one in part.items()}
        if isinstance(part, list):
            return [replaced(one) for one in part]
        return VARIABLE.sub(value, part) if isinstance(part, str) else part

    return replaced(yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def services() -> dict[str, dict]:
    return read({**SECRETS, "S3_PASSWORD": "secret-of-S3_PASSWORD"})["services"]


def test_it_keeps_to_the_specification() -> None:
    python = tools.python(SCHEMA)
    where = "import importlib.resources as r; print(r.files('check_jsonschema') / 'builtin_schemas/vendor')"
    folder = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip()
    schema = json.loads(Path(folder, "compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.validate(read({**SECRETS, "S3_PASSWORD": "secret"}), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"serve": {"imgae": "x"}}}, schema)


def test_no_secret_has_a_default_and_each_service_has_only_its_own(services: dict[str, dict]) -> None:
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    for name in (*SECRETS, "S3_PASSWORD"):
        uses = [found for found in VARIABLE.finditer(text) if found[1] == name]
        assert uses
        assert {(found[2], found[3]) for found in uses} == {("?", "is missing in .env, see the top of compose.yaml")}
    seen = {
        name: {secret for secret in (*SECRETS, "S3_PASSWORD") if f"secret-of-{secret}" in json.dumps(one)}
        for name, one in services.items()
    }
    assert seen == {
        "database": {"POSTGRES_PASSWORD", "MLFLOW_DB_PASSWORD", "LEDGER_DB_PASSWORD"},
        "objects": {"S3_PASSWORD"},
        "tracking": {"MLFLOW_DB_PASSWORD", "S3_PASSWORD"},
        "watch": {"LEDGER_DB_PASSWORD"},
        "serve": {"LEDGER_DB_PASSWORD"},
        "monitor": {"LEDGER_DB_PASSWORD"},
        "lifecycle": {"LEDGER_DB_PASSWORD"},
    }


def test_the_lines_of_the_guide_make_all_secrets(tmp_path: Path) -> None:
    system.need("openssl")
    guide = (ROOT / "docs" / "guides" / "platform.md").read_text(encoding="utf-8")
    lines = next(block for block in re.findall(r"```sh\n(.*?)```", guide, re.S) if "openssl" in block)
    place = "docs/examples/platform"
    (tmp_path / place).mkdir(parents=True)
    subprocess.run(["sh", "-ec", lines], cwd=tmp_path, check=True)
    file = tmp_path / place / ".env"
    assert file.stat().st_mode & 0o777 == 0o600
    found = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert found.keys() == {*SECRETS, "S3_PASSWORD"}
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in found.values())
    password = next(line for line in guide.splitlines() if line.startswith("PASSWORD="))
    shown = subprocess.run(["sh", "-ec", f"{password}; echo $PASSWORD"], cwd=tmp_path, capture_output=True, text=True)
    assert shown.stdout.strip() == found["LEDGER_DB_PASSWORD"]


def test_images_are_pinned_and_ports_are_this_machines_own(services: dict[str, dict]) -> None:
    for name, one in services.items():
        assert re.search(r":v?\d+\.\d+|:local$", one["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ())), name
        assert "no-new-privileges:true" in one["security_opt"], name
        assert one["cap_drop"] == ["ALL"], name
        assert one["mem_limit"], name
    ours = [one for one in services.values() if "build" in one]
    assert len(ours) == 5
    for one in ours:
        assert one["read_only"]
        build = one["build"]
        assert (FOLDER / build["context"]).resolve() == ROOT
        assert (ROOT / build["dockerfile"]).is_file()


def test_the_image_is_made_of_what_is_there() -> None:
    """The files that its Dockerfile copies, which make the wheel, and are not kept from Docker."""
    dockerfile = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        word
        for words in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.M)
        for word in words.replace("/", "").split()
    ]
    assert all((ROOT / name).exists() for name in copied)
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}
    assert {"pyproject.toml", "LICENSE", "pipelines", "registry", "serving"} <= set(copied)
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, FOLDER / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@dataclass
class Platform:
    """The services on this machine.

    Parameters
    ----------
    folder : has a folder for each volume.
    addresses : text of the file, and what it becomes here.
    ports : those of services, by the service's own.
    key : the secret of an API key.
    """

    folder: Path
    services: Mapping[str, dict]
    addresses: Mapping[str, str]
    ports: Mapping[str, int]
    key: str = ""

    def here(self, text: str) -> str:
        for there, here in self.addresses.items():
            text = text.replace(there, here)
        return text

    def command(self, name: str, *more: str) -> list[str]:
        """A service's command line, by the programs of this environment."""
        one = self.services[name]
        program, *words = [*one.get("entrypoint", ()), *(more or one["command"])]
        swapped = [str(self.ports[word]) if word in self.ports else self.here(word) for word in words]
        return [str(Path(sys.executable).with_name(program)), *swapped]

    def environment(self, name: str) -> dict[str, str]:
        """A service's environment, and nothing of the tests' own."""
        given = {key: self.here(value) for key, value in self.services[name]["environment"].items()}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.folder), "MLFLOW_DISABLE_TELEMETRY": "true", **given}

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[stores.Process]:
        folder = self.folder / name
        folder.mkdir()
        # `stores.process` adds to this environment: what a service is not told, it does not have.
        with pytest.MonkeyPatch.context() as patch:
            for variable in os.environ:
                if variable.startswith(("MLFLOW_", "AWS_", "LEDGER_", "LIFECYCLE_", "SERVING_")):
                    patch.delenv(variable)
            with stores.process(self.command(name), folder=folder, env=self.environment(name)) as process:
                yield process

    def run(self, *words: str) -> str:
        """What ``docker compose run --rm lifecycle ...`` prints."""
        whole = {"env": self.environment("lifecycle"), "cwd": self.folder, "capture_output": True, "text": True}
        done = subprocess.run(self.command("lifecycle", *words), **whole)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, service: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        kind = {"Content-Type": "application/json"} if body else {}
        port = self.ports[{"tracking": "5000", "serve": "8080"}[service]]
        return over_http(port, Request(body, "POST" if body else "GET", path, kind | headers))


@pytest.fixture(scope="module")
def database(postgresql: str) -> str:
    """A PostgreSQL server that has run the file which makes the databases, as its image does when the volume is new."""
    found = urlsplit(postgresql)
    psql = str(stores.postgresql_programs() / "psql")
    # https://github.com/docker-library/postgres, docker-entrypoint.sh
    command = [psql, "-v", "ON_ERROR_STOP=1", "--no-password", "--no-psqlrc", "-f", str(FOLDER / "databases.sql")]
    command += [f"--host={found.hostname}", f"--port={found.port}", f"--username={found.username}"]
    environment = {"PATH": os.environ["PATH"], "PGPASSWORD": found.password or "", **SECRETS}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return postgresql


@pytest.fixture(scope="module")
def platform(
    database: str, object_store: stores.ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """All services that are ours, started in their order."""
    folder = tmp_path_factory.mktemp("platform")
    variables = {**SECRETS, "S3_USER": object_store.access, "S3_PASSWORD": object_store.secret}
    services = read(variables)["services"]
    for volume in services["objects"]["volumes"]:
        object_store.client().create_bucket(Bucket=volume.rpartition("/")[2])
    ports = {name: stores.free_port() for name in ("5000", "8080")}
    address = urlsplit(database)
    addresses = {
        "@database/": f"@{address.hostname}:{address.port}/",
        "http://objects:7070": object_store.endpoint,
        "http://tracking:5000": f"http://127.0.0.1:{ports['5000']}",
    }
    for path in ("/etc/lifecycle", "/etc/serving/keys", "/var/cache/serving", "/var/lib/predictions"):
        (folder / path[1:]).mkdir(parents=True)
        addresses[path] = str(folder / path[1:])
    policy = (FOLDER / "policy" / "policy.yaml").read_text(encoding="utf-8")
    more = "suite: optional\nlineage:\n  commit: optional\n"
    (folder / "etc" / "lifecycle" / "policy.yaml").write_text(policy + more)
    made = Platform(folder, services, addresses, ports)
    with made.running("tracking") as tracking:
        tracking.wait(lambda: stores.answers(f"http://127.0.0.1:{ports['5000']}/health"))
        made.key = made.run("keys", "add", "me").split()[-1]
        with made.running("watch"), made.running("serve") as serve:
            serve.wait(lambda: stores.answers(f"http://127.0.0.1:{ports['8080']}/live"))
            yield made


def test_each_database_is_its_users_own(database: str) -> None:
    address = urlsplit(database)
    for user, name in (("mlflow", "ledger"), ("ledger", "mlflow")):
        where = f"{user}:{SECRETS[f'{user.upper()}_DB_PASSWORD']}@{address.hostname}:{address.port}"
        psycopg.connect(f"postgresql://{where}/{user}").close()
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(f"postgresql://{where}/{name}")


def test_a_model_goes_through_all_services(platform: Platform, object_store: stores.ObjectStore) -> None:
    assert platform.ask("serve", "/ready").status == 503
    platform.run("train", "--data", "diabetes", *BARE)
    platform.run("promote", "diabetes", "1", "--stage", "Production", "--reason", "test")
    wait(lambda: platform.ask("serve", "/ready").status == 200)
    row = {"age": 59, "sex": 2, "bmi": 32.1, "bp": 101, "s1": 157, "s2": 93.2, "s3": 38, "s4": 4, "s5": 4.86, "s6": 87}
    body = json.dumps({"dataframe_records": [row]}).encode()
    assert platform.ask("serve", "/invocations", body).status == 401
    answer = platform.ask("serve", "/invocations", body, Authorization=f"Bearer {platform.key}")
    assert (answer.status, answer.headers["x-model-version"]) == (200, "diabetes/1")
    [prediction] = answer.json["predictions"]
    assert 100 < prediction < 300
    # The artifacts are in the bucket that the volume is.
    kept = object_store.client().list_objects_v2(Bucket="mlflow")["Contents"]
    assert any(one["Key"].endswith("scorecard.json") for one in kept)
    # What a job logs is monitored by the service that is off unless asked for.
    load_diabetes(as_frame=True, scaled=False).data.to_csv(platform.folder / "rows.csv", index=False)
    files = ("--input", "rows.csv", "--output", "out.csv", "--record", "/var/lib/predictions")
    platform.run("score", "models:/diabetes/1", *files)
    client = MlflowClient(platform.here("http://tracking:5000"))
    with platform.running("monitor"):
        wait(lambda: last_report.TAG in client.get_model_version("diabetes", "1").tags)
    told = json.loads(client.get_model_version("diabetes", "1").tags[last_report.TAG])
    assert (told["rows"], told["alerts"]) == (442, 0)


def test_the_watch_puts_back_what_was_moved_by_hand(platform: Platform) -> None:
    client = MlflowClient(platform.here("http://tracking:5000"))
    client.create_registered_model("by-hand")
    run = client.create_run("0").info.run_id
    client.create_model_version("by-hand", f"runs:/{run}/model", run)
    client.transition_model_version_stage("by-hand", "1", "Production", archive_existing_versions=True)
    wait(lambda: client.get_model_version("by-hand", "1").current_stage == "None")


def test_the_tracking_server_answers_to_the_names_it_is_called_by_and_no_other(platform: Platform) -> None:
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    for host, status in (("tracking:5000", 200), ("localhost:5001", 200), ("attacker.example", 403)):
        assert platform.ask("tracking", path, Host=host).status == status


def test_health_checks_say_yes(platform: Platform) -> None:
    for name in ("tracking", "serve"):
        _, *words = platform.services[name]["healthcheck"]["test"]
        swapped = [re.sub(r"\b(5000|8080)\b", lambda found: str(platform.ports[found[0]]), word) for word in words]
        assert subprocess.run([sys.executable, *swapped[1:]]).returncode == 0


def wait(ready: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + soon(20)
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.1)
