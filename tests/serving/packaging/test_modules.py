"""The modules of a Lambda package: a first request needs few of them, all answer by the contract."""

import ast
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import hypothesis
import pytest

import serving
from serving.contract import reply
from serving.errors import ServingError
from serving.models import example
from serving.packaging.aws_lambda.events import http_event
from serving.packaging.stripping import stripped
from serving.scorecard import Scorecard, ScorecardError, Unsupported, compile
from tests.command import ROOT
from tests.serving.contract import cases
from tests.serving.functions import lambdas
from tests.serving.packaging import packages
from tests.serving.scorecard import generated

REQUESTS = [*cases.good(), *cases.bad()]
#: What Python compiles of a package before its first answer: 1,000 lines of code take about 8 ms.
MOST_LINES, MOST_MODULES = 1_780, 24
OWN = "{}.{}".format(*sys.version_info)


def interpreter(release: str) -> str:
    """A Python of a release, wherever this machine keeps one that runs; without one the test is skipped."""
    pattern = f"{release}.*/bin/python{release}"
    places = [
        Path.home().glob(f".pyenv/versions/{pattern}"),
        Path.home().glob(f".local/share/uv/python/cpython-{pattern}"),
    ]
    for path in (shutil.which(f"python{release}"), *(str(found) for place in places for found in place)):
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return path
    pytest.skip(f"Python {release} is not on this machine")


def usual(card: Scorecard) -> dict:
    """The usual first request: one row over HTTP."""
    return http_event(json.dumps({"dataframe_records": [example.complete(card, {})]}))


@pytest.fixture(scope="module", params=cases.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def task(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packages.unpacked(cases.scorecard(kind), tmp_path_factory.mktemp("package"))


def test_a_first_request_compiles_little(kind: str, task: Path) -> None:
    done = packages.ask(task, [usual(cases.scorecard(kind))])
    assert [answer["statusCode"] for answer in done["found"]] == [200]
    assert done["lines"] <= MOST_LINES, done["own"]
    assert len(done["own"]) <= MOST_MODULES, done["own"]
    slow = {"csv", "gzip", "zlib", "hashlib", "hmac", "traceback", "dataclasses", "typing", "datetime", "boto3"}
    assert not slow & set(done["imported"])


def test_nothing_but_the_standard_library_is_imported(task: Path) -> None:
    events = [lambdas.second(case.body, **lambdas.headers_of(case)) for case in REQUESTS]
    tops = {name.partition(".")[0] for name in packages.ask(task, events)["imported"]}
    assert not [
        name
        for name in tops - set(sys.stdlib_module_names)
        if name not in ("lambda_function", "__main__") and not name.startswith("scorecard_1_")
    ]


def test_the_modules_are_those_of_the_project(task: Path) -> None:
    (package,) = task.glob("scorecard_1_*")
    modules = [path for path in package.rglob("*.py") if path.parent != package]
    assert len(modules) > 20
    for path in modules:
        source = Path(serving.__file__).parent / path.relative_to(package)
        assert path.read_text(encoding="utf-8") == stripped(source.read_text(encoding="utf-8"))
    (entry,) = task.glob("*.py")
    assert len(entry.read_text().splitlines()) < 15


class Bare(ast.NodeTransformer):
    """A tree without docstrings, annotations and what only type checkers read, whose statements keep their lines."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if documented and ast.get_docstring(node) is not None:
            alone = len(node.body) == 1 and not isinstance(node, ast.Module)
            node.body[:1] = [ast.Pass(lineno=node.body[0].lineno)] if alone else []
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign) and node.value:
            return ast.Assign([node.target], node.value, lineno=node.lineno)
        if isinstance(node, ast.ClassDef) and not all(map(_is_field, node.body)):
            node.body = [one for one in node.body if not _is_field(one)]
        if isinstance(node, ast.Module):
            node.body = [one for one in node.body if not _is_for_checkers(one)]
        return node


def _is_field(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign) and not node.value


def _is_for_checkers(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and not node.orelse and ast.unparse(node.test) == "TYPE_CHECKING"


def statements(source: str) -> list[tuple[int, str]]:
    """The first line of every statement of a module, and what it says."""
    tree = Bare().visit(ast.parse(source))
    return [(node.lineno, ast.unparse(node)) for node in ast.walk(tree) if isinstance(node, ast.stmt)]


def test_a_stripped_module_means_the_same_on_the_same_lines() -> None:
    parts = ("contract", "functions", "scorecard")
    sources = [file for part in parts for file in sorted((Path(serving.__file__).parent / part).rglob("*.py"))]
    assert len(sources) > 50
    for file in sources:
        source = file.read_text(encoding="utf-8")
        found = stripped(source)
        assert statements(found) == statements(source), file
        assert stripped(found) == found, file
        assert found.count("\n") == source.count("\n"), file


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1  # why\n# that\ny = '#'\n", "x = 1\n\ny = '#'\n"),
        ('"""Doc.\n\nMore.\n"""\n\nx: int = 1\n', "\n\n\n\n\nx = 1\n"),
        ('def f(a: int, *, b: str = "x") -> None:\n    """Doc."""\n', 'def f(a, *, b = "x"):\n    pass\n'),
        ('class A:\n    """A.\n\n    B.\n    """\n', "class A:\n    pass\n\n\n\n"),
        ('x = """a\n\n  # b \n"""\n', 'x = """a\n\n  # b \n"""\n'),
        ("class A:\n    __slots__ = ('a',)\n    a: int  # an\n", "class A:\n    __slots__ = ('a',)\n\n"),
        ("class A:\n    a: int\n", "class A:\n    a: int\n"),
        ("T = False\nif TYPE_CHECKING:\n    from a import (\n        b,\n    )\nx = 1\n", "T = False\n\n\n\n\nx = 1\n"),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    a = 1\n", "if TYPE_CHECKING:\n    import a\nelse:\n    a = 1\n"),
        ("def f(é: 'ü') -> 'ä': return é  # ö\n", "def f(é): return é\n"),
        ("def f(a: dict[  # why\n    str, int]): ...\n", "def f(a: dict[\n    str, int]): ...\n"),
    ],
)
def test_what_is_stripped(source: str, expected: str) -> None:
    assert stripped(source) == expected


@pytest.mark.parametrize("form", [lambdas.second, lambdas.first, lambdas.balanced])
def test_every_request_is_answered_as_by_the_contract(kind: str, task: Path, form) -> None:
    card = cases.scorecard(kind)
    done = packages.ask(task, [form(case.body, **lambdas.headers_of(case)) for case in REQUESTS])
    for case, found in zip(REQUESTS, done["found"], strict=True):
        status, payload = reply(card, case.body, case.content_type, encoding=case.encoding)
        assert (found["statusCode"], json.loads(found["body"])) == (status, json.loads(json.dumps(payload))), case.name


def test_an_event_that_cannot_be_taken_is_raised(task: Path) -> None:
    # Without a results queue, so that the messages come again.
    done = packages.ask(task, [lambdas.queued({}), lambdas.changed({}), {"Records": [{"eventSource": "aws:sns"}]}])
    assert [answer["raised"] for answer in done["found"]] == ["EventError"] * 3


@pytest.mark.parametrize("release", ["3.11", "3.12", "3.13", "3.14"])
def test_it_runs_on_every_python_that_lambda_has(release: str, tmp_path: Path) -> None:
    python = interpreter(release)
    card = cases.scorecard("labels")
    events = [lambdas.second(case.body, **lambdas.headers_of(case)) for case in REQUESTS]
    done = packages.ask(packages.unpacked(card, tmp_path), events, python=python)
    for case, found in zip(REQUESTS, done["found"], strict=True):
        status, payload = reply(card, case.body, case.content_type, encoding=case.encoding)
        answer = json.loads(found["body"])
        if "is not JSON" in payload.get("message", ""):
            # What exactly is wrong each release tells in words of its own.
            answer, payload = answer["error_code"], payload["error_code"]
        assert (found["statusCode"], answer) == (status, json.loads(json.dumps(payload))), case.name


class TestBytecode:
    @pytest.mark.parametrize("release", [OWN, "3.13"])
    def test_it_is_what_runs(self, release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        python = interpreter(release)
        monkeypatch.setenv("PATH", str(Path(python).parent), prepend=":")
        card = cases.scorecard("labels")
        task = packages.unpacked(card, tmp_path, bytecode="yes", runtime=f"python{release}")
        with zipfile.ZipFile(tmp_path / "function.zip") as opened:
            names = set(opened.namelist())
        assert (tmp_path / "function.zip").stat().st_size <= 150_000
        # What a first request imports, and no more: an event of a queue, say, has its module compiled when it comes.
        tag = f".cpython-{release.replace('.', '')}.pyc"
        compiled = {name.replace("__pycache__/", "").replace(tag, ".py") for name in names if name.endswith(tag)}
        found = packages.ask(task, [usual(card)], python=python)
        assert {str(Path(file).relative_to(task)) for file in found["own"]} == compiled
        for name in compiled:  # it is not compared with the sources beside it, which tracebacks show
            (task / name).write_text("raise RuntimeError\n")
        assert packages.ask(task, [usual(card)], python=python)["found"] == found["found"]

    def test_it_is_the_same_each_time(self, tmp_path: Path) -> None:
        found = set()
        for place in ("one", "two"):
            (tmp_path / place).mkdir()
            packages.unpacked(cases.scorecard("labels"), tmp_path / place, bytecode="yes", runtime=f"python{OWN}")
            found.add((tmp_path / place / "function.zip").read_bytes())
        assert len(found) == 1

    def test_without_the_runtimes_python_it_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        other = next(release for release in ("3.13", "3.14") if release != OWN)
        with pytest.raises(ServingError, match=rf"bytecode=yes needs Python {other}.*give -C runtime=python{OWN}"):
            packages.planned(bytecode="yes", runtime=f"python{other}")


BUILD = """
import hashlib, sys
from pathlib import Path
from serving.packaging.aws_lambda.zipped import files
from serving.packaging.model import PackagedModel
from serving.packaging.zipping import zipped
from serving.scorecard import Scorecard
card = Scorecard.loads(sys.stdin.read())
model = PackagedModel("models:/made/3", "made", "3", card, "", Path(), card.digest, "passed", True)
print(hashlib.sha256(zipped(files(model))).hexdigest())
"""


@pytest.mark.parametrize("release", ["3.12", "3.13", "3.14"])
def test_every_python_builds_the_same_bytes(release: str) -> None:
    found = set()
    for python in (sys.executable, interpreter(release)):
        done = subprocess.run(
            [python, "-B", "-c", BUILD],
            input=cases.scorecard("labels").dumps(),
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found.add(done.stdout)
    assert len(found) == 1


@hypothesis.settings(max_examples=12, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(problem=generated.problems())
def test_any_model_is_packaged_and_answers_as_its_scorecard(problem, tmp_path_factory: pytest.TempPathFactory) -> None:
    hypothesis.assume(problem is not None)
    try:
        card = compile(problem[0])
    except (Unsupported, ScorecardError):
        hypothesis.reject()
    task = packages.unpacked(card, tmp_path_factory.mktemp("package"))
    usual = example.complete(card, {})
    rows = [usual, {item.name: None if item.null else usual[item.name] for item in card.inputs}]
    bodies = [json.dumps({"dataframe_records": [row]}).encode() for row in rows]
    done = packages.ask(task, [lambdas.second(body, content_type="application/json") for body in bodies])
    for body, found in zip(bodies, done["found"], strict=True):
        status, payload = reply(card, body, "application/json")
        assert (found["statusCode"], json.loads(found["body"])) == (status, json.loads(json.dumps(payload)))
