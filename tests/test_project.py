"""The project itself: pins in step, imports that run one way, a quick command line, a Makefile that explains."""

import ast
import graphlib
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

#: The packages, each with those of the others that it may import.
MAY_IMPORT = {"pipelines": {"serving", "registry"}, "serving": {"registry"}, "registry": set()}

#: The standard library of every Python that the project runs on: 3.12 has ``_sha2`` where 3.11 has ``_sha256``.
STANDARD = sys.stdlib_module_names | {"_sha2", "_sha256"}

#: Packages that take from tenths of a second to seconds to import.
HEAVY = {"great_expectations", "matplotlib", "mlflow", "numpy", "optuna", "pandas", "pyarrow", "scipy", "sklearn"}


def pins(name: str) -> dict[str, Requirement]:
    """The lines of a requirements file, by canonical name."""
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    requirements = [Requirement(line) for line in lines if line]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def modules(package: str) -> list[Path]:
    """The Python files of a package."""
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """What a file imports, anywhere in it, by absolute name: ``a.b`` for ``from a import b`` if it is a module."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                below = ROOT.joinpath(*base.split("."), alias.name)
                yield f"{base}.{alias.name}" if below.with_suffix(".py").exists() or below.is_dir() else base


def dotted(path: Path) -> str:
    """The dotted name of a module's file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("requirements.txt", PROJECT["dependencies"]),
        ("requirements-dev.txt", PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]),
    ],
)
def test_every_dependency_is_pinned_to_one_version_that_pyproject_allows(name: str, wanted: list[str]):
    pinned = pins(name)
    for requirement in pinned.values():
        assert re.fullmatch(r"==[^*]+", str(requirement.specifier)), f"{requirement} is no exact pin"
    for requirement in map(Requirement, wanted):
        (pin,) = pinned[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(pin.version), f"{name} has {pin}, pyproject.toml wants {requirement}"


def test_tests_run_on_the_versions_that_users_get():
    runtime, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    assert {name: pin.specifier for name, pin in runtime.items()} == {name: dev[name].specifier for name in runtime}


def test_conda_yaml_has_the_pins_of_requirements_txt():
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))
    python, pip, packages = conda["dependencies"]
    assert Requirement(PROJECT["name"] + PROJECT["requires-python"]).specifier.contains(python.partition("=")[2] + ".0")
    assert pip == "pip"
    assert {canonicalize_name(Requirement(line).name): Requirement(line) for line in packages["pip"]} == pins(
        "requirements.txt"
    )
    project = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))
    assert project["conda_env"] == "conda.yaml"


def test_no_file_names_a_package_index():
    found = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    index = re.compile(
        r"--(extra-)?index-url|--find-links|(PIP|UV)_\w*INDEX|^\s*(default-)?index(-url)?\s*=|/simple\b", re.M
    )
    named = []
    for name in filter(None, found.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and path != Path(__file__):
            named += [f"{name}: {hit[0]}" for hit in index.finditer(path.read_bytes().decode("utf-8", "replace"))]
    assert named == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package: str):
    assert modules(package)
    forbidden = MAY_IMPORT.keys() - MAY_IMPORT[package] - {package}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imports(path)
        if name.split(".")[0] in forbidden | {"tests"}
    ]
    assert wrong == []


def test_imports_have_no_circles():
    """Also none through imports that wait for a call, or are for type checkers alone."""
    known = {dotted(path): path for package in MAY_IMPORT for path in modules(package)}
    graph = {name: {one for one in imports(path) if one in known and one != name} for name, path in known.items()}
    # Raises CycleError, which names the modules of the circle.
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(known)


def test_the_scorecard_keeps_to_itself():
    """It travels under other names: what it needs of its own it imports relatively, and from nowhere else."""
    wrong = []
    for path in modules("serving/scorecard"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            absolute = node.module or "" if isinstance(node, ast.ImportFrom) and not node.level else ""
            if absolute.split(".")[0] == "serving":
                wrong.append(f"{path.name} imports {absolute}, and not relatively")
        ours = [name for name in imports(path) if name.split(".")[0] in MAY_IMPORT]
        wrong += [f"{path.name} imports {name}" for name in ours if name.split(".")[:2] != ["serving", "scorecard"]]
    assert wrong == []


def test_the_scorecard_loads_under_another_name_on_bare_python(tmp_path: Path):
    shutil.copytree(
        ROOT / "serving" / "scorecard", tmp_path / "portable_v1", ignore=shutil.ignore_patterns("__pycache__")
    )
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import portable_v1; print(portable_v1.Scorecard)"
    # -S: not even the packages that are installed.
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "portable_v1." in ran.stdout


#: Imported late, and brought by an extra; or imported in a cloud alone, where the package's own requirements bring it.
ELSEWHERE = {
    "serving/scorecard/exports/onnx": ("onnx",),
    "pipelines/streaming/spark": ("pyspark",),
    "serving/batch/spark": ("pyspark",),
    "serving/batch/tables.py": ("deltalake", "pyiceberg"),
    "serving/functions/azure_entry.py": ("azure",),
    "serving/functions/gcp_entry.py": ("functions_framework",),
}


def test_every_import_is_a_declared_dependency():
    distributions = packages_distributions()
    declared = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert canonicalize_name("onnx") in {
        canonicalize_name(Requirement(line).name) for line in PROJECT["optional-dependencies"]["onnx"]
    }
    missing = set()
    for path in (path for package in MAY_IMPORT for path in modules(package)):
        for name in imports(path):
            top = name.split(".")[0]
            if top not in STANDARD and top not in MAY_IMPORT:
                brought_by = {canonicalize_name(distribution) for distribution in distributions.get(top, ())}
                where = path.relative_to(ROOT).as_posix()
                elsewhere = any(where.startswith(place) and top in brought for place, brought in ELSEWHERE.items())
                if not brought_by & declared and not elsewhere:
                    missing.add(f"{where}: {top}")
    assert missing == set()


def commands() -> list[str]:
    """The packages that have a command line."""
    return [package for package in MAY_IMPORT if (ROOT / package / "__main__.py").exists()]


def test_pipelines_has_a_command_line():
    assert "pipelines" in commands()


@pytest.mark.parametrize("package", commands())
def test_help_imports_nothing_heavy(package: str):
    program = f"""
import runpy, sys
sys.argv = [{package!r}, "--help"]
try:
    runpy.run_module({package!r}, run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print("imported:", *sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    said, imported = ran.stdout.split("imported:")
    assert "Usage: " in said
    assert HEAVY & set(imported.split()) == set()


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    """Run make in a folder."""
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder, with a blank in its path, that has the Makefile and what its set-up reads."""
    folder = tmp_path / "my checkout"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "requirements-dev.txt"):
        (folder / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def test_make_alone_explains_every_target():
    shown = make().stdout
    phony = re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony is not None
    assert ["help", *re.findall(r"^  make (\w+)  +\S", shown, re.MULTILINE)] == phony[1].split()


def test_make_says_on_one_line_that_it_needs_a_newer_python(checkout: Path):
    old = checkout / "python3.8"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)

    ended = make("run", f"PYTHON={old}", folder=checkout)

    assert ended.returncode == 2
    assert ended.stderr.startswith(f"make: Python 3.11 or newer is needed, and {old} is not")
    assert "make PYTHON=" in ended.stderr.splitlines()[0]
    assert not (checkout / ".venv").exists()


def test_make_says_what_a_python_without_venv_lacks(checkout: Path):
    bare = checkout / "python3"
    bare.write_text(
        f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexec "{sys.executable}" "$@"\n', encoding="utf-8"
    )
    bare.chmod(0o755)

    ended = make("run", f"PYTHON={bare}", folder=checkout)

    assert ended.returncode == 2
    assert "install its venv package (Debian, Ubuntu: apt-get install python3-venv)" in ended.stderr.splitlines()[0]
    assert not (checkout / ".venv").exists()


def test_a_set_up_that_was_cut_short_is_done_again(checkout: Path):
    """With an empty list of pins, so that the test needs no index: the set-up stops at the project's own install."""
    left = checkout / ".venv" / "lib" / "half-a-package"
    left.mkdir(parents=True)
    (checkout / ".venv" / "unfinished").touch()
    (checkout / "requirements.txt").write_text("", encoding="utf-8")
    (checkout / "pyproject.toml").write_text("not a project", encoding="utf-8")

    ended = make("run", f"PYTHON={sys.executable}", folder=checkout)

    assert ended.returncode != 0
    assert not left.exists()
    assert (checkout / ".venv" / "bin" / "python").exists()
    assert (checkout / ".venv" / "unfinished").exists()
    assert not (checkout / ".venv" / "run.stamp").exists()
