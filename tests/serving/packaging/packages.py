"""Packages that were never deployed, and processes that run them."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from sklearn.tree import DecisionTreeClassifier

from serving.packaging.aws_lambda import TARGET
from serving.packaging.model import PackagedModel
from serving.packaging.plan import PackagePlan
from serving.packaging.zipping import zipped as packed
from serving.scorecard import Scorecard
from tests.serving.contract import cases

#: Answers events from standard input by an unpacked package; says what it imported, and how many lines of code.
ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
log, sys.stdout = sys.stdout, sys.stderr
import lambda_function
class Context:
    aws_request_id = "r"
found = []
for event in json.load(sys.stdin):
    try:
        found.append(lambda_function.handler(event, Context))
    except Exception as error:
        found.append({"raised": type(error).__name__})
files = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
own = [file for file in files if file.startswith(sys.argv[1])]
lines = sum(bool(line.strip()) for file in own for line in open(file))
json.dump({"found": found, "lines": lines, "own": sorted(own), "imported": sorted(sys.modules)}, log)
"""


def model(card: Scorecard, example: dict | None = None) -> PackagedModel:
    """A fetched model, which nobody had to register."""
    return PackagedModel(
        "models:/made/3", "made", "3", card, "", Path(), card.digest, "passed", True, example=example or {}
    )


def planned(**options: str) -> PackagePlan:
    """The plan for AWS Lambda of a version that nobody had to register."""
    return TARGET.plan(model(cases.scorecard("labels")), TARGET.read(options))


def unpacked(card: Scorecard, folder: Path, **options: str) -> Path:
    """The package of a scorecard as Lambda lays it down."""
    archive = folder / "function.zip"
    archive.write_bytes(packed(TARGET.plan(model(card), TARGET.read(options)).package))
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder / "task")
    return folder / "task"


def ask(task: Path, events: Sequence[object], *, python: str = sys.executable) -> dict:
    """What a package answers in a process that has the standard library alone."""
    command = [python, "-I", "-S", "-B", "-c", ASK, str(task)]
    done = subprocess.run(command, input=json.dumps(events), capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


#: What the tree is logged with.
PINS = ["mlflow==3.17.2", "scikit-learn==1.9.1"]


def tree() -> tuple[DecisionTreeClassifier, pd.DataFrame]:
    """A fitted tree, and the table that it was fitted on."""
    table = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0] * 10, "visits": [1, 2, 3, 4] * 10})
    return DecisionTreeClassifier(random_state=0).fit(table, ["young", "young", "old", "old"] * 10), table
