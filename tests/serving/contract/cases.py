"""Requests, good and bad, that every way of serving answers alike: for a model with one input of each kind."""

import gzip
import json
import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline

from pipelines import features
from serving.scorecard import Cleaning, Input, Scorecard, compile

#: ``age`` takes whole numbers, ``x.y`` no missing value, and ``it's`` has a name that wants quoting.
INPUTS = (
    Input("age", "number", integer=True),
    Input("x.y", "number", null=False),
    Input("owns", "boolean"),
    Input("it's", "category"),
)
NAMES = [item.name for item in INPUTS]
ROWS = [
    [31, 1000001.5, True, "a"],
    [None, 999998.25, False, "b"],
    [64, 1000000, None, None],
    [25.0, -3.5e3, 1, "never seen"],
    ["47", " 1000002.5 ", "false", " c "],
    [1e3, 1e300, 0, "?"],
]
KINDS = ("regression", "labels", "numbers", "truth", "three")


def fitted(kind: str = "labels") -> tuple[Pipeline, pd.DataFrame]:
    """A pipeline on the four inputs, and the table it was fitted on."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 90, 300).astype(float),
            "x.y": rng.normal(1e6, 10, 300),
            "owns": rng.integers(0, 2, 300).astype(float),
            "it's": pd.Series(rng.choice(["a", "b", "c"], 300), dtype="str"),
        }
    )
    for name in ("age", "owns", "it's"):
        table[name] = table[name].mask(rng.random(300) < 0.05)
    score = table["x.y"] - 1e6 + table["age"].fillna(50) / 10 - 5
    targets = {
        "regression": score.to_numpy(),
        "labels": np.where(score > 0, "yes", "no"),
        "numbers": np.where(score > 0, 7, -1),
        "truth": (score > 0).to_numpy(),
        "three": np.select([score > 5, score > -5], ["high", "middle"], "low"),
    }
    estimator = LinearRegression() if kind == "regression" else LogisticRegression()
    return Pipeline([("features", features.build(list(INPUTS))), ("estimator", estimator)]).fit(
        table, targets[kind]
    ), table


def scorecard(kind: str = "labels") -> Scorecard:
    """The scorecard of ``fitted``, with the cleaning of training."""
    return compile(fitted(kind)[0], list(INPUTS), cleaning=Cleaning())


@dataclass(frozen=True)
class Case:
    """A request.

    Parameters
    ----------
    name : says what is special about it.
    status : what it is answered with.
    says : words of the message, where it is refused.
    """

    name: str
    body: bytes
    content_type: str | None = "application/json"
    encoding: str | None = None
    status: int = 200
    says: str = ""


def _json(value) -> bytes:
    return json.dumps(value).encode()


def _csv(rows, header=NAMES, end="\n") -> bytes:
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    return (end.join(",".join(f'"{cell}"' for cell in row) for row in [header, *cells]) + end).encode()


def _records(rows) -> list[dict]:
    return [dict(zip(NAMES, row, strict=True)) for row in rows]


def _columns(rows) -> dict[str, list]:
    return {name: [row[place] for row in rows] for place, name in enumerate(NAMES)}


def good() -> list[Case]:
    """Requests that are answered, by a classifier and by a regression."""
    one = ROWS[0]
    found = []
    for place, row in enumerate(ROWS):
        found += [
            Case(f"split {place}", _json({"dataframe_split": {"columns": NAMES, "data": [row]}})),
            Case(f"record {place}", _json({"dataframe_records": _records([row])})),
            Case(f"instance {place}", _json({"instances": [row]})),
            Case(f"named instance {place}", _json({"instances": _records([row])})),
            Case(f"inputs {place}", _json({"inputs": _columns([row])})),
            Case(f"scalars {place}", _json({"inputs": _records([row])[0]})),
            Case(f"flat {place}", _json({"features": row})),
            Case(f"nested {place}", _json({"X": [row]})),
            Case(f"bare {place}", _json(row)),
            Case(f"bare object in a list {place}", _json(_records([row]))),
            Case(f"object {place}", _json({"input_data": _records([row])[0]})),
            Case(f"CSV {place}", _csv([row]), "text/csv"),
            Case(f"line {place}", _json(_records([row])[0]), "application/jsonlines"),
        ]
    for count in (2, 6, 40):
        rows = (ROWS * 7)[:count]
        found += [
            Case(f"split of {count}", _json({"dataframe_split": {"columns": NAMES, "data": rows}})),
            Case(f"records of {count}", _json({"dataframe_records": _records(rows)})),
            Case(f"instances of {count}", _json({"instances": rows})),
            Case(f"inputs of {count}", _json({"inputs": _columns(rows)})),
            Case(f"rows in inputs of {count}", _json({"inputs": rows})),
            Case(f"features of {count}", _json({"features": rows})),
            Case(f"columns in X of {count}", _json({"X": _columns(rows)})),
            Case(f"bare of {count}", _json(rows)),
            Case(f"CSV of {count}", _csv(rows, end="\r\n"), "text/csv; charset=utf-8"),
            Case(f"lines of {count}", b"\n".join(map(_json, _records(rows))), "application/x-ndjson"),
            Case(f"jsonl of {count}", b"\n".join(map(_json, _records(rows))), "application/jsonl"),
        ]
    split = {"columns": NAMES, "data": [one]}
    turned = {"columns": NAMES[::-1], "data": [one[::-1]]}
    plain = _json({"instances": [one]})
    packed = gzip.compress(plain, mtime=0)
    named = [f" {name}\t" for name in NAMES]
    padded = {
        "dataframe_split": {"columns": named, "data": [one, one]},
        "dataframe_records": [dict(zip(named, one, strict=True))] * 3,
        "instances": [dict(zip(named, one, strict=True)), _records([one])[0]],
        "inputs": {name: [value] * 40 for name, value in zip(named, one, strict=True)},
        "features": dict(zip(named, one, strict=True)) | {"more": 1},
    }
    found += [
        Case("an index", _json({"dataframe_split": {**split, "index": [7]}})),
        Case("no columns", _json({"dataframe_split": {"data": [one]}})),
        Case("columns turned round", _json({"dataframe_split": turned})),
        Case("more columns", _json({"dataframe_split": {"columns": [*NAMES, "z"], "data": [[*one, {"a": [1]}]]}})),
        Case("Azure's split", _json({"input_data": split})),
        Case("another key beside", _json({"instances": [one], "signature_name": "serving_default"})),
        Case("no params", _json({"dataframe_split": split, "params": None})),
        Case("params", _json({"dataframe_split": split, "params": {"output": "predictions"}})),
        Case("params that are not known", _json({"dataframe_split": split, "params": {"outputs": "explain", "": [1]}})),
        Case("params and others", _json({"dataframe_split": split, "params": {"top_k": 3, "output": "explain"}})),
        Case("explained", _json({"dataframe_records": _records(ROWS[:3]), "params": {"output": "explain"}})),
        Case("one explained", _json({"X": one, "params": {"output": "explain"}})),
        Case("a key is missing in one record", _json({"dataframe_records": [{"x.y": 1}, _records([one])[0]]})),
        Case("a short line", b'{"x.y": 1}\n\n' + _json(_records([one])[0]), "application/jsonlines"),
        Case("white space", b"  \n" + plain + b"\n "),
        Case("a byte order mark", b"\xef\xbb\xbf" + plain),
        Case("a key twice", b'{"instances": 3, "instances": [[1, 2, true, "a"]]}'),
        Case("minus zero", _json({"instances": [[-0.0, 1e-300, 0, ""]]})),
        Case("many digits", b'{"instances": [[3, 1000000.' + b"1" * 300 + b', 0, "a"]]}'),
        Case("a long whole number", b'{"instances": [[3, 1' + b"0" * 40 + b', 0, "a"]]}'),
        Case("text beyond ASCII", '{"instances": [[3, 2, 0, "日本 \\ud83d\\ude00 \\u00e9"]]}'.encode()),
        Case("half a character", b'{"instances": [[3, 2, 0, "\\ud83d"]]}'),
        Case("charset", plain, "application/json; charset=UTF-8"),
        Case("a type of its own", plain, "application/vnd.shop.order+json"),
        Case("capital letters", plain, "Application/JSON"),
        Case("gzip", packed, encoding="gzip"),
        Case("gzip in two members", gzip.compress(plain[:9]) + gzip.compress(plain[9:]), encoding="gzip"),
        Case("deflate", zlib.compress(plain), encoding="deflate"),
        Case("identity", plain, encoding="identity"),
        Case("CSV turned round", _csv([one[::-1]], NAMES[::-1]), "text/csv"),
        Case("CSV with blank lines", b"\n" + _csv([one], end="\n\n"), "text/csv"),
        Case("CSV with padded names", b"age , x.y,owns, it's\n3,4,true,a\n", "text/csv"),
        Case("CSV with names that are empty", b"age,,x.y,owns,it's, \n3,7,4,true,a,7\n", "text/csv"),
        Case("CSV with semicolons", b"age;x.y;owns;it's\n3;4;true;a,b\n", "text/csv"),
        Case("CSV with tabs and padded names", b"age\tx.y \towns\tit's\n3\t4\ttrue\ta\n", "text/csv"),
        Case("CSV of Excel", b"sep=;\r\nage;x.y;owns;it's\r\n3;4;true;a\r\n", "text/csv"),
        *(Case(f"padded names in {form}", _json({form: value})) for form, value in padded.items()),
        Case(
            "padded names in lines",
            b'{"x.y ": 1}\n{"x.y ": 2, " it\'s": "a", "age": 3, "owns": 1}\n',
            "application/jsonlines",
        ),
        *(
            Case(f"{json.dumps(value)} among texts in {form}", _json({form: table}))
            for value in (5, -0.5, 3.0, True, 1e-7)
            for form, table in (
                ("dataframe_records", _records([one, [*one[:3], value]])),
                ("inputs", _columns([[*one[:3], value]] * 2)),
                ("X", [*one[:3], value]),
            )
        ),
        Case("CSV without a last line end", _csv([one])[:-1], "text/csv"),
    ]
    return found


def bad() -> list[Case]:
    """Requests that are refused."""
    one = ROWS[0]

    def cell(name: str, value, says: str, place: int = 0) -> list[Case]:
        rows = [list(one) for _ in range(place + 1)]
        rows[place][NAMES.index(name)] = value
        where = f"row {place}, column {name!r}: {says}"
        body = json.dumps({"instances": rows})
        return [
            Case(f"{name}: {json.dumps(value)[:20]} in row {place}", body.encode(), status=400, says=where),
            Case(f"{name}: {json.dumps(value)[:20]} in row {place}, short", _json(rows), status=400, says=where),
        ]

    def refused(name: str, value, says: str, status: int = 400) -> Case:
        return Case(name, value if isinstance(value, bytes) else _json(value), status=status, says=says)

    records = _records([one, one])
    short = [{name: value for name, value in record.items() if name != "x.y"} for record in records]
    plain = _json({"instances": [one]})
    bomb = gzip.compress(bytes(40 * 1024 * 1024))
    found = [
        *cell("age", 3.5, "expected a whole number, found a fraction"),
        *cell("age", 3.5, "expected a whole number, found a fraction", place=2),
        *cell("age", "old", "expected a number, found text", place=20),
        *cell("age", True, "expected a number, found a boolean"),
        *cell("age", [1], "expected a number, found a list"),
        *cell("age", {}, "expected a number, found an object"),
        *cell("x.y", None, "a value is required, found none"),
        *cell("x.y", "", "a value is required, found none", place=30),
        *cell("x.y", "1,000", "expected a number, found text"),
        *cell("x.y", "inf", "expected a finite number"),
        *cell("x.y", 10**400, "expected a finite number"),
        *cell("owns", 2, "expected true or false, found a number"),
        *cell("owns", "maybe", "expected true or false, found text"),
        *cell("it's", [5], "expected text, found a list"),
        *cell("it's", {"a": 1}, "expected text, found an object", place=17),
        refused("nothing", b"", "the body is empty"),
        refused("white space", b" \n ", "the body is empty"),
        refused("not JSON", b"{", "the body is not JSON"),
        refused("a comma too many", b'{"instances": [[1,]]}', "the body is not JSON"),
        refused("two values", b"[1] [2]", "the body is not JSON"),
        refused("NaN", b'{"instances": [[NaN, 1, 1, "a"]]}', "numbers are finite, found NaN"),
        refused("Infinity", b'{"instances": [[-Infinity, 1, 1, "a"]]}', "numbers are finite, found -Infinity"),
        refused("1e400", b'{"instances": [[1e400, 1, 1, "a"]]}', "row 0, column 'age': expected a finite number"),
        refused("digits by the thousand", b'{"X": [-' + b"9" * 9999 + b', 1, 1, "a"]}', "row 0, column 'age'"),
        refused("Latin-1", '{"instances": [[1, 2, 0, "é"]]}'.encode("latin-1"), "the body is not UTF-8"),
        refused("a control character", b'{"instances": [[1, 2, 0, "\n"]]}', "the body is not JSON"),
        refused("deep nesting", b"[" * 100_000, "the body nests too deeply"),
        refused("deep objects", b'{"a":' * 100_000, "the body nests too deeply"),
        refused("a number", 3, "expected a JSON object or array, found a number"),
        refused("a text", "instances", "expected a JSON object or array, found text"),
        refused("null", b"null", "expected a JSON object or array, found null"),
        refused("an empty object", {}, "expected one of the keys dataframe_split, "),
        refused("a wrong key", {"rows": [one]}, "found none of them"),
        refused("a row as it is", records[0], "found none of them"),
        refused("two keys", {"instances": [one], "inputs": [one]}, "found instances and inputs"),
        refused("a long and a short key", {"instances": [one], "X": [one]}, "found instances and X"),
        refused("no rows", {"instances": []}, "at least one row"),
        refused("no records", {"dataframe_records": []}, "at least one row"),
        refused("no data", {"dataframe_split": {"columns": NAMES, "data": []}}, "at least one row"),
        refused("empty columns", {"inputs": {name: [] for name in NAMES}}, "at least one row"),
        refused("no columns at all", {"inputs": {}}, "at least one row"),
        refused("an empty array", [], "at least one row"),
        refused("nothing asked", {"X": None}, "X: expected a list or an object"),
        refused("split as a list", {"dataframe_split": [one]}, "dataframe_split: expected an object"),
        refused("split without data", {"dataframe_split": {"columns": NAMES}}, "dataframe_split: expected"),
        refused(
            "split with more", {"dataframe_split": {"data": [one], "dtype": 1}}, "dataframe_split: expected the keys"
        ),
        refused("columns as text", {"dataframe_split": {"columns": "ab", "data": [one]}}, "to be a list of names"),
        refused(
            "a column twice", {"dataframe_split": {"columns": [*NAMES, "age"], "data": [[*one, 1]]}}, "column 'age'"
        ),
        refused("records as an object", {"dataframe_records": records[0]}, "dataframe_records: expected a list"),
        refused("a record that is none", {"dataframe_records": [records[0], 3]}, "row 1: expected an object"),
        refused("a record without a column", {"dataframe_records": short}, "column 'x.y': the column is required"),
        refused("an instance without it", {"instances": [records[0], short[0]]}, "row 1, column 'x.y': the column is"),
        refused("columns without one", {"inputs": {"age": [1], "owns": [0]}}, "column 'x.y': the column is required"),
        refused("instances as an object", {"instances": records[0]}, "instances: expected a list"),
        refused("inputs as text", {"inputs": "all"}, "inputs: expected a list of rows"),
        refused("a bare value for four", {"instances": [1, 2]}, "row 0: expected a list of values or an object"),
        refused("columns of two lengths", {"inputs": {"age": [1, 2], "x.y": [1]}}, "column 'x.y': expected 2 values"),
        refused("a column and a value", {"inputs": {"age": [1, 2], "x.y": 1}}, "column 'x.y': expected a list"),
        refused("a short row", {"instances": [one, one[:3]]}, "row 1: expected 4 values, found 3"),
        refused("a long row", {"instances": [one, [*one, 1]]}, "row 1: expected 4 values, found 5"),
        refused("a short flat row", one[:2], "row 0: expected 4 values, found 2"),
        refused(
            "a ragged split", {"dataframe_split": {"columns": NAMES, "data": [one, []]}}, "row 1: expected 4 values"
        ),
        refused(
            "a row of a split that is none", {"dataframe_split": {"columns": NAMES, "data": [7]}}, "row 0: expected"
        ),
        refused("rows and values", [1, [2]], "expected values or rows, found both"),
        refused("rows and records", [one, records[0]], "row 1: expected a list"),
        refused("params as text", {"instances": [one], "params": "explain"}, "params: expected an object"),
        refused("another output", {"instances": [one], "params": {"output": "all"}}, "params: output is one of"),
        refused("an output as a list", {"instances": [one], "params": {"output": []}}, "params: output is one of"),
        Case("no type", plain, None, status=415, says="Content-Type: expected application/json, text/csv or"),
        Case("an empty type", plain, " ", status=415, says="Content-Type"),
        Case("a form", plain, "application/x-www-form-urlencoded", status=415, says="Content-Type"),
        Case("text", plain, "text/plain", status=415, says="Content-Type"),
        Case("another charset", plain, "application/json; charset=latin-1", status=415, says="charset=utf-8"),
        Case("an unknown encoding", plain, encoding="br", status=415, says="Content-Encoding: expected gzip"),
        Case("two encodings", plain, encoding="gzip, gzip", status=415, says="Content-Encoding"),
        Case("not gzip", plain, encoding="gzip", status=400, says="the body is not gzip"),
        Case("not deflate", plain, encoding="deflate", status=400, says="the body is not deflate"),
        Case("half of a gzip", gzip.compress(plain)[:-9], encoding="gzip", status=400, says="cut short"),
        Case("a gzip bomb", bomb, encoding="gzip", status=413, says="larger than"),
        Case("CSV of nothing", b"", "text/csv", status=400, says="the body is empty"),
        Case("CSV of a header", _csv([]), "text/csv", status=400, says="at least one row"),
        Case("CSV with a short row", _csv([one, one[:3]]), "text/csv", status=400, says="row 1: expected 4 fields"),
        Case("CSV with a long row", _csv([[*one, 1]]), "text/csv", status=400, says="row 0: expected 4 fields"),
        Case("CSV without a column", b"age,owns\n1,0\n", "text/csv", status=400, says="column 'x.y': the column is"),
        Case(
            "CSV of a row alone", b"3,4,true,a", "text/csv", status=400, says="at least one row after the line of names"
        ),
        Case(
            "CSV of rows alone",
            b"3,4,1,a\n" * 2,
            "text/csv",
            status=400,
            says="none of the model's columns was: 'age', ",
        ),
        Case(
            "CSV with semicolons below commas",
            b"age,x.y,owns,it's\n3;4;1;a\n",
            "text/csv",
            status=400,
            says="row 0: expected 4 fields",
        ),
        refused("a name twice, padded", {"inputs": {"age": [1], " age": [2]}}, "column 'age': expected one column of"),
        refused("a padded name twice", {"dataframe_records": [{" age": 1, "age ": 2}]}, "column 'age': expected one"),
        Case("CSV with a name twice", _csv([[*one, 1]], [*NAMES, "age"]), "text/csv", status=400, says="column 'age'"),
        Case("CSV with an open quote", b'age\n"1', "text/csv", status=400, says="the body is not CSV"),
        Case("CSV with text", _csv([["x", 1, 0, "a"]]), "text/csv", status=400, says="row 0, column 'age'"),
        Case("CSV in UTF-16", _csv([one]).decode().encode("utf-16"), "text/csv", status=400, says="not UTF-8"),
        Case("lines that are none", b"{}\n{", "application/jsonlines", status=400, says="row 1: the body is not JSON"),
        Case("lines of numbers", b"1\n2\n", "application/jsonlines", status=400, says="row 0: expected a list"),
        Case("no lines", b"\n", "application/jsonlines", status=400, says="at least one row"),
    ]
    return found


GOOD, BAD = good(), bad()

#: Of the good ones, those that ``mlflow models serve`` reads itself: MLflow's own forms, with names.
_MLFLOW = (
    "split",
    "record",
    "named instance",
    "inputs ",
    "scalars",
    "CSV",
    "an index",
    "columns turned",
    "more columns",
)
_MLFLOW += ("no params", "params", "explained", "a key is missing")
#: It takes a padded name for another column, and knows no separator but the comma.
_NOT_MLFLOW = ("padded names", "CSV with semicolons", "CSV of Excel")
ALSO_MLFLOW = [
    case
    for case in GOOD
    if (case.name.startswith(_MLFLOW) or "among texts in dataframe" in case.name)
    and not any(words in case.name for words in _NOT_MLFLOW)
]
