"""API keys: what a file may say, who bears one, and a file that changes under a running server."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import ServingError
from serving.server.guard.keyring import Keyring
from serving.server.guard.keys import PREFIX, Keys, make, moment, read, visible, write
from serving.server.guard.rates import Rate
from serving.server.settings import ServerSettings
from serving.server.state import Served
from tests.command import failed, run

HASH = hashlib.sha256(b"secret").hexdigest()
#: What no message may repeat: part of a hash, or of a value that is wrong.
NEVER = (HASH, "hunter2")


def entry(**facts) -> dict:
    return {"name": "ann", "sha256": HASH, **facts}


def document(*entries) -> str:
    return json.dumps({"version": 1, "keys": list(entries)})


def test_a_key_is_found_by_its_secret_alone():
    made = [make(name) for name in ("ann", "bob", "eve")]
    keys = Keys(key for _, key in made)
    assert [keys.find(secret.encode()).name for secret, _ in made] == ["ann", "bob", "eve"]
    secret, key = made[0]
    for wrong in (
        b"",
        secret[:-1].encode(),
        (secret + "x").encode(),
        secret.swapcase().encode(),
        key.digest,
        b"x" * 9999,
    ):
        assert keys.find(wrong) is None
    assert keys.find(key.digest.hex().encode()) is None


def test_a_secret_is_long_has_a_mark_and_is_not_kept():
    secrets = {make("ann")[0] for _ in range(50)}
    assert len(secrets) == 50
    assert all(secret.startswith(PREFIX) and len(secret) == len(PREFIX) + 43 for secret in secrets)
    secret, key = make("ann")
    assert secret not in write([key])
    assert secret not in repr(key)


def test_where_a_key_is_looked_up_is_a_secret_of_the_process():
    # Two processes with the same keys keep them in different places: time tells nothing of a digest.
    _, key = make("ann")
    places = [next(iter(Keys([key])._index)) for _ in range(2)]
    assert places[0] != places[1]
    assert all(key.digest not in place for place in places)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)},
            optional={
                "models": st.frozensets(st.text(max_size=20), max_size=3),
                "uses": st.sampled_from(
                    [frozenset({"predict"}), frozenset({"metrics"}), frozenset({"predict", "metrics"})]
                ),
                "rate": st.builds(
                    Rate, st.integers(1, 10**9 - 1), st.sampled_from([1, 60, 3600]), st.integers(1, 10**9 - 1)
                ),
                "expires": st.integers(0, 4 * 10**9).map(float),
            },
        ),
        max_size=4,
        unique_by=lambda facts: facts["name"],
    )
)
def test_what_is_written_is_read_again(facts):
    keys = tuple(make(one.pop("name"), **one)[1] for one in facts)
    assert read(write(keys), "keys.json") == keys


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected keys as JSON"),
        ("[" * 100_000, "expected keys as JSON"),
        ("[]", 'expected {"version": 1'),
        ('{"version": 2, "keys": []}', 'expected {"version": 1'),
        ('{"version": 1, "keys": [], "more": 1}', 'expected {"version": 1'),
        ('{"version": 1, "keys": {}}', 'expected {"version": 1'),
        (document("ann"), "key 0: expected name, sha256"),
        (document({"name": "ann", "key": "hunter2"}), "key 0: expected name, sha256"),
        (document(entry(secret="hunter2")), "key 0: expected name, sha256"),
        (document(entry(name="")), "key 0: name is"),
        (document(entry(name='a"b')), "key 0: name is"),
        (document(entry(name=7)), "key 0: name is"),
        (document(entry(sha256="hunter2")), r"key 0 \(ann\): sha256 is 64 hexadecimal"),
        (document(entry(sha256=HASH[:-2])), r"key 0 \(ann\): sha256 is 64 hexadecimal"),
        (document(entry(sha256=None)), r"key 0 \(ann\): sha256 is 64 hexadecimal"),
        (document(entry(models="diabetes")), r"key 0 \(ann\): models is a list"),
        (document(entry(models=[1])), r"key 0 \(ann\): models is a list"),
        (document(entry(uses=[])), r"key 0 \(ann\): uses is"),
        (document(entry(uses=["admin"])), r"key 0 \(ann\): uses is"),
        (document(entry(rate="fast")), r"key 0 \(ann\): a rate is written"),
        (document(entry(rate=5)), r"key 0 \(ann\): a rate is written"),
        (document(entry(expires="soon")), r"key 0 \(ann\): expires is a date"),
        (document(entry(expires=5)), r"key 0 \(ann\): expires is a date"),
        (document(entry(), entry(sha256="0" * 64)), "expected one key of the name 'ann'"),
        (document(entry(), entry(name="bob")), "the key 'bob' has the secret of another"),
    ],
)
def test_a_document_that_is_none_is_refused(text, says):
    with pytest.raises(ServingError, match=says) as error:
        read(text, "keys.json")
    assert str(error.value).startswith("keys.json")
    assert not any(part in str(error.value) for part in NEVER)


def test_times_are_read_with_their_zone():
    assert moment("1970-01-02") == 86400
    assert moment("1970-01-01T01:00:00Z") == 3600
    assert moment("1970-01-01T01:00:00+01:00") == 0


class Followed:
    """A file of keys."""

    def __init__(self, path: Path):
        self.path = path

    def holds(self, *keys) -> None:
        self.text(write(keys))

    def text(self, text: str) -> None:
        # As editors and `keys add` do: another file takes the place.
        part = self.path.with_suffix(".part")
        part.write_text(text)
        os.replace(part, self.path)


@pytest.fixture
def file(tmp_path) -> Followed:
    return Followed(tmp_path / "keys.json")


class Ring(Keyring):
    """Keys that are looked at again before each question, as a server does every second."""

    def find(self, secret):
        self.refresh()
        return super().find(secret)


def test_a_file_that_changes_is_read_again(file):
    (ann, key_of_ann), (bob, key_of_bob) = make("ann"), make("bob")
    file.holds(key_of_ann)
    ring = Ring(file.path)
    assert ring.find(ann.encode())
    assert not ring.find(bob.encode())
    file.holds(key_of_ann, key_of_bob)
    assert ring.find(ann.encode())
    assert ring.find(bob.encode())
    file.holds(key_of_bob)
    assert not ring.find(ann.encode())
    assert ring.find(bob.encode())
    file.holds()
    assert not ring.find(bob.encode())


@pytest.mark.parametrize("broken", ["", '{"version": 1, "keys": [', document(entry(), entry())])
def test_a_broken_file_keeps_the_old_keys_and_says_so_once(file, capfd, broken):
    secret, key = make("ann")
    file.holds(key)
    ring = Ring(file.path)
    file.text(broken)
    for _ in range(3):
        assert ring.find(secret.encode())
    said = capfd.readouterr().err
    assert said.count("the previous keys stay valid") == 1
    assert str(file.path) in said
    file.holds()
    assert not ring.find(secret.encode())
    assert "read again, 0 keys" in capfd.readouterr().err


def test_a_file_that_goes_away_keeps_the_old_keys(file, capfd):
    secret, key = make("ann")
    file.holds(key)
    ring = Ring(file.path)
    file.path.unlink()
    assert ring.find(secret.encode())
    assert ring.find(secret.encode())
    assert capfd.readouterr().err.count("No such file or directory; the previous keys stay valid") == 1
    file.holds(key)
    assert ring.find(secret.encode())


def test_a_pipe_in_place_of_the_file_is_not_waited_for(file, capfd):
    """What reads a pipe waits for whoever writes to it: a worker would answer nobody until then."""
    secret, key = make("ann")
    file.holds(key)
    ring = Ring(file.path)
    file.path.unlink()
    os.mkfifo(file.path)
    assert ring.find(secret.encode())
    assert "found something else; the previous keys stay valid" in capfd.readouterr().err


def test_a_worker_that_starts_while_the_file_is_broken_has_the_last_good_keys(file, tmp_path):
    secret, key = make("ann")
    file.holds(key)
    Keyring(file.path, memory=tmp_path / "memory")
    file.text("{")
    ring = Ring(file.path, memory=tmp_path / "memory")
    assert ring.find(secret.encode())
    file.holds()
    assert not ring.find(secret.encode())


def test_without_keys_to_begin_with_there_is_no_server(file):
    with pytest.raises(ServingError, match="expected a readable file of keys, found No such file"):
        Keyring(file.path)
    file.text("{")
    with pytest.raises(ServingError, match="expected keys as JSON"):
        Keyring(file.path, memory=file.path.with_suffix(".memory"))
    assert Keyring.of(ServerSettings()) is None


def test_the_environment_may_hold_keys_too(file):
    (ann, key_of_ann), (bob, key_of_bob) = make("ann"), make("bob")
    file.holds(key_of_ann)
    ring = Ring(file.path, write([key_of_bob]))
    assert ring.find(ann.encode()).name == "ann"
    assert ring.find(bob.encode()).name == "bob"
    file.holds()
    assert not ring.find(ann.encode())
    assert ring.find(bob.encode())
    file.holds(make("bob")[1])
    with pytest.raises(ServingError, match="SERVING_KEYS: expected one key of the name 'bob', found several"):
        Keyring(file.path, write([key_of_bob]))


def test_a_key_sees_its_models_alone():
    # What a model is does not matter here.
    served = Served({"a": "A", "b": "B"}, "b", 7, {"c": "no", "d": "nor"})
    assert visible(served, None) is served
    assert visible(served, make("all")[1]) is served
    seen = visible(served, make("some", models=frozenset({"a", "c", "z"}))[1])
    assert (dict(seen.models), seen.default, seen.generation, dict(seen.refused)) == ({"a": "A"}, None, 7, {"c": "no"})


# ---- The command ----


def test_keys_are_added_listed_and_removed(tmp_path):
    def command(*words):
        return run("keys", *words, folder=tmp_path, package="serving")

    added = command("add", "ann", "--models", "diabetes, iris", "--rate", "10/s:50", "--expires", "2031-01-01")
    secret = added.out.strip()
    assert added.code == 0
    assert secret.startswith(PREFIX)
    assert secret not in added.err
    path = tmp_path / "keys.json"
    assert path.stat().st_mode & 0o077 == 0
    assert secret not in path.read_text()
    key = Keyring(path).find(secret.encode())
    assert (key.name, key.models, str(key.rate)) == ("ann", {"diabetes", "iris"}, "10/s:50")
    failed(command("add", "ann"), says="expected one key of the name 'ann'")
    assert command("add", "prometheus", "--uses", "metrics").code == 0
    listed = command("list").out
    assert "ann         diabetes,iris  predict  10/s:50       2031-01-01" in listed
    assert "prometheus  all            metrics  the server's  never" in listed
    assert key.digest.hex() not in listed
    assert command("remove", "ann").code == 0
    assert [key.name for key in Keyring(path).all] == ["prometheus"]
    failed(command("remove", "ann"), says="there is no key 'ann'")
    failed(command("list", "--file", "other.json"), says="there is no such file")
    failed(command("add", "a b"), says="NAME is 1 to 64")
    failed(command("add", "bob", "--rate", "fast"), says="a rate is written as")
    failed(command("add", "bob", "--uses", "admin"), says="--uses: expected predict or metrics")
    failed(command("add", "bob", "--expires", "soon"), says="--expires: expected a date")


def test_a_document_for_the_environment_is_printed(tmp_path):
    done = run("keys", "add", "ann", "--file", "-", folder=tmp_path, package="serving")
    secret = done.err.split()[-1]
    assert Keyring(None, done.out).find(secret.encode()).name == "ann"
    assert list(tmp_path.iterdir()) == []
