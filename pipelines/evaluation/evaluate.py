"""Judge a registered version on any table, beside the champion on the same rows, and keep it as evidence."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipelines import lineage, runs
from pipelines import versions as registered
from pipelines.errors import PipelineError
from pipelines.evaluation import asking, judged_rows, keeping, measurement, sections, unseen
from pipelines.evaluation.asking import Version
from pipelines.evaluation.judged_rows import JudgedRows
from pipelines.evaluation.judged_table import JudgedTable
from pipelines.evaluation.measurement import JudgedVersions, Measured
from pipelines.sources import FIND, ReadOptions, Table
from pipelines.streaming.typed import Contradiction
from pipelines.versions import RegisteredVersion
from registry import client as registry_client
from registry import logs, stages
from registry.cli.text import listed
from registry.evidence import Evidence, adoption
from registry.evidence.document import InputColumn, MetricValue, ModelDescription, Schema
from serving.batch.scratch import scratch

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logs.get_logger(__name__)

# Each time that rows contradict the sample of a table that is read in parts, they are added to it, and all begins anew.
_MOST_LOOKS = 50
# The folder of the answers, until they are kept.
_ANSWERS = "answers"


@dataclass(frozen=True)
class EvaluationRequest:
    """The settings of an evaluation; see ``python -m pipelines evaluate --help``.

    Parameters
    ----------
    engine, memory : see ``planning.Settings``.
    unseen : declares that a model logged without this platform was not trained on these rows.
    replace : replaces the evidence by which the gates judge a model logged without this platform.
    """

    model: str
    data: str
    query: str | None = None
    options: ReadOptions = FIND
    target: str | None = None
    rows: str = "auto"
    against: str = "champion"
    sensitive: Sequence[str] = ()
    positive: str | None = None
    resamples: int = 1000
    seed: int = 0
    unseen: bool = False
    replace: bool = False
    engine: str = "auto"
    memory: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a version, and of the champion if that is another one, on the same rows.

    Parameters
    ----------
    metrics, baseline : of the version, by name.
    other, other_metrics : the version that it was compared with, and that version's metrics; None if there is none.
    artifacts : the URI of the evidence.
    caveat : what is doubtful about the metrics of a version that was logged without this platform; else empty.
    scorecard : the digest of its scorecard; None if it has none.
    """

    name: str
    version: str
    task: str
    rows: int
    metrics: dict[str, MetricValue]
    baseline: dict[str, float | None]
    other: str | None = None
    other_metrics: dict[str, float | None] = field(default_factory=dict)
    artifacts: str | None = None
    notes: tuple[str, ...] = ()
    caveat: str = ""
    scorecard: str | None = None


def evaluate(request: EvaluationRequest) -> Evaluation:
    """Evaluate a version, and the champion of its model, on a table.

    The evidence goes to ``evidence/evaluations/<table digest>/`` of the run that has the version's evidence. A version
    that was logged without this platform is adopted.

    Raises
    ------
    PipelineError, RegistryError, ServingError
        if anything is refused; nothing is written then.
    """
    registry_client.settle()
    registry_client.probe()
    with scratch() as place:
        table = JudgedTable.opened(request, place)
        for note in table.sample.notes:
            _log.info(note)
        client = registry_client.connect()
        runs.tidy(client)
        with runs.interruptible(), runs.folder() as folder:
            found = registered.fetch(client, request.model, folder / "candidate")
            target = registered.target_of(found, table.sample, request.target)
            known = _known_of_rows(client, found, table, target, declared=request.unseen)
            other = _other(client, request.against, found, folder / "other")
            _check_named(request.sensitive, table.sample)
            _log.info(
                "judging %s%s on %s", found.title, f" beside version {other.number}" if other else "", table.source
            )
            judged = _Judging(request, found, other, target, known, place).judged(table)
            version, document = judged.version, _document(judged, request)
            judgement = keeping.Judgement(version, document, table.origin, place / _ANSWERS)
            kept = keeping.keep(client, judgement, folder / "written", replace=request.replace)
    for warning in _warnings(version, document):
        _log.warning(warning)
    return Evaluation(
        name=found.name,
        version=found.number,
        task=document.model.task,
        rows=document.holdout.rows,
        metrics=document.metrics,
        baseline=document.baseline.metrics,
        other=other.number if other else None,
        other_metrics=judged.measured.other,
        artifacts=kept,
        notes=judged.notes,
        caveat="" if found.trained_here else adoption.caveat(document.holdout),
        scorecard=version.scorecard.digest if version.scorecard else None,
    )


def _known_of_rows(
    client: "MlflowClient", version: RegisteredVersion, table: JudgedTable, target: str, *, declared: bool
) -> list[str]:
    """What the version's own run tells of the table, a sentence each; raises if the user declares the contrary."""
    name = None if version.trained_here else unseen.logged_as_training(client, version, table.sample, target)
    if name is None:
        return []
    told = f"the run of {version.title} logged this very table as its training data ({name!r})"
    if declared:
        raise PipelineError(f"--unseen yes: {told}; leave it out, or give rows that it was not trained on")
    return [told]


def _other(client: "MlflowClient", against: str, version: RegisteredVersion, folder: Path) -> RegisteredVersion | None:
    """The version to judge beside: the champion where it is another one, a version that is named, or none."""
    if against == "none":
        return None
    uri = against
    if against == "champion":
        champion = stages.champion(client, version.name)
        if champion is None or str(champion.version) == version.number:
            return None
        uri = f"models:/{version.name}/{champion.version}"
    other = registered.fetch(client, uri, folder)
    if (other.name, other.number) == (version.name, version.number):
        raise PipelineError(f"--against {against} is the version itself; name another, or none")
    return other


def _check_alike(version: Version, other: Version) -> None:
    if None not in (version.classes, other.classes) and version.classes != other.classes:
        raise PipelineError(
            f"--against: {other.title} predicts something else than {version.title}; name another, or none"
        )


def _warnings(version: Version, document: Evidence) -> list[str]:
    """What a person must not overlook of a version that was logged without this platform."""
    if version.registered.trained_here:
        return []
    found = [f"{version.title} was {adoption.caveat(document.holdout)}"]
    if document.holdout.possibly_trained_on:
        found[0] += ": its metrics may be too good; --unseen yes declares that it was not trained on these rows"
    if version.scorecard is None:
        found.append(
            f"{version.title} has no scorecard: {version.why}; to be promoted it needs a policy with `parity: optional`"
        )
    elif document.parity and not document.parity.passed:
        found.append(f"the scorecard of {version.title} answers otherwise than its own code: the gate parity fails")
    return found


@dataclass(frozen=True)
class _Judged:
    """What an evaluation found.

    Parameters
    ----------
    notes : what a person should know, a sentence each.
    """

    version: Version
    rows: JudgedRows
    measured: Measured
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Judging:
    """What is judged, by what a user asked about it.

    Parameters
    ----------
    known : what is known of the rows beforehand, a sentence each.
    folder : for what is noted of each row, and for the answers.
    """

    request: EvaluationRequest
    found: RegisteredVersion
    other: RegisteredVersion | None
    target: str
    known: Sequence[str]
    folder: Path
    _told: set[str] = field(default_factory=set)

    def judged(self, table: JudgedTable) -> _Judged:
        """Judge; where rows of a table that is read in parts contradict its sample, with these in the sample."""
        refused: set[str] = set()
        for _ in range(_MOST_LOOKS):
            try:
                with ExitStack() as running:
                    return self._once(table, running)
            except Contradiction as contradiction:
                why = contradiction.__cause__
                if why is not None and str(why) in refused:
                    raise why from None
                refused.add(str(why))
                table = table.with_rows(contradiction.rows)
        raise PipelineError(
            f"the columns of {table.source} go on changing their types after {_MOST_LOOKS} looks at it; write each "
            "column alike throughout, or use --engine memory"
        )

    def _once(self, table: JudgedTable, running: ExitStack) -> _Judged:
        request, target = self.request, self.target
        version, sample = asking.judged(self.found, table.sample, target, running)
        beside = None
        if self.other:
            beside, sample = asking.beside(self.other, sample, target, running)
            _check_alike(version, beside)
        table = replace(table, sample=sample.written_as(version.inputs, version.cleaning))
        table = table.typed_by_sample([*request.sensitive, *_as_found(table, version, beside)])
        rows = judged_rows.choose(
            table, version, beside, which=request.rows, target=target, folder=self.folder, declared=request.unseen
        )
        notes = (*version.notes, *rows.notes, *self.known)
        for note in notes:
            if note not in self._told:
                self._told.add(note)
                _log.info(note)
        judges = JudgedVersions(version, beside, request.positive, request.sensitive, request.resamples, request.seed)
        return _Judged(version, rows, measurement.measure(judges, rows, self.folder / _ANSWERS), notes)


def _as_found(table: JudgedTable, *versions: Version | None) -> list[str]:
    """The columns of a table that versions are given as it has them."""
    names = [name for version in versions if version for name in sorted(version.as_found)]
    return [own for name in names if (own := table.sample.known_as(name)) is not None]


def _document(judged: _Judged, request: EvaluationRequest) -> Evidence:
    """Evidence of the shape that training writes; what only training knows is None, or taken from its evidence."""
    version, rows, measured = judged.version, judged.rows, judged.measured
    trained = version.document if version.registered.trained_here else None
    model = trained.model if trained else _model(version, rows, measured)
    return Evidence(
        model=msgspec.structs.replace(model, positive=measured.positive),
        metrics=measured.metrics,
        baseline=measured.baseline,
        cross_validation=None,
        holdout=sections.holdout_section(
            rows.rule,
            rows=rows.count,
            training_rows=trained.holdout.training_rows if trained else None,
            earlier=None,
            resamples=request.resamples,
            notes=() if trained else judged.notes,
            declared_unseen=unseen.declaration() if rows.declared else None,
        ),
        suite=None,
        fairness=measured.fairness,
        parity=measured.parity,
        schema=trained.schema if trained else _schema(version, rows),
        lineage=trained.lineage if trained else None,
        evaluation=lineage.of(rows.table.origin, dropped_rows=rows.table.rows - rows.count, seed=request.seed),
        profile=measured.profile,
    )


def _check_named(names: Sequence[str], table: Table) -> None:
    if missing := [name for name in names if name not in table.columns.column_names]:
        raise PipelineError(f"--sensitive: no column {listed(missing)}; found {listed(table.columns.column_names)}")


def _model(version: Version, rows: JudgedRows, measured: Measured) -> ModelDescription:
    return ModelDescription(
        name=version.registered.name,
        task=rows.truth.task,
        estimator=version.estimator,
        parameters={},
        target=rows.truth.target,
        classes=list(rows.truth.classes) or None,
        positive=None,
        threshold=None,
        threshold_rule=None,
        scores=measured.scores or msgspec.UNSET,
    )


def _schema(version: Version, rows: JudgedRows) -> Schema:
    inputs = [InputColumn(**column.to_dict()) for column in version.inputs]
    return Schema(inputs, left_out=[], target=rows.truth.target)
