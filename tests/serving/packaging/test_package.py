"""``python -m serving package``: planned, then built, whole or not at all, and always the same bytes."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import mlflow
import pytest

from registry.client import connect
from registry.errors import RegistryError
from serving import packaging
from serving.errors import ServingError
from serving.packaging.building import MANIFEST
from serving.scorecard import Scorecard
from tests.command import ROOT, Command, failed, run
from tests.patience import soon

TARGET = ("--target", "aws-lambda")


def command(*words: str, folder: Path, **settings):
    return run("package", *words, folder=folder, package="serving", **settings)


@pytest.mark.parametrize("name", ["diabetes", "breast_cancer"])
def test_both_default_models_are_a_few_kilobytes(store: Path, tmp_path: Path, name: str) -> None:
    done = command(f"models:/{name}/1", *TARGET, "-o", str(tmp_path / "out"), folder=store)
    assert done.code == 0, done.err

    archive = tmp_path / "out" / "function.zip"
    assert archive.stat().st_size <= 150_000
    assert f"{archive}: {archive.stat().st_size:,} bytes" in done.out
    assert hashlib.sha256(archive.read_bytes()).hexdigest() in done.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md", "event.json", "function.zip", "plan.json", "serverless.yml", "template.yaml",
    ]  # fmt: skip
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        document = json.loads(opened.read("scorecard.json"))
        about = json.loads(opened.read("about.json"))
        row = json.loads(opened.read("example.json"))
    model = mlflow.artifacts.download_artifacts(f"models:/{name}/1")
    card = Scorecard.loads(Path(model, "scorecard.json").read_text(encoding="utf-8"))
    assert document == card.document.content
    assert about == {"model": name, "version": "1", "digest": card.digest}
    logged = json.loads(Path(model, "input_example.json").read_text(encoding="utf-8"))
    assert [row] == [dict(zip(logged["columns"], values, strict=True)) for values in logged["data"]]


def test_a_package_is_asked_with_the_example_of_its_model(store: Path, tmp_path: Path) -> None:
    command("models:/diabetes/1", *TARGET, "-o", str(tmp_path / "out"), folder=store)
    with zipfile.ZipFile(tmp_path / "out" / "function.zip") as opened:
        card = Scorecard.loads(opened.read("scorecard.json").decode())
        row = json.loads(opened.read("example.json"))
    done = run("invoke", str(tmp_path / "out"), folder=tmp_path, package="serving")
    assert json.loads(done.out) == {"predictions": [card.predict_row(row)]}
    assert 100 < card.predict_row(row) < 200, "the score of an ordinary patient"


def test_the_plan_tells_what_goes_in_and_nothing_is_written(store: Path, tmp_path: Path) -> None:
    before = sorted(store.rglob("*"))
    text = command("models:/diabetes/1", *TARGET, "--dry-run", folder=store)
    told = command("models:/diabetes/1", *TARGET, "--dry-run", "--json", "-C", "memory=512", folder=store)
    assert sorted(store.rglob("*")) == before

    plan = json.loads(told.out)
    for line in (plan["package"][0]["path"], f"{plan['zipped']:,}", "logs:PutLogEvents", "python3.13", "ledger"):
        assert line in text.out
    assert (plan["target"], plan["variant"], plan["model"], plan["version"]) == ("aws-lambda", "zip", "diabetes", "1")
    assert plan["gated"]
    assert "passed" in plan["gates"]
    assert plan["unzipped"] == sum(file["size"] for file in plan["package"])
    assert {limit["what"]: limit["most"] for limit in plan["limits"]}["unzipped"] == 250 * 1024**2
    assert plan["settings"]["MemorySize"] == 512
    assert [one["actions"] for one in plan["permissions"]] == [["logs:CreateLogStream", "logs:PutLogEvents"]]


BUILD = """
import os, sys
os.umask(int(sys.argv[1], 8))
from serving import packaging
built = packaging.build(packaging.plan(sys.argv[2], "aws-lambda"), sys.argv[3])
print(built.sha256)
"""


def test_the_same_version_gives_the_same_bytes_everywhere(store: Path, tmp_path: Path) -> None:
    hashes, contents = set(), []
    for place, (mask, zone, locale, seed, uri) in enumerate(
        [
            ("022", "UTC", "C", "0", "models:/diabetes/1"),
            ("077", "Asia/Tokyo", "C.UTF-8", "1", "models:/diabetes@challenger"),
            ("000", "America/Lima", "POSIX", "2", "models:/diabetes/Staging"),
        ]
    ):
        work, out = tmp_path / f"work {place}", tmp_path / f"out {place}"
        work.mkdir()
        variables = {"TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", BUILD, mask, uri, str(out)],
            env={**os.environ, **variables, "LEDGER_URI": f"sqlite:///{store}/ledger.db"},
            cwd=work,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        hashes.add(done.stdout)
        contents.append({path.name: (path.read_bytes(), path.stat().st_mode) for path in sorted(out.iterdir())})
    assert len(hashes) == 1
    assert contents[0] == contents[1] == contents[2]
    with zipfile.ZipFile(tmp_path / "out 0" / "function.zip") as opened:
        for info in opened.infolist():
            assert (info.date_time, info.external_attr >> 16) == ((1980, 1, 1, 0, 0, 0), 0o100644)
    whole = b"".join(content for content, _ in contents[0].values())
    assert str(tmp_path).encode() not in whole
    assert str(store).encode() not in whole
    assert str(ROOT).encode() not in whole


class TestGates:
    def test_the_ledger_remembers_what_passed(self, store: Path) -> None:
        plan = packaging.plan("models:/diabetes/1", "aws-lambda")
        assert plan.gated
        assert plan.gates.startswith("passed")
        assert "ledger 1" in plan.gates

    def test_of_a_version_that_was_never_judged_the_gates_are_asked(self, store: Path) -> None:
        assert "asked now" in packaging.plan("models:/breast_cancer/1", "aws-lambda").gates

    def test_a_version_that_does_not_pass_is_refused_with_its_reason(self, store: Path, tmp_path: Path) -> None:
        done = command("models:/linear/1", *TARGET, "-o", str(tmp_path / "out"), folder=store)
        line = failed(done, says="does not pass its gates")
        assert "suite" in line
        assert "--allow-ungated" in line
        assert not (tmp_path / "out").exists()
        plan = packaging.plan("models:/linear/1", "aws-lambda", allow_ungated=True)
        assert not plan.gated
        assert "let through" in plan.gates

    def test_a_version_that_was_rejected_is_refused(self, store: Path) -> None:
        client = connect()
        source = client.get_model_version("breast_cancer", "1")
        client.create_registered_model("rejected")
        client.create_model_version("rejected", source.source, source.run_id, tags=dict(source.tags))
        words = ("reject", "rejected", "1", "--reason", "test")
        assert run(*words, folder=store, package="registry").code == 0
        with pytest.raises(ServingError, match="was rejected"):
            packaging.plan("models:/rejected/1", "aws-lambda")

    def test_a_version_without_evidence_is_refused(self, store: Path) -> None:
        with pytest.raises(ServingError, match="cannot be asked"):
            packaging.plan("models:/tree/1", "aws-lambda")

    def test_a_path_and_a_run_have_no_gates(self, store: Path, tmp_path: Path) -> None:
        path = mlflow.artifacts.download_artifacts("models:/diabetes/1", dst_path=str(tmp_path))
        for uri in (path, f"runs:/{connect().get_model_version('diabetes', '1').run_id}/model"):
            with pytest.raises(ServingError, match="no registered version"):
                packaging.plan(uri, "aws-lambda")
            plan = packaging.plan(uri, "aws-lambda", options={"name": "f"}, allow_ungated=True)
            assert (plan.model, plan.version, plan.gated) == (None, None, False)


class TestRefused:
    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("--target", "mainframe", "--dry-run"), "--target is one of aws-lambda, "),
            ((*TARGET,), "--output names the folder"),
            ((*TARGET, "--dry-run", "-C", "colour=red"), "aws-lambda has no option 'colour'"),
            (
                (*TARGET, "--dry-run", "-C", "memory=64 kms_key=alias/mine"),
                "expected a whole number from 128 to 10,240",
            ),
            ((*TARGET, "-o", "no/such/folder"), "make it first"),
        ],
    )
    def test_before_anything_is_fetched(self, store: Path, words: tuple[str, ...], says: str) -> None:
        done = command("models:/diabetes/1", *words, folder=store)
        failed(done, says=says)
        assert done.seconds < soon(10)
        assert not (store / "no").exists()

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"name": "my function"}, "letters, digits, - and _, found 'my function'"),
            ({"name": "x" * 65}, "up to 64"),
            ({"runtime": "python3.8"}, "one of python3.11, "),
            ({"log_retention": "31"}, "found '31'"),
            ({"kms_key": "alias/mine"}, "arn:aws:kms"),
            ({"events": "sqs,kafka"}, "some of sqs, s3, dynamodb"),
            ({"subnets": "subnet-01"}, "both subnets and security_groups"),
            ({"output": "probabilities"}, "this model has no probabilities"),
            ({"api_keys": "0" * 64}, "auth=api-key"),
            ({"auth": "api-key", "api_keys": ",".join(["0" * 64] * 70)}, "over a limit of aws-lambda: variables"),
            ({"snap_start": "yes", "provisioned_concurrency": "1"}, "snap_start"),
            ({"snap_start": "yes", "runtime": "python3.11"}, "snap_start"),
            ({"reserved_concurrency": "1", "provisioned_concurrency": "2"}, "cannot be more"),
        ],
    )
    def test_what_lambda_will_not_take(self, store: Path, options: dict[str, str], says: str) -> None:
        with pytest.raises(ServingError, match=re.escape(says)) as refused:
            packaging.plan("models:/diabetes/1", "aws-lambda", options=options)
        assert "\n" not in str(refused.value)

    @pytest.mark.parametrize(
        ("uri", "says"),
        [
            ("models:/diabetes", "names no version"),
            ("models:/diabetes/7", "no version '7'"),
            ("models:/diabetes@nobody", "models:/diabetes@nobody cannot be resolved"),
            ("models:/diabetes/Production", "is in stage 'Production'"),
            ("models:/nothing/1", "no registered model 'nothing'"),
            ("nowhere", "neither an existing path nor a URI"),
        ],
    )
    def test_a_model_that_is_not_there(self, store: Path, uri: str, says: str) -> None:
        with pytest.raises((ServingError, RegistryError), match=re.escape(says)):
            packaging.plan(uri, "aws-lambda")

    def test_a_folder_that_is_no_model(self, store: Path, tmp_path: Path) -> None:
        with pytest.raises(ServingError, match="no MLflow model"):
            packaging.plan(str(tmp_path), "aws-lambda", allow_ungated=True)

    def test_a_name_of_which_none_can_be_made(self, store: Path) -> None:
        client = connect()
        source = client.get_model_version("diabetes", "1")
        for name in ("日本", "my model.v2"):
            client.create_registered_model(name)
            client.create_model_version(name, source.source, source.run_id, tags=dict(source.tags))
        with pytest.raises(ServingError, match="give -C name="):
            packaging.plan("models:/日本/1", "aws-lambda", allow_ungated=True)
        plan = packaging.plan("models:/my model.v2/1", "aws-lambda", allow_ungated=True)
        assert plan.name == "my-model-v2"
        assert "my-model-v2" in plan.notes[0]


class TestFolder:
    def test_an_earlier_package_is_replaced_where_asked_and_nothing_else_is(self, store: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        plan = packaging.plan("models:/diabetes/1", "aws-lambda")
        first = packaging.build(plan, out)
        with pytest.raises(ServingError, match="is there already; give --overwrite"):
            packaging.build(plan, out)
        (out / "stale").write_text("of an earlier release")
        again = packaging.build(plan, out, overwrite=True)
        assert (again.sha256, again.size) == (first.sha256, first.size)
        assert not (out / "stale").exists()

        mine = tmp_path / "mine"
        mine.mkdir()
        (mine / "thesis.txt").write_text("years of work")
        with pytest.raises(ServingError, match="holds no earlier package"):
            packaging.build(plan, mine, overwrite=True)
        (tmp_path / "link").symlink_to(mine)
        with pytest.raises(ServingError, match="no folder"):
            packaging.build(plan, tmp_path / "link", overwrite=True)
        assert (mine / "thesis.txt").read_text() == "years of work"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "mine", "out"]

    def test_an_empty_folder_is_taken(self, store: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        packaging.build(packaging.plan("models:/diabetes/1", "aws-lambda"), tmp_path / "out")
        assert (tmp_path / "out" / MANIFEST).is_file()

    def test_killed_at_any_time_it_is_whole_or_not_there(self, store: Path, tmp_path: Path) -> None:
        expected = packaging.build(packaging.plan("models:/diabetes/1", "aws-lambda"), tmp_path / "whole")
        script = (
            "import sys\nfrom pathlib import Path\nfrom serving import packaging\n"
            "plan = packaging.plan('models:/diabetes/1', 'aws-lambda')\nprint('ready', file=sys.stderr, flush=True)\n"
            "while True:\n    packaging.build(plan, sys.argv[1], overwrite=True)\n"
        )
        for delay in (0.001, 0.004, 0.009, 0.016):
            out = tmp_path / "out"
            process = subprocess.Popen(
                [sys.executable, "-c", script, str(out)],
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            assert process.stderr is not None
            while b"ready" not in (line := process.stderr.readline()):
                assert line
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stderr.close()
            if out.exists():
                assert hashlib.sha256((out / "function.zip").read_bytes()).hexdigest() == expected.sha256
                assert len([*out.iterdir()]) == 6

    def test_an_interrupt_leaves_nothing(self, store: Path, tmp_path: Path) -> None:
        words = ("package", "models:/diabetes/1", *TARGET, "-o", str(tmp_path / "out"))
        with Command(*words, folder=store, package="serving", fresh=True) as process:
            time.sleep(1.0)
            process.signal(signal.SIGINT)
            done = process.done()
        assert done.code in (0, 2, 130)
        assert "Traceback" not in done.err
        assert not [path for path in tmp_path.iterdir() if path.name != "out"]
