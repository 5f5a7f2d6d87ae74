"""A table judged by an expectation suite: one run of Great Expectations in memory, told as findings."""

import math
from typing import TYPE_CHECKING, Any

from pipelines.errors import PipelineError
from pipelines.validation.aliases import aliased, aliases, restored
from pipelines.validation.descriptions import expected_text, observed_text
from pipelines.validation.quiet import context, great_expectations
from pipelines.validation.results import Finding, SuiteResult
from pipelines.validation.suites import CRITICAL, Suite, build, meant
from registry.cli.text import one_line

if TYPE_CHECKING:
    import pandas as pd

#: How many unexpected values a finding and the result echo.
ECHOED = 5
#: How many items of a list of the table's values the result keeps, and characters of a text.
KEPT = 20
LENGTH = 200


def validate(frame: "pd.DataFrame", suite: Suite) -> SuiteResult:
    """Judge a table by a suite.

    An expectation about a column that the table does not have fails as critical, whatever its severity, unless the
    suite has an ``expect_column_to_exist`` for it: then that one's severity decides. An expectation that cannot be
    evaluated (a mean of text, say) fails with its own severity.

    Parameters
    ----------
    frame : the table, at least one row; it is not changed and not kept.
    suite : what to expect of it.

    Raises
    ------
    PipelineError
        where the table is empty or its column names are not distinct texts, or the suite is wrong.
    """
    check_frame(frame)
    columns = list(frame.columns)
    names = aliases(frame, suite)
    expectations = build(aliased(suite, names)) if names else build(suite)
    if names:
        frame = frame.rename(columns=names)
    # numpy warns of overflow on the terminal where a column holds huge values, and the answer (inf) says it too.
    import numpy as np

    with great_expectations() as gx, np.errstate(all="ignore"):
        source = context(gx).data_sources.add_pandas("table")
        batch = source.add_dataframe_asset("table").add_batch_definition_whole_dataframe("table")
        try:
            answer = batch.get_batch({"dataframe": frame}).validate(
                # A copy: it writes its version into the dictionary.
                gx.ExpectationSuite(name=suite.name, expectations=expectations, meta=dict(suite.meta)),
                result_format={"result_format": "BASIC", "partial_unexpected_count": ECHOED},
            )
            raw = answer.to_json_dict()
            raw["results"] = restored(raw["results"], names)
        except Exception as error:
            raise PipelineError(f"suite {suite.name!r} cannot be evaluated: {one_line(error)}") from error
        finally:
            # Great Expectations keeps the last context in a global, and with it the table, until the next one.
            context(gx)
    return _result(raw, suite, columns)


def check_frame(frame: "pd.DataFrame") -> None:
    """Raise PipelineError unless a table has rows, columns, and distinct texts as column names."""
    if not len(frame.columns):
        raise PipelineError("the table has no columns; expected at least one")
    if not len(frame):
        raise PipelineError("the table is empty: expected at least one row, found none")
    if other := [name for name in frame.columns if not isinstance(name, str)]:
        raise PipelineError(f"column names are texts, found {other[0]!r}; rename the column")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise PipelineError(f"column {twice!r} is in the table twice; rename one")


def _result(raw: dict, suite: Suite, columns: list[str]) -> SuiteResult:
    # Great Expectations answers in an order of its own; the id is the expectation's place in the suite.
    answers = {int(found["expectation_config"]["id"]): found for found in raw["results"]}
    declared = {e["kwargs"].get("column") for e in suite.expectations if e["type"] == "expect_column_to_exist"}
    judged = [
        _judge(plain(answers[i]), expectation, columns, declared) for i, expectation in enumerate(suite.expectations)
    ]
    findings = tuple(finding for finding, _ in judged)
    met, total = sum(finding.success for finding in findings), len(findings)
    document = {
        "success": met == total,
        **plain({key: raw[key] for key in ("suite_name", "suite_parameters", "meta")}),
        "statistics": {
            "evaluated_expectations": total,
            "successful_expectations": met,
            "unsuccessful_expectations": total - met,
            "success_percent": 100 * met / total,
        },
        "results": [answer for _, answer in judged],
    }
    success = all(finding.success for finding in findings if finding.severity == CRITICAL)
    return SuiteResult(suite.name, success, findings, document)


def _judge(answer: dict, expectation: dict, columns: list[str], declared: set) -> tuple[Finding, dict]:
    """An answer of Great Expectations as a finding, and the answer mended."""
    configuration = answer["expectation_config"]
    configuration.pop("id", None)
    # The suite's own settings as they stand: they are not the table's, and so are not cut.
    configuration["kwargs"] = dict(expectation["kwargs"])
    names = columns_of(expectation)
    exception = _exception(answer)
    missing = [name for name in names if name not in columns]
    if missing and expectation["type"] != "expect_column_to_exist":
        if not set(missing) <= declared:
            configuration["severity"] = CRITICAL
        # Not left to the answer, which is made of whatever failed first.
        answer |= {"success": False, "result": {}}
        exception = observed = f"no column {missing[0]!r}{meant(missing[0], columns)}"
    elif exception is not None:
        observed = f"it cannot be evaluated: {exception}"
    else:
        observed = observed_text(answer)
    answer["exception_info"] = {
        "raised_exception": exception is not None,
        "exception_traceback": None,
        "exception_message": exception,
    }
    finding = Finding(
        expectation=expectation["type"],
        column=one_line(", ".join(names)) if len(names) > 1 else (names[0] if names else None),
        severity=configuration["severity"],
        success=bool(answer["success"]),
        observed=one_line(observed, 300),
        expected=one_line(expected_text(expectation), 300),
    )
    return finding, answer


def columns_of(expectation: dict) -> tuple[str, ...]:
    """The columns that an expectation reads; none for one about the table, though it may list names."""
    kwargs = expectation["kwargs"]
    single = [kwargs[key] for key in ("column", "column_A", "column_B") if isinstance(kwargs.get(key), str)]
    several = kwargs.get("column_list")
    return tuple(single + (list(several) if isinstance(several, (list, tuple)) else []))


def _exception(answer: dict) -> str | None:
    """The first message of an expectation that could not be evaluated, on one line; None where it could."""
    info = answer.get("exception_info") or {}
    if "raised_exception" not in info:
        # One entry for each metric that failed, under the metric's id.
        info = next((inner for inner in info.values() if isinstance(inner, dict)), {})
    if not info.get("raised_exception"):
        return None
    return one_line(info.get("exception_message") or "no reason given")


def plain(value: Any) -> Any:
    """A value as strict JSON: numpy scalars as Python's, not-finite numbers as text, long lists and texts cut."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [plain(inner) for inner in list(value)[:KEPT]]
        return items + [f"… {len(value) - KEPT} more"] if len(value) > KEPT else items
    if hasattr(value, "item") and not hasattr(value, "__len__"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = str(value)
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"
