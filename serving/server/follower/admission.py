"""A version on its way into the cache: whether the server can answer for it, and what the state document says of it."""

from dataclasses import replace

from serving.errors import ServingError
from serving.functions.signature import ABOUT, Signature
from serving.models import ResolvedModel, example
from serving.scorecard import ScorecardError
from serving.server.cache import Cache, CachedVersion
from serving.server.pyfunc.model import CachedPyfunc


class Unservable(ServingError):
    """A model that cannot be served, now or later; the message is for whoever asks for it: it holds no path."""


def admit(
    cache: Cache,
    model: ResolvedModel,
    number: str,
    *,
    called: str,
    stage: str = "",
    created: int = 0,
    pyfunc: bool = False,
) -> CachedVersion:
    """Put a version's scorecard, or its model, into the cache; the entry that names it in the state document.

    Parameters
    ----------
    number : of the version.
    called : what messages call the model.
    stage, created : as the entry has them.
    pyfunc : whether the server answers by MLflow for versions without a scorecard.

    Raises
    ------
    Unservable
        if it has no scorecard, or one that does not load and answer.
    RegistryError
        if the registry or the artifact store does not answer.
    CacheError
        if the cache cannot be written.
    """
    uri = f"models:/{model.name}/{model.version}" if model.version else "MODEL_URI"
    model = replace(model, called=called)
    try:
        card = model.scorecard
        if card is None and pyfunc:
            return _by_pyfunc(cache, model, number, stage, created)
        if card is None:
            raise Unservable(f"{called} has no scorecard; {_remedy(model, uri)}")
        _ = card.rows, card.tables
        row = model.example(card)
    except (ServingError, ScorecardError, RecursionError) as error:
        raise error if isinstance(error, Unservable) else Unservable(str(error)) from None
    cache.add(card)
    return CachedVersion(number, stage, card.digest, row, created)


def _remedy(model: ResolvedModel, uri: str) -> str:
    """How a version without a scorecard is served."""
    serve = (
        "start the server with `--pyfunc yes` to answer it by MLflow, which runs the model's code, or serve it with "
        f"`mlflow models serve -m {uri}`"
    )
    if model.version is None:
        return serve
    from registry.evidence import DIGEST_TAG

    if DIGEST_TAG in model.tags:
        return serve
    return (
        f"`python -m pipelines evaluate --model {uri} --data TABLE` makes one of a scikit-learn pipeline; else {serve}"
    )


def _by_pyfunc(cache: Cache, model: ResolvedModel, number: str, stage: str, created: int) -> CachedVersion:
    """The entry of a version without a scorecard; its model is then in the cache. No code of it is run."""
    about = model.about
    if "python_function" not in about.get("flavors", {}):
        raise Unservable(f"{model} has neither a scorecard nor a python_function flavor, so that nothing can answer it")
    cached = CachedPyfunc(cache.add_model(model.files.folder()), {name: about[name] for name in ABOUT if name in about})
    found = example.request(model.files, Signature(cached.about))
    return CachedVersion(number, stage, "", found, created, cached)
