"""Expectation suites as files: Great Expectations' own JSON, read with clear errors and written for editing by hand."""

import copy
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import PipelineError
from pipelines.validation.quiet import great_expectations
from registry.cli.text import did_you_mean, one_line

#: The suites that come with the project, one file a dataset.
FOLDER = Path(__file__).parent.parent / "expectations"

CRITICAL = "critical"
WARNING = "warning"
INFO = "info"
SEVERITIES = (CRITICAL, WARNING, INFO)

#: Settings of an expectation that Great Expectations writes beside these, and that change nothing here.
_IGNORED = frozenset({"id", "description", "notes", "rendered_content", "expectation_context", "success_on_last_run"})
_KNOWN = frozenset({"type", "kwargs", "meta", "severity"})


@dataclass(frozen=True)
class Suite:
    """An expectation suite of one dataset.

    Parameters
    ----------
    name : the suite's name.
    expectations : each ``{"type", "severity", "kwargs", "meta"}``; severity ``critical`` stops a run, ``warning`` and
        ``info`` are reported.
    meta : anything a person or the profiler wants to keep with it.
    """

    name: str
    expectations: tuple[dict, ...]
    meta: dict = field(default_factory=dict)

    def to_dict(self) -> dict:
        """The suite in Great Expectations' own JSON form."""
        return copy.deepcopy({"name": self.name, "meta": self.meta, "expectations": list(self.expectations)})


def shipped() -> tuple[str, ...]:
    """The names of the suites that come with the project, in alphabetical order."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def read_suite(path_or_name: str | Path) -> Suite:
    """The suite in a file, or one that comes with the project by its name.

    A text with a folder or ``.json`` in it is a path, as is any ``Path``; otherwise a shipped suite of that name comes
    before a file. An expectation without a severity is critical, as it is for Great Expectations.

    Raises
    ------
    PipelineError
        where there is no such file, it is not JSON, or it is not a suite: unknown expectation type, wrong settings,
        unknown severity.
    """
    path = _locate(path_or_name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise PipelineError(
            f"no suite at {str(path)!r}; name a file, or draft one with `python -m pipelines validate --profile`"
        ) from None
    except UnicodeDecodeError:
        raise PipelineError(f"suite {str(path)!r} is not JSON: not UTF-8 text; name an expectation suite") from None
    except OSError as error:
        raise PipelineError(f"suite {str(path)!r} cannot be read: {error.strerror or error}") from None
    try:
        document = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise PipelineError(f"suite {str(path)!r} is not JSON: {one_line(error)}; mend the file") from None
    return suite_of(document, where=str(path), name=path.stem)


def _locate(path_or_name: str | Path) -> Path:
    if isinstance(path_or_name, Path):
        return path_or_name
    if path_or_name.endswith(".json") or os.sep in path_or_name or "/" in path_or_name:
        return Path(path_or_name)
    if path_or_name in shipped():
        return FOLDER / f"{path_or_name}.json"
    if Path(path_or_name).is_file():
        return Path(path_or_name)
    raise PipelineError(
        f"no suite named {path_or_name!r}{meant(path_or_name, shipped())}; there are "
        f"{', '.join(shipped())}, or name a file (.json)"
    )


def suite_of(document: object, *, where: str = "given", name: str = "") -> Suite:
    """A suite from its JSON document, checked as far as it can be without a table.

    Parameters
    ----------
    document : what ``json.loads`` gave.
    where : the file, for error messages.
    name : the name of a suite that has none of its own.

    Raises
    ------
    PipelineError
        where the document is not a suite.
    """
    if not isinstance(document, dict) or not isinstance(document.get("expectations"), list):
        raise PipelineError(
            f'suite {where!r} is not an expectation suite: expected {{"name": .., "expectations": [..]}}, '
            f"found {_keys(document)}"
        )
    name = document.get("name") or document.get("expectation_suite_name") or name
    if not isinstance(name, str) or not name.strip():
        raise PipelineError(f'suite {where!r} has no name: put a text under "name", found {name!r}')
    if not document["expectations"]:
        raise PipelineError(f"suite {where!r} has no expectations; add some, or draft one with `validate --profile`")
    meta = document.get("meta") or {}
    if not isinstance(meta, dict):
        raise PipelineError(f'suite {where!r}: "meta" is an object, found {type(meta).__name__}')
    plain = tuple(
        _expectation(raw, f"suite {where!r}, expectation {i}") for i, raw in enumerate(document["expectations"], 1)
    )
    suite = Suite(name, plain, copy.deepcopy(meta))
    build(suite, where=where)
    return suite


def _expectation(raw: object, where: str) -> dict:
    if isinstance(raw, dict) and "type" not in raw and "expectation_type" in raw:
        raise PipelineError(f'{where}: this is the form of Great Expectations 0.x; rename "expectation_type" to "type"')
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        raise PipelineError(f'{where}: expected {{"type": .., "kwargs": {{..}}}}, found {_keys(raw)}')
    if unknown := sorted(raw.keys() - _KNOWN - _IGNORED):
        hint = meant(unknown[0], _KNOWN)
        raise PipelineError(
            f"{where} ({raw['type']}): unknown setting {unknown[0]!r}{hint}; there are {_words(_KNOWN)}"
        )
    severity = raw.get("severity", CRITICAL)
    if severity not in SEVERITIES:
        raise PipelineError(f"{where} ({raw['type']}): severity is one of {', '.join(SEVERITIES)}, found {severity!r}")
    kwargs, meta = raw.get("kwargs", {}), raw.get("meta") or {}
    if not isinstance(kwargs, dict) or not isinstance(meta, dict):
        raise PipelineError(f'{where} ({raw["type"]}): "kwargs" and "meta" are objects; write {{}} where there is none')
    return {"type": raw["type"], "severity": severity, "kwargs": copy.deepcopy(kwargs), "meta": copy.deepcopy(meta)}


def build(suite: Suite, *, where: str | None = None) -> list:
    """Great Expectations' own configurations of a suite, each with its place in the suite as ``id``.

    Raises
    ------
    PipelineError
        where a type is unknown or its settings are wrong.
    """
    where = where or suite.name
    with great_expectations():
        from great_expectations.compatibility.pydantic import ValidationError
        from great_expectations.exceptions import GreatExpectationsError
        from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
        from great_expectations.expectations.registry import (
            get_expectation_impl,
            list_registered_expectation_implementations,
        )

        known = list_registered_expectation_implementations()
        built = []
        for i, expectation in enumerate(suite.expectations):
            kind, kwargs = expectation["type"], expectation["kwargs"]
            at = f"suite {where!r}, expectation {i + 1}"
            if kind not in known:
                raise PipelineError(f"{at}: Great Expectations knows no {kind!r}{meant(kind, known)}; correct the type")
            _refuse_code(kwargs.get("row_condition"), f"{at} ({kind})")
            try:
                configuration = ExpectationConfiguration(**copy.deepcopy(expectation), id=str(i))
                configuration.to_domain_obj()
                built.append(configuration)
            except ValidationError as error:
                fields = get_expectation_impl(kind).__fields__
                raise PipelineError(f"{at} ({kind}): wrong kwargs: {_reasons(error, fields)}; correct them") from None
            except (GreatExpectationsError, ValueError, TypeError, KeyError) as error:
                raise PipelineError(f"{at} ({kind}): {one_line(error)}; correct the expectation") from None
    return built


def _refuse_code(condition: object, at: str) -> None:
    """Raise where a row condition is text, which pandas would evaluate as code: a suite is data."""
    if isinstance(condition, str) or (isinstance(condition, dict) and condition.get("type") == "pass_through"):
        raise PipelineError(
            f'{at}: row_condition is code as text; write it as {{"type": "comparison", "column": {{"name": ..}}, '
            '"operator": "==", "parameter": ..}'
        )
    if isinstance(condition, dict):
        for inner in condition.get("conditions") or ():
            _refuse_code(inner, at)


def _reasons(error, fields: dict) -> str:
    """What pydantic found, a reason a setting: it tries each type of a union and reports all, so the first stands."""
    reasons: dict[str, str] = {}
    for found in error.errors():
        setting = str(found["loc"][0])
        message = found["msg"]
        if found["type"] == "value_error.extra":
            message = f"unknown{meant(setting, [f for f in fields if f not in ('id', 'rendered_content')])}"
        reasons.setdefault(setting, message)
    texts = [message if setting == "__root__" else f"{setting}: {message}" for setting, message in reasons.items()]
    return one_line(", ".join(texts[:3]))


def write_suite(suite: Suite, path: str | Path) -> Path:
    """Write a suite, one expectation a line; the same suite gives the same bytes.

    Raises
    ------
    PipelineError
        where the file cannot be written, or the suite holds what JSON cannot.
    """
    try:
        lines = [f"    {_json(_ordered(expectation))}" for expectation in suite.expectations]
        head = f'{{\n  "name": {_json(suite.name)},\n  "meta": {_json(suite.meta)},\n  "expectations": [\n'
        text = head + ",\n".join(lines) + "\n  ]\n}\n"
    except (TypeError, ValueError) as error:
        raise PipelineError(f"suite {suite.name!r} cannot be written as JSON: {one_line(error)}") from None
    return write_file(Path(path), text, "suite")


def write_file(path: Path, text: str, what: str) -> Path:
    """Write a text file, and the folders above it.

    Raises
    ------
    PipelineError
        where it cannot be written; ``what`` names it there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PipelineError(f"{what} cannot be written to {str(path)!r}: {error.strerror or error}") from None
    return path


def _ordered(expectation: dict) -> dict:
    """An expectation's settings in reading order, without an empty ``meta``."""
    ordered = {key: expectation[key] for key in ("severity", "type", "kwargs")}
    return ordered | ({"meta": expectation["meta"]} if expectation.get("meta") else {})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _no_constant(text: str):
    raise ValueError(f"{text} is no JSON number")


def _keys(value: object) -> str:
    if isinstance(value, dict):
        return f"an object with {_words(map(str, list(value)[:5]))}" if value else "an empty object"
    return f"a {type(value).__name__}"


def _words(words) -> str:
    return ", ".join(sorted(words))


def meant(word: str, words: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` where one of the words is close, else nothing."""
    hint = did_you_mean(word, words)
    return f" ({hint})" if hint else ""
