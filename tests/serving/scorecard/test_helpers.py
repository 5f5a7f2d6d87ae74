"""The helpers of exported programs are source files that compilers read, and an export takes those that it needs."""

import subprocess
from pathlib import Path

import pytest

from serving.scorecard import exports
from serving.scorecard.exports.helpers import Helpers
from tests.serving.scorecard import gcc
from tests.serving.scorecard.test_nodes import CARDS
from tests.system import need

LANGUAGES = Path(exports.__file__).parent / "languages"


def test_a_compiler_reads_the_helpers_of_c() -> None:
    command = [need("gcc"), *gcc.STRICT, "-Wno-unused-function", "-fsyntax-only", str(LANGUAGES / "helpers.c")]
    subprocess.run(command, check=True, timeout=60)


def test_node_reads_the_helpers_of_javascript() -> None:
    subprocess.run([need("node"), "--check", str(LANGUAGES / "helpers.mjs")], check=True, timeout=60)


@pytest.mark.parametrize(
    ("file", "name", "needed", "not_needed"),
    [
        ("helpers.py", "_softmax", [], ["_logistic"]),
        ("helpers.py", "_inverse_box_cox", ["_exp", "_log1p"], ["_expm1"]),
        ("helpers.mjs", "softmax", ["placeOfLargest"], ["logistic", "margins"]),
        ("helpers.mjs", "kind", [], ["number", "boolean"]),
        ("helpers.c", "look_up", ["place_of"], ["known"]),
    ],
)
def test_a_helper_brings_what_it_calls_before_it(file: str, name: str, needed: list, not_needed: list) -> None:
    *before, last = Helpers(file).taken({name})
    text = "".join([*before, last])

    assert name in last
    assert all(f"{other}(" in text for other in needed)
    assert not any(f"{other}(" in text for other in not_needed)


def test_a_helper_that_no_file_has_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        Helpers("helpers.c").taken({"nobody"})


@pytest.mark.parametrize("name", ["step impute", "step yeo_johnson", "model mlp"])
def test_an_export_has_no_line_of_what_only_linters_read(name: str) -> None:
    for format in ("python", "javascript", "c"):
        assert "below the line" not in exports.write(CARDS[name], format)
        assert "-----" not in exports.write(CARDS[name], format)
