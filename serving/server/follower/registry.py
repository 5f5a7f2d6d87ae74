"""Following the registry: which versions to serve, by the stages, the ledger and the policy as they are now."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from registry import logs, stages
from registry.client import one_try
from registry.errors import RegistryError
from registry.evidence.adoption import SCORECARD_TAG
from registry.last_report import LastReport
from registry.ledger import Ledger, LedgerEntry
from registry.stages import PRODUCTION, STAGING, State
from registry.troubles import Troubles
from serving.models.uri import VersionURI
from serving.server.cache import Cache, CachedModel, CachedVersion, CacheError, StateDocument
from serving.server.follower import facts
from serving.server.follower.admission import Unservable, admit
from serving.server.follower.choice import Choice, choose
from serving.server.follower.lanes import FollowerLanes
from serving.server.state import TrafficSplit

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.policy import Policies, Policy

_log = logs.get_logger(__name__)

#: How often all models are looked at again, changed or not, in seconds.
SWEEP = 300.0


class RegistryFollower:
    """Writes into a cache which versions to serve, as the registry changes.

    Parameters
    ----------
    read_policy : reads the policy; called at every look.
    lanes : of versions without a scorecard; None if they are not served.
    """

    def __init__(
        self,
        client: "MlflowClient",
        ledger: Ledger,
        cache: Cache,
        read_policy: "Callable[[], Policies]",
        *,
        lanes: FollowerLanes | None = None,
    ):
        self._lanes = lanes
        self._client, self._ledger, self._cache = client, ledger, cache
        self._read_policy, self._troubles = read_policy, Troubles(_log.warning, _log.info)
        self._policies: Policies | None = None
        # Lines about changes, logged once the changes are written.
        self._news: list[str] = []
        self._traces: dict[str, Any] = {}
        self._due: set[str] = set()
        # Models whose champion was said to be loaded, and not yet to be served.
        self._loading: set[str] = set()
        self._swept: float | None = None
        # Versions that cannot be served, and why: they are not fetched again at every look.
        self._unservable: dict[tuple[str, str, int, str], str] = {}
        # The state of scorecards' files when they were read, by digest.
        self._marks: dict[str, tuple | None] = {}
        self._document, self._mark = self._begin()
        self._kept = {kept.name: kept for kept in self._document.models}

    @property
    def waiting(self) -> bool:
        """Whether a model waits for the ledger: its choice may then change without a change in the registry."""
        return bool(self._due)

    def look(self) -> None:
        """See what has changed, and write which versions to serve.

        A model that cannot be decided on stays as it is; that is logged, and it is tried again at the next look.

        Raises
        ------
        RegistryError
            if the registry cannot be read; what is served stays.
        CacheError
            if the cache cannot be written.
        """
        changed = self._new_policy()
        swept = self._swept is None or time.monotonic() - self._swept >= SWEEP
        if swept:
            self._unservable.clear()
            if self._lanes is not None:
                self._lanes.forget()
        with one_try():
            self._glance(everything=changed or swept)
            for name in sorted(self._due):
                with self._troubled(name):
                    if not self._decide(name):
                        self._due.discard(name)
        if swept:
            self._swept = time.monotonic()
            self._cache.clean()
        self._write()
        self._cache.touch()
        while self._news:
            _log.info("%s", self._news.pop(0))

    def _begin(self) -> tuple[StateDocument, tuple | None]:
        try:
            return self._cache.read(), self._cache.mark()
        except CacheError as error:
            _log.warning("%s; it is written anew", error)
            return StateDocument(), None

    def _new_policy(self) -> bool:
        """Read the policy; True if it has changed. A wrong policy changes nothing."""
        before = self._policies
        try:
            self._policies = self._read_policy()
        except RegistryError as error:
            if before is None:
                raise
            self._troubles.has("policy", str(error), after="; the previous policy stays in use")
            return False
        self._troubles.over("policy", "the policy can be read again")
        return before is not None and before != self._policies

    def _glance(self, *, everything: bool) -> None:
        """Read all models; those that have changed since the last look are due."""
        traces = stages.traces(self._client)
        self._due &= traces.keys()
        self._due |= {name for name, trace in traces.items() if everything or self._traces.get(name) != trace}
        self._due |= {name for name in traces if (kept := self._kept.get(name)) and not self._there(kept)}
        for name in [name for name in self._kept if name not in traces]:
            self._news.append(f"{name}: it is no longer registered, and no longer served")
            del self._kept[name]
        self._traces = traces

    def _there(self, kept: CachedModel) -> bool:
        """Whether the cache has all scorecards of a model undamaged."""
        return all(self._is_whole(entry) for entry in kept.versions)

    def _is_whole(self, entry: CachedVersion) -> bool:
        """Whether the cache has a version's scorecard, or its model, undamaged."""
        if entry.pyfunc is None:
            return self._whole(entry.card)
        digest = entry.pyfunc.digest
        if digest not in self._marks and self._cache.has_model(digest):
            self._marks[digest] = None  # a large model takes seconds to read: it is read once
        python = entry.pyfunc.python
        there = self._cache.model(digest).is_dir() and (not python or os.path.exists(python))
        return digest in self._marks and there

    def _whole(self, digest: str) -> bool:
        """Whether the cache has a scorecard undamaged; it is read again only if its file has changed."""
        mark = self._cache.mark_of(digest)
        if mark is None or self._marks.get(digest) != mark:
            self._marks.pop(digest, None)
            try:
                self._cache.card(digest)
            except CacheError:
                return False
            self._marks[digest] = mark
        return True

    def _decide(self, name: str) -> bool:
        """Decide which versions of a model to serve; True to ask again soon."""
        assert self._policies is not None
        policy = self._policies.for_model(name)
        try:
            state = stages.read(self._client, name)
        except stages.NoModel:
            return True  # deleted since the glance: the next one sees it
        entries = self._ledger.entries(name)
        choice = choose(state, entries, by_hand=policy.by_hand)
        before = self._kept.get(name)
        kept = self._champion(state, choice, before)
        if kept.champion is not None:
            traffic = TrafficSplit(policy.serve.traffic, policy.serve.weight)
            kept = replace(kept, challenger=self._challenger(state, choice), traffic=traffic)
            kept = self._with_facts(kept, state, entries, policy)
            if self._lanes is not None:
                kept = self._lanes.prepared(kept, before if before and self._there(before) else None)
        self._kept[name] = kept
        self._tell(before, kept)
        return bool(choice.waiting or kept.preparing or name in self._loading or self._waits(name))

    def _champion(self, state: State, choice: Choice, before: CachedModel | None) -> CachedModel:
        if not choice.staged:
            return CachedModel(state.name, None, refused="no version of it is in Production")
        refused = choice.waiting
        if choice.champion:
            try:
                return CachedModel(state.name, self._entry(state, choice.champion, PRODUCTION), refused=refused)
            except Unservable as error:
                refused = str(error)
        if before and before.champion and self._is_whole(before.champion):
            return CachedModel(state.name, before.champion, refused=refused)
        for number in choice.fallback:
            if number != choice.champion:
                with contextlib.suppress(Unservable):
                    return CachedModel(state.name, self._entry(state, number, PRODUCTION), refused=refused)
        return CachedModel(state.name, None, refused=refused)

    def _challenger(self, state: State, choice: Choice) -> CachedVersion | None:
        if choice.challenger is None:
            return None
        try:
            return self._entry(state, choice.challenger, STAGING)
        except Unservable as error:
            self._troubles.has(f"{state.name} challenger", f"{state.name}: not the challenger: {error}")
            return None

    def _entry(self, state: State, number: str, stage: str) -> CachedVersion:
        """A version's entry in the state document; its scorecard is then in the cache.

        Raises
        ------
        Unservable
            if the server cannot answer for it.
        """
        version = state.versions[number]
        # Of a version that was evaluated since it was fetched, the scorecard may be another.
        attached = version.tags.get(SCORECARD_TAG, "")
        key = (state.name, number, version.created, attached)
        if key in self._unservable:
            raise Unservable(self._unservable[key])
        kept = self._kept.get(state.name)
        for entry in kept.versions if kept else ():
            same = (entry.version, entry.created) == (number, version.created) and attached in ("", entry.card)
            if same and self._is_whole(entry):
                return self._on_its_way(replace(entry, stage=stage), state.name)
        model = VersionURI(state.name, number).find(self._client)
        try:
            entry = admit(
                self._cache,
                model,
                number,
                called=f"version {number}",
                stage=stage,
                created=version.created,
                pyfunc=self._lanes is not None,
            )
        except Unservable as error:
            self._unservable[key] = str(error)
            raise
        return self._on_its_way(entry, state.name)

    def _with_facts(
        self, kept: CachedModel, state: State, entries: Sequence[LedgerEntry], policy: "Policy"
    ) -> CachedModel:
        """A model with the facts of its versions; those of a version that was deleted stay as they are."""

        def known(entry: CachedVersion | None) -> CachedVersion | None:
            version = state.versions.get(entry.version) if entry else None
            if entry is None or version is None or version.created != entry.created:
                return entry
            found = facts.judged(self._client, version.tags, version.run_id, entry.facts)
            arrival = facts.arrival(entries, entry.version, entry.created, entry.stage)
            last = LastReport.of(version.tags)
            return replace(entry, facts=replace(facts.by_policy(found, policy), arrival=arrival, monitored=last))

        return replace(kept, champion=known(kept.champion), challenger=known(kept.challenger))

    def _on_its_way(self, entry: CachedVersion, name: str) -> CachedVersion:
        """A version with the environment that the policy names; raises Unservable while it has none."""
        assert self._policies is not None
        if self._lanes is None:
            return entry
        return self._lanes.with_environment(entry, name, self._policies.for_model(name).serve.env)

    def _waits(self, name: str) -> bool:
        return self._lanes is not None and self._lanes.waits(name)

    def _write(self) -> None:
        models = tuple(self._kept[name] for name in sorted(self._kept))
        if models == self._document.models and self._mark is not None and self._cache.mark() == self._mark:
            return
        document = StateDocument(models, self._document.generation + 1)
        self._cache.write(document)
        self._document, self._mark = document, self._cache.mark()

    def _tell(self, before: CachedModel | None, kept: CachedModel) -> None:
        tell = self._news.append
        was, now = before.champion if before else None, kept.champion
        if now:
            self._tell_champion(kept.name, was, now)
        elif was:
            self._loading.discard(kept.name)
            tell(f"{kept.name}: it is no longer served")
        if kept.refused and kept.refused != (before.refused if before else ""):
            tell(f"{kept.name}: {kept.refused}" + (f"; version {now.version} is still served" if now else ""))
        first, second = (one.challenger.version if one and one.challenger else None for one in (before, kept))
        traffic = before.traffic if before else TrafficSplit()
        if second and (first != second or traffic != kept.traffic):
            tell(f"{kept.name}: version {second} is the challenger, traffic: {_words(kept.traffic)}")
        if first and not second:
            tell(f"{kept.name}: there is no challenger any more")

    def _tell_champion(self, name: str, was: CachedVersion | None, now: CachedVersion) -> None:
        tell = self._news.append
        new = was is None or (was.version, was.created) != (now.version, now.created)
        answers = self._lanes is None or self._lanes.answers(now)
        if new and not answers:
            self._loading.add(name)
            tell(f"{name}: version {now.version} is being loaded")
        elif new or (answers and name in self._loading):
            self._loading.discard(name)
            tell(f"{name}: version {now.version} is served" + (f", no longer {was.version}" if was and new else ""))
        elif was and was.card != now.card:
            tell(f"{name}: version {now.version} is served by the scorecard of its newest evaluation")

    @contextlib.contextmanager
    def _troubled(self, name: str) -> Iterator[None]:
        try:
            yield
        except RegistryError as error:
            self._troubles.has(name, f"{name}: {error}", after="; it is tried again")
        else:
            self._troubles.over(name, f"{name}: it can be read again")


def _words(traffic: TrafficSplit) -> str:
    return traffic.mode if traffic.mode == "none" else f"{traffic.mode} of {traffic.weight:.2%}".replace(".00%", "%")
