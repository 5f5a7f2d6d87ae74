"""Commands that die between any two calls, or whose calls' answers are lost: the same command again finishes the job.

The cloud is simulated (moto); the process dies by an exception that nothing catches, raised before a call is made.
"""

from collections.abc import Callable

import pytest

from serving.deployments import deploying
from serving.deployments.errors import DeploymentError
from serving.deployments.settings import DeploymentOptions
from serving.deployments.shifting import Trial
from tests.effort import some
from tests.serving.deployments.made import NAME, ObservedCloud, Time, measured, package
from tests.serving.deployments.simulated import Cut, Simulated

FIRST = DeploymentOptions(create_role=True, url=True, tags={"team": "credit"})
TRIED = DeploymentOptions(trial=Trial(0.1, 120), tags={"owner": "ann"}, url=True)


class Died(BaseException):
    """The process is gone."""


def create(cloud: ObservedCloud) -> None:
    deploying.create(cloud, NAME, package(1, reserved=5, provisioned=2), FIRST)


def update(cloud: ObservedCloud) -> None:
    deploying.update(cloud, NAME, package(2, settings={"MemorySize": 512}), TRIED)


def roll_back(cloud: ObservedCloud) -> None:
    deploying.roll_back(cloud, NAME)


def delete(cloud: ObservedCloud) -> None:
    deploying.delete(cloud, NAME, DeploymentOptions(delete_logs=True))


Command = Callable[[ObservedCloud], None]
#: Each command, and those before it.
COMMANDS: dict[str, tuple[Command, tuple[Command, ...]]] = {
    "create": (create, ()),
    "update": (update, (create,)),
    "rollback": (roll_back, (create, update)),
    "delete": (delete, (create, update)),
}


def prepare(aws: Simulated, cloud: ObservedCloud, before: tuple[Command, ...]) -> None:
    aws.reset()
    for command in before:
        command(cloud)
    aws.calls.clear()


def undisturbed(aws: Simulated, cloud: ObservedCloud, name: str) -> tuple[dict, int]:
    """What a command leaves that nothing disturbs, and how many calls it makes."""
    command, before = COMMANDS[name]
    prepare(aws, cloud, before)
    seen: list[str] = []
    cloud.observe = seen.append
    command(cloud)
    cloud.observe = lambda call: None
    return aws.state(), len(seen)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_dies_before_any_call_is_finished_by_the_same_again(
    aws: Simulated, cloud: ObservedCloud, name: str
):
    command, before = COMMANDS[name]
    expected, count = undisturbed(aws, cloud, name)
    assert count > 5
    for place in some(range(1, count + 1)):
        prepare(aws, cloud, before)
        left = [place]

        def observe(call: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Died(call)

        cloud.observe = observe
        with pytest.raises(Died):
            command(cloud)
        cloud.observe = lambda call: None
        command(cloud)
        assert aws.state() == expected, f"died before call {place} of {count}"


@pytest.mark.parametrize("name", COMMANDS)
def test_an_answer_that_is_lost_is_asked_for_again(aws: Simulated, cloud: ObservedCloud, name: str):
    command, before = COMMANDS[name]
    expected, _ = undisturbed(aws, cloud, name)
    count = len([call for call in aws.calls if call.writes])
    assert count > 0
    for place in some(range(1, count + 1)):
        prepare(aws, cloud, before)
        left = [place]

        def lose(call, left: list[int] = left) -> None:
            left[0] -= call.writes
            if left[0] == 0 and call.writes:
                raise Cut

        aws.after = lose
        command(cloud)
        aws.after = lambda call: None
        assert aws.state() == expected, f"the answer to write {place} of {count} was lost"


def test_a_trial_that_dies_while_it_is_taken_back_stays_taken_back(aws: Simulated, cloud: ObservedCloud, passing: Time):
    passing.meanwhile = lambda: measured(aws.address, "2", now=passing.now, requests=20, errors=20)
    prepare(aws, cloud, (create,))
    seen: list[str] = []
    cloud.observe = seen.append
    with pytest.raises(DeploymentError, match="taken back"):
        update(cloud)
    expected = aws.state()
    for place in some(range(len(seen))):
        passing.now += 600  # what was measured before is not measured again
        prepare(aws, cloud, (create,))
        made: list[str] = []

        def observe(call: str, made: list[str] = made, place: int = place) -> None:
            made.append(call)
            if len(made) == place + 1:
                raise Died(call)

        cloud.observe = observe
        with pytest.raises(Died):
            update(cloud)
        cloud.observe = lambda call: None
        with pytest.raises(DeploymentError, match="taken back"):
            update(cloud)
        state = aws.state()
        assert state["functions"] == expected["functions"], f"died before call {place + 1}"
        assert state["provisioned"] == {(NAME, "1"): 2}
