"""The text of a C file's tables, and of the function that fills ``v`` and the scores from a row."""

from collections.abc import Sequence

from ...inputs import FRACTION, INFINITE, REQUIRED
from ...rows import OVERFLOW, UNPREDICTABLE
from ...steps import UNKNOWN, UNUSABLE
from ..wording import filled
from . import names, scoring
from .file import FileParts
from .layout import Loop, Member, VectorLayout
from .tables import doubles, integers, remark, slots

#: Why a row is refused, by its name in the file.
REASONS = {
    **{"REQUIRED": REQUIRED, "INFINITE": INFINITE, "FRACTION": FRACTION},
    **{"NO_TRUTH": "expected true or false, found a number"},
    **{"UNKNOWN": UNKNOWN, "UNUSABLE": UNUSABLE, "TOO_LARGE": OVERFLOW, "UNPREDICTABLE": UNPREDICTABLE},
}
_NAMES = {reason: name for name, reason in REASONS.items()}
_RULES = ("REQUIRE", "WHOLE", "TRUTH")


class ComputeFunction(FileParts):
    """Writes the tables of a layout and its one function.

    Attributes
    ----------
    function : the function ``compute``, and ``refused`` before it.
    """

    def __init__(self, layout: VectorLayout) -> None:
        super().__init__(layout)
        self._taken: set[str] = set()
        self.function = scoring.refused(self) + self._compute()

    def pool_tables(self) -> list[str]:
        """The tables of numbers that steps of any length take, once all is written that uses them."""
        pools = self.layout.pools
        used = (
            *(("EDGES", pools.edges, {"bin", "piecewise"}), ("PIECES", pools.pieces, {"piecewise"})),
            *(("KEYS", pools.keys, {"look_up"}), ("RESULTS", pools.results, {"look_up"})),
        )
        return [doubles(name, values) for name, values, helpers in used if helpers & self.helpers]

    def string(self, value: str) -> str:
        """An expression for a text; one that is too long for a literal gets a table."""
        if not names.is_long(value):
            return names.text(value)
        name = f"LONG_{len(self.pools) + 1}"
        self.pools.append(f"static const char {name}[] = {names.array(value)};\n")
        return name

    def _compute(self) -> str:
        layout = self.layout
        lines = self._numbers() + self._texts()
        for loop in layout.loops:
            lines += self._loop(loop)
        lines += self._refusals() + self._usable()
        used = "\n".join(lines)
        opening = []
        if "fault" in used:
            self.helpers.add("note")
            opening.append("struct fault fault = {0, 0};")
            lines.append("if (fault.status != 0) return fault.status;")
        if layout.words:
            opening.append(f"int word[{len(layout.words)}];")
        lines += scoring.lines(self)
        used = "\n".join(lines)
        opening += [
            f"(void){name};" for name in ("numbers", "texts", "v") if f"{name}[" not in used and f"({name}" not in used
        ]
        signature = "static int compute(const double *numbers, const char *const *texts, double *v, double *scores)"
        body = "\n".join(f"    {line}" if line else "" for line in [*opening, *lines, "return 0;"])
        comment = "/* The scores of a row, before any link; fills v with all that is computed on the way. */"
        return f"\n{comment}\n{signature}\n{{\n{body}\n}}\n"

    def _numbers(self) -> list[str]:
        """Reads the numbers: at once where all are finite and nothing else is asked of them."""
        rules = self.layout.rules
        if not any(rules):
            return []
        self.helpers |= {"read_number"}
        said = []
        for rule in rules:
            asked = [name for name, on in zip(_RULES, (rule or ())[1:], strict=False) if on]
            said.append(" | ".join(["READ", *asked] if rule else ["0"]))
        turns = [rule[0] if rule else 0 for rule in rules]
        given = "NUMBERS[i].rules, NUMBERS[i].turn"
        if len(set(said)) == 1 and turns == list(range(turns[0], turns[0] + len(turns))):
            given = f"{said[0]}, {turns[0]} + i"
        else:
            rows = [
                f"    {{{turn}, {words}}},{remark(self.layout.program.inputs[place].name)}\n"
                for place, turn, words in zip(self.layout.numbers, turns, said, strict=True)
            ]
            self.tables.append(
                "/* The turn of each number of a row, and the rules to read it by. */\n"
                "static const struct {\n    int turn, rules;\n} NUMBERS[] = {\n" + "".join(rows) + "};\n"
            )
        reading = [
            f"for (int i = 0; i < {len(rules)}; i++) {{",
            f"    read_number(&fault, numbers[i], {given}, i);",
            "}",
        ]
        if any(rule and (rule[2] or rule[3]) for rule in rules):
            return reading
        self.helpers |= {"all_finite"}
        return [f"if (!all_finite(numbers, {len(rules)})) {{", *(f"    {line}" for line in reading), "}"]

    def _texts(self) -> list[str]:
        """Finds out which of the words it knows each text is."""
        layout = self.layout
        if not layout.words:
            return []
        self.helpers |= {"read_text"}
        words: list[str] = []
        places: list[int] = []
        rows: list[str] = []
        for text in layout.words:
            mine = slots([names.encoded(word) for word in text.words])
            start = f"{text.place}, {len(words)}, {len(text.words)}, {len(places)}, {len(mine) - 1}"
            rows.append(f"    {{{start}}},{remark(text.name)}\n")
            words += [self.word(word) for word in text.words]
            places += mine
        self.tables.append(filled("static const struct word WORDS[] = {", words or ["{NULL, 0}"], "};") + "\n")
        self.tables.append(filled(f"static const {self.slot} SLOTS[] = {{", list(map(str, places)), "};") + "\n")
        self.tables.append(
            "/* The place of each text in a row, its words and slots above. */\n"
            "static const struct {\n    int place, start, count, slots, mask;\n} TEXTS[] = {\n" + "".join(rows) + "};\n"
        )
        return [
            f"for (int i = 0; i < {len(rows)}; i++) {{",
            "    const struct word *words = WORDS + TEXTS[i].start;",
            f"    const {self.slot} *slots = SLOTS + TEXTS[i].slots;",
            "    word[i] = read_text(texts[TEXTS[i].place], words, TEXTS[i].count, slots, (uint32_t)TEXTS[i].mask);",
            "}",
        ]

    @property
    def slot(self) -> str:
        """The type of a slot in a table of words."""
        most = max([len(text.words) for text in self.layout.words] + [len(self.layout.program.cleaning.missing)])
        return "unsigned short" if most < 65_535 else "unsigned int"

    def word(self, value: str) -> str:
        """The entry of a word in a table."""
        return f"{{{self.string(value)}, {len(names.encoded(value))}}}"

    def _loop(self, loop: Loop) -> list[str]:
        """A loop over columns that are computed alike; no loop where there is only one."""
        layout, found = self.layout, loop.calculation
        if loop.reads == "combined":
            return self._combined(loop)
        if loop.reads == "words" and not any(name == "VALUES" for name in self._taken):
            self._taken.add("VALUES")
            self.tables.append(doubles("VALUES", layout.values, "What is computed from each text, by its word."))
        sources = [self._sources(loop, member) for member in loop.members]
        width, count = len(sources[0]), len(sources)
        straight = width == 1 and [source for (source,) in sources] == list(range(sources[0][0], sources[0][0] + count))
        fields: list[tuple[str, str]] = []
        if not straight:
            fields += [(f"from_{place + 1}" if width > 1 else "from", "int") for place in range(width)]
        fields += found.fields if found else []
        fields += [("turn", "int"), ("input", "int")] if found and found.refuses else []
        rows = [
            [*([] if straight else map(str, source)), *member.numbers]
            + ([str(member.turn), str(member.input)] if found and found.refuses else [])
            for source, member in zip(sources, loop.members, strict=True)
        ]
        place = "i" if loop.start == 0 else f"{loop.start} + i"
        if count == 1:
            values = dict(zip([name for name, _ in fields], rows[0], strict=True))
            place = str(loop.start)
        else:
            table = self._table(loop, fields, rows) if fields else ""
            values = {name: f"{table}[i].{name}" for name, _ in fields}
        if straight:
            first = sources[0][0]
            values["from"] = str(first) if count == 1 else "i" if first == 0 else f"{first} + i"
        lines = self._statements(loop, values, width, place)
        self.helpers |= found.helpers if found else set()
        if count == 1:
            return lines if len(lines) == 1 else ["{", *(f"    {line}" for line in lines), "}"]
        return [f"for (int i = 0; i < {count}; i++) {{", *(f"    {line}" for line in lines), "}"]

    def _combined(self, loop: Loop) -> list[str]:
        """Lines that add up the same columns with the weights of each member."""
        sources = [self.layout.at[slot] for slot in loop.members[0].sources]
        number, count, width = self._fresh("COMBINED"), len(loop.members), len(sources)
        rows = "".join(f"    {', '.join(member.numbers)},{remark(member.name)}\n" for member in loop.members)
        self.tables.append(
            f"/* The weight of each column in each sum, and what is added to it. */\n"
            f"static const double {number}[] = {{\n{rows}}};\n"
        )
        if not sources:
            return [f"for (int i = 0; i < {count}; i++) v[{loop.start} + i] = {number}[i];"]
        self.tables.append(integers(f"{number}_FROM", sources, "Where the columns of these sums are in v."))
        self.helpers.add("weighted")
        self.stack += 8 * width
        row = f"{number} + i * {width + 1}"
        return [
            "{",
            f"    double x[{width}];",
            f"    for (int i = 0; i < {width}; i++) x[i] = v[{number}_FROM[i]];",
            f"    for (int i = 0; i < {count}; i++)",
            f"        v[{loop.start} + i] = weighted(x, {row}, {width}, 1) + {number}[i * {width + 1} + {width}];",
            "}",
        ]

    def _fresh(self, base: str) -> str:
        """A name for a table that is not taken yet."""
        name, number = base, 1
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name

    def _statements(self, loop: Loop, values: dict[str, str], width: int, place: str) -> list[str]:
        found = loop.calculation
        if found is None:
            terms = [f"v[{values['from' if width == 1 else f'from_{k + 1}']}]" for k in range(width)]
            return [f"v[{place}] = {' * '.join(terms) or '1.0'};"]
        if loop.reads == "words":
            return [f"v[{place}] = VALUES[{values['start']} + word[{values['from']}]];"]
        if not found.lines:
            return [f"v[{place}] = {loop.reads}[{values['from']}];"]
        literals = [values[name] for name, _ in found.fields]
        lines = [line.format(*literals, turn=values.get("turn"), input=values.get("input")) for line in found.lines]
        return [f"double x = {loop.reads}[{values['from']}];", *lines, f"v[{place}] = x;"]

    def _sources(self, loop: Loop, member: Member) -> list[int]:
        if loop.reads == "v":
            return [self.layout.at[slot] for slot in member.sources]
        return (
            [self.layout.number(slot) for slot in member.sources] if loop.reads == "numbers" else list(member.sources)
        )

    def _table(self, loop: Loop, fields: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> str:
        """A table with a line for each column of a loop; its name."""
        found = loop.calculation
        base = "_".join(found.steps if found else ["product"]).upper()[:48].strip("_") or f"FROM_{loop.reads.upper()}"
        name = self._fresh(base)
        declared: list[tuple[str, list[str]]] = []
        for field, kind in fields:
            if declared and declared[-1][0] == kind:
                declared[-1][1].append(field)
            else:
                declared.append((kind, [field]))
        struct = "".join(f"    {kind} {', '.join(group)};\n" for kind, group in declared)
        lines = "".join(
            f"    {{{', '.join(row)}}},{remark(member.name)}\n" for row, member in zip(rows, loop.members, strict=True)
        )
        self.tables.append(f"static const struct {{\n{struct}}} {name}[] = {{\n{lines}}};\n")
        return name

    def _refusals(self) -> list[str]:
        refusals = self.layout.refusals
        if not refusals:
            return []
        reasons: list[str] = []
        rows = []
        for item in refusals:
            rows.append(f"    {{{item.word}, {len(reasons)}, {item.turn}, {item.input}}},\n")
            reasons += ["0" if reason is None else f"1 + {_NAMES[reason]}" for reason in item.reasons]
        self.tables.append(
            filled("static const unsigned char REFUSED[] = {", reasons, "};") + "\n"
            "/* Texts that may be refused for what they are: for each word of them why it is above, or 0. */\n"
            "static const struct {\n    int word, start, turn, input;\n} REFUSALS[] = {\n" + "".join(rows) + "};\n"
        )
        return [
            f"for (int i = 0; i < {len(rows)}; i++) {{",
            "    const int reason = REFUSED[REFUSALS[i].start + word[REFUSALS[i].word]];",
            "    if (reason) note(&fault, REFUSALS[i].turn, REFUSALS[i].input, (enum reason)(reason - 1));",
            "}",
        ]

    def _usable(self) -> list[str]:
        usable = self.layout.usable
        if not usable:
            return []
        rows = "".join(f"    {{{at}, {turn}, {input}}},\n" for at, turn, input in usable)
        self.tables.append(
            "/* What no weight hangs on, and what has to be usable all the same. */\n"
            "static const struct {\n    int from, turn, input;\n} USABLE[] = {\n" + rows + "};\n"
        )
        return [
            f"for (int i = 0; i < {len(usable)}; i++) {{",
            "    if (!isfinite(v[USABLE[i].from])) note(&fault, USABLE[i].turn, USABLE[i].input, UNUSABLE);",
            "}",
        ]
