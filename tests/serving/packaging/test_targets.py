"""All targets: what each refuses before anything is written, and that a version gives the same bytes each time."""

import json
from pathlib import Path

import pytest

from serving.errors import ServingError
from serving.packaging import TARGETS
from tests.command import failed, run
from tests.serving.contract import cases
from tests.serving.packaging import made
from tests.serving.server import servers

#: What each has to be told.
NEEDED = {
    "sagemaker-proxy": {"endpoint": "live"},
    "kubernetes": {"image": "registry.example/made:3"},
    "azure-ml": {"image": "team.azurecr.io/made:3"},
    "vertex-ai": {"image": "europe-west1-docker.pkg.dev/our-project/models/made:3"},
}
OTHERS = [name for name in TARGETS if name != "aws-lambda"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder."""
    return servers.model(tmp_path_factory.mktemp("models") / "made", cases.scorecard("labels"))


def tree(folder: Path) -> dict[str, bytes]:
    """The files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("target", OTHERS)
def test_a_version_gives_the_same_bytes_wherever_and_whenever_it_is_built(
    target: str, folder: Path, tmp_path: Path
) -> None:
    options = NEEDED.get(target, {})
    here = made.built(made.model(folder), target, tmp_path / "here", **options)
    there = made.built(made.model(folder), target, tmp_path / "there", **options)
    assert tree(tmp_path / "here") == tree(tmp_path / "there")
    assert here.sha256 == there.sha256
    words = [str(folder), "--target", target, "--allow-ungated", *(f"-C{k}={v}" for k, v in options.items())]
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo" if seed == "1" else "UTC"}
        run("package", *words, "-o", seed, folder=tmp_path, package="serving", env=environment)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")


@pytest.mark.parametrize("target", OTHERS)
def test_a_version_whose_gates_did_not_pass_is_refused(target: str, folder: Path, tmp_path: Path) -> None:
    options = [f"-C{name}={value}" for name, value in NEEDED.get(target, {}).items()]
    words = ["package", str(folder), "--target", target, *options, "-o", "out"]
    failed(run(*words, folder=tmp_path, package="serving"), says="--allow-ungated packages it all the same")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("target", OTHERS)
def test_a_dry_run_shows_the_plan_and_writes_nothing(target: str, folder: Path, tmp_path: Path) -> None:
    options = [f"-C{name}={value}" for name, value in NEEDED.get(target, {}).items()]
    words = ["package", str(folder), "--target", target, *options, "--allow-ungated", "--dry-run"]
    done = run(*words, folder=tmp_path, package="serving")
    kind = {"sagemaker-proxy": "a zip", "docker": "a container"}.get(target, "files")
    assert f" for {target}, as {kind}: " in done.out.splitlines()[0]
    found = json.loads(run(*words, "--json", folder=tmp_path, package="serving").out)
    assert found["target"] == target
    assert found["commands"]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("target", OTHERS)
def test_an_unknown_option_is_told_which_there_are(target: str, folder: Path) -> None:
    with pytest.raises(ServingError, match=rf"{target} has no option 'nmae'; did you mean 'name'\?"):
        made.plan(made.model(folder), target, nmae="x")


@pytest.mark.parametrize("target", ["azure-functions", "gcp-functions", "kubernetes"])
def test_a_model_without_a_scorecard_is_refused_with_what_to_do(target: str, folder: Path) -> None:
    with pytest.raises(ServingError, match=r"models:/forest/1 has no scorecard \(it is a forest\)"):
        made.plan(made.unsaid(folder), target, **NEEDED.get(target, {}))


def test_the_command_tells_of_all_targets(tmp_path: Path) -> None:
    # Long lines are broken at dashes, too.
    said = "".join(run("package", "--help", folder=tmp_path, package="serving").out.split())
    assert all(name in said for name in TARGETS)
    assert all(TARGETS[name].name == name and TARGETS[name].summary for name in TARGETS)
