"""Evidence as a file: strict JSON, and the same document when it is read again."""

import json
import math
from pathlib import Path

import pytest

from registry import evidence
from registry.errors import RegistryError
from tests.registry import made


def document(**parameters: object) -> dict:
    found = made.document(made.holdout([1.0] * made.ROWS))
    return {**found, "model": {**found["model"], "parameters": parameters}}


def strict(path: Path) -> dict:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_parameter_may_be_infinite_or_no_number(tmp_path: Path):
    given = document(C=math.inf, low=-math.inf, gap=math.nan, text="inf", alpha=0.1, flag=True, none=None)
    written = strict(evidence.write(given, tmp_path))
    assert written["model"]["parameters"]["C"] == {"float": "inf"}
    found = evidence.read(tmp_path)["model"]["parameters"]
    assert math.isnan(found.pop("gap"))
    assert found == {"C": math.inf, "low": -math.inf, "text": "inf", "alpha": 0.1, "flag": True, "none": None}


def test_what_was_read_is_written_as_it_was(tmp_path: Path):
    first = evidence.write(document(C=math.inf), tmp_path / "first").read_bytes()
    assert evidence.write(evidence.read(tmp_path / "first"), tmp_path / "again").read_bytes() == first


def test_other_numbers_are_finite(tmp_path: Path):
    given = document()
    given["baseline"] = {"strategy": "mean", "metrics": {"rmse": math.inf}}
    with pytest.raises(RegistryError, match="evidence holds finite numbers only"):
        evidence.write(given, tmp_path)
    assert not (tmp_path / evidence.DOCUMENT).exists()
