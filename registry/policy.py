"""The policy: what a version has to show before it enters a stage, read from one strict YAML file."""

import copy
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from registry.cli.text import closest, one_line
from registry.errors import RegistryError
from registry.metrics import BY_NAME, METRICS, names

#: The variable that names another policy file.
VARIABLE = "LIFECYCLE_POLICY"
SHIPPED = Path(__file__).with_name("policy.yaml")

REVERT, FLAG = "revert", "flag"
_STAGES = ("Staging", "Production")
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Follow:
    """What is done after a transition.

    Parameters
    ----------
    command, webhook : the one that it is; None for the other.
    stages : the stages after whose transitions it is done; empty for all.
    timeout : seconds for one try.
    secret : of a webhook, the environment variable with the key that signs.
    name : what the ledger calls it; None to have it called by its program and host.
    """

    command: str | None
    webhook: str | None
    stages: tuple[str, ...]
    timeout: float
    tries: int
    secret: str | None
    name: str | None = None


@dataclass(frozen=True)
class ChampionRules:
    """How a version is compared with the champion; see ``policy.yaml``."""

    level: float
    margin: float
    fewest: int


@dataclass(frozen=True)
class FairnessRules:
    """How far groups may be apart; see ``policy.yaml``."""

    gap: float
    fewest: int


@dataclass(frozen=True)
class Serve:
    """What the version in Staging gets of the requests to the one in Production; see ``policy.yaml``."""

    traffic: str
    weight: float


@dataclass(frozen=True)
class Policy:
    """What holds for one model; the keys are explained in ``policy.yaml``.

    Parameters
    ----------
    metrics : the metric of each task.
    bounds : metric -> its absolute bound.
    stages : stage -> the gates that count for it.
    """

    metrics: Mapping[str, str]
    bounds: Mapping[str, float]
    suite: str
    parity: str
    commit: str
    champion: ChampionRules
    fairness: FairnessRules
    stages: Mapping[str, tuple[str, ...]]
    by_hand: str
    serve: Serve
    follow: tuple[Follow, ...]

    def metric(self, task: str) -> str:
        """What versions of a task are judged by."""
        return self.metrics[task]


@dataclass(frozen=True)
class Policies:
    """What holds for all models, and what is different for some.

    Parameters
    ----------
    path : the file.
    poll : how often ``watch`` looks, in seconds.
    """

    path: Path
    poll: float
    default: Policy
    models: Mapping[str, Policy]

    def for_model(self, name: str) -> Policy:
        """The policy of a model."""
        return self.models.get(name, self.default)


def read(path: str | Path | None = None) -> Policies:
    """The policies of a file, of the one that ``LIFECYCLE_POLICY`` names, or of the one that is shipped.

    Raises
    ------
    RegistryError
        where it is not there, is no YAML, has a key that is not known, or a value that is not of its kind.
    """
    given = path or os.environ.get(VARIABLE) or SHIPPED
    file = Path(given).expanduser()
    content = _load(SHIPPED)
    if file != SHIPPED:
        content = _laid_over({**content, "models": {}}, _checked(_load(file), _FILE, file))
    _checked(content, _FILE, file)
    try:
        default = _policy(content)
        models = {name: _policy(_laid_over(content, own or {})) for name, own in (content["models"] or {}).items()}
    except _Wrong as error:
        raise RegistryError(f"{file}: {error}") from None
    return Policies(file, float(content["poll"]), default, MappingProxyType(models))


class _Wrong(ValueError):
    """What is wrong with a value, without the file's name."""


def _load(file: Path) -> dict:
    """The mapping in a YAML file: no tags that make objects, no key twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            seen = set()
            for key, _ in node.value:
                name = self.construct_object(key, deep=True)
                if not isinstance(name, str):
                    raise _Wrong(f"line {key.start_mark.line + 1}: a key is a text, found {name!r}; put it in quotes")
                if name in seen:
                    raise _Wrong(f"line {key.start_mark.line + 1}: the key {name!r} is there twice")
                seen.add(name)
            return super().construct_mapping(node, deep)

    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader)
    except OSError as error:
        raise RegistryError(
            f"the policy {file} cannot be read: {error.strerror}; correct --policy or {VARIABLE}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RegistryError(f"{file} is no YAML: {one_line(error)}") from None
    except _Wrong as error:
        raise RegistryError(f"{file}: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise RegistryError(f"{file}: expected keys such as `metric:`, found a {type(content).__name__}")
    return content


def _laid_over(below: Mapping, above: Mapping) -> dict:
    """Mappings are laid over each other key by key; all else is replaced."""
    result = copy.deepcopy(dict(below))
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
        result[name] = _laid_over(result[name], value) if both else copy.deepcopy(value)
    return result


# A value's kind: a function that raises _Wrong, or a mapping of the keys that it may have.
_Kind = Callable[[Any], None] | dict


def _number(low: float, high: float, *, whole: bool = False, inside: bool = False) -> Callable[[Any], None]:
    kind = "a whole number" if whole else "a number"
    top = f" and at most {high:g}" if math.isfinite(high) else ""
    limits = f" of at least {low:g}{top}" if math.isfinite(low) else ""
    expected = f"{kind} between {low:g} and {high:g}" if inside else kind + limits

    def check(value: Any) -> None:
        known = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        fine = known and math.isfinite(value) and (low < value < high if inside else low <= value <= high)
        if not fine:
            raise _Wrong(f"expected {expected}, found {value!r}")

    return check


def _one_of(*words: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if value not in words:
            near = closest(value, words) if isinstance(value, str) else None
            hint = f"; did you mean {near}?" if near else ""
            raise _Wrong(f"expected {', '.join(words[:-1])} or {words[-1]}, found {value!r}{hint}")

    return check


def _text(value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(f"expected a text, found {value!r}")


def _name(value: Any) -> None:
    _text(value)
    if len(value) > _LONGEST_NAME or not value.isprintable() or value != value.strip():
        raise _Wrong(f"expected a name of at most {_LONGEST_NAME} printable characters, found {value!r}")


def _address(value: Any) -> None:
    _text(value)
    if not value.startswith(("http://", "https://")):
        raise _Wrong(f"expected an http or https address, found {value!r}")


def _list_of(kind: Callable[[Any], None]) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not isinstance(value, list):
            raise _Wrong(f"expected a list [..], found {value!r}")
        for one in value:
            kind(one)
        if len(value) != len({str(one) for one in value}):
            raise _Wrong(f"something is there twice in {value!r}")

    return check


def _metric(value: Any) -> None:
    if not isinstance(value, dict):
        return _one_of(*BY_NAME)(value)
    return _walk(value, {task: _one_of(*names(task)) for task in METRICS}, ())


def _bounds(value: Any) -> None:
    _walk(value, dict.fromkeys(BY_NAME, _number(-math.inf, math.inf)), ())


def _gates(value: Any) -> None:
    from registry.gates import NAMES

    _list_of(_one_of(*NAMES))(value)


def _follow(value: Any) -> None:
    if not isinstance(value, list):
        raise _Wrong(f"expected a list of commands and webhooks, found {value!r}")
    for place, one in enumerate(value):
        _walk(one, _FOLLOW, (str(place + 1),))
        if ("command" in one) == ("webhook" in one):
            raise _Wrong(f"{place + 1}: expected either `command` or `webhook`")
        if "secret" in one and "webhook" not in one:
            raise _Wrong(f"{place + 1}: `secret` signs a webhook, a command has none")
    names = [one["name"] for one in value if "name" in one]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _Wrong(f"two are called {twice!r}; give each a name of its own")


def _models(value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise _Wrong(f"expected names of models with what is different for each, found {value!r}")
    for name, own in value.items():
        _walk(own or {}, _MODEL, (name,))


_FOLLOW: dict[str, Any] = {
    "name": _name,
    "command": _text,
    "webhook": _address,
    "stages": _list_of(_one_of("None", "Staging", "Production", "Archived")),
    "timeout": _number(0.1, 3600),
    "tries": _number(1, 20, whole=True),
    "secret": _text,
}
_MODEL: dict[str, Any] = {
    "metric": _metric,
    "bounds": _bounds,
    "suite": _one_of("required", "optional"),
    "parity": _one_of("required", "optional"),
    "lineage": {"commit": _one_of("required", "clean", "optional")},
    "champion": {
        "level": _number(0, 1, inside=True),
        "margin": _number(0, 1),
        "fewest": _number(2, 10_000, whole=True),
    },
    "fairness": {"gap": _number(0, math.inf), "fewest": _number(1, math.inf, whole=True)},
    "stages": dict.fromkeys(_STAGES, _gates),
    "by_hand": _one_of(REVERT, FLAG),
    "serve": {"traffic": _one_of("none", "shadow", "canary"), "weight": _number(0, 1)},
    "follow": _follow,
}
# A stage changed by hand is to be seen within five seconds.
_FILE: dict[str, Any] = {**_MODEL, "poll": _number(0.1, 4), "models": _models}


def _checked(content: dict, kind: dict, file: Path) -> dict:
    try:
        _walk(content, kind, ())
    except _Wrong as error:
        raise RegistryError(f"{file}: {error}") from None
    return content


def _walk(value: Any, kind: _Kind, path: tuple[str, ...]) -> None:
    """Check a value and what is in it; what is wrong is told with the keys that lead to it."""
    place = ".".join(path)
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            raise _Wrong(
                f"{place}: expected keys ({', '.join(kind)}), found {value!r}" if place else f"found {value!r}"
            )
        for name, inner in value.items():
            if name not in kind:
                near = closest(name, kind)
                hint = f"did you mean {near!r}?" if near else f"the keys are {', '.join(kind)}"
                raise _Wrong(f"unknown key {'.'.join((*path, name))!r}; {hint}")
            _walk(inner, kind[name], (*path, name))
        return
    try:
        kind(value)
    except _Wrong as error:
        text = str(error)
        if text.startswith("unknown key '"):
            raise _Wrong(text.replace("unknown key '", f"unknown key '{place}.", 1)) from None
        raise _Wrong(f"{place}: {text}") from None


def _policy(content: Mapping) -> Policy:
    stages = content["stages"]
    return Policy(
        metrics=MappingProxyType(_by_task(content["metric"])),
        bounds=MappingProxyType(dict(content["bounds"])),
        suite=content["suite"],
        parity=content["parity"],
        commit=content["lineage"]["commit"],
        champion=ChampionRules(**content["champion"]),
        fairness=FairnessRules(**content["fairness"]),
        stages=MappingProxyType({stage: tuple(stages[stage]) for stage in _STAGES}),
        by_hand=content["by_hand"],
        serve=Serve(content["serve"]["traffic"], float(content["serve"]["weight"])),
        follow=tuple(_one_follow(one) for one in content["follow"]),
    )


def _by_task(metric: str | Mapping) -> dict[str, str]:
    """The metric of each task; what is not said is as it is shipped."""
    if isinstance(metric, str):
        metric = {task: metric for task in METRICS if metric in names(task)}
    return {**_load(SHIPPED)["metric"], **metric}


def _one_follow(content: Mapping) -> Follow:
    return Follow(
        command=content.get("command"),
        webhook=content.get("webhook"),
        stages=tuple(content.get("stages", ())),
        timeout=float(content.get("timeout", 60)),
        tries=content.get("tries", 3),
        secret=content.get("secret"),
        name=content.get("name"),
    )
