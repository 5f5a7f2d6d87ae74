"""Which engine scores a table on this machine or in its database, and what answers there."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from registry import logs
from serving.batch import answers, by_sql
from serving.batch.outputs import Output
from serving.batch.request import AUTO, DATABASE, DUCKDB, NUMPY, PYFUNC, ScoreRequest
from serving.batch.sources import SourceFiles
from serving.databases import is_url
from serving.errors import ServingError
from serving.scorecard import Scorecard

if TYPE_CHECKING:
    from serving.batch.by_pyfunc import OwnCodeModel
    from serving.models import ResolvedModel

_log = logs.get_logger(__name__)


def opened(resolved: "ResolvedModel", request: ScoreRequest, running: ExitStack) -> "Scorecard | OwnCodeModel":
    """What answers: the scorecard of a model, or its own code if it has none.

    Parameters
    ----------
    running : ends the process of the model's code.

    Raises
    ------
    ServingError
        if the engine that is asked for does not go with it, or its code does not load.
    """
    card = resolved.scorecard
    if card is not None:
        if request.engine == PYFUNC:
            raise ServingError(f"--engine {PYFUNC}: {resolved} has a scorecard, which answers; leave --engine out")
        return card
    if request.engine not in (AUTO, PYFUNC):
        raise ServingError(
            f"--engine {request.engine}: {resolved} has no scorecard; leave --engine out, and its own code scores the "
            "table, or `evaluate` it, which makes a scorecard where it can"
        )
    if request.engine == AUTO:
        _log.info("scored by its own code: %s has no scorecard", resolved)
    from serving.batch import by_pyfunc

    return running.enter_context(by_pyfunc.opened(resolved))


def choose(
    model: "Scorecard | OwnCodeModel", request: ScoreRequest, source: SourceFiles, targets: Sequence[Output]
) -> str:
    """The engine that scores.

    Raises
    ------
    ServingError
        if the one that is asked for cannot.
    """
    if not isinstance(model, Scorecard):
        return PYFUNC
    if request.engine == NUMPY:
        return NUMPY
    if request.record is not None:
        _log.info("scored by NumPy: --record reads each row")
        return NUMPY
    if request.engine == DATABASE or request.engine == AUTO and is_url(request.input) and is_url(request.output):
        from serving.batch import by_database

        why = by_database.why_not(source, targets, model, request)
        if not why:
            return DATABASE
        if request.engine == DATABASE:
            raise ServingError(f"--engine {DATABASE}: {why}; leave --engine out, and the rows are scored outside it")
    why = "--outputs reasons" if request.outputs and answers.REASONS in request.outputs else by_sql.why_not(model)
    if why and request.engine == DUCKDB:
        raise ServingError(f"--engine {DUCKDB}: {why}; leave --engine out, and NumPy scores the table")
    if why:
        _log.info("scored by NumPy: %s", why)
    return NUMPY if why else DUCKDB
