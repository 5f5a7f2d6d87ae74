"""Evidence as a file: strict JSON, the same document when it is read again, also after years."""

import json
import math
from pathlib import Path

import jsonschema
import msgspec
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import evidence
from registry.errors import RegistryError
from registry.evidence import Evidence
from registry.evidence.document import InputColumn
from registry.evidence.files import SCHEMA, read_holdout, schema
from registry.holdout import ID, HoldoutRule, completed
from tests.registry import made

FROZEN = sorted(Path(__file__).parent.glob("frozen/*.json"))
GOOD = made.holdout([1.0] * made.ROWS)


def document(**parameters: object) -> Evidence:
    found = made.document(GOOD)
    return msgspec.structs.replace(found, model=msgspec.structs.replace(found.model, parameters=parameters))


def strict(path: Path) -> dict:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def in_folder(content: object, folder: Path) -> Path:
    (folder / evidence.DOCUMENT).write_text(json.dumps(content))
    return folder


def test_a_parameter_may_be_infinite_or_no_number(tmp_path: Path):
    given = document(C=math.inf, low=-math.inf, gap=math.nan, text="inf", alpha=0.1, flag=True, none=None)
    written = strict(evidence.write(given, tmp_path))
    assert written["model"]["parameters"]["C"] == {"float": "inf"}
    found = evidence.read(tmp_path).model.parameters
    assert math.isnan(found.pop("gap"))
    assert found == {"C": math.inf, "low": -math.inf, "text": "inf", "alpha": 0.1, "flag": True, "none": None}


PARAMETERS = st.dictionaries(
    st.text(max_size=8), st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(), st.text())
)


@given(parameters=PARAMETERS)
def test_law_what_was_read_is_written_as_it_was(tmp_path_factory, parameters: dict):
    folder = tmp_path_factory.mktemp("evidence")
    first = evidence.write(document(**{f"p{name}": value for name, value in parameters.items()}), folder / "first")
    assert evidence.write(evidence.read(folder / "first"), folder / "again").read_bytes() == first.read_bytes()


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_documents_of_earlier_releases_are_read_whole(path: Path, tmp_path: Path):
    frozen = json.loads(path.read_text())
    written = strict(evidence.write(evidence.read(in_folder(frozen, tmp_path)), tmp_path / "again"))
    before = {"named": False, "scheme": None, "like": None, "earlier": None, "notes": [], "declared_unseen": None}
    assert written == {**frozen, "holdout": {**before, **frozen["holdout"]}}


def test_what_the_first_releases_did_not_write_is_not_known():
    path = next(path for path in FROZEN if path.stem == "without-key-scheme")
    section = json.loads(path.read_text())["holdout"]
    rule = msgspec.convert(completed(section), HoldoutRule)
    assert (rule.scheme, rule.named, rule.applies) == (None, False, False)
    assert HoldoutRule.from_tag(json.dumps({**section, "by": ID})).named


def test_other_numbers_are_finite(tmp_path: Path):
    given = made.document(GOOD)
    given.baseline.metrics["rmse"] = math.inf
    with pytest.raises(RegistryError, match="evidence holds finite numbers only"):
        evidence.write(given, tmp_path)
    assert not (tmp_path / evidence.DOCUMENT).exists()


@pytest.mark.parametrize("section", [name for name in Evidence.__struct_fields__ if name != "schema_version"])
@pytest.mark.parametrize("content", [[3], {"x": 3}, "x", 3])
def test_a_section_that_was_tampered_with_is_named_on_one_line(section: str, content: object, tmp_path: Path):
    folder = in_folder({**made.content(GOOD), section: content}, tmp_path)
    with pytest.raises(RegistryError, match=rf"^evidence\.json is damaged: .*\$\.{section}\S*; evaluate the version"):
        evidence.read(folder)


def test_a_section_that_is_missing_or_new_is_named(tmp_path: Path):
    content = made.content(GOOD)
    missing = {name: section for name, section in content.items() if name != "lineage"}
    with pytest.raises(RegistryError, match="`lineage`"):
        evidence.read(in_folder(missing, tmp_path))
    with pytest.raises(RegistryError, match="unknown sections carbon; a newer release wrote it, upgrade"):
        evidence.read(in_folder({**content, "carbon": {}}, tmp_path))
    # Below the top level a newer release may say more.
    content["lineage"]["host"] = "somewhere"
    assert evidence.read(in_folder(content, tmp_path)).lineage == made.document(GOOD).lineage


def test_what_is_not_known_of_a_version_is_none(tmp_path: Path):
    nothing = {"lineage": None, "suite": None, "parity": None, "cross_validation": None}
    found = evidence.read(in_folder({**made.content(GOOD), **nothing}, tmp_path))
    assert found.lineage is found.suite is found.parity is found.cross_validation is None
    given = {**made.content(GOOD)["holdout"], "by": "given"}
    assert evidence.read(in_folder({**made.content(GOOD), "holdout": given}, tmp_path)).holdout.possibly_trained_on


def test_usual_marks_of_numbers_are_not_written():
    plain = InputColumn("age", "number", False, True)
    assert msgspec.to_builtins(plain) == {"name": "age", "type": "number", "integer": False, "null": True}
    assert msgspec.to_builtins(msgspec.structs.replace(plain, decimal=","))["decimal"] == ","


def test_the_published_schema_is_that_of_the_types():
    """If it fails, write ``registry.evidence.files.schema()`` into the file."""
    assert json.loads(SCHEMA.read_text()) == json.loads(json.dumps(schema()))


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_documents_fit_the_published_schema(path: Path):
    jsonschema.Draft202012Validator(schema()).validate(json.loads(path.read_text()))


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("probability_good", None, "it lacks probability_good"),
        ("key", None, "it lacks key"),
        ("probability_bad", ["x"] * 60, "it holds no numbers in probability_bad"),
    ],
)
def test_answers_without_the_columns_of_the_classes_are_damaged(
    column: str, values: list | None, says: str, tmp_path: Path
):
    table = made.labels([0.2, 0.8] * 30)
    model = made.document(table).model
    place = table.column_names.index(column)
    broken = table.remove_column(place) if values is None else table.set_column(place, column, pa.array(values))
    pyarrow.parquet.write_table(broken, tmp_path / evidence.HOLDOUT)
    with pytest.raises(ValueError, match=says):
        read_holdout(tmp_path / evidence.HOLDOUT, model)
