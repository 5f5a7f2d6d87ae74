"""Plan a training on a table that is read in parts: types from a sample, which every row then has to agree with."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines import ancestry, modelling, planning, splitting
from pipelines.errors import PipelineError
from pipelines.planning import Settings, TrainingPlan
from pipelines.solving import objectives
from pipelines.streaming.engine import Streamed
from pipelines.streaming.journal import Journal
from pipelines.streaming.raw import joined
from pipelines.streaming.scan_sums import Scan
from pipelines.streaming.sides import HELD
from pipelines.streaming.tables import RawRows, TableInParts, Typing
from pipelines.streaming.typed import Contradiction
from registry import logs
from registry.earlier_versions import EarlierVersion
from registry.holdout import TIME

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logs.get_logger(__name__)

#: Rows by which columns are typed and chosen, the suite is drafted, and the coefficients get their intervals.
SAMPLE = 200_000
# Each time that rows contradict the sample they are added to it, and the scan begins anew.
_MOST_SCANS = 50


def prepared(
    settings: Settings,
    raw: RawRows,
    typing: Typing,
    journal: Journal,
    connect: "Callable[[], MlflowClient] | None",
    check: Callable[[TrainingPlan], None] | None = None,
    *,
    name: str,
) -> Streamed:
    """A training on a raw table, ready to be fitted.

    Parameters
    ----------
    typing : makes a table with types of the raw one.
    journal : keeps what each pass finds.
    check : refuses the plan of a sample before the whole table is read.
    name : of the engine.

    Raises
    ------
    PipelineError
        if the settings or the table are refused.
    RegistryError
        if the registry does not answer.
    """
    if settings.pipeline is not None:
        raise PipelineError(f"--pipeline: --engine {name} fits the platform's own pipeline alone; use --engine memory")
    planning.check_settings(settings)
    if settings.folds > HELD:
        raise PipelineError(f"--folds: --engine {name} makes {HELD} at most, found {settings.folds}; give fewer")
    earlier = planning.earlier_of(settings, raw.origin.name, connect)
    rows, told = journal.remember(("sample", SAMPLE), lambda: raw.sample(SAMPLE)), set[str]()
    for number in range(_MOST_SCANS):
        sample = raw.table(rows)
        plan = planning.plan_table(settings, sample, earlier, told)
        _check_covered(plan, name)
        if check is not None:
            check(plan)
        try:
            table = typing(sample, plan.dataset, plan.split)
            return _scanned(plan, table, earlier, journal.inside("scan", number), name)
        except Contradiction as found:
            # Twice: so that a label that is new does not look like one that a single row has.
            rows = joined([rows, found.rows, found.rows])
    raise PipelineError(
        f"the columns of {raw.origin.source} go on changing their types after {_MOST_SCANS} looks at it; "
        "write each column alike throughout, or leave columns out with --drop"
    )


def _check_covered(plan: TrainingPlan, name: str) -> None:
    """Raise PipelineError if the estimator is none that is fitted in parts."""
    try:
        objectives.of(plan.build(), len(plan.dataset.classes))
    except objectives.NotCovered as error:
        raise PipelineError(f"--engine {name} {error}, or use --engine memory") from None


def _scanned(
    plan: TrainingPlan, table: TableInParts, earlier: Sequence[EarlierVersion], journal: Journal, name: str
) -> Streamed:
    if plan.split.rule.by == TIME:
        table.cut(plan.split.rule.columns[0], test_size=plan.settings.test_size, before=plan.inherited.rule)
        plan = replace(_without_folds(plan), split=table.split)
    rules = ancestry.to_count(earlier, plan.dataset, plan.split)
    folds = modelling.folds_needed(plan)
    # What later passes find hangs on all that the scan hangs on.
    journal = journal.inside(folds, plan.split.rule, rules, plan.dataset.inputs, plan.dataset.classes)
    scan, learned = journal.remember_files(
        "scan", lambda: (table.scanned(folds=folds, earlier=rules), table.reader.learned)
    )
    table.reader.learn(learned)
    _check(plan, scan)
    counts = {rule: count for rule, count in zip(rules, scan.seen, strict=True) if count is not None}
    known = ancestry.known(earlier, plan.dataset, plan.split, counts)
    for note in ancestry.notes(known, scan.held):
        _log.info(note)
    return Streamed(replace(plan, known=known), table, scan, counts, journal, name)


def _without_folds(plan: TrainingPlan) -> TrainingPlan:
    """The plan without cross-validation, whose folds of times are no parts of one sum."""
    if plan.rule is not None and plan.chooses_threshold:
        raise PipelineError(
            f"--threshold {plan.rule.text} is chosen by cross-validation, which --engine stream does not make where "
            "rows are held out by time; give the threshold as a number, or use --engine memory"
        )
    if plan.settings.folds:
        _log.info("no cross-validation: --engine stream makes none where rows are held out by time")
    return replace(plan, settings=replace(plan.settings, folds=0))


def _check(plan: TrainingPlan, scan: Scan) -> None:
    """Raise PipelineError if the whole table cannot be learned from."""
    target = scan.target
    varies = target is None or target.least < target.most
    splitting.check_sides(plan.split, plan.dataset.classes, (scan.training, scan.held), scan.labels, varies=varies)
    if target is not None:
        plan.entry.check_least(target.least, plan.dataset.target_name)
