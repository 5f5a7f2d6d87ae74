"""Finds the model and version that a request is for."""

from functools import lru_cache
from urllib.parse import quote

from serving.contract import RequestError
from serving.server.state import Served, ServedModel, ServedVersion

NO_MODEL = "RESOURCE_DOES_NOT_EXIST"
AWAY = "TEMPORARILY_UNAVAILABLE"

#: Seconds after which a client may retry while models are being loaded.
AGAIN = 1

# Maximum number of names in an error message.
_LISTED = 10


class NotYet(RequestError):
    """Nothing is served yet; the answer says when to retry."""

    headers = ((b"retry-after", b"%d" % AGAIN),)

    def __init__(self, message: str):
        super().__init__(message, status=503, code=AWAY)


def find_model(served: Served, name: str | None) -> ServedModel:
    """The model of this name, or the default model.

    Raises
    ------
    RequestError
        with status 404 if there is none, and 503 if nothing is served yet.
    """
    if name is None:
        name = served.default
        if name is None:
            raise _no_default(served)
    found = served.models.get(name)
    if found is None:
        raise _unknown(served, name)
    return found


def find_version(model: ServedModel, number: str) -> ServedVersion:
    """The served version with this number, or ``@champion`` or ``@challenger``.

    Raises
    ------
    RequestError
        with status 404 if it is not served.
    """
    for label, found in (("@champion", model.champion), ("@challenger", model.challenger)):
        if found is not None and number in (found.version, label):
            return found
    loaded = " and ".join(one.version for one in (model.champion, model.challenger) if one)
    raise RequestError(
        f"this version of model {model.name!r} is not served; served: {loaded}", status=404, code=NO_MODEL
    )


@lru_cache(maxsize=256)
def version_header(label: str) -> bytes:
    """A version's label as the value of a header: characters other than ASCII are percent-encoded."""
    return quote(label, safe=" /!#$&'()*+,:;=?@[]^`{|}~\"<>").encode()


def _no_default(served: Served) -> RequestError:
    if not served.models:
        return _nothing(served)
    return RequestError(
        f"several models are served, and none is the default: ask /models/NAME/invocations, NAME one of "
        f"{_names(served)}",
        status=404,
        code=NO_MODEL,
    )


def _unknown(served: Served, name: str) -> RequestError:
    if name in served.refused:
        return RequestError(
            f"model {name!r} is registered, and not served: {served.refused[name]}", status=404, code=NO_MODEL
        )
    if not served.models:
        return _nothing(served)
    return RequestError(f"no such model is served; served: {_names(served)}", status=404, code=NO_MODEL)


def _nothing(served: Served) -> RequestError:
    if served.loading:
        return NotYet(f"the server is loading its models; try again in {AGAIN} s")
    said = "no model is served yet: none of the registry is in Production"
    if served.refused:
        name, reason = next(iter(served.refused.items()))
        said = f"no model is served: {name!r}: {reason}"
    return NotYet(said)


def _names(served: Served) -> str:
    names = [repr(name) for name in served.models]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
