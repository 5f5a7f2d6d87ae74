"""The state of an alias: kept whole by the cloud, and moved by laws that any order of commands obeys."""

import re

import hypothesis.strategies as st
from hypothesis import given

from serving.deployments import traffic
from serving.deployments.traffic import AliasTraffic

VERSIONS = st.integers(1, 10**6).map(str)
MAYBE = st.none() | VERSIONS


@st.composite
def states(draw) -> AliasTraffic:
    version = draw(VERSIONS)
    trying = draw(MAYBE.filter(lambda other: other != version))
    past = {"before": draw(MAYBE), "left": draw(MAYBE), "refused": draw(MAYBE)}
    if trying is None:
        return AliasTraffic(version, **past)
    share = draw(st.floats(0.001, 0.999))
    since, bake = draw(st.integers(1, 2**33)), draw(st.integers(1, 86_400))
    return AliasTraffic(version, trying=trying, share=share, since=since, bake=bake, **past)


def answer(state: AliasTraffic) -> dict:
    """As the cloud tells what it was told."""
    return {
        "FunctionVersion": state.version,
        "Description": state.note(),
        "RoutingConfig": state.routing(),
        "RevisionId": "1",
    }


@given(states())
def test_what_the_cloud_keeps_is_read_as_it_was_written(state: AliasTraffic):
    assert traffic.parse(answer(state)) == state
    assert len(state.note()) <= 256
    assert re.fullmatch(r"[ -~]*", state.note())


@given(st.text(max_size=256), VERSIONS)
def test_words_of_others_in_the_description_are_passed_over(words: str, version: str):
    found = traffic.parse({"FunctionVersion": version, "Description": words})
    assert found.version == version
    assert found.trying is None
    for kept in (found.before, found.left, found.refused):
        assert kept is None or kept.isdigit()


@given(states(), VERSIONS)
def test_a_move_sends_all_requests_to_one_version_and_a_rollback_undoes_it_once(state: AliasTraffic, version: str):
    moved = state.move(version)
    assert (moved.version, moved.trying, moved.share) == (version, None, 0.0)
    if version != state.version:
        back = moved.go_back()
        assert (back.version, back.trying) == (state.version, None)
        assert back.go_back() == back


@given(states(), VERSIONS, st.floats(0.001, 0.999))
def test_a_trial_leaves_the_version_that_answers_and_ends_by_finishing_or_by_taking_it_back(state, version, share):
    if version == state.version:
        return
    tried = state.try_out(version, share=share, bake=60, now=1e9)
    assert (tried.version, tried.trying, tried.share, tried.since) == (state.version, version, share, 10**9)
    assert tried.before == state.before
    finished = tried.move(version)
    assert (finished.version, finished.before, finished.trying) == (version, state.version, None)
    for ended in (tried.take_back(), tried.go_back()):
        assert (ended.version, ended.trying) == (state.version, None)
        # A rollback after it must not lead to a version still earlier.
        assert ended.go_back() == ended


@given(states())
def test_two_rollbacks_are_one(state: AliasTraffic):
    once = state.go_back()
    assert once.go_back() == once
