"""The cache between follower and workers: whole or as it was, and never another's."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.server.cache import KEPT, Cache, CachedModel, CachedVersion, CacheError, StateDocument
from serving.server.cache_reader import CacheReader
from serving.server.settings import ServerSettings
from serving.server.source import source
from serving.server.state import TrafficSplit
from tests.serving.server import servers

ONE, TWO = servers.regression(1), servers.regression(2)
CARDS = {ONE.digest: ONE, TWO.digest: TWO}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache(tmp_path / "cache", "here")
    made.make()
    for card in CARDS.values():
        made.add(card)
    return made


@pytest.mark.parametrize("uri", ["./m", "wine=./m"])
def test_a_path_is_another_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry.example")
    found = set()
    for name in ("one", "other"):
        (tmp_path / name / "m").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / name)
        found.add(source(ServerSettings(uris=(uri,))))
    assert len(found) == 2
    assert all("registry.example" not in one for one in found)


def state(cache: Cache) -> Path:
    """The file of the state document."""
    (found,) = cache.folder.glob("state-*")
    return found


def kept(name: str = "sums", card=ONE, *, version: str = "1", **more) -> CachedModel:
    return CachedModel(name, CachedVersion(version, "Production", card.digest, {"age": 1.0}, 7), **more)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
ENTRIES = st.builds(
    CachedVersion,
    TEXT,
    TEXT,
    st.sampled_from(list(CARDS)),
    st.dictionaries(TEXT, st.none() | st.booleans() | TEXT | st.floats(allow_nan=False, allow_infinity=False)),
    st.integers(0, 2**53),
)
MODELS = st.lists(
    st.builds(
        CachedModel,
        TEXT,
        st.none() | ENTRIES,
        st.none() | ENTRIES,
        st.builds(TrafficSplit, st.sampled_from(["none", "shadow", "canary"]), st.floats(0, 1)),
        TEXT,
    ),
    max_size=4,
    unique_by=lambda one: one.name,
)


@given(MODELS, st.integers(0, 2**53))
def test_a_document_is_read_as_it_was_written(models: list[CachedModel], generation: int) -> None:
    document = StateDocument(tuple(models), generation)
    assert StateDocument.loads(document.dumps()) == document


@given(st.data())
def test_a_document_that_was_changed_or_cut_is_none(data) -> None:
    whole = StateDocument((kept(), kept("other", TWO)), 3).dumps()
    place = data.draw(st.integers(0, len(whole) - 2))
    change = data.draw(st.sampled_from(["cut", "flip"]))
    content = whole[:place] if change == "cut" else whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    with pytest.raises(CacheError, match="damaged"):
        StateDocument.loads(content)


@pytest.mark.parametrize("content", [b"", b"\n", b"{}", b"\x00" * 4096, b"[1, 2]\n", b"nothing of ours"])
def test_a_foreign_file_is_no_document(cache: Cache, content: bytes) -> None:
    cache.write(StateDocument((kept(),), 1))
    state(cache).write_bytes(content)
    with pytest.raises(CacheError, match="damaged"):
        cache.read()


def test_a_document_of_another_release_is_told_by_its_number() -> None:
    import hashlib

    body = json.dumps({"format": 99}).encode()
    with pytest.raises(CacheError, match="format 99, expected 1"):
        StateDocument.loads(hashlib.sha256(body).hexdigest().encode() + b"\n" + body + b"\n")


def test_before_anything_is_written_the_cache_is_empty(cache: Cache) -> None:
    assert (cache.read(), cache.mark(), cache.age()) == (StateDocument(), None, None)
    cache.touch()
    assert cache.age() < 60


def test_a_scorecard_is_kept_by_its_digest_and_a_damaged_one_is_refused_and_mended(cache: Cache) -> None:
    assert cache.card(ONE.digest).dumps() == ONE.dumps()
    (path,) = (path for path in (cache.folder / "cards").iterdir() if path.stem in ONE.digest)
    for content in (
        path.read_text()[:-9],
        TWO.dumps(),
        "",
        "\udce9".encode("utf-8", "surrogateescape").decode("latin-1"),
    ):
        path.write_text(content)
        with pytest.raises(CacheError, match="scorecard sha256:"):
            cache.card(ONE.digest)
        cache.add(ONE)
        assert cache.card(ONE.digest).digest == ONE.digest
    path.unlink()
    assert cache.mark_of(ONE.digest) is None


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CacheError, match="cannot be written: Not a directory; --cache needs a writable folder"):
        Cache(tmp_path / "file" / "cache", "here").make()


def test_the_folder_is_for_nobody_else(cache: Cache) -> None:
    cache.write(StateDocument((kept(),), 1))
    assert cache.folder.stat().st_mode & 0o077 == 0
    assert state(cache).stat().st_mode & 0o077 == 0


def test_one_leads_until_it_ends(cache: Cache) -> None:
    with cache.leading() as first, cache.leading() as second:
        assert (first, second) == (True, False)
    with cache.leading() as again, Cache(cache.folder, "elsewhere").leading() as other:
        assert again
        assert other


def test_servers_of_other_sources_share_scorecards_and_no_state(cache: Cache) -> None:
    other = Cache(cache.folder, "elsewhere")
    cache.write(StateDocument((kept(),), 1))
    assert other.read() == StateDocument()
    assert other.card(ONE.digest).digest == ONE.digest


def test_what_no_state_names_is_removed_when_it_is_old(cache: Cache) -> None:
    cache.write(StateDocument((kept(card=ONE),), 1))
    Cache(cache.folder, "elsewhere").write(StateDocument((kept(card=TWO),), 1))
    third = servers.regression(3)
    cache.add(third)
    cache.clean()
    assert cache.mark_of(third.digest)
    long_ago = time.time() - KEPT - 60
    for path in (cache.folder / "cards").iterdir():
        os.utime(path, (long_ago, long_ago))
    cache.clean()
    assert [cache.mark_of(card.digest) is not None for card in (ONE, TWO, third)] == [True, True, False]


def test_killed_at_any_point_a_writer_leaves_a_whole_document(cache: Cache, tmp_path: Path) -> None:
    """A process writes as fast as it can, and is killed again and again; whoever reads meanwhile finds no half."""
    program = textwrap.dedent(
        f"""
        from pathlib import Path
        from serving.server.cache import Cache, CachedModel, CachedVersion, StateDocument
        cache = Cache(Path({str(cache.folder)!r}), "here")
        generation = cache.read().generation
        while True:
            generation += 1
            version = CachedVersion(str(generation), "", {ONE.digest!r})
            many = tuple(CachedModel(f"model {{n}}", version) for n in range(200))
            cache.write(StateDocument(many, generation))
        """
    )
    over, seen = threading.Event(), []

    def read() -> None:
        while not over.is_set():
            document = cache.read()
            assert {kept.champion.version for kept in document.models if kept.champion} <= {str(document.generation)}
            seen.append(document.generation)

    reader = threading.Thread(target=read)
    reader.start()
    for pause in (0.0, 0.003, 0.011, 0.02, 0.05):
        before = cache.read().generation
        writer = subprocess.Popen([sys.executable, "-c", program], cwd=servers.ROOT)
        servers.wait(lambda before=before: cache.read().generation > before)
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    over.set()
    reader.join()
    assert seen == sorted(seen)
    assert seen[-1] > 5


def test_a_worker_reads_what_is_new_and_keeps_what_is_not(cache: Cache) -> None:
    reader = CacheReader(cache)
    assert not reader.read().models
    cache.write(StateDocument((kept(card=ONE), kept("b", TWO)), 1))
    assert reader.changed()
    first = reader.read()
    assert not reader.changed()
    assert (list(first.models), first.default, first.generation) == (["sums", "b"], None, 1)
    cache.write(StateDocument((kept(card=ONE, refused="later"), kept("b", ONE, version="2")), 2))
    second = reader.read()
    assert second.models["sums"].champion.card is first.models["sums"].champion.card
    assert second.models["sums"].refused == "later"
    assert second.models["b"].champion.label == "b/2"
    assert first.models["b"].champion.label == "b/1"  # a request that began with it ends with it


def test_the_default_is_the_named_one_or_the_only_one(cache: Cache) -> None:
    cache.write(StateDocument((kept(),), 1))
    assert CacheReader(cache).read().default == "sums"
    assert CacheReader(cache, "other").read().default is None
    cache.write(StateDocument((kept(), kept("b"), CachedModel("c", None, refused="why")), 2))
    assert CacheReader(cache).read().default is None
    assert CacheReader(cache, "b").read().default == "b"
    assert CacheReader(cache).read().refused == {"c": "why"}


def test_a_scorecard_that_is_gone_leaves_what_was_served(cache: Cache) -> None:
    reader = CacheReader(cache)
    cache.write(StateDocument((kept(), kept("b", TWO)), 1))
    reader.read()
    missing = CachedModel("sums", CachedVersion("2", "Production", "sha256:" + "0" * 64))
    cache.write(StateDocument((missing, kept("b", ONE, version="2"), CachedModel("c", missing.champion)), 2))
    served = reader.read()
    assert {name: model.champion.version for name, model in served.models.items()} == {"sums": "1", "b": "2"}
    assert set(reader.broken) == {"sums", "c"}


def test_a_document_that_is_none_leaves_what_was_served(cache: Cache) -> None:
    reader = CacheReader(cache)
    cache.write(StateDocument((kept(),), 1))
    reader.read()
    state(cache).write_bytes(b"nothing of ours")
    assert reader.changed()
    with pytest.raises(CacheError):
        reader.read()
    assert list(reader.served.models) == ["sums"]
    assert not reader.changed()  # it is not read again and again
