"""From a document to the operations to run, in order, the same for every way of evaluating it.

Values live in numbered slots: the inputs first, then what each operation puts there. Columns no weight but zero hangs
on are kept apart as checks: they change no score, and only have to be computable where their inputs are given.
"""

from .inputs import Cleaning, Input


class Op:
    """One operation: ``kind`` is chain (steps of one value), code (place in a one-hot group), hot or product."""

    __slots__ = ("blame", "item", "kind", "place", "slot", "sources", "steps")

    def __init__(self, kind, slot, sources, *, blame, steps=(), item=None, place=0):
        self.kind, self.slot, self.sources, self.blame = kind, slot, sources, blame
        self.steps, self.item, self.place = steps, item, place


class Check:
    """A slot that has to hold a finite number where the inputs at ``places`` are given; ``ops`` fill it."""

    __slots__ = ("blame", "ops", "places", "slot")

    def __init__(self, slot, places, ops, blame):
        self.slot, self.places, self.ops, self.blame = slot, places, ops, blame


class Plan:
    """What to read and to compute for one document.

    Attributes
    ----------
    inputs, cleaning : the raw columns, in the signature's order, and how their text is read.
    names : of all inputs.
    ops : the operations that scores depend on, in order.
    slots : how many slots there are; the first ``len(inputs)`` hold the inputs.
    reads : places of the inputs that ``ops`` needs; ``optional`` the names of those it does without.
    columns : for each column of the model's matrix, in the document's order: (name, slot). Linear models only list
        those whose weights are not all zero and that are no part of ``groups``.
    weights : for a linear model, one tuple a column of ``columns``: a weight for each score.
    groups : for a linear model, one-hot groups that go straight into the scores: (slot of the code, one tuple of
        weights a place and then one of zeros, names of the places).
    checks : columns that only have to be usable, as ``Check``.
    origin : the names of the inputs each column is computed from.
    """

    def __init__(self, document: dict):
        self.document = document
        self.cleaning = Cleaning(document["cleaning"]["trim"], frozenset(document["cleaning"]["missing"]))
        self.inputs = tuple(Input(**item) for item in document["inputs"])
        self.names = frozenset(item.name for item in self.inputs)
        self.slots = len(self.inputs)
        self.origin: dict[str, tuple] = {}
        self._places = {item.name: place for place, item in enumerate(self.inputs)}
        self._defined: dict[str, tuple] = {}
        for item in document["columns"]:
            if "one_hot" in item:
                for place, group in enumerate(item["one_hot"]):
                    self._define(group["name"], item, place)
            else:
                self._define(item["name"], item, 0)
        self.ops: list[Op] = []
        self._unweighted: list[Op] = []
        self._unweighted_slots: list[int] = []
        self._made: dict = {}
        self.columns: list[tuple] = []
        self.weights: list[tuple] = []
        self.groups: list[tuple] = []
        model = document["model"]
        if model["kind"] == "linear":
            self._linear(model)
        else:
            self.columns = [(name, self._slot(name, self.ops)) for name in model["columns"]]
        used = {source for op in self.ops for source in op.sources} | {slot for _, slot in self.columns}
        self.reads = [place for place in range(len(self.inputs)) if place in used]
        self.optional = frozenset(item.name for place, item in enumerate(self.inputs) if place not in used)
        self.checks = self._checks()

    def blame(self, name: str) -> str:
        """The input to name where a column has no usable value."""
        return self.origin[name][0] if self.origin[name] else name

    def magnitudes(self) -> list[float]:
        """How much each of ``columns`` weighs at most: to name the one that makes a score too large."""
        if not self.weights:
            return [1.0] * len(self.columns)
        return [max(map(abs, weights)) for weights in self.weights]

    def _define(self, name, item, place) -> None:
        self._defined[name] = (item, place)
        if "input" in item:
            self.origin[name] = (item["input"],)
        else:
            above = item["product"] if "product" in item else [item["column"]]
            sources = {source for column in above for source in self.origin[column]}
            self.origin[name] = tuple(sorted(sources, key=self._places.__getitem__))

    def _linear(self, model) -> None:
        zeros = (0.0,) * len(model["intercepts"])
        live = {term["column"]: tuple(map(float, term["weights"])) for term in model["terms"] if any(term["weights"])}
        grouped = {}
        for name, weights in live.items():
            item, _ = self._defined[name]
            if "one_hot" not in item:
                self.columns.append((name, self._slot(name, self.ops)))
                self.weights.append(weights)
            elif id(item) not in grouped:
                grouped[id(item)] = item
        for item in grouped.values():
            names = tuple(group["name"] for group in item["one_hot"])
            table = (*(live.get(name, zeros) for name in names), zeros)
            self.groups.append((self._code(item, self.ops), table, names))
        for term in model["terms"]:
            name = term["column"]
            item, _ = self._defined[name]
            if name not in live and id(item) not in grouped:
                into = self._unweighted
                slot = self._code(item, into) if "one_hot" in item else self._slot(name, into)
                if slot not in self._unweighted_slots:
                    self._unweighted_slots.append(slot)

    def _checks(self) -> list[Check]:
        made = {op.slot: op for op in self._unweighted}
        blames = {place: item.name for place, item in enumerate(self.inputs)}
        blames |= {op.slot: op.blame for op in (*self.ops, *self._unweighted)}
        found = []
        for slot in self._unweighted_slots:
            places, ops, todo = set(), {}, [slot]
            while todo:
                current = todo.pop()
                if current < len(self.inputs):
                    places.add(current)
                elif current in made:
                    ops[current] = made[current]
                    todo.extend(made[current].sources)
            extra = [place for place in sorted(places) if place not in self.reads]
            found.append(Check(slot, extra, [ops[current] for current in sorted(ops)], blames[slot]))
        return found

    def _new(self, kind, sources, into, **facts) -> int:
        slot = self.slots
        self.slots += 1
        into.append(Op(kind, slot, sources, **facts))
        return slot

    def _source(self, item, into) -> tuple[int, str]:
        if "input" in item:
            return self._places[item["input"]], item["input"]
        name = item["column"]
        return self._slot(name, into), self.blame(name)

    def _code(self, item, into) -> int:
        key = id(item)
        if key not in self._made:
            source, blame = self._source(item, into)
            self._made[key] = self._new("code", (source,), into, blame=blame, steps=item["steps"], item=item)
        return self._made[key]

    def _slot(self, name, into) -> int:
        if name in self._made:
            return self._made[name]
        item, place = self._defined[name]
        if "one_hot" in item:
            made = self._new("hot", (self._code(item, into),), into, blame=self.blame(name), place=place)
        elif "product" in item:
            sources = tuple(self._slot(column, into) for column in item["product"])
            made = self._new("product", sources, into, blame=self.blame(name))
        else:
            source, blame = self._source(item, into)
            made = source
            if item["steps"]:
                made = self._new("chain", (source,), into, blame=blame, steps=item["steps"])
        self._made[name] = made
        return made
