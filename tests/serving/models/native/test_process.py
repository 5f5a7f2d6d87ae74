"""A model's own code in a process of its own: whatever it does there, here it ends in one line."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature

from serving.errors import ServingError
from serving.models import native
from serving.models.files import Folder
from serving.models.native.messages import Layout
from tests.command import ROOT

TABLE = pd.DataFrame({"how": ["answer"]})

MODEL = '''
"""A model that does what its row says."""

import os
import subprocess
import sys

import mlflow


class Obedient(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        print("said on standard output")
        how = model_input["how"][0]
        if how == "raise":
            raise ArithmeticError("no such\\nnumber")
        if how == "refuse":
            raise ValueError("boom\\nline two")
        if how == "exit":
            sys.exit(3)
        if how == "die":
            os._exit(7)
        if how == "be killed":
            os.kill(os.getpid(), 9)
        if how == "leave a child and die":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            os._exit(7)
        if how == "read":
            return [float(len(sys.stdin.read()))]
        return [float(os.getpid())]


mlflow.models.set_model(Obedient())
'''


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = tmp_path_factory.mktemp("obedient")
    (folder / "code.py").write_text(MODEL)
    signature = infer_signature(TABLE, np.array([1.0]))
    path = folder / "model"
    mlflow.pyfunc.save_model(
        str(path), python_model=str(folder / "code.py"), signature=signature, pip_requirements=["mlflow", "numpy==1.0"]
    )
    return Folder(path)


def asked(model: native.NativeModel, how: str) -> float:
    return model.answer(TABLE.assign(how=how), Layout(["string"])).predictions[0]


def test_it_answers_from_another_process_and_its_failures_are_told(
    files: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with native.opened(files, "it", why="to ask it") as model:
        assert model.loaded.estimator == "pyfunc"
        pid = int(asked(model, "answer"))
        assert pid != os.getpid()
        assert asked(model, "read") == 0, "its standard input is not ours"
        with pytest.raises(
            ServingError, match=r"^it does not answer these rows: ArithmeticError: no such number; its "
        ):
            asked(model, "raise")
        with pytest.raises(ServingError, match=r"does not answer these rows: ValueError: boom line two; its "):
            asked(model, "refuse")
        with pytest.raises(ServingError, match=r"does not answer these rows: SystemExit: 3; .* numpy==1.0 \(here: "):
            asked(model, "exit")
        assert asked(model, "answer") == pid, "it goes on after that"
        assert not [path for path in tmp_path.rglob("*") if path.is_file()], "rows and answers are removed"
        card, why = model.compile(None)
        assert card is None
        assert why.startswith(
            "it has no sklearn or statsmodels flavor to make one of (found python_function); serve it with `serve "
        )
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("leave a child and die", "ended by itself, with exit code 7"),
        ("be killed", "was killed by SIGKILL: it may have needed more memory than there is"),
    ],
)
def test_its_end_is_told(how: str, says: str, files: Folder) -> None:
    with native.opened(files, "it", why="to ask it") as model:
        with pytest.raises(ServingError, match=f"it does not answer these rows: the process that ran its code {says}"):
            asked(model, how)
        with pytest.raises(ServingError, match=says):
            asked(model, "answer")


def test_an_interrupt_ends_a_model_that_hangs(files: Folder, tmp_path: Path) -> None:
    loaded = tmp_path / "loading"
    code = tmp_path / "model"
    code.mkdir()
    hanging = f"import pathlib, time\npathlib.Path({str(loaded)!r}).write_text(str(__import__('os').getpid()))\n"
    (code / "hangs.py").write_text(f"{hanging}time.sleep(600)\ndef _load_pyfunc(path): pass\n")
    (code / "MLmodel").write_text("flavors: {python_function: {loader_module: hangs}}\n")
    program = (
        "import sys\nfrom registry.cli import interrupts\nfrom serving.models import native\n"
        "from serving.models.files import Folder\nfrom pathlib import Path\n"
        "with interrupts.interruptible():\n"
        "    with native.opened(Folder(Path(sys.argv[1])), 'it', why='to ask it'): pass\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(code)])}
    running = subprocess.Popen([sys.executable, "-c", program, str(code)], env=environment, stderr=subprocess.PIPE)
    found = threading.Event()
    while not found.wait(0.05):
        assert running.poll() is None, running.stderr and running.stderr.read()
        if loaded.exists() and loaded.read_text():
            found.set()
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert b"Interrupted: interrupted by SIGINT" in said
    with pytest.raises(ProcessLookupError):
        os.kill(int(loaded.read_text()), 0)
