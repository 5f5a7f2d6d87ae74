"""Great Expectations' own Data Docs page of a validation, as one file that needs no network and runs no script.

Its renderer writes names and values of the table into the page as they stand, where HTML in them would run and ``$``
would be lost, and links styles, scripts and pictures from five hosts. So every text that is not plain goes through the
renderer as a placeholder that is replaced, escaped, in the finished page; and the page's frame is our own template.
"""

import copy
import html
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import PipelineError
from pipelines.validation.quiet import great_expectations
from registry.cli.text import one_line

if TYPE_CHECKING:
    from pipelines.validation.results import SuiteResult

#: The page's file name.
PAGE = "data-docs.html"

TEMPLATES = Path(__file__).parent / "templates"

#: What neither HTML, Markdown nor ``string.Template`` could take for something else.
_PLAIN = re.compile(r"[\w .,:;/+%()-]*")
#: Settings that the renderer itself reads.
_SETTINGS = frozenset({"type", "severity", "condition_parser", "result_format", "exception_traceback"})


def write_data_docs(result: "SuiteResult", folder: str | Path) -> Path:
    """Write the Data Docs page of a validation into a folder, and return its path.

    Parameters
    ----------
    result : what ``validate`` gave.
    folder : made where it is not there; an earlier page in it is replaced.

    Raises
    ------
    PipelineError
        where the page cannot be rendered or written.
    """
    text = render(result)
    path = Path(folder) / PAGE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PipelineError(f"Data Docs cannot be written to {str(path)!r}: {error.strerror or error}") from None
    return path


def render(result: "SuiteResult") -> str:
    """The Data Docs page of a validation as HTML."""
    placeholders = _Placeholders(unlike=str(result))
    document = _prepared(result, placeholders)
    with great_expectations():
        from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema
        from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
        from great_expectations.render.view import DefaultJinjaPageView
        from jinja2 import ChoiceLoader, FileSystemLoader

        try:
            loaded = expectationSuiteValidationResultSchema.load(document)
            page = ValidationResultsPageRenderer(run_info_at_end=True).render(loaded)
            view = DefaultJinjaPageView()
            own = FileSystemLoader(TEMPLATES)
            view.env.loader = ChoiceLoader([own, view.env.loader] if view.env.loader else [own])
            body = view.render(page, **_frame(result))
        except Exception as error:
            raise PipelineError(f"Data Docs cannot be rendered: {one_line(error)}") from error
    # The renderer links the suite's page of a whole Data Docs site, which is not there.
    body = re.sub(r'<a href="[./]*expectations/[^"]*\.html"\s*>(.*?)</a>', r"\1", body, flags=re.DOTALL)
    return placeholders.restore(body)


def _frame(result: "SuiteResult") -> dict:
    """What the page's own template shows above the renderer's sections; escaped there."""
    return {"verdict": result.summary(), "passed": result.success, "failures": result.failures, "suite": result.name}


def _prepared(result: "SuiteResult", placeholders: "_Placeholders") -> dict:
    document = copy.deepcopy(result.result)
    document["suite_name"] = placeholders.of(document["suite_name"])
    document["meta"] = {
        "great_expectations_version": document["meta"].get("great_expectations_version"),
        "batch_spec": {"data_asset_name": placeholders.of(result.name)},
    }
    for answer in document["results"]:
        configuration = answer["expectation_config"]
        configuration["kwargs"] = placeholders.within(configuration["kwargs"])
        configuration["meta"] = placeholders.within(configuration.get("meta") or {})
        if configuration["type"] == "expect_column_values_to_not_be_null":
            # The renderer makes an empty table of the missing values.
            answer["result"].pop("partial_unexpected_list", None)
        answer["result"] = placeholders.within(answer["result"])
        answer["exception_info"] = placeholders.within(answer["exception_info"])
        # The renderer takes no None here; collapse.j2 leaves the trace out.
        answer["exception_info"]["exception_traceback"] = ""
    return document


class _Placeholders:
    """Words that stand for texts of the table while the page is rendered."""

    def __init__(self, *, unlike: str):
        # A word that the table itself does not have in it.
        self._stem = "placeholder"
        while self._stem in unlike:
            self._stem += "x"
        self._texts: dict[str, str] = {}
        self._words: dict[str, str] = {}

    def of(self, text: str) -> str:
        """The text itself where it is plain, else a word for it; the same word for the same text."""
        if _PLAIN.fullmatch(text):
            return text
        if text not in self._words:
            self._words[text] = word = f"{self._stem}{len(self._words)}end"
            self._texts[word] = text
        return self._words[text]

    def within(self, value, key: str | None = None):
        """A JSON value with every text in it, keys of objects included, exchanged."""
        if isinstance(value, str):
            return value if key in _SETTINGS else self.of(value)
        if isinstance(value, list):
            return [self.within(inner, key) for inner in value]
        if isinstance(value, dict):
            return {self.of(name): self.within(inner, name) for name, inner in value.items()}
        return value

    def restore(self, page: str) -> str:
        """The page with every placeholder exchanged for its text, escaped."""
        return re.sub(rf"{self._stem}\d+end", lambda match: html.escape(self._texts[match[0]]), page)
