"""Two commands at once: one runs from beginning to end between any two calls of the other (cloud simulated by moto)."""

import re
from collections.abc import Callable

from serving.deployments import deploying, describing
from serving.deployments.errors import DeploymentError
from serving.deployments.settings import DeploymentOptions
from tests.effort import some
from tests.serving.deployments.made import NAME, ObservedCloud, code, package
from tests.serving.deployments.simulated import Simulated


def update(cloud: ObservedCloud, number: int) -> None:
    deploying.update(cloud, NAME, package(number), DeploymentOptions())


def create(cloud: ObservedCloud, number: int = 1) -> None:
    deploying.create(cloud, NAME, package(number), DeploymentOptions(create_role=True))


def between(cloud: ObservedCloud, place: int, other) -> list[str]:
    """Let something else happen just before the call of that number; the calls so far."""
    seen: list[str] = []

    def observe(call: str) -> None:
        seen.append(call)
        if len(seen) == place:
            cloud.observe = lambda call: None
            other()
            cloud.observe = observe

    cloud.observe = observe
    return seen


def refusal(command: Callable[[], None]) -> DeploymentError | None:
    """The error of a command; None where it ends well."""
    try:
        command()
    except DeploymentError as error:
        return error
    return None


def assert_whole(aws: Simulated) -> None:
    """Fail unless every published version holds the code of the model that it says."""
    for one in aws.state()["functions"][NAME]["versions"]:
        if one["Version"] != "$LATEST":
            number = int(one["Description"].rpartition("/")[2])
            assert one["CodeSha256"] == code(number).digest, one


def test_an_update_between_any_two_calls_of_another_is_never_mixed_with_it(aws: Simulated, cloud: ObservedCloud):
    create(cloud)
    seen = between(cloud, 0, None)
    update(cloud, 2)
    count, outcomes = len(seen), []
    # In the middle, between what it reads and what it writes, an update is lost.
    for place in sorted({*some(range(1, count + 1)), count // 2}):
        cloud.observe = lambda call: None
        aws.reset()
        create(cloud)
        between(cloud, place, lambda: update(cloud, 3))
        refused = refusal(lambda: update(cloud, 2))
        assert refused is None or ("somebody else" in refused.message and refused.error_code == "ABORTED"), refused
        lost = refused is not None
        cloud.observe = lambda call: None
        assert_whole(aws)
        found = describing.describe(cloud, NAME)["model_uri"]
        # Whoever ends without an error has had its way, unless the other came after it.
        assert found == "models:/diabetes/3" if lost else found in ("models:/diabetes/2", "models:/diabetes/3")
        outcomes.append(lost)
        update(cloud, 2)
        assert describing.describe(cloud, NAME)["model_uri"] == "models:/diabetes/2"
        assert_whole(aws)
    assert any(outcomes)
    assert not all(outcomes)


def test_a_create_between_any_two_calls_of_the_same_create_is_no_harm(aws: Simulated, cloud: ObservedCloud):
    seen = between(cloud, 0, None)
    create(cloud)
    cloud.observe = lambda call: None
    expected = aws.state()
    for place in some(range(1, len(seen) + 1)):
        cloud.observe = lambda call: None
        aws.reset()
        between(cloud, place, lambda: create(cloud))
        create(cloud)
        cloud.observe = lambda call: None
        assert aws.state() == expected, f"between calls {place - 1} and {place}"


def test_of_two_creates_of_different_models_one_is_refused(aws: Simulated, cloud: ObservedCloud):
    seen = between(cloud, 0, None)
    create(cloud)
    for place in some(range(2, len(seen) + 1)):
        cloud.observe = lambda call: None
        aws.reset()
        between(cloud, place, lambda: create(cloud, 2))
        refused = refusal(lambda: create(cloud))
        assert refused is None or re.search("somebody else|exists already", refused.message), refused
        cloud.observe = lambda call: None
        assert_whole(aws)
        assert describing.describe(cloud, NAME)["version"] in ("1", "2")


def test_a_rollback_between_any_two_calls_of_an_update_wins_or_is_told(aws: Simulated, cloud: ObservedCloud):
    create(cloud)
    update(cloud, 2)
    seen = between(cloud, 0, None)
    update(cloud, 3)
    for place in some(range(1, len(seen) + 1)):
        cloud.observe = lambda call: None
        aws.reset()
        create(cloud)
        update(cloud, 2)
        between(cloud, place, lambda: deploying.roll_back(cloud, NAME))
        refused = refusal(lambda: update(cloud, 3))
        assert refused is None or "somebody else moved the traffic" in refused.message, refused
        expected = "models:/diabetes/1" if refused else "models:/diabetes/3"
        cloud.observe = lambda call: None
        found = describing.describe(cloud, NAME)["model_uri"]
        # A rollback after the last move of the update goes back from it.
        assert found == expected or (place > len(seen) - 3 and found == "models:/diabetes/2"), place
