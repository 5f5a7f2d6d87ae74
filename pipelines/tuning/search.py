"""Search estimators and their parameters, with one MLflow run per trial, then train and register the winner."""

import csv
import hashlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import engines, notes, record, report, run_metrics, runs, tracking, training
from pipelines.errors import PipelineError
from pipelines.markdown import code, page, table
from pipelines.training import Trained
from pipelines.tuning import pictures, studies, trials
from pipelines.tuning.search_plan import Search, SearchPlan, prepared
from pipelines.tuning.trials import CONTINUES_TAG, SEARCH_TAG, STUDY_TAG, TrialFolds
from registry import client as registry_client
from registry import logs, redaction
from registry.cli import interrupts
from registry.cli.text import figure
from registry.client import speaking
from registry.logs import Progress

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from optuna import Study
    from optuna.trial import FrozenTrial


_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Parameters
    ----------
    value : the winner's mean metric over the folds.
    parameters : the winner's, as ``train`` takes them.
    trials, pruned, failed : the number of trials, and of those that were pruned and that failed.
    run_id : the run of the search.
    """

    study: str
    storage: str
    metric: str
    value: float
    estimator: str
    parameters: dict[str, str]
    trial: int
    trials: int
    pruned: int
    failed: int
    run_id: str

    def told(self) -> str:
        """Describe the winner on one line."""
        chosen = ", ".join(f"{name}={text}" for name, text in self.parameters.items())
        return f"{self.metric} {self.value:.6g}, cross-validated, by {self.estimator} {chosen}".rstrip()

    def to_markdown(self, trained: Trained, source: str) -> str:
        """The page of the search's run: the best trial, and the version that it became.

        Parameters
        ----------
        source : where the table is.
        """
        counts = ((self.pruned, "pruned"), (self.failed, "failed"))
        others = ", ".join(f"{count} {word}" for count, word in counts if count)
        chosen = " ".join(code(f"{name}={text}") for name, text in self.parameters.items())
        held, title = trained.metrics[self.metric].value, f"{trained.name} version {trained.version}"
        return page(
            f"{self.trials} trials{f' ({others})' if others else ''} on {code(source)}, judged by cross-validation on "
            f"the training rows. The best is trial {self.trial}: {code(self.estimator)} {chosen}".rstrip()
            + ".",
            table(
                ("", self.metric),
                [
                    ("best trial, cross-validated", figure(self.value)),
                    (f"{title}, on {trained.rows:,} held-out rows", figure(held)),
                    ("baseline, on the same rows", figure(trained.baseline[self.metric])),
                ],
            ),
            "Among the artifacts, `search/trials.csv` has every trial, and `pictures` show the search.",
            notes.following(trained.name, trained.version),
        )


@dataclass(frozen=True)
class Tuned:
    """A search, and the version that its winner was trained as."""

    trained: Trained
    search: SearchResult


class SearchInterrupted(KeyboardInterrupt):
    """A search was interrupted; the message says how to resume it."""


def tune(search: Search) -> Tuned:
    """Search by cross-validation on the training rows, then train, evaluate and register the winner.

    The held-out rows are used only to evaluate the winner. An interrupted search resumes: with one process at a time
    and the same releases of all packages, it tries the same points and gets the same values as without interruption;
    on a table that is read in parts, the values to the tolerance of the fits, which begin at those made before.

    Raises
    ------
    PipelineError, RegistryError
        if anything is refused, or every trial failed.
    SearchInterrupted
        if the process is told to stop; its runs are KILLED then.
    """
    registry_client.settle()
    registry_client.probe()
    connect = cache(registry_client.connect)
    with prepared(search, connect) as plan:
        return _tune(plan, connect())


def _tune(plan: SearchPlan, client: "MlflowClient") -> Tuned:
    search = plan.search
    storage = studies.connect(search.storage)
    searched = plan.searched()
    name = search.study or f"{plan.training.name}-{_digest(searched)[:8]}"
    with studies.storing(search.storage):
        study = studies.open_study(storage, name, maximized=plan.maximized, searched=searched)
        before = study.user_attrs.get(studies.SEARCH_RUN)
    if before:
        _refuse_busy(client, name, before)
    plan.engine.plan = plan.training.with_check(client)
    if plan.training.checked:
        plan.training.checked.raise_for_critical()
    tags = {**runs.tags(), STUDY_TAG: name, **({CONTINUES_TAG: before} if before else {})}
    with runs.interruptible():
        try:
            with runs.run(
                client,
                experiment=search.settings.experiment,
                model=plan.training.name,
                name=f"tune {plan.training.name}",
                tags=tags,
            ) as run:
                return _run(plan, study, client, run.info.run_id)
        except KeyboardInterrupt:
            raise SearchInterrupted(_kept(plan, study)) from None


def _run(plan: SearchPlan, study: "Study", client: "MlflowClient", run_id: str) -> Tuned:
    search = plan.search
    with studies.storing(search.storage):
        study.set_user_attr(studies.SEARCH_RUN, run_id)
        if left := studies.release(study):
            _log.info("interrupted before, and done again: trial %s", ", ".join(map(str, left)))
        done = len(studies.done(study))
    tracking.log_parameters(_parameters(plan, study))
    tracking.log_dataset(plan.training.origin, record.columns(plan.training.dataset), context="tuning")
    if done >= plan.total:
        _log.info("study %s has its %d trials: none is added, the winner is trained again", study.study_name, done)
    else:
        begun = f" goes on: {done} of {plan.total} trials are done" if done else f": {plan.total} trials"
        sought = "highest" if plan.maximized else "lowest"
        _log.info("study %s%s, for the %s %s", study.study_name, begun, sought, plan.metric)
    _search(plan, study, client, run_id)
    best = studies.best(study)
    if best is None:
        raise PipelineError(_nothing(plan, study))
    result = _result(plan, study, best, run_id)
    _log_search(plan, study, result)
    _log.info("best of %d trials: %s", result.trials, result.told())

    winner = plan.training.with_estimator(result.estimator, result.parameters)
    tags = {SEARCH_TAG: run_id, STUDY_TAG: study.study_name}
    trained = training.train(plan.engine.with_plan(winner), tags=tags)
    tracking.describe(client, run_id, result.to_markdown(trained, plan.training.origin.source))
    return Tuned(trained, result)


def _refuse_busy(client: "MlflowClient", name: str, run_id: str) -> None:
    """Raise if another search is working on the study; a search whose process is gone is marked KILLED first."""
    from mlflow.exceptions import MlflowException

    runs.mark_killed(client)
    with speaking():
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return
    if run.info.status == "RUNNING" and run.info.lifecycle_stage == "active":
        process = run.data.tags.get(runs.PROCESS_TAG, "unknown").rpartition(":")[0]
        raise PipelineError(
            f"study {name!r} is being searched by run {run_id} (process {process}); wait for it, or give "
            f"--study another name; if that process is gone: mlflow runs delete --run-id {run_id}"
        )


def _search(plan: SearchPlan, study: "Study", client: "MlflowClient", run_id: str) -> None:
    """Run the remaining trials."""
    seed, timeout = plan.search.settings.seed, plan.search.timeout
    planned = plan.space.planned(seed)
    began = time.monotonic()
    folds = _folds(plan)
    with studies.storing(plan.search.storage):
        study.pruner = trials.pruner(folds)
        done = len(studies.done(study))
        best = studies.best_value(study)
        _log_best(client, run_id, plan, best, done)
        _tell(done, plan.total, best, better=False)
        while done < plan.total and (timeout is None or time.monotonic() - began < timeout):
            study.sampler = studies.sampler(seed, done)
            trial = studies.ask(study, planned[done] if done < len(planned) else None)
            plan.space.suggest(trial)
            trials.run(plan, folds, study, trial, client)
            done += 1
            before, best = best, studies.best_value(study)
            _log_best(client, run_id, plan, best, done)
            _tell(done, plan.total, best, better=best != before)


def _folds(plan: SearchPlan) -> TrialFolds:
    if plan.engine.name == engines.MEMORY:
        return trials.Folds(plan)
    from pipelines.tuning.streamed_trials import StreamedFolds

    return StreamedFolds(plan)


def _log_best(client: "MlflowClient", run_id: str, plan: SearchPlan, best: float | None, done: int) -> None:
    """Log the best mean after so many trials, if there is one."""
    if best is not None:
        with speaking():
            client.log_metric(run_id, run_metrics.mean(plan.metric), best, step=done)


def _tell(done: int, total: int, best: float | None, *, better: bool) -> None:
    """Log the progress of the search: at INFO if the last trial was the best so far."""
    progress = Progress("trials", done, total, "" if best is None else f"best {best:.6g}")
    level = logging.INFO if better else logging.DEBUG
    _log.log(level, "%d of %d trials: %s", done, total, progress.note or "none measured", extra=progress.extra())


def _result(plan: SearchPlan, study: "Study", best: "FrozenTrial", run_id: str) -> SearchResult:
    candidate, texts = plan.space.read(best.params)
    done = studies.done(study)
    states = [trial.state.name for trial in done]
    return SearchResult(
        study=study.study_name,
        storage=redaction.url(plan.search.storage),
        metric=plan.metric,
        value=studies.value(best),
        estimator=candidate.entry.name,
        parameters=texts,
        trial=best.number,
        trials=len(done),
        pruned=states.count("PRUNED"),
        failed=states.count("FAIL"),
        run_id=run_id,
    )


def _nothing(plan: SearchPlan, study: "Study") -> str:
    """Say on one line why no trial has a value."""
    done = studies.done(study)
    reasons = list(
        dict.fromkeys(trial.user_attrs[studies.REASON] for trial in done if studies.REASON in trial.user_attrs)
    )
    if not reasons:
        return f"--timeout {plan.search.timeout:g}: no trial was begun in that time; give more"
    more = f", and {len(reasons) - 1} other reasons" if len(reasons) > 1 else ""
    return (
        f"none of the {len(done)} trials of study {study.study_name} could be measured: {reasons[0]}{more}; "
        "narrow --search, set --param, or choose another --estimator"
    )


def _kept(plan: SearchPlan, study: "Study") -> str:
    """Release the running trial of an interrupted search, and say how to resume."""
    with interrupts.held(), studies.storing(plan.search.storage):
        studies.release(study)
        done = len(studies.done(study))
    return (
        f"interrupted after {done} of {plan.total} trials, no version is registered; the same command goes on with "
        f"study {study.study_name} in {redaction.url(plan.search.storage)}"
    )


def _parameters(plan: SearchPlan, study: "Study") -> dict[str, Any]:
    """Return the parameters that MLflow shows for a search."""
    return {
        "search.study": study.study_name,
        "search.storage": redaction.url(plan.search.storage),
        "search.trials": plan.search.trials,
        "search.timeout": plan.search.timeout,
        "search.direction": "maximize" if plan.maximized else "minimize",
        **{f"search.{name.replace(' ', '_')}": value for name, value in plan.searched().items()},
        "data.name": plan.training.origin.name,
        "data.source": plan.training.origin.source,
    }


def _log_search(plan: SearchPlan, study: "Study", result: SearchResult) -> None:
    """Log the winner, a table of all trials and the pictures to the run of the search."""
    import mlflow

    with runs.folder() as folder:
        (folder / "search").mkdir()
        (folder / "search" / "found.json").write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
        _write_trials(study, folder / "search" / "trials.csv")
        if plan.search.settings.pictures:
            with studies.storing(plan.search.storage):
                pictures.draw(study, metric=plan.metric, folder=folder / report.PICTURES)
        tracking.log_files(folder)
    winner = {f"best.{name}": text for name, text in result.parameters.items()}
    tracking.log_parameters({"best.estimator": result.estimator, "best.trial": result.trial, **winner})
    with speaking():
        mlflow.log_metrics(
            {run_metrics.TRIALS: result.trials, run_metrics.PRUNED: result.pruned, run_metrics.FAILED: result.failed}
        )


def _write_trials(study: "Study", path: Path) -> None:
    """Write all trials of the study, including those of earlier runs of the search."""
    rows = study.get_trials(deepcopy=False)
    names = sorted({name for trial in rows for name in trial.params})
    means = sorted({name for trial in rows for name in trial.user_attrs.get(studies.METRICS, {})})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "state", "value", *names, *means, "reason", "run"])
        for trial in rows:
            attributes = trial.user_attrs
            measured = attributes.get(studies.METRICS, {})
            reason = attributes.get(studies.REASON, "interrupted" if trial.state.name == "FAIL" else "")
            writer.writerow(
                [trial.number, trial.state.name.lower(), trial.value, *(trial.params.get(name) for name in names)]
                + [*(measured.get(name) for name in means), reason, attributes.get(studies.RUN)]
            )


def _digest(parts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
