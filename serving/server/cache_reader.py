"""Reads from the cache what a worker serves: scorecards that it loads, and models that lanes answer for."""

from collections.abc import Callable, Iterable
from types import MappingProxyType

from serving.scorecard import Scorecard
from serving.server.cache import Cache, CachedVersion, CacheError
from serving.server.memory import SCORECARD
from serving.server.pyfunc.model import CachedPyfunc, PyfuncModel
from serving.server.state import NOTHING, Card, Served, ServedModel, ServedVersion


class CacheReader:
    """Reads from a cache what a worker serves; scorecards that stay are not loaded again.

    Parameters
    ----------
    default : the model that answers on paths that name none; None for the only one, if there is one.
    most : maximum memory of all models, in bytes; None for no limit.
    pyfunc : makes a model without a scorecard of its entry.
    """

    def __init__(
        self,
        cache: Cache,
        default: str | None = None,
        *,
        most: int | None = None,
        pyfunc: Callable[[CachedPyfunc], PyfuncModel] | None = None,
    ):
        self._cache, self._default, self._most, self._pyfunc = cache, default, most, pyfunc
        #: Memory that the models take, in bytes.
        self.taken = 0
        self._mark: tuple | None = None
        self._cards: dict[str, Scorecard] = {}
        self._pyfuncs: dict[tuple[str, str], PyfuncModel] = {}
        # Versions that replace others as soon as they are loaded.
        self._awaited: list[PyfuncModel] = []
        #: Models without a scorecard that are no longer served since the last reading.
        self.dropped: list[PyfuncModel] = []
        self.served = NOTHING
        #: Models whose scorecards could not be loaded, and why: what was served before stays.
        self.broken: dict[str, str] = {}

    def changed(self) -> bool:
        """Whether to read again: the state document has changed, or an awaited version is loaded."""
        return self._cache.mark() != self._mark or any(model.lanes.ready for model in self._awaited)

    def read(self) -> Served:
        """Read the state document, and prepare its scorecards.

        Raises
        ------
        CacheError
            if it is damaged; then what was served stays, and it is not read again until it changes.
        """
        self._mark = self._cache.mark()
        document = self._cache.read()
        before, self.broken = self._cards, {}
        cards: dict[str, Scorecard] = {}
        models: dict[str, ServedModel] = {}
        refused: dict[str, str] = {}

        awaited: list[PyfuncModel] = []

        def version(name: str, entry: CachedVersion) -> ServedVersion:
            if entry.pyfunc is not None:
                return self._lane_version(name, entry, entry.pyfunc)
            card = cards.get(entry.card) or before.get(entry.card)
            if card is None:
                # Old versions stay until the new ones are ready: both count.
                self._fits(name, entry.card, {*cards, *before})
                card = self._ready(entry.card)
            cards[entry.card] = card
            return _served(name, entry, card)

        for kept in document.models:
            if kept.champion is None:
                refused[kept.name] = kept.refused
                continue
            try:
                champion = version(kept.name, kept.champion)
                challenger = version(kept.name, kept.challenger) if kept.challenger else None
            except CacheError as error:
                self.broken[kept.name] = str(error)
                if old := self.served.models.get(kept.name):
                    models[kept.name] = old
                    olds = [one.card for one in (old.champion, old.challenger) if one]
                    cards |= {card.digest: card for card in olds if isinstance(card, Scorecard)}
                continue
            old = self.served.models.get(kept.name)
            if isinstance(champion.card, PyfuncModel) and not champion.ready and old and old.champion.ready:
                awaited.append(champion.card)
                champion = old.champion
                if isinstance(champion.card, Scorecard):
                    cards[champion.card.digest] = champion.card
            models[kept.name] = ServedModel(kept.name, champion, challenger, kept.traffic, kept.refused)
        self._cards, self._awaited = cards, awaited
        used = [one.card for model in models.values() for one in (model.champion, model.challenger) if one]
        kept_models = {id(model) for model in [*used, *awaited]}
        self.dropped = [model for model in self._pyfuncs.values() if id(model) not in kept_models]
        self._pyfuncs = {key: model for key, model in self._pyfuncs.items() if id(model) in kept_models}
        self.taken = sum(map(self._needs, cards))
        self.served = Served(
            MappingProxyType(models), self._chosen(models), document.generation, MappingProxyType(refused)
        )
        return self.served

    def _lane_version(self, name: str, entry: CachedVersion, pyfunc: CachedPyfunc) -> ServedVersion:
        if self._pyfunc is None:
            raise CacheError("it has no scorecard, and this server was started without --pyfunc")
        key = (pyfunc.digest, pyfunc.python)
        if key not in self._pyfuncs:
            self._pyfuncs[key] = self._pyfunc(pyfunc)
        model = self._pyfuncs[key]
        return _served(name, entry, model)

    def _needs(self, digest: str) -> int:
        return SCORECARD * self._cache.size(digest)

    def _fits(self, name: str, digest: str, beside: set[str]) -> None:
        needed = self._needs(digest)
        if self._most is not None and needed + sum(map(self._needs, beside)) > self._most:
            raise CacheError(
                f"it needs about {needed / 2**20:,.0f} MiB of memory, and --max-memory leaves "
                f"{self._most / 2**20:,.0f} MiB for all models; increase it"
            )

    def _ready(self, digest: str) -> Scorecard:
        """Load a scorecard and compile it, so that its first request is as fast as any other."""
        card = self._cache.card(digest)
        _ = card.rows, card.tables
        return card

    def _chosen(self, models: Iterable[str]) -> str | None:
        names = list(models)
        if self._default is not None:
            return self._default if self._default in names else None
        return names[0] if len(names) == 1 else None


def _served(name: str, entry: CachedVersion, card: Card) -> ServedVersion:
    return ServedVersion(name, entry.version, entry.stage, card, MappingProxyType(dict(entry.example)), entry.facts)
