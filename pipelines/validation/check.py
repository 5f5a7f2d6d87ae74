"""Check a table against a suite, or draft the suite: ``python -m pipelines validate``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipelines import ancestry, columns, runs, selection, splitting, tracking, validation
from pipelines.columns import TypedColumn
from pipelines.dataset import Roles
from pipelines.errors import PipelineError
from pipelines.names import model_name
from pipelines.sources import FIND, ReadOptions, Table, read
from pipelines.sources.table import USUAL
from pipelines.validation import suite_lookup
from pipelines.validation.suites import FOLDER
from registry import client as registry_client
from registry import logs, redaction
from registry.earlier_versions import EarlierVersion, earlier_versions
from registry.holdout import ROW, HoldoutRule

_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Parameters
    ----------
    origin : where the suite is from.
    rows : how many rows were judged.
    run_id : the run that keeps the suite, the result and the Data Docs page.
    drafted : where the drafted suite was written; None where none was drafted.
    """

    result: validation.SuiteResult
    origin: str
    rows: int
    run_id: str
    drafted: Path | None = None


class CriticalFailure(PipelineError):
    """A critical expectation failed; ``checked`` is all that was found."""

    def __init__(self, problem: str, checked: Checked) -> None:
        super().__init__(problem)
        self.checked = checked


def check(
    data: str,
    *,
    query: str | None = None,
    options: ReadOptions = FIND,
    target: str | None = None,
    suite: str = suite_lookup.AUTO,
    draft: bool = False,
    output: str | None = None,
    overwrite: bool = False,
    name: str | None = None,
    experiment: str | None = None,
    test_size: float = 0.2,
) -> Checked:
    """Check a table against a suite; with ``draft``, write one from the training rows and check the held-out rows.

    Parameters
    ----------
    target : the target column; a drafted suite is stricter about it.
    output : the file of a drafted suite; by default among the shipped ones, where training finds it.

    Raises
    ------
    CriticalFailure
        if a critical expectation failed, unless the suite was drafted here.
    PipelineError
        if the table or the suite cannot be read, or the draft would overwrite a file.
    RegistryError
        if the tracking server refuses.
    """
    registry_client.settle()
    registry_client.probe()
    _log.info("reading %s", redaction.url(data))
    table = read(data, query=query, options=options)
    for note in table.notes:
        _log.info(note)
    model = model_name(name, table.name)
    target = target or table.target
    if target and target not in table.columns.column_names:
        raise PipelineError(f"--target: no column {target!r} in the table")
    typed = {
        each: columns.infer_key(each, table.columns[each], table.cleaning, table.marks_of(each))
        for each in table.columns.column_names
    }
    # A column of no one type is text, which the suite may judge.
    whole = pd.DataFrame({each: column.values for each, column in typed.items()}, copy=False)
    path = Path(output) if output else FOLDER / f"{model}.json"
    if draft and path.exists() and not overwrite:
        raise PipelineError(f"{path} is there already, and may have been edited; give --output, or --overwrite yes")
    numbers = {each: tracking.is_numeric(column.values) for each, column in typed.items()}
    client = registry_client.connect()
    with (
        runs.interruptible(),
        runs.run(client, experiment=experiment, model=model, name=f"validate {table.name}", tags=runs.tags()) as run,
        runs.folder() as folder,
    ):
        tracking.log_dataset(table.origin, numbers, context="validation")
        if draft:
            rule = _rule(typed, target, test_size, earlier_versions(client, model))
            training, held = _halves(table, whole, target, rule)
            chosen = validation.draft(training, model, target=target)
            origin, judged = f"drafted from {len(training)} rows", held
        else:
            known_suite, origin = suite_lookup.find(suite, origin=table.origin, model=model, client=client)
            if known_suite is None:
                raise PipelineError(
                    f"{table.name} has no suite yet; draft one with --profile yes, or name a file with --suite"
                )
            chosen, judged = known_suite, _with_target(whole, target or known_suite.meta.get("target"))
        result = validation.validate(judged, chosen)
        suite_lookup.write(chosen, result, folder / suite_lookup.ARTIFACTS)
        tracking.log_files(folder)
        tracking.log_check(result.section())
        tracking.describe(client, run.info.run_id, result.to_markdown(origin, table.source, len(judged)))
        _log.info("%s (%s)", result.summary(), origin)
        if draft:
            validation.write_suite(chosen, path)
        checked = Checked(result, origin, len(judged), run.info.run_id, path if draft else None)
        if not draft and (problem := validation.critical(result)):
            raise CriticalFailure(problem, checked)
    return checked


def _with_target(whole: pd.DataFrame, target: str | None) -> pd.DataFrame:
    """The rows that training takes: one without a target teaches nothing."""
    return whole[whole[target].notna()] if target in whole.columns else whole


def _rule(
    typed: Mapping[str, TypedColumn], target: str | None, test_size: float, earlier: Sequence[EarlierVersion]
) -> HoldoutRule:
    """What holds rows out in training: an earlier version's rule, else the key of what would be the features."""
    inherited = ancestry.take_over(earlier, Roles(target=target), target=target or "", columns=list(typed)).rule
    if inherited and inherited.applies:
        return inherited
    others = [column for name, column in typed.items() if name != target]
    features = [
        column.name
        for column in others
        if not selection.reason(column, role=False, kept=False, rows=len(column.values))
    ]
    keyed = tuple(features or (column.name for column in others))
    return HoldoutRule(ROW, keyed, columns=keyed, test_size=test_size)


def _halves(
    table: Table, whole: pd.DataFrame, target: str | None, rule: HoldoutRule
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The training rows and the held-out ones; a row's key is made of its values as they are written."""

    def key_column(name: str) -> pd.Series:
        return columns.infer_key(name, table.columns[name], USUAL, table.marks_of(name)).values

    held = splitting.held_out_as(rule, key_column)[1]
    training, judged = (_with_target(whole[rows], target) for rows in (~held, held))
    if training.empty or judged.empty:
        raise PipelineError(f"expected rows to draft from and rows to judge by, found {len(whole)} in all; add rows")
    return training, judged
