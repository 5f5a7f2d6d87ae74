"""Plan a package of a model for a target: nothing is written, and no cloud is called."""

from collections.abc import Mapping

from serving.errors import ServingError

from . import model as models
from .plan import PackagePlan
from .targets import target as find


def plan(
    uri: str, target: str, *, options: Mapping[str, str] | None = None, allow_ungated: bool = False
) -> PackagePlan:
    """Return the plan of a package.

    Parameters
    ----------
    uri : ``models:/NAME/3``, ``models:/NAME@champion``, ``runs:/RUN/model``, or the path of a model's folder.
    target : a name in ``TARGETS``.
    options : the target's options as texts by name, as ``-C name=value`` gives them; ``TARGETS[target].options`` lists
        them.
    allow_ungated : whether a version whose gates did not pass, or that is not registered, may be packaged.

    Raises
    ------
    ServingError
        if target, an option or a name is refused, the gates did not pass, or the package is over a limit.
    RegistryError, ScorecardError
        if the model cannot be had, or is damaged.
    """
    chosen = find(target)
    settled = chosen.read(options or {})
    planned = chosen.plan(models.fetch(uri, allow_ungated=allow_ungated), settled)
    for limit in planned.limits:
        if not limit.ok:
            raise ServingError(
                f"the package is over a limit of {target}: {limit.what} {limit.size:,} bytes, at most {limit.most:,}"
            )
    return planned
