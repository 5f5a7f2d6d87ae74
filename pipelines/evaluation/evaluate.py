"""Judge a registered version on any table, beside the champion on the same rows, and keep it as evidence."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pandas as pd

from pipelines import lineage, profile, runs, score_sums, targets
from pipelines import versions as registered
from pipelines.dataset import REGRESSION
from pipelines.errors import PipelineError
from pipelines.evaluation import asking, baseline, judged_rows, keeping, metrics, sections, unseen
from pipelines.evaluation.asking import Version
from pipelines.evaluation.judged_rows import JudgedRows
from pipelines.evaluation.metrics import Answers
from pipelines.sources import FIND, ReadOptions, Table, read
from pipelines.versions import RegisteredVersion
from registry import client as registry_client
from registry import logs, stages
from registry.cli.text import listed
from registry.evidence import Evidence, adoption
from registry.evidence.document import (
    Baseline,
    CategoryProfile,
    InputColumn,
    MetricValue,
    ModelDescription,
    NumberProfile,
    Parity,
    Schema,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class EvaluationRequest:
    """The settings of an evaluation; see ``python -m pipelines evaluate --help``.

    Parameters
    ----------
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
    table = read(request.data, query=request.query, options=request.options)
    for note in table.notes:
        _log.info(note)
    client = registry_client.connect()
    runs.tidy(client)
    with runs.interruptible(), runs.folder() as folder, ExitStack() as running:
        found = registered.fetch(client, request.model, folder / "candidate")
        target = registered.target_of(found, table, request.target)
        known = _known_of_rows(client, found, table, target, declared=request.unseen)
        other = _other(client, request.against, found, folder / "other")
        _check_named(request.sensitive, table)
        version, table = asking.judged(found, table, target, running)
        beside = None
        if other:
            beside, table = asking.beside(other, table, target, running)
            _check_alike(version, beside)
        table = table.written_as(version.inputs, version.cleaning)
        _log.info("judging %s%s on %s", version.title, f" beside version {other.number}" if other else "", table.source)
        rows = judged_rows.choose(table, version, beside, which=request.rows, target=target, declared=request.unseen)
        judged = _Judged(request, table.rows(rows.positions), table, rows)
        notes = [*version.notes, *rows.notes, *known]
        for note in notes:
            _log.info(note)
        frame = version.read(judged.part)
        answers = judged.answers(version, frame)
        others = judged.answers(beside, beside.read(judged.part)) if beside else None
        parity = version.measure(frame) if version.measure else None
        document = _document(judged, version, frame, answers, parity, notes)
        number = other.number if other else None
        judgement = keeping.Judgement(version, document, answers, rows, table, number, others)
        kept = keeping.keep(client, judgement, folder / "written", replace=request.replace)
    for warning in _warnings(version, document):
        _log.warning(warning)
    return Evaluation(
        name=found.name,
        version=found.number,
        task=document.model.task,
        rows=len(answers),
        metrics=document.metrics,
        baseline=document.baseline.metrics,
        other=other.number if other else None,
        other_metrics=metrics.measure(others) if others else {},
        artifacts=kept,
        notes=tuple(notes),
        caveat="" if found.trained_here else adoption.caveat(document.holdout),
        scorecard=version.scorecard.digest if version.scorecard else None,
    )


def _known_of_rows(
    client: "MlflowClient", version: RegisteredVersion, table: Table, target: str, *, declared: bool
) -> list[str]:
    """What the version's own run tells of the table, a sentence each; raises if the user declares the contrary."""
    name = None if version.trained_here else unseen.logged_as_training(client, version, table, target)
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
    """The rows that are judged, and what a user asked about them.

    Parameters
    ----------
    part : the table of these rows alone; ``table`` is the whole.
    """

    request: EvaluationRequest
    part: Table
    table: Table
    rows: JudgedRows

    def answers(self, version: Version, frame: pd.DataFrame) -> Answers:
        """What a version answers; ``frame`` holds the rows as its inputs."""
        rows, found = self.rows, version.answer(frame)
        if rows.task == REGRESSION:
            if found.predictions.dtype.kind not in "fiub":
                raise PipelineError(f"{version.title} predicts text, and {rows.target!r} holds numbers")
            return Answers(rows.truth, found.predictions.astype("float64"))
        likely = found.probabilities
        if likely is None:
            # Of labels alone: no probability is known of any class.
            likely = np.full((len(rows.truth), len(rows.classes)), np.nan)
        return Answers(
            rows.truth,
            _labels(found.predictions, rows.classes),
            likely,
            rows.classes,
            _positive(version, rows, self.request),
        )


def _labels(predictions: np.ndarray, classes: tuple) -> np.ndarray:
    """Predicted labels in the classes' own type: a model may answer 1 for true."""
    if isinstance(classes[0], str) or predictions.dtype.kind not in "fiub":
        return predictions.astype(object)
    return predictions.astype(type(classes[0]))


def _positive(version: Version, rows: JudgedRows, request: EvaluationRequest) -> object:
    if len(rows.classes) != 2:
        return None
    if request.positive is not None:
        return targets.label(request.positive, rows.classes, "--positive")
    known = version.document.model.positive if version.document else None
    return known if known in rows.classes else rows.classes[1]


def _document(
    judged: _Judged,
    version: Version,
    frame: pd.DataFrame,
    answers: Answers,
    parity: Parity | None,
    notes: Sequence[str],
) -> Evidence:
    """Evidence of the shape that training writes; what only training knows is None, or taken from its evidence."""
    request, table, rows = judged.request, judged.table, judged.rows
    groups = [judged_rows.typed(judged.part, name).rename(name) for name in request.sensitive]
    trained = version.document if version.registered.trained_here else None
    model = trained.model if trained else _model(version, rows, frame)
    return Evidence(
        model=msgspec.structs.replace(model, positive=answers.positive),
        metrics=sections.metrics_section(answers, resamples=request.resamples, seed=request.seed),
        baseline=_baseline(version, answers),
        cross_validation=None,
        holdout=sections.holdout_section(
            rows.rule,
            rows=len(rows.positions),
            training_rows=trained.holdout.training_rows if trained else None,
            earlier=None,
            resamples=request.resamples,
            notes=() if trained else notes,
            declared_unseen=unseen.declaration() if rows.declared else None,
        ),
        suite=None,
        fairness=[metrics.by_group(answers, group) for group in groups],
        parity=parity,
        schema=trained.schema if trained else _schema(version, rows),
        lineage=trained.lineage if trained else None,
        evaluation=lineage.of(
            table.origin, dropped_rows=table.columns.num_rows - len(rows.positions), seed=request.seed
        ),
        profile=profile.of(frame),
    )


def _check_named(names: Sequence[str], table: Table) -> None:
    if missing := [name for name in names if name not in table.columns.column_names]:
        raise PipelineError(f"--sensitive: no column {listed(missing)}; found {listed(table.columns.column_names)}")


def _baseline(version: Version, answers: Answers) -> Baseline:
    """The dummy that answers what the training rows' target was like; these rows' own if that is not known."""
    target = version.document.profile.get(version.document.model.target) if version.document else None
    if not answers.classes:
        known = target.mean if isinstance(target, NumberProfile) else None
        return baseline.of_mean(answers.target, float(np.mean(answers.target)) if known is None else known)
    if isinstance(target, CategoryProfile):
        counts = target.top
    else:
        counts = pd.Series(answers.target).map(str).value_counts().to_dict()
    weights = np.array([counts.get(str(label), 0) for label in answers.classes], dtype="float64")
    return baseline.of_counts(answers.target, answers.classes, weights, answers.positive)


def _model(version: Version, rows: JudgedRows, frame: pd.DataFrame) -> ModelDescription:
    return ModelDescription(
        name=version.registered.name,
        task=rows.task,
        estimator=version.estimator,
        parameters={},
        target=rows.target,
        classes=list(rows.classes) or None,
        positive=None,
        threshold=None,
        threshold_rule=None,
        scores=score_sums.measured(version.scorecard, frame) or msgspec.UNSET,
    )


def _schema(version: Version, rows: JudgedRows) -> Schema:
    return Schema([InputColumn(**column.to_dict()) for column in version.inputs], left_out=[], target=rows.target)
