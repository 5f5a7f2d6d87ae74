"""The law of raw rows: a row as it stands in the training file gives one answer in every form.

A row is asked through ``evaluate``'s reader, the scorecard (one row, a DataFrame, an Arrow table), MLflow's pyfunc, the
native pipeline, the request contract (JSON, CSV, JSON lines), Lambda, and the exports that read raw values.
"""

import csv
import io
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipelines import sources, versions
from pipelines.dataset import Roles
from pipelines.evaluation import asking
from pipelines.planning import Settings
from pipelines.training import train
from registry.client import connect
from serving.contract import reply
from serving.scorecard import Scorecard, exports
from serving.scorecard.inputs import named
from serving.scorecard.loader import FEW, ScorecardModel
from tests.serving.functions.lambdas import Called, second
from tests.serving.scorecard import databases
from tests.serving.scorecard.node import Node

QUICK = {"folds": 0, "resamples": 0, "suite": "none", "pictures": False}
ROWS = 80
LINES, CSV = "application/jsonlines", "text/csv"
#: What the user says is missing, too.
WORDS = ("-", "n/k")
MISSING = ("", "NA", " ? ", "null", "nan", *WORDS)


@dataclass(frozen=True)
class File:
    """A training file: its text, and its rows as a client would read them, by the names that the file has."""

    name: str
    text: str
    rows: list[dict]

    @property
    def kind(self) -> str:
        return LINES if self.name.endswith(".jsonl") else CSV


def number(draw: random.Random) -> str:
    return draw.choice(
        [
            f"{draw.uniform(-99, 99):.2f}",
            f" {draw.randint(-9, 99)} ",
            f"{draw.uniform(0, 9):.3e}",
            f"+{draw.randint(1, 9)}.",
            *MISSING,
        ]
    )


def whole(draw: random.Random) -> str:
    return f"{draw.randint(0, 400)}"


def truth(draw: random.Random) -> str:
    return draw.choice(["true", "FALSE", " True", "false ", *MISSING[:2], *WORDS])


def code(draw: random.Random) -> str:
    return draw.choice(
        ["00501", "1E5", " A1", "a1", "10115 ", "3", "3.0", "it's", 'say "q"', "é", *MISSING[:2], *WORDS]
    )


def european(draw: random.Random) -> str:
    value = draw.uniform(-9_999_999, 9_999_999)
    text = f"{value:,.2f}".translate(str.maketrans(",.", ".,"))
    return draw.choice([text, f"{draw.uniform(0, 99):.1f}".replace(".", ","), f" {text} ", "?", *WORDS])


def thousands(draw: random.Random) -> str:
    return f"{draw.randint(1_000, 999_999):,}".replace(",", ".")


def scalar(draw: random.Random) -> object:
    return draw.choice([1, 2, 3, 2.5, 3.0, True, False, "5+", " unknown ", "00501", "NA", "-", None, 1e-7, -4])


def any_number(draw: random.Random) -> object:
    return draw.choice([draw.uniform(-9, 9), draw.randint(0, 9), None])


KINDS: dict[str, tuple[Callable, ...]] = {
    ",": (number, whole, truth, code),
    ";": (european, thousands, code, truth),
    "lines": (scalar, any_number, code),
}
NAMES = ("x ", " c ", "", "a b", "say q", "Ünï", "k\t", "select", "2019")


@st.composite
def files(draw: st.DrawFn) -> File:
    """Hostile files that can be trained on."""
    form = draw(st.sampled_from(sorted(KINDS)))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True))
    kinds = [KINDS[form][0], *draw(st.lists(st.sampled_from(KINDS[form]), min_size=len(names) - 1, max_size=3))]
    chance = random.Random(draw(st.integers(0, 2**32)))
    kinds = (kinds * 2)[: len(names)]
    rows = [{name: kind(chance) for name, kind in zip(names, kinds, strict=True)} for _ in range(ROWS)]
    return made(form, [{**row, "y": round(chance.uniform(0, 9), 3)} for row in rows])


def made(form: str, rows: list[dict]) -> File:
    if form == "lines":
        return File("raw.jsonl", "".join(json.dumps(row) + "\n" for row in rows), rows)
    if form == ";":
        rows = [{**row, "y": str(row["y"]).replace(".", ",")} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=form)
    writer.writeheader()
    writer.writerows(rows)
    return File("raw.csv", text.getvalue(), [{name: str(value) for name, value in row.items()} for row in rows])


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node | None]:
    program = shutil.which("node")
    if program is None:
        yield None
        return
    with Node(program, tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture
def checked(tracking: str, node: Node | None) -> Callable[[File], None]:
    """Trains on a file and asks every form for every row."""

    def check(file: File) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, file.name)
            path.write_text(file.text, encoding="utf-8", newline="")
            asked = Settings(str(path), name="law", roles=Roles(target="y"), **QUICK)
            trained = train(replace(asked, options=sources.ReadOptions(missing=WORDS)))
            registered = versions.fetch(connect(), trained.model_uri, Path(folder))
            table = sources.read(str(path))
            with ExitStack() as running:
                version, _ = asking.beside(registered, table, "y", running)
                frame = version.read(table)
                expected = version.answer(frame).predictions
            loaded = mlflow.pyfunc.load_model(trained.model_uri)
            native = mlflow.sklearn.load_model(trained.model_uri)
        assert version.scorecard is not None
        for form, answers in forms(file, version.scorecard, frame, loaded, native, node):
            np.testing.assert_allclose(np.array(answers, dtype=float), expected, rtol=1e-9, atol=1e-9, err_msg=form)

    return check


def forms(
    file: File, card: Scorecard, frame: pd.DataFrame, loaded, native, node: Node | None
) -> Iterator[tuple[str, list]]:
    """The answers to all rows of a file, by the form in which they are asked."""
    rows = file.rows
    yield "rows", [card.predict_row(row) for row in rows]
    table = pd.DataFrame(rows).astype(object)
    yield "DataFrame", card.predict(table)
    yield "short DataFrame", ScorecardModel(card).predict(table.head(FEW)).tolist() + card.predict(table)[FEW:].tolist()
    yield "columns", card.predict({name: [row[name] for row in rows] for name in rows[0]})
    if file.kind == CSV:
        yield "Arrow", card.predict(pa.table({name: [row[name] for row in rows] for name in rows[0]}))

    # MLflow takes numbers for a `double` and knows no padded names; the rest of a row is raw.
    known = frozenset(item.name for item in card.inputs)
    raw = pd.DataFrame([named(row, known) for row in rows]).astype(object)
    types = {one.name: str(one.type) for one in loaded.metadata.signature.inputs}
    typed = [name for name in types if types[name] in ("DataType.double", "DataType.boolean")]
    asked = raw.assign(**{name: frame[name] for name in typed})
    booleans = {name: bool for name in typed if types[name] == "DataType.boolean"}
    asked = asked.astype(booleans)
    yield "pyfunc", loaded.predict(asked)
    if file.kind == LINES:
        # A line at a time, pandas makes columns of numbers and of booleans of what is text in others.
        lines = [pd.DataFrame([row]).astype(dict.fromkeys(typed, float)) for row in raw.to_dict("records")]
        yield "pyfunc, a line at a time", [loaded.predict(line)[0] for line in lines]
    for missing in (None, np.nan, pd.NA, pd.NaT):
        objects = frame.astype(object)
        yield f"native, {missing!r} is missing", native.predict(objects.where(frame.notna(), missing))

    content = file.text.encode()
    bodies = {
        "the file": (content, file.kind),
        "records": (json.dumps({"dataframe_records": rows}).encode(), "application/json"),
        "lines": ("\n".join(map(json.dumps, rows)).encode(), LINES),
        "split": (
            json.dumps(
                {"dataframe_split": {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}}
            ).encode(),
            "application/json",
        ),
        "inputs": (
            json.dumps({"inputs": {name: [row[name] for row in rows] for name in rows[0]}}).encode(),
            "application/json",
        ),
    }
    for name, (body, kind) in bodies.items():
        for few in (None, FEW):
            yield f"{name}, {few}", predictions(reply(card, body, kind, few=few))
        answer = Called(card)(second(body, **{"content-type": kind}))
        yield f"{name}, Lambda", predictions((answer["statusCode"], json.loads(answer["body"])))
    yield (
        "a row at a time",
        [predictions(reply(card, json.dumps([row]).encode(), "application/json"))[0] for row in rows],
    )

    space: dict = {}
    exec(exports.write(card, "python"), space)
    yield "Python", [space["predict"](row) for row in rows]
    if node is not None:
        # JavaScript's objects have names that are whole numbers first, and an empty name counts by its place.
        given = [named(row, known) for row in rows] if "2019" in rows[0] else rows
        answers = node.ask(exports.write(card, "javascript"), given)["answers"]
        assert all("predict" in answer for answer in answers), answers[:3]
        yield "JavaScript", [answer["predict"] for answer in answers]
    if file.kind == CSV:
        texts = raw[[item.name for item in card.inputs]].to_dict("records")
        for dialect, text in (("duckdb", "VARCHAR"), ("sqlite", "TEXT")):
            with databases.opened(dialect) as database:
                found = databases.answers(card, database, texts, dict.fromkeys(known, text))
            yield dialect, [answer["predict"] for answer in found]


def predictions(answer: tuple[int, dict]) -> list:
    status, payload = answer
    assert status == 200, payload
    return payload["predictions"] if "predictions" in payload else payload["prediction"]


@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a file is small, and each takes seconds
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(files())
def test_a_row_of_the_training_file_has_one_answer(checked: Callable[[File], None], file: File) -> None:
    checked(file)


def cases() -> Iterator[File]:
    """Files that were read one way by training and another by scoring."""
    chance = random.Random(7)
    euro = [
        {"umsatz": thousands(chance), "gewicht": f"{chance.uniform(9, 30):.2f}".replace(".", ","), "y": whole(chance)}
        for _ in range(ROWS)
    ]
    yield made(";", euro)
    padded = [
        {"x ": f"{chance.uniform(0, 9):.3f}", " c ": f" {chance.choice('acq')} ", "k": whole(chance)} for _ in euro
    ]
    yield made(",", [{**row, "y": round(chance.uniform(0, 9), 2)} for row in padded])
    odd = [
        {"index": place * 3, "": whole(chance), "a b": number(chance), "x,y": number(chance), 'say "q"': code(chance)}
        for place in range(ROWS)
    ]
    yield made(",", [{**row, "naïve": whole(chance), "y": round(chance.uniform(0, 9), 2)} for row in odd])
    mixed = [
        {
            "x": round(chance.uniform(0, 9), 3),
            "tickets": chance.choice([1, 2, 3, "5+"]),
            "opted": chance.choice([True, False, "unknown"]),
        }
        for _ in range(ROWS)
    ]
    yield made("lines", [{**row, "y": round(chance.uniform(0, 9), 2)} for row in mixed])


@pytest.mark.parametrize("file", cases(), ids=["European", "padded names", "odd names", "mixed scalars"])
def test_files_that_were_read_in_two_ways(checked: Callable[[File], None], file: File) -> None:
    checked(file)
