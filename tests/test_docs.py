"""The documentation: its reference says what the code says, the site builds strictly, and no page is left out."""

import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pipelines.console import cli
from tests.command import ROOT

DOCS = ROOT / "docs"
API = DOCS / "reference" / "python.md"
SITE = runpy.run_path(str(DOCS / "build.py"))


def test_the_reference_is_what_the_code_says() -> None:
    pages = runpy.run_path(str(DOCS / "reference" / "generate.py"))["pages"]
    for path, text in pages():
        assert path.read_text(encoding="utf-8") == text, f"{path} is not up to date: make docs"


def _commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


COMMANDS = dict(_commands(cli, "lifecycle"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_shows_examples_that_it_understands(name: str) -> None:
    command = COMMANDS[name]
    examples = command.examples.splitlines()
    assert examples
    for example in examples:
        assert example == name or example.startswith(f"{name} ")
        command.make_context(name, shlex.split(example.removeprefix(name)))
    with click.Context(command, info_name=name) as context:
        assert command.get_help(context).endswith("\n  ".join(["Examples:", *examples]))


@pytest.mark.parametrize("page", sorted((DOCS / "guides").glob("*.md")), ids=lambda page: page.stem)
def test_the_commands_of_a_guide_are_understood(page: Path) -> None:
    blocks = re.findall(
        r"^```(?:bash|sh|yaml|console)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    for line in lines:
        if found := re.search(r"(?<![\w-])(?:lifecycle|python -m (?:pipelines|registry|serving)) ([a-z].*)", line):
            typed = re.sub(r"\$\([^)]*\)", "SHELL", found[1])
            words = [word for word in shlex.split(typed, comments=True) if word != "&"]
            command: click.Command = cli
            while isinstance(command, click.Group):
                assert words[0] in command.commands, line
                command = command.commands[words.pop(0)]
            command.make_context(command.name, words)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """What the site is built from."""
    SITE["assemble"](tmp_path / "pages")
    return tmp_path / "pages"


def test_the_site_builds_strictly(pages: Path) -> None:
    secret = ("keys.json", ".env", "compose.override.yaml")
    for name in secret:
        (pages / "docs" / "examples" / "platform" / name).write_text("a user's own")
    built = SITE["build"](pages)
    assert built.returncode == 0, built.stdout + built.stderr
    site = pages / "build" / "docs"
    assert "fonts.googleapis" not in (site / "index.html").read_text(encoding="utf-8")
    assert not [path for name in ("*.py", *secret) for path in site.rglob(name)]


def test_each_notebook_is_a_tutorial(pages: Path) -> None:
    notebooks = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    written = {path.stem: path.read_text(encoding="utf-8") for path in (pages / "docs" / "tutorials").glob("*.md")}
    assert sorted(written) == notebooks
    assert _listed() >= {f"tutorials/{name}.md" for name in notebooks}
    for name, text in written.items():
        shown = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", text)
        assert shown
        for title, picture in shown:
            assert (pages / "docs" / "tutorials" / picture).read_bytes().startswith(b"\x89PNG"), (name, title)


def test_a_broken_link_fails_the_build(pages: Path) -> None:
    with (pages / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write("\n[nowhere](guides/nowhere.md)\n")
    assert SITE["build"](pages).returncode != 0


def _listed() -> set[str]:
    """The pages that the navigation leads to."""
    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    return {
        one
        for entry in config["nav"]
        for pages in entry.values()
        for one in ([pages] if isinstance(pages, str) else pages)
    }


PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_the_navigation_leads_to_each_page(page: str) -> None:
    assert page in _listed()


def test_links_lead_from_the_readme_to_each_page() -> None:
    found = [ROOT / "README.md"]
    for page in found:  # grows
        for target in re.findall(r"\]\(([^)#:]+\.md)[^)]*\)", page.read_text(encoding="utf-8")):
            if (path := (page.parent / target).resolve()) not in found:
                found.append(path)
    assert {DOCS / page for page in PAGES} - {DOCS / "index.md"} <= set(found)


def test_the_examples_of_the_python_api_run(tracking: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", API.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    for block in (block for block in blocks if "\n\n" in block and "print(" in block):
        exec(block, names)
    assert names["verdict"].passed
    assert names["card"].predict(names["rows"]) == names["champion"].predict(names["rows"])
