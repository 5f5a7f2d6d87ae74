"""Challenger beside champion: who answers, who is asked beside, and what comes of it."""

import asyncio
import json
import re
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.contract import Limits, question
from serving.server.messages import Request
from serving.server.protocols.mlflow import MLflow
from serving.server.shadow import Shadow
from serving.server.state import ServedModel, TrafficSplit
from serving.server.traffic import ShadowComparison, choose, compare, position
from tests.patience import soon
from tests.serving.server import cards
from tests.serving.server.running import running
from tests.serving.server.servers import Server, wait
from tests.serving.server.unwell import Dead, Slow, Unwell
from tests.serving.server.warm import keep, warm

PERSON = {"dataframe_records": [cards.PERSON]}


def people(mode: str, weight: float, *, challenger=None) -> ServedModel:
    return cards.model("people", cards.people(), challenger=challenger or cards.people(1), mode=mode, weight=weight)


def asking(key: bytes | None = None, body: bytes = b"{}", header: bytes = b"x-request-key") -> Request:
    return Request("POST", "/invocations", headers=[(header, key)] if key is not None else [], body=body)


keys = st.binary(max_size=20)
weights = st.floats(0, 1)


class TestChoice:
    @given(st.binary(min_size=1, max_size=20), weights)
    def test_a_key_stays(self, key, weight):
        model = people("canary", weight)
        assert choose(model, asking(key)) == choose(model, asking(key, b"other"))

    @given(keys, weights, weights)
    def test_a_greater_weight_only_moves_keys_to_the_challenger(self, key, one, other):
        low, high = sorted((one, other))
        if choose(people("canary", low), asking(key))[0].version == "4":
            assert choose(people("canary", high), asking(key))[0].version == "4"

    @given(keys)
    def test_nothing_and_all(self, key):
        assert choose(people("canary", 0.0), asking(key))[0].version == "3"
        assert choose(people("canary", 1.0), asking(key))[0].version == "4"
        assert choose(people("none", 1.0), asking(key))[0].version == "3"
        alone = ServedModel("people", people("none", 0).champion, None, TrafficSplit("canary", 1.0))
        assert choose(alone, asking(key)) == (alone.champion, None)

    def test_a_share_of_keys_is_the_weight(self):
        model = people("canary", 0.1)
        found = sum(choose(model, asking(str(n).encode()))[0].version == "4" for n in range(20_000))
        assert found == pytest.approx(2000, abs=5 * (20_000 * 0.1 * 0.9) ** 0.5)

    def test_the_same_everywhere(self):
        """Another worker, another day: written down once."""
        assert position("people", b"ann") == pytest.approx(0.3931622595, abs=1e-9)
        assert position("flowers", b"ann") != position("people", b"ann")

    def test_the_key_is_a_header_or_the_body(self):
        model = people("canary", 0.5)
        bodies = [str(n).encode() for n in range(50)]
        assert len({choose(model, asking(None, body))[0].version for body in bodies}) == 2
        assert len({choose(model, asking(b"ann", body))[0].version for body in bodies}) == 1
        session = [choose(model, asking(b"ann", body, b"x-session-id"))[0].version for body in bodies]
        assert set(session) == {choose(model, asking(b"ann"))[0].version}
        assert choose(model, asking(None, b"a")) == choose(model, asking(b"", b"a"))

    def test_a_shadow_never_answers(self):
        model = people("shadow", 1.0)
        assert [version.version for version in choose(model, asking(b"a"))] == ["3", "4"]
        share = [choose(people("shadow", 0.5), asking(str(n).encode())) for n in range(100)]
        assert {chosen.version for chosen, _ in share} == {"3"}
        assert 25 < sum(beside is not None for _, beside in share) < 75


class TestCompared:
    def tally(self, model: ServedModel, body: dict) -> ShadowComparison:
        return compare(lambda version: question(body, version.card.inputs), model.champion, model.challenger, few=16)

    def test_the_same(self):
        tally = self.tally(people("shadow", 1.0, challenger=cards.people()), PERSON)
        assert tally == ShadowComparison(requests=1, rows=1)

    def test_numbers(self):
        model = cards.model("line", cards.line(2.0), challenger=cards.line(3.0), mode="shadow", weight=1.0)
        tally = self.tally(model, {"instances": [0, 1, 2]})
        assert (tally.rows, tally.different) == (3, 2)
        assert (tally.distance, tally.largest) == (pytest.approx(3.0), pytest.approx(2.0))

    def test_labels(self):
        rows = [{**cards.PERSON, "age": age} for age in range(10, 80)]
        tally = self.tally(people("shadow", 1.0), {"dataframe_records": rows})
        one, other = cards.people(), cards.people(1)
        assert tally.different == sum(one.predict_row(row) != other.predict_row(row) for row in rows)
        apart = [abs(one.probabilities_row(row)[0] - other.probabilities_row(row)[0]) for row in rows]
        assert (tally.largest, tally.distance) == (pytest.approx(max(apart)), pytest.approx(sum(apart)))

    def test_one_that_refuses(self):
        model = people("shadow", 1.0, challenger=cards.flowers())
        tally = self.tally(model, PERSON)
        assert (tally.requests, tally.failed, tally.rows) == (1, 1, 0)

    def test_labels_without_probabilities(self):
        tally = self.tally(people("shadow", 1.0, challenger=cards.people(estimator="svm")), PERSON)
        assert (tally.rows, tally.failed) == (1, 0)
        assert tally.distance == tally.different


class Told:
    """A shadow, and what it told."""

    def __init__(self, **more):
        self.total = ShadowComparison()
        self.shadow = Shadow(Limits(), count=self.count, **more)

    def count(self, model: str, champion: str, challenger: str, tally: ShadowComparison) -> None:
        assert (model, champion, challenger) == ("people", "3", "4")
        self.total.add(tally)

    @property
    def asked(self) -> int:
        return self.total.requests + self.total.dropped

    async def until(self, holds, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, self.total
            await asyncio.sleep(0.01)

    async def started(self, model: ServedModel, request: Request) -> None:
        """Ask until it answers: what comes before it is there is dropped."""
        self.shadow.ask(model.champion, model.challenger, MLflow(), request)
        await self.until(lambda: self.shadow._process is not None)
        self.shadow.ask(model.champion, model.challenger, MLflow(), request)
        await self.until(lambda: self.total.requests == 1)


REQUEST = Request(
    *("POST", "/invocations"),
    headers=[(b"content-type", b"application/json"), (b"authorization", b"Bearer secret")],
    body=json.dumps(PERSON).encode(),
)


class TestShadow:
    def run(self, scenario) -> None:
        asyncio.run(scenario())

    def test_compares_beside(self, capfd):
        async def scenario():
            told, model = Told(), people("shadow", 1.0)
            await told.started(model, REQUEST)
            for _ in range(100):
                told.shadow.ask(model.champion, model.challenger, MLflow(), REQUEST)
            await told.until(lambda: told.total.requests == 101)
            assert told.total.dropped == 1
            assert (told.total.rows, told.total.failed) == (101, 0)
            one, other = (card.probabilities_row(cards.PERSON)[0] for card in (cards.people(), cards.people(1)))
            assert told.total.largest == pytest.approx(abs(one - other))
            process = psutil.Process(told.shadow._process.pid)
            assert process.nice() > 0
            await told.shadow.stop()
            assert not process.is_running()
            assert "shadow of people: versions 3 and 4 were asked 101 times for 101 rows" in capfd.readouterr().err

        self.run(scenario)

    def test_an_accident_is_counted(self):
        async def scenario():
            told, model = Told(), people("shadow", 1.0)
            await told.started(model, REQUEST)
            told.shadow.ask(model.champion, model.challenger, Unwell(), REQUEST)
            told.shadow.ask(model.champion, model.challenger, MLflow(), REQUEST)
            await told.until(lambda: told.total.requests == 3)
            assert told.total.failed == 1
            await told.shadow.stop()

        self.run(scenario)

    def test_one_that_is_slow_is_not_waited_for(self):
        async def scenario():
            told, model = Told(waiting=100_000), people("shadow", 1.0)
            await told.started(model, REQUEST)
            large = Request("POST", "/invocations", headers=REQUEST.headers, body=b"x" * 10_000)
            began = time.perf_counter()
            for _ in range(200):
                told.shadow.ask(model.champion, model.challenger, Slow(), large)
                await asyncio.sleep(0)
            assert time.perf_counter() - began < soon(0.5)
            # The pipe holds 64 kB, and 100 kB may wait beside it.
            assert told.total.dropped > 150
            began = time.perf_counter()
            await told.shadow.stop()
            assert time.perf_counter() - began < soon(5)

        self.run(scenario)

    def test_one_that_dies_comes_again(self, monkeypatch):
        monkeypatch.setattr("serving.server.shadow.AGAIN", 0.2)

        async def scenario():
            told, model = Told(), people("shadow", 1.0)
            await told.started(model, REQUEST)
            told.shadow.ask(model.champion, model.challenger, Dead(), REQUEST)
            await told.until(lambda: told.shadow._process is None)
            before = told.total.requests
            deadline = time.monotonic() + 30
            while told.total.requests == before and time.monotonic() < deadline:
                told.shadow.ask(model.champion, model.challenger, MLflow(), REQUEST)
                await asyncio.sleep(0.05)
            assert told.total.requests > before
            assert told.total.dropped > 1  # the one that it died of among them
            await told.shadow.stop()

        self.run(scenario)

    def test_one_that_nobody_asks_ends(self, monkeypatch):
        monkeypatch.setattr("serving.server.shadow.IDLE", 3.0)

        async def scenario():
            told, model = Told(), people("shadow", 1.0)
            await told.started(model, REQUEST)
            await told.until(lambda: told.shadow._process is None)
            before = told.total.requests

            def compared_again() -> bool:
                told.shadow.ask(model.champion, model.challenger, MLflow(), REQUEST)
                return told.total.requests > before

            await told.until(compared_again)
            await told.shadow.stop()

        self.run(scenario)

    def test_another_challenger_takes_its_place(self, capfd):
        async def scenario():
            told, model = Told(), people("shadow", 1.0)
            await told.started(model, REQUEST)
            same = people("shadow", 1.0, challenger=cards.people())
            for _ in range(5):
                told.shadow.ask(same.champion, same.challenger, MLflow(), REQUEST)
            await told.until(lambda: told.total.requests == 6)
            assert told.total.largest > 0
            assert len(told.shadow._pairs) == 1
            await told.shadow.stop()
            _, line = capfd.readouterr().err.splitlines()
            assert "0 rows differ, by 0 on average" in line

        self.run(scenario)


class TestServed:
    """Over HTTP."""

    def test_canary_in_header(self):
        with running(cards.served(people("canary", 0.5), default="people")) as server:
            found = {}
            for place in range(40):
                key = f"caller {place % 20}"
                answer = server.post("/invocations", PERSON, x_request_key=key)
                found.setdefault(key, set()).add(answer.headers["x-model-version"])
            assert all(len(versions) == 1 for versions in found.values())
            assert {version for versions in found.values() for version in versions} == {"people/3", "people/4"}

    def test_who_refuses_is_told_too(self):
        """A challenger that wants another column is seen in metrics and log."""
        observed = []
        model = people("canary", 1.0, challenger=cards.flowers())
        with running(cards.served(model, default="people"), observe=lambda *what: observed.append(what[2])) as server:
            for body in (PERSON, {"dataframe_records": [cards.PERSON] * 1000}):
                found = server.post("/invocations", body)
                assert (found.status, found.headers["x-model-version"]) == (400, "people/4")
        assert [(one.model, one.version) for one in observed] == [("people", "4")] * 2

    def test_whatever_the_protocol(self):
        with running(cards.served(people("canary", 1.0), default="people")) as server:
            row = [cards.PERSON]
            for path, body in (
                ("/predict", {"features": cards.PERSON}),
                ("/v1/models/people:predict", {"instances": row}),
                ("/predictions/people", {"data": cards.PERSON}),
                ("/models/people/invocations", PERSON),
            ):
                assert server.post(path, body).headers["x-model-version"] == "people/4"
            for path in ("/v1/models/people/versions/3:predict", "/v1/models/people/labels/champion:predict"):
                assert server.post(path, {"instances": row}).headers["x-model-version"] == "people/3"

    def test_a_shadow_is_asked_only_beside_the_champion(self):
        asked = []
        with running(
            cards.served(people("shadow", 1.0), default="people"), shadow=lambda *what: asked.append(what)
        ) as server:
            assert server.post("/invocations", PERSON).headers["x-model-version"] == "people/3"
            server.post("/v1/models/people/versions/4:predict", {"instances": [cards.PERSON]})
            server.post("/v1/models/people/versions/3:predict", {"instances": [cards.PERSON]})
            server.post("/invocations", {"dataframe_records": [{"age": "x"}]})
        ((champion, challenger, protocol, request),) = asked
        assert (champion.version, challenger.version, protocol.name) == ("3", "4", "mlflow")
        assert json.loads(request.body) == PERSON


def compared_rows(server: Server) -> dict[str, float]:
    text = server.get("/metrics").body.decode()
    return {
        outcome: float(number)
        for outcome, number in re.findall(r'serving_compared_total\{.*outcome="(\w+)".*\} (\S+)', text)
    }


@pytest.fixture
def shadowed(tmp_path: Path):
    with warm(cards.served(people("shadow", 1.0), default="people"), tmp_path, "--workers", "2") as server:
        yield server.ready("people")


class TestLive:
    """A whole server."""

    def test_shadow_is_counted_and_logged(self, shadowed):
        before = shadowed.post("/invocations", PERSON)
        assert before.headers["x-model-version"] == "people/3"

        def all_counted() -> bool:
            shadowed.post("/invocations", PERSON)
            found = compared_rows(shadowed)
            return found.get("same", 0) + found.get("different", 0) >= 20

        wait(all_counted, lambda: shadowed.err)
        shadows = [
            one
            for one in psutil.Process(shadowed.process.pid).children(recursive=True)
            if "serving.server.shadow_worker" in one.cmdline()
        ]
        assert shadows
        assert shadowed.stop() == 0
        assert re.search(r"shadow of people: versions 3 and 4 were asked \d+ times", shadowed.err)
        assert not any(one.is_running() for one in shadows)

    def test_a_shadow_ends_with_its_worker(self, shadowed):
        def shadows() -> list[psutil.Process]:
            shadowed.post("/invocations", PERSON)
            found = psutil.Process(shadowed.process.pid).children(recursive=True)
            return [one for one in found if "serving.server.shadow_worker" in one.cmdline()]

        wait(lambda: bool(shadows()))
        (first, *_) = shadows()
        first.parent().kill()
        wait(lambda: not first.is_running())

    def test_changed_without_restart(self, tmp_path):
        with warm(cards.served(people("none", 0.0), default="people"), tmp_path) as server:
            server.ready("people")
            assert server.post("/invocations", PERSON).headers["x-model-version"] == "people/3"
            keep(cards.served(people("canary", 1.0), default="people", generation=2), tmp_path)
            wait(lambda: server.post("/invocations", PERSON).headers["x-model-version"] == "people/4")
            assert 'version="4"' in server.get("/metrics").body.decode()
            wait(lambda: '"version":"4"' in server.out)
