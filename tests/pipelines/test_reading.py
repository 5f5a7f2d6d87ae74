"""Files as people have them: which separator, encoding, names and marks are found, what is told, what overrules."""

import contextlib
import csv
import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines import columns, dates, marks
from pipelines.dataset import Dataset, Roles, prepare
from pipelines.errors import PipelineError
from pipelines.marks import ENGLISH, EUROPEAN, PLAIN, Marks
from pipelines.sources import FIND, ReadOptions, Table, parse
from pipelines.sources.table import checked
from serving.scorecard.inputs import DECIMALS, NUMBER, THOUSANDS, Cleaning, Input, InputError
from serving.scorecard.scalars import number

CLEANING = Cleaning()


def read(content: str | bytes, filename: str = "t.csv", **options) -> Table:
    content = content.encode() if isinstance(content, str) else content
    return checked(parse(content, filename, filename, ReadOptions(**options)))


def values(content: str | bytes, filename: str = "t.csv", **options) -> dict:
    return read(content, filename, **options).columns.to_pydict()


def dataset(content: str | bytes, filename: str = "t.csv", *, options=FIND, **roles) -> Dataset:
    content = content.encode() if isinstance(content, str) else content
    table = checked(parse(content, filename, filename, options))
    return prepare(table, Roles(**{"target": "y", **roles}))


def lines(header: str, *rows: str, times: int = 1) -> str:
    return "\n".join([header, *rows * times]) + "\n"


# --- separators


@pytest.mark.parametrize(
    ("text", "found", "told"),
    [
        ("a,b\n1,2\n", {"a": ["1"], "b": ["2"]}, "separator ','"),
        ("x k\n5.0 3\n8.0 2\n", {"x": ["5.0", "8.0"], "k": ["3", "2"]}, "separator blanks"),
        ("  x   k\n 5.0   3 \n 8.0 \t 2\n", {"x": ["5.0", "8.0"], "k": ["3", "2"]}, "separator blanks"),
        ('x name\n5 "a b"\n8 c\n', {"x": ["5", "8"], "name": ["a b", "c"]}, "separator blanks"),
        ("a; b\n1; 2\n", {"a": ["1"], "b": [" 2"]}, "separator ';'"),
        ('a; b; c\n1; "x; y"; 3\n', {"a": ["1"], "b": ["x; y"], "c": ["3"]}, "separator ';'"),
        ("a;b\n1,5;2,5\n3,5;4,5\n", {"a": ["1,5", "3,5"], "b": ["2,5", "4,5"]}, "separator ';'"),
        ("a,b,\n1,2,\n3,4,\n", {"a": ["1", "3"], "b": ["2", "4"], "Unnamed: 2": ["", ""]}, ""),
        ("a,b\n1,2,\n3,4,\n", {"a": ["1", "3"], "b": ["2", "4"]}, ""),
        ("a,b,\n1,2\n3,4\n", {"a": ["1", "3"], "b": ["2", "4"]}, ""),
        ('"a","b"\n"1",5,6\n"2",7,8\n', {"Unnamed: 0": ["1", "2"], "a": ["5", "7"], "b": ["6", "8"]}, "own name"),
        ('"a" "b"\n"1" 5 6\n"2" 7 8\n', {"Unnamed: 0": ["1", "2"], "a": ["5", "7"], "b": ["6", "8"]}, "own name"),
        ("# made by hand\n# twice\na,b\n1,2\n", {"a": ["1"], "b": ["2"]}, "2 lines that begin with '#' are skipped"),
        ("# a,b\n1,2\n3,4\n", {"a": ["1", "3"], "b": ["2", "4"]}, "names in a line that begins with '#'"),
        ("#,b\nx,2\ny,4\n", {"#": ["x", "y"], "b": ["2", "4"]}, ""),
        ("text\nhello world\nto you\n", {"text": ["hello world", "to you"]}, ""),
        (
            '18.0   8   307.0\t"chevrolet malibu"\n15.0   4   350.0\t"buick"\n',
            {"0": ["18.0", "15.0"], "1": ["8", "4"], "2": ["307.0", "350.0"], "3": ["chevrolet malibu", "buick"]},
            "separator blanks",
        ),
    ],
)
def test_separators_are_found_and_told(text, found, told):
    table = read(text)
    assert table.columns.to_pydict() == found
    assert told in "; ".join(table.notes)


def test_options_overrule_what_would_be_found():
    assert values("a^b\n1^2\n", sep="^") == {"a": ["1"], "b": ["2"]}
    assert values("a\tb\n1\t2\n", sep="\\t") == {"a": ["1"], "b": ["2"]}
    assert values("a  b\n1 2\n", sep="\\s+") == {"a": ["1"], "b": ["2"]}
    assert values("a b;c\n1 2;3\n", sep=";") == {"a b": ["1 2"], "c": ["3"]}
    assert values("a,b\n1,2\n", "t.tsv") == {"a": ["1"], "b": ["2"]}
    assert values("a,b\n1,2\n", header=False) == {"0": ["a", "1"], "1": ["b", "2"]}
    assert values("1,2\n3,5\n1,5\n", header=True) == {"1": ["3", "1"], "2": ["5", "5"]}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"sep": "abc"}, "--sep: expected one character"),
        ({"sep": "1"}, "--sep: expected one character"),
        ({"decimal": ";"}, "--decimal: expected '.' or ','"),
        ({"thousands": "x"}, "--thousands: expected one of"),
        ({"decimal": ",", "thousands": ","}, "two different marks"),
        ({"encoding": "latin-99"}, "--encoding: expected one that Python knows"),
        ({"encoding": "rot13"}, "--encoding: expected one that Python knows"),
    ],
)
def test_an_option_that_says_nothing_is_refused(options, line):
    with pytest.raises(PipelineError) as caught:
        ReadOptions(**options)
    assert line in str(caught.value)


@pytest.mark.parametrize("options", [{"sep": ";"}, {"header": True}])
def test_options_of_delimited_text_are_refused_elsewhere(options):
    with pytest.raises(PipelineError, match=f"--{next(iter(options))} goes with delimited text, found JSON lines"):
        read('{"a": 1}\n', "t.jsonl", **options)


# --- encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("text", ["größe,b\nähnlich,2\nlong,3\n", 'a,b\n"x\ny",é\nz,1\n'])
def test_encodings_are_found(text, encoding):
    found = list(csv.reader(io.StringIO(text, newline="")))
    table = read(text.encode(encoding))
    assert list(table.columns.to_pydict().items()) == [(name, list(rest)) for name, *rest in zip(*found, strict=True)]
    if encoding == "cp1252":
        assert "encoding cp1252 (assumed: it is not UTF-8; --encoding overrules)" in table.notes[0]


def test_other_alphabets_are_named_by_the_option():
    text = "имя,b\nпривет,2\n"
    assert values(text.encode("cp1251"), encoding="cp1251") == {"имя": ["привет"], "b": ["2"]}
    assert values("都市,b\n東京,2\n".encode("shift_jis"), encoding="shift_jis") == {"都市": ["東京"], "b": ["2"]}
    assert values('{"имя": 1}\n'.encode("cp1251"), "t.jsonl", encoding="cp1251") == {"имя": [1]}
    with pytest.raises(PipelineError, match=r"is not ascii text \(byte 0\); give its encoding"):
        read(text, encoding="ascii")


def test_western_text_far_into_a_file():
    table = read(b"a,b\n" + b"1,2\n" * 300_000 + b"1,\xe9\n")
    assert table.columns["b"][-1].as_py() == "é"
    assert "cp1252" in table.notes[0]


# --- the line of names


@pytest.mark.parametrize(
    "text",
    [
        lines("operation,-2,-1,0,target", "A,13.9,11.2,4.2,1", "B,5.1,28.4,2.5,2"),
        lines("400,402,404,y", ".1,.2,.3,5", ".4,.1,.3,6"),
        lines("400,402,404", ".1,.2,.3", ".4,.1,.3"),
        lines("0,1,2", ".1,.7,.3", ".4,.1,.3"),
        lines("2019,2020", "1,2", "5,3"),
        lines("country,2019,2020", "AT,1,2", "DE,5,3"),
        lines("date,x", "2020-01-01,1", "2020-01-02,2"),
        lines("name,city", "Ann,Rome", "Bob,Oslo"),
        lines("flag,x", "true,1", "false,2"),
        lines(",a,b", "0,1,2", "1,3,4"),
        lines("x", "1", "2"),
        lines("sex,class", *["m,a", "f,b"] * 5),
        lines("1e3,?,y", "1,2,3", "4,5,6"),
    ],
)
def test_a_line_of_names_is_one(text):
    header, *_ = csv.reader(io.StringIO(text))
    assert read(text).columns.column_names == [name or f"Unnamed: {place}" for place, name in enumerate(header)]


@pytest.mark.parametrize(
    "text",
    [
        lines("5.1,3.5,1.4,setosa", "4.9,3.0,1.4,setosa", "6.3,3.3,6.0,virginica"),
        lines("1000025,5,?,2", "1002945,5,4,2", "1015425,3,1,2"),
        lines("39, State-gov, 77516, <=50K", "50, Private, 83311, <=50K", "38, Private, 215646, >50K"),
        lines("p,x,s,n,p", "e,x,s,y,p", "p,x,s,n,e", "e,x,y,n,p"),
        lines("2020-01-01,1.5", "2020-01-02,2"),
        lines("1,1,0,5", "2,0,0,3", "1,1,1,4"),
        lines("15,72;3,5", "1,5;2,25"),
        lines("?,2,1", "3,8,2", "5,1,7"),
        lines("true,3", "false,2.5"),
        lines(" 0.00632  18.00   2.310", " 0.02731   0.00   7.070"),
    ],
)
def test_a_file_without_names_keeps_its_first_row(text):
    table = read(text)
    assert table.columns.column_names == [str(place) for place in range(table.columns.num_columns)]
    assert table.columns.num_rows == len(text.splitlines())
    assert "no line of names: the columns are called 0 to" in table.notes[0]
    assert any("--header yes overrules" in note for note in table.notes)


def test_numbers_taken_as_names_are_told():
    assert any("--header no overrules" in note for note in read(lines("0,1,2", ".1,.7,.3", ".4,.1,.3")).notes)


def test_names_are_trimmed_and_named_alike_whatever_the_source():
    records = '{" x ": 1, "": 2, "y": 3}\n'
    assert read(records, "t.jsonl").columns.column_names == ["x", "Unnamed: 1", "y"]
    assert read("\ufeff x ,,y\r\n1,2,3\r\n").columns.column_names == ["x", "Unnamed: 1", "y"]
    with pytest.raises(PipelineError, match="column names must differ, found ' x', 'x', one name once trimmed"):
        read('{" x": 1, "x": 2}\n', "t.jsonl")
    table = read("x,y\n1,2\n")
    assert (table.known_as("x"), table.known_as(" x "), table.known_as("z")) == ("x", "x", None)


# --- marks of numbers


@pytest.mark.parametrize(
    ("separator", "written", "found"),
    [
        (";", {"a": ["50.714", "554"], "b": ["15,72", "5,73"], "n": ["10", "3"]},
         {"a": EUROPEAN, "b": EUROPEAN, "n": EUROPEAN}),
        (";", {"a": ["50.714", "5.540"], "n": ["10", "3"]}, {}),
        (";", {"a": ["0.714", "1.540"], "b": ["15,72", "5,73"]}, {"b": EUROPEAN}),
        (";", {"a": ["15.7", "1.540"], "b": ["15,72", "5,73"]}, {"b": EUROPEAN}),
        (";", {"a": ["1.234.567", "12"], "b": ["3.500", "NA"]}, {"a": EUROPEAN, "b": EUROPEAN}),
        (",", {"a": ["1,234,567", "12"], "b": ["3.500", "NA"]}, {"a": ENGLISH}),
        (",", {"a": ["1,234.5", "12"]}, {"a": ENGLISH}),
        (",", {"a": ["1,234", "12"]}, {"a": ENGLISH}),
        (";", {"a": ["1,234", "12"]}, {"a": EUROPEAN}),
        (";", {"a": ["1,234", "12"], "b": ["0.5", "1"]}, {"a": ENGLISH}),
        (";", {"a": ["1,234", "12"], "b": ["0,5", "1"]}, {"a": EUROPEAN, "b": EUROPEAN}),
        ("\t", {"a": ["1,234", "12"]}, {}),
        (",", {"a": ["1,23,456", "12,34,567"]}, {"a": ENGLISH}),
        (",", {"a": ["1'234.5", "999"]}, {"a": Marks(".", "'")}),
        (";", {"a": ["1 234,5", "999"]}, {"a": Marks(",", " ")}),
        ("\t", {"a": ["1\u202f234", "999"], "b": ["0,5", "1"]}, {"a": Marks(",", "\u202f"), "b": EUROPEAN}),
        (",", {"a": ["1_000", "2_000"]}, {}),
        (",", {"a": ["x, y", "2,5"]}, {}),
        (",", {"a": ["192.168.0.1", "10.0.0.1"]}, {}),
        (",", {"a": ["", "NA"], "b": ["1.5", "2"]}, {}),
        (";", {"a": ["15,72", "5,73", "1,5", "2,5", "k.A."]}, {"a": EUROPEAN}),
    ],
)  # fmt: skip
def test_marks_are_found(separator, written, found):
    assert marks.find(pa.table(written), separator, CLEANING).by_column == found


def test_marks_are_found_late_in_a_long_file():
    rows = ["554"] * 5000
    rows[4000] = "0,5"
    assert marks.find(pa.table({"a": rows, "b": ["1.234"] * 5000}), ";", CLEANING).by_column == {
        "a": EUROPEAN,
        "b": EUROPEAN,
    }


def test_european_numbers_are_numbers_and_told():
    text = lines("umsatz;gewicht;y", "50.714;15,72;10228", "2.409;24,90;16112", "554;5,73;3708", times=20)
    table = dataset(text)
    assert table.features["umsatz"].unique().tolist() == [50714, 2409, 554]
    assert table.features["gewicht"].unique().tolist() == [15.72, 24.9, 5.73]
    assert table.inputs == (
        Input("umsatz", NUMBER, integer=True, decimal=",", thousands="."),
        Input("gewicht", NUMBER, decimal=",", thousands="."),
    )
    assert "numbers with decimal ',', thousands '.' (found): 'umsatz', 'gewicht', 'y'" in read(text).notes
    plain = dataset(text, options=ReadOptions(decimal="."))
    assert plain.features["umsatz"].unique().tolist() == [50.714, 2.409, 554]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"decimal": ","}, EUROPEAN),
        ({"decimal": "."}, ENGLISH),
        ({"thousands": "."}, EUROPEAN),
        ({"thousands": ","}, ENGLISH),
        ({"thousands": " "}, Marks(",", " ")),
        ({"thousands": "_"}, Marks(".", "_")),
        ({"decimal": ",", "thousands": "'"}, Marks(",", "'")),
    ],
)
def test_given_marks_are_those_of_all_text(options, found):
    content = "a;b\n1 234,5;x\n2 000,5;y\n" if options.get("thousands") == " " else "a;b\n1;x\n2;y\n"
    assert read(content, **options).marks == {"a": found, "b": found}


def test_marks_that_cannot_be_told_are_hinted_at():
    (note,) = marks.find(pa.table({"a": ["1,234", "12"]}), "\t", CLEANING).notes
    assert "give --decimal or --thousands" in note
    (_, note) = marks.find(pa.table({"a": ["1,234", "12"]}), ",", CLEANING).notes
    assert "--decimal and --thousands overrule" in note


all_marks = st.sampled_from([Marks(one, other) for one in DECIMALS for other in THOUSANDS if one != other])
written = st.one_of(
    st.text("0123456789.,' +-eE_", max_size=10),
    st.from_regex(r"[+-]?[0-9]{1,3}([.,' ][0-9]{2,3}){0,3}([.,][0-9]{0,3})?", fullmatch=True),
)


@given(written, all_marks)
@example("1.234", EUROPEAN)
@example("12.34.567,8", EUROPEAN)
@example("1,5e3", EUROPEAN)
def test_text_with_marks_is_the_same_number_in_training_and_scoring(text, own):
    column = Input("c", NUMBER, decimal=own.decimal, thousands=own.thousands)
    trimmed = text.strip()
    try:
        expected = number(trimmed, "c", *own) if CLEANING.text(text) is not None else None
    except InputError:
        expected = "refused"
    if isinstance(expected, float) and np.isinf(expected):
        expected = "refused"
    raw = pa.chunked_array([pa.array([text])])
    try:
        found = columns.convert(raw, column, CLEANING).iloc[0]
        found = None if np.isnan(found) else found
    except InputError:
        found = "refused"
    assert repr(found) == repr(expected if expected is None or expected == "refused" else np.float64(expected))
    if isinstance(expected, float):
        inferred = columns.infer("c", raw, CLEANING, own)
        assert (inferred.type, inferred.marks, inferred.values.iloc[0]) == (NUMBER, own, expected)
        assert inferred.as_input().read(text, CLEANING) == expected


amounts = st.lists(st.integers(1, 10**7), min_size=8, max_size=30)


@given(amounts, st.lists(st.integers(1, 10**6).map(lambda cents: cents * 10 + 1), min_size=30, max_size=30))
def test_a_european_file_is_the_table_that_was_written(whole, cents):
    """Whatever the amounts: grouped by dots, with three decimals beside them that end in no zero."""
    grouped = [f"{amount:,}".replace(",", ".") for amount in whole]
    decimals = [f"{cent / 1000:.3f}".replace(".", ",") for cent in cents[: len(whole)]] + ["0,5"]
    rows = [f"{a};{b}" for a, b in zip([*grouped, "1"], decimals, strict=True)]
    table = read(lines("a;b", *rows))
    found = columns.infer("a", table.columns["a"], CLEANING, table.marks_of("a"))
    assert found.values.tolist() == [*whole, 1]
    found = columns.infer("b", table.columns["b"], CLEANING, table.marks_of("b"))
    assert found.values.tolist() == [*(cent / 1000 for cent in cents[: len(whole)]), 0.5]


def test_a_table_that_shows_no_marks_is_read_by_the_models_own():
    inputs = (Input("a", NUMBER, decimal=",", thousands="."), Input("b", NUMBER, decimal=",", thousands="."))
    bare = Table(pa.table({"a": ["1.234"], "y": ["5.678"]}), "t", "t", "d")
    assert bare.written_as(inputs, CLEANING).marks_of("y") == EUROPEAN
    assert bare.written_as((*inputs, Input("c", NUMBER)), CLEANING).marks_of("y") == PLAIN
    own = Table(bare.columns, "t", "t", "d", marks={"a": ENGLISH})
    assert own.written_as(inputs, CLEANING).marks_of("y") == PLAIN


# --- the declared categories of other programs


def test_numbers_declared_as_categories_are_told(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"grade": pd.Categorical([1, 2, 3, 7] * 10), "x": np.arange(40) / 7, "y": [0.5, 1.5] * 20})
    frame.to_parquet(tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    found = dataset(content, "t.parquet")
    assert [column.type for column in found.inputs] == [NUMBER, NUMBER]
    assert any(
        "'grade' is declared as categories, and its numbers are taken as amounts" in note for note in found.notes
    )
    assert not any("declared" in note for note in dataset(content, "t.parquet", keep=("grade",)).notes)
    target = dataset(content, "t.parquet", target="grade")
    assert target.classes == [1, 2, 3, 7]
    assert any("'grade' is declared as categories; --task regression overrules" in note for note in target.notes)


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        (["2024-01", "2023-12"], ["2024-01-01", "2023-12-01"]),
        (["2024-Q2", "Q4 2023"], ["2024-04-01", "2023-10-01"]),
        (["2022-W52", "2023W01", "2023-W01-3"], ["2022-12-26", "2023-01-02", "2023-01-04"]),
        (["Dec-23", "Jan 2024", "Feb '99"], ["2023-12-01", "2024-01-01", "1999-02-01"]),
        (["31.12.23", "1.1.24"], ["2023-12-31", "2024-01-01"]),
        (["31. Dezember 2023", "3 mars 2024"], ["2023-12-31", "2024-03-03"]),
        (["20231231", "20240101"], ["2023-12-31", "2024-01-01"]),
    ],
)
def test_spellings_of_dates_are_put_in_order(texts, days):
    import pandas as pd

    found = dates.moments(pd.Series(texts), "t")
    assert found.astype("datetime64[D]").astype(str).tolist() == days


@pytest.mark.parametrize("text", ["13:45", "23-Dec", "1:05 pm"])
def test_a_moment_without_its_year_is_no_time(text):
    import pandas as pd

    with pytest.raises(PipelineError, match="--time t: expected dates or numbers, found text"):
        dates.moments(pd.Series([text]), "t")


# --- words for a missing value


def test_words_for_a_missing_value_are_read_as_such():
    text = lines("t,k,y", "-,none,1", "2.5,a,2", "NA,b,3", " - ,a,2", "3,b,9", times=3)
    made = dataset(text, options=ReadOptions(missing=("-", "none")))
    assert [item.type for item in made.inputs] == ["number", "category"]
    assert int(made.features["t"].isna().sum()) == 9
    assert int(made.features["k"].isna().sum()) == 3
    assert made.cleaning.text(" - ") is None
    assert made.cleaning.text("NA") is None
    assert (
        "'t' holds numbers but for '-' (50 %), taken as categories; --missing '-' reads it as missing"
        in dataset(text).notes
    )


def test_a_word_among_numbers_is_told_wherever_it_stands():
    numbers = [f"{place}.5" for place in range(60)]
    with pytest.raises(PipelineError, match="NA or nothing is a missing value; --missing '-' reads it as missing"):
        dataset(lines("t,y", *(f"{number},{number}" for number in numbers), "-,1"))
    nearly_unique = [f"{number if place % 3 else '-'},{place % 7},{place}" for place, number in enumerate(numbers)]
    found = dataset(lines("t,x,y", *nearly_unique))
    assert found.left_out["t"] == "numbers but for '-' (33 %), read as text; --missing '-' reads it as missing"
    labels = dataset(lines("x,y", *(f"{place % 7},{'-' if place % 4 else place % 3}" for place in range(60))))
    assert any(note.startswith("'y' holds numbers but for '-'") for note in labels.notes)


def test_words_for_a_missing_value_do_not_hide_marks():
    text = lines("t;y", "1,5;1,5", "k.A.;2", "2,5;3", "n.v.;2,5")
    assert read(text, missing=("k.A.", "n.v.")).marks == {"t": EUROPEAN, "y": EUROPEAN}


@pytest.mark.parametrize("number", ["-999", "1e5", "1.234,5", "inf", "1,234"])
def test_a_number_is_no_word_for_a_missing_value(number):
    with pytest.raises(PipelineError, match="--missing: expected words, found the number"):
        ReadOptions(missing=(number,))


def test_words_for_a_missing_value_go_with_text_of_any_source():
    records = '{"t": 1.5, "y": 1}\n{"t": "-", "y": 2}\n{"t": 2, "y": 3}\n'
    assert dataset(records, "t.jsonl", options=ReadOptions(missing=("-",))).inputs[0].type == NUMBER
    with pytest.raises(PipelineError, match="--skip-rows goes with delimited text"):
        read(records, "t.jsonl", skip_rows=1)


# --- lines above the table


@pytest.mark.parametrize(
    ("title", "options"),
    [
        (["Report"], {}),
        (["Report of 2024", ""], {}),
        (["Report, of 2024", ""], {}),
        (["Report;;", ";;", "Region: all;;"], {}),
        (["Report", "", "Region;;"], {"sep": ";"}),
    ],
)
def test_lines_above_the_table_are_told_and_skipped(title, options):
    table = ["a;b;y", *(f"{row};{row % 3};{row * 7 % 5}" for row in range(9))]
    text = "\n".join([*title, *table]) + "\n"
    with pytest.raises(PipelineError, match=f"begin at line {len(title) + 1}, .*--skip-rows {len(title)} skips them"):
        read(text, **options)
    found = read(text, skip_rows=len(title), **options)
    assert found.columns.equals(read("\n".join(table)).columns)
    crossed = text.replace("5;2;0", "5;2")
    with pytest.raises(PipelineError, match=f"line {len(title) + 7} has 2 values"):
        read(crossed, skip_rows=len(title), **options)


@pytest.mark.parametrize(
    "text",
    [
        lines("x", "1 5", "2 6", "3 7", "4 8"),
        lines("a,b,y,", "1,2,3", "4,5,6", "7,8,9", "1,1,1"),
        lines("a,b", "r1,1,2", "r2,3,4", "r3,5,6", "r4,7,8"),
        lines("a;b", *("1,5;2,5" for _ in range(5))),
        lines("sep=;\na;b", *("1,5;2,5" for _ in range(5))),
        lines(",a,b", "0,1,2", "1,3,4", "2,5,6", "3,7,8"),
        lines("# made by hand\n\na,b", "1,2", "3,4", "5,6", "7,8"),
    ],
)
def test_a_table_that_begins_at_once_is_read(text):
    with contextlib.suppress(PipelineError):
        assert read(text).columns.num_rows
        return
    with pytest.raises(PipelineError, match=r"^(?!.*--skip-rows)"):
        read(text)


def test_a_quotation_mark_above_the_table_opens_no_value():
    for rows in (["a;b", "1;2", "3;4"], ['a; "b"', '1; "2"', '3; "4"']):
        found = values('Report "x\n\n' + "\n".join(rows), skip_rows=1)
        assert found == {"a": ["1", "3"], "b": ["2", "4"]}


def test_more_lines_to_skip_than_there_are_is_refused():
    with pytest.raises(PipelineError, match="--skip-rows 7: expected more lines than that"):
        read(lines("a,b", "1,2"), skip_rows=7)


def test_a_separator_that_is_not_in_the_first_line_is_refused():
    with pytest.raises(PipelineError, match="--sep ';': the first line has none, and ',' seems to be the separator"):
        read(lines("a,b", "1,2", "3,4"), sep=";")
    assert values(lines("a", "1", "2"), sep=";") == {"a": ["1", "2"]}


def test_three_digits_behind_every_dot_between_semicolons_are_told():
    rows = [f"{row % 9 + 1}.{row * 37 % 1000:03d};{row}" for row in range(30)]
    (note,) = [note for note in read(lines("a;y", *rows)).notes if "--thousands ." in note]
    assert note.startswith("'a': dots are taken as decimal marks")
    assert not any("--thousands" in note for note in read(lines("a;y", *rows, "0.5;1")).notes)
    assert not any("--thousands" in note for note in read(lines("a,y", *(row.replace(";", ",") for row in rows))).notes)


# --- JSON lines, NUL bytes


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[1, 2]\n[3, 4]\n", "each line is a JSON array"),
        ('[{"x": 1}]\n', "it is one JSON array"),
        ('[\n{"x": 1}\n]\n', "it is one JSON array"),
        ('{"x": 1, "y": 2}\n{"x": 1, "x": 2, "y": 3}\n', "line 2 has the key 'x' more than once"),
        ('{"x": 1}\n{"x": "a"}\n' + '{"x": 1}\n' * 2000 + '{"x": 1, "x": "b"}\n', "line 2003 has the key 'x'"),
    ],
)
def test_json_lines_that_are_no_table_are_told_apart(content, told):
    with pytest.raises(PipelineError, match=told):
        read(content, "t.jsonl")


def test_a_key_within_a_nested_object_may_recur():
    assert read('{"x": 1, "n": {"x": 2}}\n{"x": 2, "n": {"x": 2}}\n', "t.jsonl").columns.column_names == ["x", "n"]


def test_a_nul_byte_in_text_is_told_with_its_line():
    rows = b"".join(b"%d,%d\n" % (row, row) for row in range(500))
    with pytest.raises(PipelineError, match="holds a NUL byte in line 502; remove it"):
        read(b"a,b\n" + rows + b"1,\0\n")
    with pytest.raises(PipelineError, match="is binary"):
        read(b"a,b\n" + b"\0\1\2" * 300)
