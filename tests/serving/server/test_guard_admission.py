"""The door: who is let in, who is told what, and how many at once."""

import asyncio
import concurrent.futures
import re
import time

import pytest

from serving.contract import RequestError
from serving.server.guard import admission as door
from serving.server.guard.admission import ASK, OPEN, SEE, WATCH, Admission, Lag, network
from serving.server.guard.headers import standing
from serving.server.guard.keyring import Keyring
from serving.server.guard.keys import make, write
from serving.server.guard.rates import Rate


class Door:
    """An admission with keys of several kinds, and what it was told."""

    def __init__(self, **settings):
        kinds = {
            "ann": {},
            "bob": {"models": frozenset({"diabetes"})},
            "prometheus": {"uses": frozenset({"metrics"})},
            "late": {"expires": time.time() - 1},
            "slow": {"rate": Rate.parse("2/h")},
        }
        made = {name: make(name, **facts) for name, facts in kinds.items()}
        self.secrets = {name: secret for name, (secret, _) in made.items()}
        self.told: list[tuple[str, str]] = []
        self.admission = Admission(
            keys=Keyring(None, write(key for _, key in made.values())),
            refused=lambda reason, key: self.told.append((reason, key)),
            **settings,
        )

    def ask(self, name: str | None, access: str = ASK, *, model: str = "diabetes", client: str = "192.0.2.1"):
        headers = [(b"host", b"x")]
        if name is not None:
            headers.append((b"authorization", f"Bearer {self.secrets[name]}".encode()))
        return self.admission.admit(access, headers, model=model, client=client)

    def refusal(self, *words, **facts) -> tuple[int, str, dict]:
        with pytest.raises(RequestError) as caught:
            self.ask(*words, **facts)
        error = caught.value
        assert not any(secret in str(error) + repr(error.headers) for secret in self.secrets.values())
        return error.status, error.code, dict(error.headers)


@pytest.fixture
def guarded() -> Door:
    return Door()


def test_without_keys_everybody_is_let_in():
    admission = Admission()
    for access in (OPEN, SEE, ASK, WATCH):
        assert admission.admit(access, [], model="x", client="") is None


def test_with_keys_only_what_is_open_asks_for_none(guarded):
    assert guarded.ask(None, OPEN) is None
    for access in (SEE, ASK, WATCH):
        status, code, headers = guarded.refusal(None, access)
        assert (status, code, headers[b"www-authenticate"]) == (401, "UNAUTHENTICATED", b"Bearer")
    assert guarded.told == [("unauthenticated", "")] * 3


@pytest.mark.parametrize(
    "lines", [[b""], [b"Basic %s"], [b"%s"], [b"Bearer"], [b"Bearer x"], [b"Bearer %s x"], [b"Bearer %s"] * 2]
)
def test_a_header_that_brings_no_key_is_refused(guarded, lines):
    secret = guarded.secrets["ann"].encode()
    headers = [(b"authorization", line.replace(b"%s", secret)) for line in lines]
    with pytest.raises(RequestError) as caught:
        guarded.admission.admit(ASK, headers)
    assert caught.value.status == 401
    assert guarded.secrets["ann"] not in caught.value.message


@pytest.mark.parametrize("line", [b"Bearer %s", b"bearer %s", b"BEARER  %s "])
def test_a_key_is_known_however_the_scheme_is_written(guarded, line):
    headers = [(b"authorization", line.replace(b"%s", guarded.secrets["ann"].encode()))]
    assert guarded.admission.admit(ASK, headers).name == "ann"


def test_a_key_reaches_its_models_alone(guarded):
    assert guarded.ask("bob", model="diabetes").name == "bob"
    assert guarded.ask("bob", SEE, model="").name == "bob"
    # Of a model that there is not it is told the same as of one that is not its own.
    for model in ("iris", "no such model"):
        for access in (ASK, SEE):
            with pytest.raises(RequestError) as caught:
                guarded.ask("bob", access, model=model)
            assert (caught.value.status, caught.value.code) == (403, "PERMISSION_DENIED")
            assert caught.value.message == "the key bob is not for this model"
    assert guarded.ask("ann", model="iris").name == "ann"


def test_a_key_is_for_its_uses_alone(guarded):
    assert guarded.ask("prometheus", WATCH, model="").name == "prometheus"
    assert guarded.refusal("prometheus")[0] == 403
    assert guarded.refusal("prometheus", SEE)[0] == 403
    assert guarded.refusal("ann", WATCH)[0] == 403
    assert guarded.told == [("denied", "prometheus"), ("denied", "prometheus"), ("denied", "ann")]


def test_metrics_may_be_open():
    guarded = Door(open_metrics=True)
    assert guarded.ask(None, WATCH) is None
    assert guarded.refusal(None, SEE)[0] == 401


def test_a_key_that_has_expired_is_refused(guarded):
    status, _, headers = guarded.refusal("late")
    assert (status, headers[b"www-authenticate"]) == (401, b'Bearer error="invalid_token"')


def test_a_rate_is_the_keys_own_or_the_servers():
    guarded = Door(rate=Rate.parse("3/h"))
    for name, most in (("slow", 2), ("ann", 3)):
        for _ in range(most):
            assert guarded.ask(name).name == name
        status, code, headers = guarded.refusal(name)
        assert (status, code) == (429, "REQUEST_LIMIT_EXCEEDED")
        assert 3600 / most - 5 < int(headers[b"retry-after"]) <= 3600 / most
    assert guarded.told == [("limited", "slow"), ("limited", "ann")]
    # To look, and to watch, does not count for it.
    assert guarded.ask("ann", SEE).name == "ann"
    assert guarded.ask("prometheus", WATCH, model="").name == "prometheus"


def test_without_keys_a_rate_is_each_address_own():
    admission = Admission(rate=Rate.parse("1/h"))
    for client in ("192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:2::1"):
        admission.admit(ASK, [], client=client)
        with pytest.raises(RequestError, match="at most 1 requests in an hour"):
            admission.admit(ASK, [], client=client)
    with pytest.raises(RequestError, match="at most"):
        admission.admit(ASK, [], client="2001:db8:0:1:ffff::2")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("no:address", "no:other", False),
        ("", "192.0.2.1", False),
    ],
)
def test_an_address_stands_for_its_network(one, other, same):
    assert (network(one) == network(other)) is same


def test_to_look_is_limited_where_asking_is():
    guarded = Door(rate=Rate.parse("1000000/s"))
    for _ in range(door.LOOKING.burst):
        guarded.ask("ann", SEE)
    assert guarded.refusal("ann", SEE)[0] == 429
    free = Door(most=10**6)
    for _ in range(10 * door.LOOKING.burst):
        free.ask("ann", SEE)


def test_more_than_there_is_room_for_is_shed():
    guarded = Door(most=2)
    guarded.ask("ann"), guarded.ask("bob")
    status, code, headers = guarded.refusal("ann")
    assert (status, code, headers[b"retry-after"]) == (503, "TEMPORARILY_UNAVAILABLE", b"1")
    # Who looks after the server sees it all the same.
    guarded.ask(None, OPEN), guarded.ask("prometheus", WATCH, model="")
    assert guarded.told == [("busy", "ann")]
    for _ in range(3):
        guarded.admission.leave()
    guarded.ask("ann")


def test_who_has_no_key_takes_no_room():
    guarded = Door(most=1)
    for _ in range(5):
        assert guarded.refusal(None)[0] == 401
    assert guarded.ask("ann").name == "ann"


def test_bodies_take_room_together():
    guarded = Door(most_bytes=1000)
    guarded.ask("ann")
    guarded.admission.hold(600, "ann")
    guarded.ask("bob")
    with pytest.raises(RequestError) as caught:
        guarded.admission.hold(500, "bob")
    assert caught.value.status == 503
    assert guarded.told == [("busy", "bob")]
    guarded.admission.hold(400, "bob")
    guarded.admission.leave(600)
    guarded.admission.hold(600, "bob")


def test_a_loop_that_is_late_sheds_until_it_is_not():
    async def run() -> list[bool]:
        lag, found = Lag(0.05), []
        lag.start(asyncio.get_running_loop())
        found.append(lag.too_late)
        # One long request is no overload.
        time.sleep(0.2)
        await asyncio.sleep(0.12)
        found.append(lag.too_late)
        deadline = time.monotonic() + 5
        while not lag.too_late and time.monotonic() < deadline:
            time.sleep(0.15)  # a loop that always has more to do
            await asyncio.sleep(0)
        found.append(lag.too_late)
        admission = Admission(lag=lag)
        with pytest.raises(RequestError) as caught:
            admission.admit(ASK, [])
        found.append(caught.value.status == 503)
        admission.admit(OPEN, []), admission.admit(WATCH, [])
        await asyncio.sleep(0.3)
        found.append(lag.too_late)
        lag.stop()
        return found

    # In a thread of its own: in this one a browser's tests may have left a loop.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        found = thread.submit(lambda: asyncio.run(run())).result()
    assert found == [False, False, True, True, False]


@pytest.mark.parametrize("tls", [False, True])
def test_every_answer_says_what_a_browser_may_do_with_it(tls):
    kinds = standing(tls=tls)
    for kind, headers in kinds.items():
        found = dict(headers)
        assert len(found) == len(headers)
        assert found[b"x-content-type-options"] == b"nosniff"
        assert found[b"referrer-policy"] == b"no-referrer"
        policy = found[b"content-security-policy"].decode()
        assert re.match(r"default-src 'none';", policy)
        assert "frame-ancestors 'none'" in policy
        assert ("unsafe" in policy.replace("style-src 'self' 'unsafe-inline'", "")) is False
        assert ("unsafe" in policy) == (kind == "docs")
        assert "http:" not in policy
        assert "*" not in policy
        assert (b"strict-transport-security" in found) is tls
    assert dict(kinds["api"])[b"cache-control"] == b"no-store"
    assert dict(kinds["page"])[b"cache-control"] == b"no-store"
