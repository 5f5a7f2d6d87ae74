"""The scorecard as one C99 file: for devices, databases' extensions, and whatever can call C.

The file is a list of tables and a few loops over them, so that a model of thousands of columns compiles at once. Names
and texts of the model go into it as identifiers made of what letters they have, and as ASCII literals.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import Unsupported
from ...inputs import BOOLEAN
from ...nodes import ClassDecision, decision_rule
from ...scorecard import Scorecard
from ..about import About
from ..helpers import Helpers
from ..wording import example, filled, put, shown, title
from . import names, responses, templates
from .calculations import calculation
from .compute import REASONS, ComputeFunction
from .layout import VectorLayout
from .tables import slots

_HELPERS = Helpers("helpers.c")


def write(scorecard: Scorecard, about: About | None = None) -> str:
    """The source of ``NAME_predict(numbers, texts, answer)`` and the like; NAME is made of the model's.

    Raises
    ------
    Unsupported
        where a label is none that C can hold.
    """
    return CFile(scorecard, about).source()


class CFile:
    """The parts of the file, in order."""

    def __init__(self, scorecard: Scorecard, about: About | None) -> None:
        self.scorecard, self.about = scorecard, about
        self.model, self.decision = scorecard.document.model, scorecard.document.decision
        self.name = names.prefix(getattr(about, "model", ""))
        self.capitals = self.name.upper()
        self.layout = VectorLayout(scorecard)
        self.code = ComputeFunction(self.layout)
        kept = ("H", "HEADER", "NUMBERS", "TEXTS", "CLASSES", "SCORES")
        identifiers = names.Identifiers(f"{self.capitals}_", (f"{self.capitals}_{word}" for word in kept))
        self.places = [identifiers.new(name) for name in (self.layout.names if scorecard.inputs else [])]

    def source(self) -> str:
        # Made before the tables are written down: they add tables for long texts.
        answers, public = self._answers(), self._public()
        words = self._words() if self.layout.words else ""
        reasons = "".join(f"    {name},\n" for name in REASONS) + "    REASON_COUNT\n"
        texts = "".join(f"    {names.text(reason)},\n" for reason in REASONS.values())
        told = {"name": self.name, "reasons": reasons, "texts": texts, "count": str(len(self.layout.names))}
        return "".join(
            [
                self._head(),
                self._declarations(),
                f"\n#ifndef {self.capitals}_HEADER\n",
                templates.INCLUDES,
                *self._spaced([*self.code.pools, *self.code.pool_tables()]),
                words,
                public,
                put(templates.REASONS, **told),
                *self._spaced(_HELPERS.taken(self.code.helpers)),
                *self._spaced(self.code.tables),
                self.code.function,
                answers,
                f"\n#endif /* {self.capitals}_HEADER */\n",
            ]
        )

    def _words(self) -> str:
        """What the helpers that read text need to know of the model: its words for a missing value."""
        missing = sorted(self.scorecard.cleaning.missing)
        places = slots([names.encoded(word) for word in missing])
        words = list(map(self.code.word, missing)) or ["{NULL, 0}"]
        trim = int(self.scorecard.cleaning.trim)
        return "\n".join(
            [
                templates.WORD,
                f"typedef {self.code.slot} slot;",
                "",
                f"enum {{ TRIM = {trim}, MISSING_MASK = {len(places) - 1} }};",
                "",
                filled("static const struct word MISSING[] = {", words, "};"),
                filled("static const slot MISSING_SLOTS[] = {", list(map(str, places)), "};"),
                "",
            ]
        )

    def _spaced(self, tables: Sequence[str]) -> list[str]:
        return ["\n" + table for table in tables]

    def _head(self) -> str:
        return put(
            templates.HEAD,
            title=title(self.scorecard, self.about),
            stack=f"{self.code.stack:,}",
            NAME=self.capitals,
            usage="\n".join(f" *       {line}" for line in self._usage()),
            digest=self.scorecard.digest,
        )

    def _usage(self) -> list[str]:
        """A program that asks for a row: what its example says nothing of is 0, and missing."""
        row, kind = example(self.scorecard), self._kind()
        lines, given = [], []
        for what, inputs, places in self._sections():
            given.append(what if places else "NULL")
            if places:
                declared = "double numbers" if what == "numbers" else "const char *texts"
                lines.append(
                    f"{declared}[{self.capitals}_{what.upper()}] = {{{'0.0' if what == 'numbers' else 'NULL'}}};"
                )
            for item, place in zip(inputs, places, strict=True):
                name = self.scorecard.inputs[item].name
                if name in row:
                    value = row[name]
                    # Nothing in a comment may begin or end one.
                    said = names.text(value).replace("*", "\\052") if isinstance(value, str) else names.number(value)
                    lines.append(f"{what}[{place}] = {said};")
        lines.append("int label;" if kind else "double answer;")
        given.append("&label" if kind else "&answer")
        form = {"text": "%s", "truth": "%d", "whole": "%lld"}.get(kind, "%.17g")
        answer = f"{self.name}_labels[label]" if kind else "answer"
        return [
            *lines,
            f"const int status = {self.name}_predict({', '.join(given)});",
            f'if (status == 0) printf("{form}\\n", {answer});',
            f'else printf("%s: %s\\n", {self.name}_column(status), {self.name}_reason(status));',
        ]

    def _sections(self) -> Sequence[tuple[str, list[int], list[str]]]:
        """The two kinds of input: what they are called, their places in the program, and their identifiers."""
        layout, count = self.layout, len(self.layout.numbers)
        return (
            ("numbers", layout.numbers, self.places[:count]),
            ("texts", layout.texts, self.places[count:]),
        )

    def _kind(self) -> str:
        """What the labels are."""
        kinds = {str: "text", bool: "truth", int: "whole", float: "number"}
        return kinds[type(self.decision.classes[0])] if self.decision else ""

    def _declarations(self) -> str:
        """What a file that calls this one needs to see."""
        name, capitals = self.name, self.capitals
        guard = f"{capitals}_H"
        found = [f'\n#ifndef {guard}\n#define {guard}\n\n#ifdef __cplusplus\nextern "C" {{\n#endif\n']
        for what, inputs, places in self._sections():
            lines = "".join(
                f"    {place},{self._asked(item, place)}\n" for item, place in zip(inputs, places, strict=True)
            )
            found.append(
                f"\n/* Places in {what}. */\nenum {{\n{lines}    {capitals}_{what.upper()} = {len(inputs)}\n}};\n"
            )
        found.append("\n/* Names of the columns: of the numbers, then of the texts. */\n")
        found.append(f"extern const char *const {name}_names[];\n")
        row = "const double *numbers, const char *const *texts"
        if self.decision is None:
            found.append(f"\n/* The prediction for a row. */\nint {name}_predict({row}, double *answer);\n")
        else:
            classes = len(self.decision.classes)
            found.append(f"\nenum {{ {capitals}_CLASSES = {classes} }};\n")
            found.append(f"\n/* The label of each class. */\n{self._label_type()};\n")
            found.append("\n/* The class of a row, as a place among the labels. */\n")
            found.append(f"int {name}_predict({row}, int *label);\n")
        if self.scorecard.has_probabilities:
            found.append(f"\n/* One probability a class: {classes} of them. */\n")
            found.append(f"int {name}_probabilities({row}, double *probabilities);\n")
        if self.scorecard.has_decision:
            many = f"{self.code.outputs} of them" if self.code.outputs > 1 else "one"
            found.append(
                f"\n/* The scores before any link: {many}. */\nint {name}_decision({row}, double *decision);\n"
            )
        found.append(
            f"\n/* The column that a status other than 0 names, and what was expected of it. */\n"
            f"const char *{name}_column(int status);\nconst char *{name}_reason(int status);\n"
        )
        found.append(f"\n#ifdef __cplusplus\n}}\n#endif\n\n#endif /* {guard} */\n")
        return "".join(found)

    def _asked(self, place: int, identifier: str) -> str:
        """A comment on an input: its name, where the identifier is another, and what is asked of it."""
        item = self.scorecard.inputs[place]
        said = [shown(item.name)] if identifier != f"{self.capitals}_{item.name.upper()}" else []
        said += ["1 or 0"] if item.type == BOOLEAN else []
        said += ["a whole number"] if item.integer else []
        said += [] if item.null else ["never missing"]
        return f" /* {'; '.join(said)} */" if said and any(said) else ""

    def _label_type(self) -> str:
        kind = {"text": "char *const", "truth": "int", "whole": "long long", "number": "double"}[self._kind()]
        return f"extern const {kind} {self.name}_labels[]"

    def _public(self) -> str:
        """The tables that callers see."""
        listed = list(map(self.code.string, self.layout.names))
        found = "\n" + filled(f"const char *const {self.name}_names[] = {{", listed, "};") + "\n"
        if self.decision is None:
            return found
        classes, kind = self.decision.classes, self._kind()
        if kind == "text" and any("\0" in str(label) for label in classes):
            raise Unsupported("decision", "classes", "a label holds a null character, which ends a text in C")
        said: dict[str, Callable[[Any], str]] = {
            "text": self.code.string,
            "truth": lambda label: str(int(label)),
            "whole": names.whole,
            "number": names.number,
        }
        labels = [said[kind](label) for label in classes]
        return found + "\n" + filled(f"{self._label_type().removeprefix('extern ')} = {{", labels, "};") + "\n"

    def _answers(self) -> str:
        """The functions that callers see."""
        row = "const double *numbers, const char *const *texts"
        size, outputs = max(1, self.layout.size), self.code.outputs
        opening = f"    double v[{size}], scores[{outputs}];\n"
        call = "    const int status = compute(numbers, texts, v, scores);\n    if (status != 0) return status;\n"

        def function(name: str, result: str, lines: list[str], more: str = "") -> str:
            body = opening.replace(";", f"{more};") + call + "".join(f"    {line}\n" for line in lines)
            return f"\nint {self.name}_{name}({row}, {result})\n{{\n{body}    return 0;\n}}\n"

        if self.decision is None:
            return function("predict", "double *answer", self._predicted())
        return self._classified(self.decision, function)

    def _classified(self, decision: ClassDecision, function: Callable[..., str]) -> str:
        """The functions of a classifier."""
        found: list[str] = []
        count, outputs = len(decision.classes), self.code.outputs
        rule = decision_rule(self.model, decision)
        margins = responses.margins(self.code, self.model, found) if rule.of == "margins" else []
        likely = responses.probabilities(self.code, count, found) if self.scorecard.has_probabilities else []
        values = {"scores": "scores", "margins": "scores", "probabilities": "probabilities"}[rule.of]
        lines = [*(likely if rule.of == "probabilities" else margins)]
        if rule.place is None:
            self.code.helpers.add("place_of_largest")
            lines.append(f"*label = place_of_largest({values}, {count});")
        else:
            reached = "> 0.0" if rule.least is None else f">= {names.number(rule.least)}"
            value = f"{'-' if rule.negative else ''}{values}[{rule.place}]"
            lines.append(f"*label = {value} {reached} ? {rule.yes} : {rule.no};")
        more = f", probabilities[{count}]" if rule.of == "probabilities" else ""
        found.append(function("predict", "int *label", lines, more))
        if self.scorecard.has_probabilities:
            found.append(function("probabilities", "double *probabilities", likely))
        if self.scorecard.has_decision:
            copied = f"for (int k = 0; k < {outputs}; k++) decision[k] = scores[k];" if outputs > 1 else ""
            found.append(function("decision", "double *decision", [copied or "*decision = scores[0];"]))
        return "".join(found)

    def _predicted(self) -> list[str]:
        """Lines from the score to the prediction of a regression."""
        target, _ = calculation(self.model.after_score, self.layout.pools, given=False)
        self.code.helpers |= target.helpers
        lines = ["double x = scores[0];"]
        lines += [line.format(*target.numbers) for line in target.lines]
        lines += ["if (!isfinite(x)) return status_of(largest(v), UNPREDICTABLE);", "*answer = x;"]
        return lines
