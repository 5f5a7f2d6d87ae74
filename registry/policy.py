"""The policy: what a version has to show before it enters a stage, read from one strict YAML file."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from registry import logs, strict
from registry.cli.text import one_line
from registry.errors import RegistryError
from registry.metrics import BY_NAME, CLASSIFICATION, METRICS, REGRESSION, names
from registry.policy_file import FILE, SHIPPED, VARIABLE, locate
from registry.strict import DISTINCT, NotBlank, one_of

_log = logs.get_logger(__name__)

REVERT, FLAG = "revert", "flag"
#: The gates by name, in the order in which a verdict lists them.
GATES = ("evidence", "suite", "bound", "baseline", "champion", "parity", "schema", "lineage", "fairness")

_Gates = Annotated[tuple[Annotated[str, one_of(*GATES)], ...], DISTINCT]
_NAME, _TRIMMED = "a name of at most 80 printable characters, without blanks around it", r"^\S(?:.*\S)?$"
_Share = Annotated[float, Meta(ge=0, le=1)]


class _Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the policy; ``policy.yaml`` explains its keys."""


class MetricByTask(_Section, frozen=True):
    """The metric that versions are judged by."""

    regression: Annotated[str, one_of(*names(REGRESSION))]
    classification: Annotated[str, one_of(*names(CLASSIFICATION))]


class _OneMetric(_Section, frozen=True):
    """One metric, of the task that has it."""

    metric: Annotated[str, one_of(*BY_NAME)]


class LineageRules(_Section, frozen=True):
    """What has to be known of a version's origin."""

    commit: Literal["required", "clean", "optional"]


class ChampionRules(_Section, frozen=True):
    """How a version is compared with the champion."""

    level: Annotated[float, Meta(gt=0, lt=1)]
    margin: _Share
    fewest: Annotated[int, Meta(ge=2, le=10_000)]


class FairnessRules(_Section, frozen=True):
    """How far groups may be apart."""

    gap: Annotated[float, Meta(ge=0)]
    fewest: Annotated[int, Meta(ge=1)]


class StageGates(_Section, frozen=True):
    """The gates that count for each stage."""

    Staging: _Gates
    Production: _Gates


class ChallengerTraffic(_Section, frozen=True):
    """Which share of the champion's requests the version in Staging gets, and where models without a scorecard run."""

    traffic: Literal["none", "shadow", "canary"]
    weight: _Share
    env: Literal["server", "uv"]


class Hook(_Section, frozen=True):
    """A command or a webhook that is told what has happened.

    Parameters
    ----------
    command, webhook : one of the two.
    timeout : seconds for one try.
    secret : of a webhook, the environment variable with the key that signs.
    name : what ledger and log call it; None to have it called by its program and host.
    """

    command: NotBlank | None = None
    webhook: Annotated[str, Meta(pattern="^https?://", description="an http or https address")] | None = None
    timeout: Annotated[float, Meta(ge=0.1, le=3600)] = 60.0
    tries: Annotated[int, Meta(ge=1, le=20)] = 3
    secret: NotBlank | None = None
    name: Annotated[str, Meta(max_length=80, pattern=_TRIMMED, description=_NAME)] | None = None

    def __post_init__(self) -> None:
        if (self.command is None) == (self.webhook is None):
            raise ValueError("expected either `command` or `webhook`")
        if self.secret is not None and self.webhook is None:
            raise ValueError("`secret` signs a webhook, a command has none")
        if self.name is not None and not self.name.isprintable():
            raise ValueError(f"name: expected {_NAME}, found {self.name!r}")


class StageHook(Hook, frozen=True):
    """A command or a webhook that is called after a transition.

    Parameters
    ----------
    stages : the stages after whose transitions it is called; empty for all.
    """

    stages: Annotated[tuple[Literal["None", "Staging", "Production", "Archived"], ...], DISTINCT] = ()


def _check_names(key: str, hooks: tuple[Hook, ...]) -> None:
    """Raise ValueError if two commands or webhooks of a list have one name."""
    called = [hook.name for hook in hooks if hook.name is not None]
    if twice := next((name for name in called if called.count(name) > 1), None):
        raise ValueError(f"{key}: two are called {twice!r}; give each a name of its own")


class ColumnRules(_Section, frozen=True):
    """What differs for one column in `monitor`; None for what holds for all."""

    psi: Annotated[float, Meta(gt=0)] | None = None
    share: _Share | None = None
    score: Annotated[float, Meta(ge=0)] | None = None
    ignore: bool = False


class ChangeOfColumn(Struct, frozen=True):
    """How large a change of a column has to be for an alert; see ``MonitorRules``."""

    psi: float
    share: float
    score: float
    ignore: bool


class MonitorRules(_Section, frozen=True):
    """When `python -m pipelines monitor` raises an alert."""

    rate: Annotated[float, Meta(gt=0, le=0.2)]
    psi: Annotated[float, Meta(gt=0)]
    share: _Share
    score: Annotated[float, Meta(ge=0)]
    metric: _Share
    fewest: Annotated[int, Meta(ge=30)]
    windows: Annotated[str, Meta(pattern=r"^[1-9]\d? of [1-9]\d?$", description="such as 2 of 3")]
    columns: dict[str, ColumnRules]
    follow: tuple[Hook, ...] = ()

    def __post_init__(self) -> None:
        _check_names("follow", self.follow)
        k, n = self.persistence
        if k > n:
            raise ValueError(f"windows: expected at most as many as there are, found {self.windows!r}")

    @property
    def persistence(self) -> tuple[int, int]:
        """In how many of how many windows in a row a change has to be."""
        k, _, n = self.windows.partition(" of ")
        return int(k), int(n)

    def of_column(self, name: str) -> ChangeOfColumn:
        """What holds for a column."""
        own = self.columns.get(name, ColumnRules())
        psi, share, score = (
            getattr(self, each) if getattr(own, each) is None else getattr(own, each)
            for each in ("psi", "share", "score")
        )
        return ChangeOfColumn(psi, share, score, own.ignore)


class Policy(_Section, frozen=True):
    """What holds for one model.

    Parameters
    ----------
    bounds : metric -> its absolute bound.
    """

    metric: MetricByTask
    bounds: dict[Annotated[str, one_of(*BY_NAME)], float]
    suite: Literal["required", "optional"]
    parity: Literal["required", "optional"]
    lineage: LineageRules
    adopted: Literal["allowed", "refused"]
    champion: ChampionRules
    fairness: FairnessRules
    stages: StageGates
    by_hand: Literal["revert", "flag"]
    serve: ChallengerTraffic
    monitor: MonitorRules
    follow: tuple[StageHook, ...]

    def __post_init__(self) -> None:
        _check_names("follow", self.follow)

    def metric_of(self, task: str) -> str:
        """The metric that versions of a task are judged by."""
        return getattr(self.metric, task)

    def gates_of(self, stage: str) -> tuple[str, ...]:
        """The gates that count for a stage."""
        return getattr(self.stages, stage, ())


class _File(Policy, frozen=True):
    """A policy file: the policy of all models, and what differs for some."""

    # A stage changed by hand is to be seen within five seconds.
    poll: Annotated[float, Meta(ge=0.1, le=4)]
    models: dict[str, dict[str, Any] | None] | None


class Policies(Struct, frozen=True):
    """What holds for all models, and what differs for some.

    Parameters
    ----------
    path : the file.
    poll : how often ``watch`` looks, in seconds.
    """

    path: Path
    poll: float
    default: Policy
    models: Mapping[str, Policy]

    @property
    def own_file(self) -> Path:
        """The file for a user's own rules: this one, or where one would be found if this is the shipped one."""
        return Path(FILE if self.path == SHIPPED else self.path).absolute()

    def for_model(self, name: str) -> Policy:
        """The policy of a model."""
        return self.models.get(name, self.default)


@cache
def _tell(file: Path, place: Path) -> None:
    """Log which file is used where no command line names it, once for each place."""
    _log.info("policy: %s", file)


def read(path: str | Path | None = None) -> Policies:
    """Read the policies of a file; see :func:`registry.policy_file.locate` for the default.

    Raises
    ------
    RegistryError
        if the file is missing or no YAML, has an unknown key, or a value of another type.
    """
    file = locate(path)
    if not path and file != SHIPPED:
        _tell(file, file.absolute())
    try:
        content = _load(SHIPPED)
        if file != SHIPPED:
            content = _overlaid({**content, "models": {}}, _load(file))
        whole = strict.read(content, _File)
        own = {key: value for key, value in content.items() if key not in ("poll", "models")}
        models = {
            name: strict.read(_overlaid(own, changes or {}, "models", name), Policy, path=("models", name))
            for name, changes in (content["models"] or {}).items()
        }
        return Policies(file, whole.poll, strict.read(own, Policy), models)
    except strict.Invalid as error:
        raise RegistryError(f"{file}: {error}") from None


def _load(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file: no tags that make objects, no key twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            seen = set()
            for key, _ in node.value:
                name = self.construct_object(key, deep=True)
                if not isinstance(name, str):
                    line = key.start_mark.line + 1
                    raise strict.Invalid(f"line {line}: a key is a text, found {name!r}; put it in quotes")
                if name in seen:
                    raise strict.Invalid(f"line {key.start_mark.line + 1}: the key {name!r} is there twice")
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
    if content is not None and not isinstance(content, dict):
        raise strict.Invalid(f"expected keys such as `metric:`, found a {type(content).__name__}")
    return content or {}


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """Lay a file, or what it says of one model, over what it changes: mappings key by key, all else is replaced.

    One name for ``metric`` is that of the task which has such a metric.
    """
    metric = above.get("metric")
    if isinstance(metric, str):
        strict.read({"metric": metric}, _OneMetric, path=path)
        above = {**above, "metric": {task: metric for task in METRICS if metric in names(task)}}
    return _merged(below, above)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if both else value
    return merged
