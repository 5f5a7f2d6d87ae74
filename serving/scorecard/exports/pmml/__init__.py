"""A scorecard as PMML 4.4, the Data Mining Group's standard of scoring engines.

The model is a ``RegressionModel`` (for one-vs-rest, a chain of them) or a ``NeuralNetwork`` over derived fields that
say the steps. Read the answers from its final output fields: ``prediction``; or ``label`` with ``probability(...)`` or
``decision(...)`` for each class; a name that a column has got is followed by a number. The model's own target,
``score`` or ``likeliest``, knows no threshold, no transform of the target, and no refusal.

Where the scorecard refuses a row there is no answer: the final output fields are missing, or the engine raises, as the
standard has it for an invalid value (``returnInvalid``) and as engines do for functions of a missing one. A score is
also taken as too large where its terms might overflow in some order: a term beyond 1e308 divided by their number, or in
an MLP an input that might make a unit overflow.

JPMML takes more than 1,000 columns only where it is told to be ``lax``.
"""

from xml.etree import ElementTree as xml

from ...errors import Unsupported
from ...inputs import CATEGORY, Input
from ...nodes import Network, OneHot, decision_rule
from ...scorecard import Scorecard
from .. import vocabulary
from ..about import About
from ..wording import example
from .columns import ColumnFields
from .expressions import LARGEST, number
from .model import KINDS, PmmlModel, label

NAMESPACE = "http://www.dmg.org/PMML-4_4"

_USAGE = (
    "{title}: scorecard {digest}. Read the output fields that are final results; a row for which they are missing, or "
    "the engine raises, cannot be scored. Numbers are given as numbers (PMML reads no thousands marks and no decimal "
    "comma), numbers and booleans among texts as their text ('3', 'true'). In Python (pip install jpmml_evaluator; "
    "Java): from jpmml_evaluator import make_evaluator; print(make_evaluator('model.pmml').evaluate({row}))"
)


def write(scorecard: Scorecard, about: About | None = None) -> str:
    """The document; the same scorecard gives the same text.

    Parameters
    ----------
    about : which model it is of.

    Raises
    ------
    Unsupported
        where XML or PMML cannot say a name, a category or a label.
    """
    _check(scorecard)
    program = scorecard.program
    read = vocabulary.read(program)
    inputs = [program.inputs[place] for place in vocabulary.fed(program)]
    names = {item.name for item in inputs}
    columns = ColumnFields(scorecard, names)
    model = PmmlModel(scorecard, columns, names, inputs)
    title = _legible(about.model if about else "")
    element = model.element(title)

    root = xml.Element("PMML", {"xmlns": NAMESPACE, "version": "4.4"})
    told = str(about or "") or f"a {scorecard.task} model"
    header = xml.SubElement(
        root,
        "Header",
        {"description": _legible(_USAGE.format(title=told, digest=scorecard.digest, row=_row(scorecard)))},
    )
    facts = {
        "model": about.model if about else "",
        "version": about.version if about else "",
        "digest": scorecard.digest,
    }
    for name, value in facts.items():
        xml.SubElement(header, "Extension", {"extender": "model-lifecycle", "name": name, "value": _legible(value)})
    xml.SubElement(header, "Application", {"name": "model-lifecycle"})
    dictionary = xml.SubElement(root, "DataDictionary")
    for item in inputs:
        _data_field(dictionary, item, scorecard, bounded=bool(read))
    _target(dictionary, model, scorecard)
    if columns.fields.elements:
        xml.SubElement(root, "TransformationDictionary").extend(columns.fields.elements)
    root.append(element)
    xml.indent(root)
    text = xml.tostring(root, encoding="unicode")
    # ElementTree writes a carriage return in text as it is, which a reader takes for a line feed.
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + text.replace("\r", "&#13;") + "\n"


def _row(scorecard: Scorecard) -> str:
    """A row as Python writes it; where the columns are very many, one that only shows how."""
    found = {name: value if isinstance(value, str) else float(value) for name, value in example(scorecard).items()}
    return repr(found or {"a number": 3.5, "a text": "text"})


def _data_field(parent: xml.Element, item: Input, scorecard: Scorecard, *, bounded: bool) -> None:
    """A raw column: which values are missing, and that a number is finite, where it is ``bounded``."""
    if item.type == CATEGORY:
        field = xml.SubElement(parent, "DataField", {"name": item.name, "optype": "categorical", "dataType": "string"})
        for word in vocabulary.missing_words(scorecard.cleaning):
            xml.SubElement(field, "Value", {"value": word, "property": "missing"})
        return
    field = xml.SubElement(parent, "DataField", {"name": item.name, "optype": "continuous", "dataType": "double"})
    if bounded:
        limits = {"leftMargin": number(-LARGEST), "rightMargin": number(LARGEST)}
        xml.SubElement(field, "Interval", {"closure": "closedClosed", **limits})


def _target(parent: xml.Element, model: PmmlModel, scorecard: Scorecard) -> None:
    """The field that the model itself fills."""
    if model.by_score:
        xml.SubElement(parent, "DataField", {"name": model.target, "optype": "continuous", "dataType": "double"})
        return
    classes = scorecard.classes or []
    kind = KINDS[type(classes[0])]
    field = xml.SubElement(parent, "DataField", {"name": model.target, "optype": "categorical", "dataType": kind})
    for item in classes:
        xml.SubElement(field, "Value", {"value": label(item)})


def _check(scorecard: Scorecard) -> None:
    """Refuses what the document could not say."""
    model, decision = scorecard.document.model, scorecard.document.decision
    if isinstance(model, Network):
        on_score = decision is not None and decision_rule(model, decision).of == "scores"
        if model.link not in ("identity", "log", "logistic", "softmax") or model.calibration or on_score:
            raise Unsupported(
                "model",
                f"MLP with the link {model.link}",
                "PMML's neural network gives a number, or probabilities that are not calibrated and their label",
            )
    for item in scorecard.inputs:
        if not item.name:
            raise Unsupported("inputs", "a column named ''", "PMML has no field without a name: rename the column")
        _text(item.name, "inputs", f"the column {item.name!r}")
    for words in vocabulary.vocabularies(scorecard.program):
        for word in words.words:
            _text(word, f"column {scorecard.inputs[words.place].name!r}", f"the category {word!r}")
    for word in scorecard.cleaning.missing:
        _text(word, "cleaning", f"the word {word!r} for a missing value")
    for column in scorecard.document.columns:
        for one in column.indicators if isinstance(column, OneHot) else [column]:
            _text(one.name, "columns", f"the column {one.name!r}")
    for known in scorecard.classes or ():
        if isinstance(known, str):
            _text(known, "decision", f"the label {known!r}")
        elif isinstance(known, int) and not -(2**31) <= known < 2**31:
            raise Unsupported("decision", f"the label {known}", "scoring engines hold whole numbers of 32 bits")


def _text(value: str, where: str, what: str) -> None:
    if _legible(value) != value:
        raise Unsupported(where, what, "XML 1.0 cannot hold one of its characters: rename it")


def _legible(text: str) -> str:
    """The text with a question mark for each character that XML 1.0 cannot hold."""
    return "".join(c if _allowed(ord(c)) else "?" for c in text)


def _allowed(code: int) -> bool:
    return code in (9, 10, 13) or 32 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code > 0xFFFF
