"""The holdout as its users meet it: commands one after another on one name, and what is said of held-out rows."""

import contextlib
import json
import re
import sqlite3
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from pipelines.__main__ import cli
from pipelines.errors import PipelineError
from pipelines.evaluation.evaluate import EvaluationRequest, evaluate
from pipelines.planning import Settings
from pipelines.training import train
from pipelines.tuning.planning import Search
from pipelines.tuning.search import tune
from registry import evidence, holdout, policy
from registry.errors import RegistryError
from registry.evidence import Evidence
from registry.evidence.document import OtherVersions
from registry.judging import StageJudge
from tests.registry import made

ROWS = 500
BARE = ("--folds", "0", "--intervals", "0", "--pictures", "no", "--suite", "none")


def houses(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "size": np.round(draw.normal(100, 30, rows), 3),
            "rooms": draw.integers(1, 8, rows),
            "colour": draw.choice(["red", "blue", None], rows),
            "garden": draw.choice([True, False], rows),
            "street": [f"s{place}" for place in draw.integers(0, 60, rows)],
            "sold": pd.date_range("2020-01-01", periods=rows, freq="D").strftime("%Y-%m-%d"),
        }
    )
    price = 3 * table["size"] + 20 * table["rooms"] + 30 * (table["colour"] == "red") + draw.normal(0, 5, rows)
    return table.assign(target=np.round(price, 3))


@pytest.fixture
def run(tracking: str, tmp_path: Path):
    houses().to_csv("houses.csv", index=False)

    def run(*words: str):
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return run


def kept(number: str, name: str = "houses") -> tuple[Evidence, pd.DataFrame, str]:
    """A version's evidence, its held-out answers, and the visible text of its card."""
    run_id = mlflow.MlflowClient().get_model_version(name, number).run_id
    folder = Path(mlflow.artifacts.download_artifacts(run_id=run_id))
    training = folder / evidence.TRAINING
    card = re.sub(r"<[^>]+>", "", (folder / "model_card.html").read_text(encoding="utf-8"))
    return evidence.read(training), pd.read_parquet(training / evidence.HOLDOUT), card


def test_rows_stay_held_out_whatever_is_dropped_kept_and_added(run) -> None:
    more = pd.concat([houses().sample(frac=1, random_state=3), houses(200, seed=9)])
    more.assign(attic=np.arange(len(more)) % 7).to_parquet("grown.parquet")
    table = houses()
    lines = table.assign(size=table["size"].map("{:.6e}".format), rooms=table["rooms"] + 0.0)
    lines.to_json("houses.jsonl", orient="records", lines=True)
    with contextlib.closing(sqlite3.connect("houses.db")) as database:
        table.to_sql("houses", database, index=False)

    run("train", "--data", "houses.csv", *BARE)
    run("train", "--data", "houses.csv", "--drop", "colour,size", *BARE)
    run("train", "--data", "grown.parquet", "--name", "houses", "--drop", "rooms", "--keep", "sold", *BARE)
    run("train", "--data", "houses.jsonl", "--name", "houses", "--drop", "garden", "--seed", "7", *BARE)
    run("train", "--data", "sqlite:///houses.db", "--query", "houses", "--name", "houses", *BARE)

    documents, held, cards = zip(*(kept(number) for number in "12345"), strict=True)
    first = list(held[0]["key"])
    assert documents[0].holdout.training_rows + len(first) == ROWS
    assert list(held[1]["key"]) == first
    assert list(held[3]["key"]) == list(held[4]["key"]) == first
    assert set(first) < set(held[2]["key"])
    assert documents[2].holdout.rows > len(first)
    assert [one.holdout.like for one in documents] == [None, "1", "2", "3", "4"]
    assert all(one.holdout.key_columns == documents[0].holdout.key_columns for one in documents)
    assert "size" not in [one.name for one in documents[1].schema.inputs]
    for place, one in enumerate(documents):
        assert one.holdout.earlier == OtherVersions(unseen=[*"12345"[:place]])
    assert "No other version of this model was registered when its training began." in cards[0]
    assert "trained on none of these rows. Nor was version 1. A later version" in cards[1]
    assert "Nor were versions 1 to 3." in cards[3]
    assert not any("is ever trained" in card for card in cards)


def test_a_file_with_decimal_commas_holds_the_same_rows_out(run) -> None:
    houses().to_csv("comma.csv", index=False, sep=";", decimal=",")
    run("train", "--data", "houses.csv", *BARE)
    run("train", "--data", "comma.csv", "--name", "houses", *BARE)

    assert list(kept("2")[1]["key"]) == list(kept("1")[1]["key"])
    assert kept("2")[0].holdout.earlier.unseen == ["1"]


def test_a_column_that_is_gone_is_said_and_nothing_is_claimed(run) -> None:
    run("train", "--data", "houses.csv", *BARE)
    houses().rename(columns={"size": "area"}).to_csv("renamed.csv", index=False)

    said = run("train", "--data", "renamed.csv", "--name", "houses", *BARE)

    assert "version 1 knows its rows by 'size', which the table lacks: rows are held out anew" in said
    assert "whether version 1 was trained on held-out rows cannot be told" in said
    document, _, card = kept("2")
    assert document.holdout.earlier == OtherVersions(unknown=["1"])
    assert "Of version 1 this is not known." in card
    # Back on the first table, the rule of the first version holds again.
    said = run("train", "--data", "houses.csv", *BARE)
    assert "version 2 knows its rows by 'area', which the table lacks: rows are held out as version 1's were" in said
    assert list(kept("3")[1]["key"]) == list(kept("1")[1]["key"])
    assert kept("3")[0].holdout.earlier == OtherVersions(unseen=["1"], unknown=["2"])


def test_a_larger_holdout_says_which_versions_saw_its_rows_and_a_smaller_one_is_within(run) -> None:
    run("train", "--data", "houses.csv", *BARE)
    said = run("train", "--data", "houses.csv", "--test-size", "0.4", *BARE)
    run("train", "--data", "houses.csv", "--test-size", "0.1", *BARE)

    first, larger, smaller = (set(kept(number)[1]["key"]) for number in "123")
    assert smaller < first < larger
    seen = len(larger - first)
    assert f"version 1 may have been trained on {seen} of the {len(larger)} held-out rows: it held out others" in said
    assert f"Version 1 may have been trained on {seen} of them" in kept("2")[2]
    assert kept("3")[0].holdout.earlier.unseen == ["1", "2"]


@pytest.mark.parametrize("option", [("--group", "street"), ("--time", "sold"), ("--id", "street")])
def test_later_versions_hold_out_as_the_first_did_unless_told_otherwise(run, option) -> None:
    run("train", "--data", "houses.csv", *option, *BARE)
    said = run("train", "--data", "houses.csv", *BARE)

    first, second = (kept(number)[0] for number in "12")
    assert f"rows are held out by {option[0].removeprefix('--')}" in said.replace("by 'street'", "by id 'street'")
    assert "as version 1's were" in said
    assert first.holdout.columns == second.holdout.columns == (option[1],)
    assert list(kept("1")[1]["key"]) == list(kept("2")[1]["key"])
    assert second.holdout.earlier.unseen == ["1"]
    assert option[1] not in [one.name for one in second.schema.inputs]

    other = ("--id", "sold") if option[0] != "--id" else ("--group", "colour")
    said = run("train", "--data", "houses.csv", *other, "--test-size", "0.3", *BARE)
    document = kept("3")[0].holdout
    assert document.columns == (other[1],)
    assert "versions 1 and 2 may have been trained on up to" in said
    assert set(document.earlier.seen) == {"1", "2"}


def test_the_champion_is_compared_on_the_rows_that_both_held_out_though_a_column_is_dropped(run) -> None:
    run("train", "--data", "houses.csv", *BARE)
    client = mlflow.MlflowClient()
    client.transition_model_version_stage("houses", "1", "Production")
    run("train", "--data", "houses.csv", "--drop", "street", *BARE)
    run("train", "--data", "houses.csv", "--drop", "size", *BARE)

    rules = policy.read().for_model("houses")
    reasons = {}
    for number in ("2", "3"):
        verdict = StageJudge(client, "houses", rules, "Production").judge(number, "1")
        reasons[number] = next(result for result in verdict.results if result.gate == "champion")
    rows = len(kept("1")[1])
    assert f" on {rows} shared held-out rows" in reasons["2"].reason
    assert not reasons["3"].passed
    assert reasons["3"].reason.startswith("worse than version 1: rmse is ")
    assert "beyond the margin of 1 % (" in reasons["3"].reason
    assert f"Both versions on the same {rows} rows, which neither was trained on." in kept("2")[2]


def test_the_champions_rule_goes_before_that_of_a_newer_version(run) -> None:
    run("train", "--data", "houses.csv", *BARE)
    mlflow.MlflowClient().transition_model_version_stage("houses", "1", "Production")
    run("train", "--data", "houses.csv", "--group", "street", *BARE)
    run("train", "--data", "houses.csv", *BARE)

    assert kept("3")[0].holdout.like == "1"
    assert list(kept("3")[1]["key"]) == list(kept("1")[1]["key"])


def test_versions_that_are_archived_count_and_deleted_ones_do_not(run) -> None:
    run("train", "--data", "houses.csv", "--group", "street", *BARE)
    client = mlflow.MlflowClient()
    client.transition_model_version_stage("houses", "1", "Archived")
    run("train", "--data", "houses.csv", *BARE)
    client.delete_model_version("houses", "1")
    run("train", "--data", "houses.csv", *BARE)
    assert [kept(number)[0].holdout.like for number in ("2", "3")] == ["1", "2"]
    assert kept("3")[0].holdout.earlier.unseen == ["2"]

    for number in ("2", "3"):
        client.delete_model_version("houses", number)
    run("train", "--data", "houses.csv", *BARE)
    assert kept("4")[0].holdout.by == "row"


def test_more_columns_than_a_tag_holds_are_read_from_the_evidence(run) -> None:
    draw = np.random.default_rng(0)
    wide = pd.DataFrame(draw.normal(size=(120, 150)), columns=[f"{'column ' * 5}{place}" for place in range(150)])
    wide.assign(target=wide.sum(axis=1)).to_csv("wide.csv", index=False)
    run("train", "--data", "wide.csv", "--estimator", "ridge", *BARE)
    run("train", "--data", "wide.csv", "--estimator", "ridge", "--drop", wide.columns[3], *BARE)

    client = mlflow.MlflowClient()
    assert holdout.TAG not in client.get_model_version("wide", "1").tags
    assert list(kept("1", "wide")[1]["key"]) == list(kept("2", "wide")[1]["key"])
    assert kept("2", "wide")[0].holdout.earlier.unseen == ["1"]


def test_of_a_version_that_an_older_release_trained_the_key_columns_are_taken_over_and_nothing_is_claimed(run) -> None:
    client = mlflow.MlflowClient()
    table = made.holdout([1.0] * made.ROWS)
    section = {"by": "row", "columns": ["size", "rooms"], "key_columns": ["size", "rooms"], "test_size": 0.2}
    made.register(client, "houses", table, holdout={**section, "cut": None, "rows": 60, "training_rows": 200})

    said = run("train", "--data", "houses.csv", *BARE)

    document, _, card = kept("2")
    assert document.holdout.key_columns == ("size", "rooms")
    assert document.holdout.earlier.unknown == ["1"]
    assert "whether version 1 was trained on held-out rows cannot be told" in said
    assert "Of version 1 this is not known." in card


def test_a_registry_that_does_not_answer_moves_no_row(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather no version than one whose rows are held out by another rule."""
    run("train", "--data", "houses.csv", *BARE)

    def silent(*_, **__):
        raise mlflow.exceptions.MlflowException("API request to http://gone failed with timed out")

    monkeypatch.setattr(mlflow.MlflowClient, "search_model_versions", silent)
    with pytest.raises(RegistryError):
        train(Settings("houses.csv", name="houses", folds=0, resamples=0, suite="none", pictures=False))


def test_two_first_trainings_say_nothing_of_each_other_and_the_third_sees_both(run, tracking: str) -> None:
    """The second is decided while the first is not yet registered: what it says it says of the versions it saw."""
    from pipelines.planning import decide
    from registry.client import connect

    settings = Settings("houses.csv", folds=0, resamples=0, suite="none", pictures=False)
    plan = decide(settings, connect=connect)
    run("train", "--data", "houses.csv", "--group", "street", *BARE)
    assert (plan.known.unseen, plan.known.seen, plan.known.unknown) == ([], {}, [])
    train(settings, inherited=plan.inherited)
    earlier = kept("2")[0].holdout.earlier
    assert set(earlier.seen) == {"1"}, "seen by now, though its rule was not taken over"
    run("train", "--data", "houses.csv", *BARE)
    earlier = kept("3")[0].holdout
    assert (earlier.like, earlier.earlier.unseen, set(earlier.earlier.seen)) == ("2", ["2"], {"1"})


def test_a_search_and_its_winner_hold_out_as_the_model_does(run) -> None:
    run("train", "--data", "houses.csv", "--group", "street", *BARE)
    settings = Settings("houses.csv", estimator="ridge", folds=2, resamples=0, suite="none", pictures=False)
    tune(Search(settings, trials=2))

    document = kept("2")[0].holdout
    assert (document.by, document.columns, document.like) == ("group", ("street",), "1")
    assert list(kept("2")[1]["key"]) == list(kept("1")[1]["key"])


# --- evaluation


def test_of_a_table_with_rows_of_training_only_the_held_out_ones_are_judged(run) -> None:
    run("train", "--data", "houses.csv", "--drop", "garden", *BARE)
    table, new = houses(), houses(100, seed=5)
    pd.concat([new, table.sample(100, random_state=1)]).to_parquet("both.parquet")
    new.to_csv("new.csv", index=False)
    held = set(kept("1")[1]["key"])

    shared = evaluate(EvaluationRequest("houses", "both.parquet", resamples=0))
    alone = evaluate(EvaluationRequest("houses", "new.csv", resamples=0))
    everything = evaluate(EvaluationRequest("houses", "both.parquet", rows="all", resamples=0))

    assert len(held) * 100 / ROWS * 0.5 < shared.rows < 100
    assert f"houses version 1 held out {shared.rows} of these 200 rows; the others are not judged" in shared.notes
    assert (alone.rows, alone.notes) == (100, ())
    assert everything.rows == 200
    assert any("was trained on rows of this table: its metrics flatter it" in note for note in everything.notes)


def test_a_table_without_a_key_column_is_judged_and_nothing_is_claimed_of_it(run) -> None:
    run("train", "--data", "houses.csv", "--drop", "garden", *BARE)
    houses(80, seed=4).drop(columns="garden").to_csv("narrow.csv", index=False)

    verdict = evaluate(EvaluationRequest("houses", "narrow.csv", resamples=0))

    assert verdict.rows == 80
    assert "houses version 1 does not tell what it was trained on: these rows may be among it" in verdict.notes
    with pytest.raises(PipelineError, match="--rows holdout: houses version 1 does not tell which of them it held out"):
        evaluate(EvaluationRequest("houses", "narrow.csv", rows="holdout", resamples=0))


def test_rows_before_the_cut_may_have_been_trained_on(run) -> None:
    run("train", "--data", "houses.csv", "--time", "sold", *BARE)
    houses(60, seed=8).to_csv("old.csv", index=False)

    verdict = evaluate(EvaluationRequest("houses", "old.csv", resamples=0))

    cut = kept("1")[0].holdout.cut
    assert any(note.startswith(f"60 of these 60 rows are not later than {cut}, up to where") for note in verdict.notes)

    houses(60, seed=8).assign(sold=None).to_csv("undated.csv", index=False)
    verdict = evaluate(EvaluationRequest("houses", "undated.csv", resamples=0))
    assert "houses version 1 does not tell what it was trained on: these rows may be among it" in verdict.notes


def test_the_rule_is_a_tag_that_says_it_all(run) -> None:
    run("train", "--data", "houses.csv", "--id", "street", "--group", "street", *BARE)
    tag = json.loads(mlflow.MlflowClient().get_model_version("houses", "1").tags[holdout.TAG])
    assert tag == {
        **{"by": "group", "columns": ["street"], "key_columns": ["street"], "named": True, "test_size": 0.2},
        **{"cut": None, "scheme": holdout.SCHEME},
    }
