"""The package for Azure Functions: its files, its name, its settings."""

import json
from pathlib import Path

import pytest

from serving.errors import ServingError
from tests.serving.functions import clouds
from tests.serving.packaging import made

TARGET = "azure-functions"


def test_it_is_an_app_of_the_v2_python_model(tmp_path: Path) -> None:
    built = made.built(made.model(tmp_path), TARGET, tmp_path / "app")
    assert built.path == tmp_path / "app"
    host = json.loads((tmp_path / "app" / "host.json").read_text())
    assert host["version"] == "2.0"
    # Without it every path would begin with /api.
    assert host["extensions"]["http"]["routePrefix"] == ""
    assert (tmp_path / "app" / "requirements.txt").read_text() == "azure-functions==1.26.0\n"
    ignored = (tmp_path / "app" / ".funcignore").read_text().split()
    assert {"local.settings.json", "plan.json"} <= set(ignored)
    # It is small: what is uploaded is text.
    assert built.size < 200_000
    [limit] = built.plan.limits
    assert limit.size == sum(file.size for file in built.plan.package)


@pytest.mark.parametrize(("auth", "level"), [("function", "FUNCTION"), ("anonymous", "ANONYMOUS")])
def test_azure_sees_one_function_for_every_path(tmp_path: Path, auth: str, level: str) -> None:
    made.built(made.model(tmp_path), TARGET, tmp_path / "app", auth=auth)
    bindings = clouds.azure(tmp_path / "app", []).bindings
    trigger = next(one for one in bindings if one["type"] == "httpTrigger")
    assert trigger["route"] == "{*path}"
    assert trigger["authLevel"].endswith(level)
    assert {"POST", "GET", "HEAD"} <= {str(method).rpartition(".")[2] for method in trigger["methods"]}


@pytest.mark.parametrize("name", ["-made", "made-", "m", "a" * 61, "mäde", "made_up", "Made"])
def test_names_that_azure_does_not_take_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ServingError, match="option name: 2 to 60 lower-case letters, digits and -"):
        made.plan(made.model(tmp_path), TARGET, name=name)


def test_a_name_is_made_of_the_models(tmp_path: Path) -> None:
    plan = made.plan(made.model(tmp_path, name="Breast Cancer (2026)"), TARGET)
    assert plan.name == "breast-cancer-2026"
    assert "takes no 'Breast Cancer (2026)'" in plan.notes[0]
    assert made.plan(made.model(tmp_path, name="x" * 80), TARGET).name == "x" * 60
    with pytest.raises(ServingError, match="give -C name="):
        made.plan(made.model(tmp_path, name="日本"), TARGET)


def test_keys_are_settings_of_the_app_and_an_open_app_is_told(tmp_path: Path) -> None:
    model = made.model(tmp_path)
    keyed = made.plan(model, TARGET, auth="anonymous", api_keys=made.KEY_DIGEST)
    assert keyed.environment["API_KEYS"] == made.KEY_DIGEST
    assert any(f"API_KEYS={made.KEY_DIGEST}" in command for command in keyed.commands)
    assert not any("anyone with the URL" in note for note in keyed.notes)
    assert any("anyone with the URL" in note for note in made.plan(model, TARGET, auth="anonymous").notes)
    with pytest.raises(ServingError, match="64 hexadecimal digits"):
        made.plan(model, TARGET, api_keys=made.KEY)


def test_the_commands_are_azures_own(tmp_path: Path) -> None:
    create, settle, publish = made.plan(made.model(tmp_path), TARGET, name="made-app", python="3.11").commands
    assert create.startswith("az functionapp create ")
    assert "-n made-app" in create
    assert "--runtime-version 3.11" in create
    # Azure by itself takes keys over plain HTTP, too.
    assert "--https-only true" in create
    assert settle.startswith("az functionapp config appsettings set ")
    assert publish == "func azure functionapp publish made-app"
    with pytest.raises(ServingError, match=r"option python: expected one of 3\.11"):
        made.plan(made.model(tmp_path), TARGET, python="3.8")
