"""Data validation with Great Expectations: suites of a dataset's own, drafted ones, findings and Data Docs."""

from pipelines.validation.docs import write_data_docs
from pipelines.validation.profiler import draft
from pipelines.validation.results import MEND, NAMED, Finding, SuiteResult, critical, raise_for_critical, write_result
from pipelines.validation.suites import Suite, read_suite, shipped, suite_of, write_suite
from pipelines.validation.validator import validate

__all__ = [
    "MEND",
    "NAMED",
    "Finding",
    "Suite",
    "SuiteResult",
    "critical",
    "draft",
    "raise_for_critical",
    "read_suite",
    "shipped",
    "suite_of",
    "validate",
    "write_data_docs",
    "write_result",
    "write_suite",
]
