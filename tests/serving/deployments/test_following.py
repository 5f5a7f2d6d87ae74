"""A deployment follows a stage: the policy's command runs MLflow's own, and the cloud (simulated) has the champion.

Real are the registry, its watch as a process, the policy file, the ledger, and ``mlflow deployments`` as a process of
its own for every transition; the cloud is moto's server.
"""

import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow.deployments import get_deploy_client
from mlflow.exceptions import MlflowException

from registry import client as clients
from registry import ledger, policy, promotion, stages
from registry.judging import StageJudge
from registry.policy import Policies
from registry.stages import PRODUCTION
from serving.deployments import describing
from serving.deployments.aws import connect
from tests.command import ROOT
from tests.registry.watching import program, said
from tests.serving.deployments.simulated import REGION, Simulated

TARGET = f"aws-lambda:/{REGION}"

POLICY = """
lineage: {{commit: optional}}
suite: optional
# The rows of these tests are few, and what the gates say of them is not what is looked at.
stages: {{Staging: [evidence], Production: [evidence]}}
poll: 0.5
follow:
  - command: >-
      {python} -m mlflow deployments update -t {target} --name scores -m "models:/$MODEL_NAME@champion"
      -C canary=0.1 -C bake={bake}
    stages: [Production]
    timeout: 120
    tries: 2
"""


@pytest.fixture
def policies(models: Path, aws: Simulated, warm_python: Path, monkeypatch: pytest.MonkeyPatch) -> Policies:
    """A policy that redeploys ``linear`` after every transition to Production."""
    return written(models, warm_python, monkeypatch, bake=1)


def written(models: Path, warm_python: Path, monkeypatch: pytest.MonkeyPatch, *, bake: int) -> Policies:
    file = models / "policy.yaml"
    file.write_text(POLICY.format(python=warm_python / "python", target=TARGET, bake=bake))
    monkeypatch.setenv("LIFECYCLE_POLICY", str(file))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return policy.read()


@pytest.fixture(autouse=True)
def none_in_a_stage(models: Path) -> None:
    """What an earlier test did with the two versions is undone."""
    (models / "ledger.db").unlink(missing_ok=True)
    registry = clients.connect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for version in ("1", "2"):
            registry.transition_model_version_stage("linear", version, "None")
    for alias in dict(registry.get_registered_model("linear").aliases):
        registry.delete_registered_model_alias("linear", alias)


def answers_with() -> tuple[str, str]:
    """The model that the deployment answers with, and where its requests go."""
    found = describing.describe(connect(REGION), "scores")
    return found["model_uri"], found["traffic"]


def until(condition: Callable[[], bool], *, within: float) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within
        time.sleep(0.2)


def promote(version: str, policies: Policies, *, followed: bool = True):
    registry, name = clients.connect(), "linear"
    own = policies.for_model(name)

    judge = StageJudge(registry, name, own, PRODUCTION).judge
    with ledger.open() as book:
        given = {
            "stage": PRODUCTION,
            "reason": "better",
            "actor": "ann",
            "judge": judge,
        }
        given["followers"] = own.follow if followed else ()
        return promotion.promote(registry, book, name, version, **given)


def deployed() -> None:
    """A deployment of the champion, made by hand once."""
    get_deploy_client(TARGET).create_deployment("scores", "models:/linear@champion", config={"create_role": True})


def test_a_promotion_redeploys_and_a_rollback_takes_it_back_at_once(policies: Policies, aws: Simulated):
    first = promote("1", policies)
    # There is nothing yet that could be updated; the promotion stands all the same.
    (outcome,) = first.outcomes
    assert not outcome.followed
    assert "Error: the deployment 'scores' is not in eu-central-1" in outcome.said
    deployed()
    assert answers_with() == ("models:/linear/1", "version 1")

    (outcome,) = promote("2", policies).outcomes
    assert outcome.followed, outcome
    assert answers_with() == ("models:/linear/2", "version 2")

    aws.calls.clear()
    registry, own = clients.connect(), policies.for_model("linear")
    with ledger.open() as book:
        back = promotion.rollback(registry, book, "linear", reason="complaints", actor="ann", followers=own.follow)
    assert [one.followed for one in back.outcomes] == [True]
    assert answers_with() == ("models:/linear/1", "version 1")
    # The version that was there before has its requests back without a trial, and nothing is published anew.
    changes = [str(call) for call in aws.calls if call.writes]
    assert changes == ["PUT /2015-03-31/functions/scores/aliases/live"]


def test_a_promotion_in_the_ui_redeploys(policies: Policies, models: Path):
    promote("1", policies, followed=False)
    deployed()
    with program(models) as (_, log):
        said(log, "watching every", within=60)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # As MLflow's page does it.
            clients.connect().transition_model_version_stage("linear", "2", PRODUCTION, archive_existing_versions=True)
        until(lambda: answers_with() == ("models:/linear/2", "version 2"), within=90)
    assert stages.read(clients.connect(), "linear").aliases == {"champion": "2"}


def test_a_rollback_in_the_registry_ends_a_trial(
    models: Path, aws: Simulated, warm_python: Path, monkeypatch: pytest.MonkeyPatch
):
    policies = written(models, warm_python, monkeypatch, bake=3600)
    promote("1", policies, followed=False)
    deployed()
    with ThreadPoolExecutor(1) as beside:
        promoted = beside.submit(promote, "2", policies)
        until(lambda: "0.1 of the requests" in answers_with()[1], within=90)
        registry = clients.connect()
        with ledger.open() as book:
            promotion.rollback(registry, book, "linear", reason="complaints", actor="ann")
        # The command looks at the registry every half a minute; that of the rollback has nothing left to do.
        (outcome,) = promoted.result(timeout=120).outcomes
    assert outcome.followed, outcome
    assert outcome.tries == 2
    assert answers_with() == ("models:/linear/1", "version 1")


def test_a_version_whose_gates_did_not_pass_is_not_deployed(
    policies: Policies, aws: Simulated, models: Path, monkeypatch: pytest.MonkeyPatch
):
    promote("1", policies, followed=False)
    deployed()
    aws.calls.clear()
    strict = models / "strict.yaml"
    strict.write_text("bounds: {rmse: 0}\n")
    monkeypatch.setenv("LIFECYCLE_POLICY", str(strict))
    with pytest.raises(MlflowException, match=r"version 2 of 'linear' does not pass its gates.*-C allow_ungated=true"):
        get_deploy_client(TARGET).update_deployment("scores", "models:/linear/2")
    assert aws.calls == []
