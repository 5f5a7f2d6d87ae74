"""What helps with a gate that failed: a command with the real names, or the lines of the policy that overrule it."""

import shlex

import pytest

from registry import policy
from registry.cli import next_steps
from registry.gates import GateResult, Verdict

TAGS = {"data.source": "/data/my table.csv", "target": "churned"}
TABLE = "--data '/data/my table.csv' --target churned"


def lines(
    *failed: str, tags: dict[str, str] | None = None, given: str | None = None, trained_by: str = ""
) -> list[str]:
    """The lines after these gates failed for Production."""
    results = tuple(GateResult(gate, False, "because") for gate in failed)
    verdict = Verdict(not failed, results, "sha256:ab", None)
    tags = TAGS if tags is None else tags
    steps = next_steps.of_judged(
        "my model", "3", verdict, tags=tags, policies=policy.read(given), given=given, trained_by=trained_by
    )
    program = next_steps.command("registry")
    return [step.line.replace(program, "lifecycle").replace("python -m pipelines", "lifecycle") for step in steps]


AGAIN = "lifecycle gates 'my model' 3 --stage Production"


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        ("evidence", f"lifecycle evaluate --model 'models:/my model/3' {TABLE}"),
        ("champion", f"lifecycle evaluate --model 'models:/my model/3' {TABLE}"),
        ("bound", f"lifecycle tune {TABLE} --name 'my model'"),
        ("baseline", f"lifecycle tune {TABLE} --name 'my model'"),
        (
            "schema",
            "lifecycle promote 'my model' 3 --stage Production --reason 'callers know of the new columns' "
            "--breaking yes",
        ),
    ],
)
def test_a_command_helps(gate: str, line: str):
    assert lines(gate) == [line, AGAIN]


def test_lines_of_the_policy_are_comments_for_the_shell():
    rules_of = {
        "lineage": ["lineage:", "  commit: optional"],
        "suite": ["suite: optional"],
        "parity": ["parity: optional"],
    }
    for gate, rules in rules_of.items():
        found = lines(gate)
        comments = [line for line in found if line.startswith("#")]
        assert [f"#   {rule}" for rule in rules] == comments[-len(rules) :]
        assert str(policy.read().own_file) in comments[-len(rules) - 1]
        assert all(shlex.split(line, comments=True) == [] for line in comments)


def test_a_pipeline_of_ones_own_is_trained_again_and_not_tuned():
    tags = {**TAGS, "pipeline": "features:build"}
    assert f"lifecycle train {TABLE} --pipeline features:build --name 'my model'" in lines("lineage", tags=tags)
    assert lines("bound", tags=tags) == [AGAIN]


def test_without_a_suite_it_is_trained_again_with_one():
    assert lines("suite")[0] == f"lifecycle train {TABLE} --name 'my model' --suite auto"


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        ("champion", f"lifecycle evaluate --model 'models:/my model/3' {TABLE} --missing -,none --sep ';'"),
        (
            "suite",
            f"lifecycle train {TABLE} --missing -,none --sep ';' --id customer --param C=0.1 --name 'my model' "
            "--suite auto",
        ),
        ("bound", f"lifecycle tune {TABLE} --missing -,none --sep ';' --id customer --suite none --name 'my model'"),
    ],
)
def test_the_options_of_the_training_are_in_the_commands(gate: str, line: str):
    typed = (
        "python -m pipelines train --data 'my table.csv' --target churned --missing -,none --sep ';' --id customer "
        "--param C=0.1 --suite none --query '' --json"
    )
    assert lines(gate, trained_by=typed)[0] == line


@pytest.mark.parametrize("typed", ["lifecycle train --data 'x", "python -m pipelines", "train --sep *** --id a"])
def test_a_command_that_cannot_be_read_adds_nothing(typed: str):
    assert lines("bound", trained_by=typed) == lines("bound")


def test_rows_that_neither_was_trained_on_are_asked_for_where_the_table_is_not_known():
    (line, again) = lines("champion", tags={})
    assert line.startswith("lifecycle evaluate --model 'models:/my model/3' --data TABLE --unseen yes")
    assert again == AGAIN


def test_breaking_is_offered_where_nothing_else_fails():
    assert not any("--breaking" in line for line in lines("schema", "baseline"))


def test_what_two_gates_ask_for_is_said_once():
    assert lines("bound", "baseline") == [lines("bound")[0], AGAIN]


def test_a_table_that_cannot_be_typed_again_is_not_suggested():
    for source in ("postgresql://ann:***@host/db", ""):
        assert lines("bound", "lineage", tags={"data.source": source, "target": "y"}) == [AGAIN]
    assert (
        lines("bound", tags={"data.source": "scikit-learn:wine"})[0] == "lifecycle tune --data wine --name 'my model'"
    )


def test_the_policy_that_was_given_goes_along(tmp_path):
    (tmp_path / "own.yaml").write_text("poll: 1\n")
    given = str(tmp_path / "own.yaml")
    assert lines("bound", given=given)[-1] == f"{AGAIN} --policy {given}"
    assert lines(given=given)[0].endswith(f"--policy {given}")


def test_blank_options_are_left_out_of_the_command_that_is_typed_again(monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["/x/pipelines/__main__.py", "train", "--data", "a b.csv", "--sep", "", "--seed", "0"]
    )
    again = next_steps.again("--target", "y")
    assert again.endswith(" train --data 'a b.csv' --seed 0 --target y")


def test_a_version_without_a_scorecard_is_served_by_a_server_that_runs_its_code():
    for portable, words in ((True, []), (False, ["--pyfunc", "yes"])):
        serve, _ = next_steps.of_promoted("made", "1", "Production", None, portable=portable)
        assert serve.line == next_steps.command("serving", "serve", *words)
