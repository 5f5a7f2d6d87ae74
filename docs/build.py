"""Builds the documentation site: ``python docs/build.py [FOLDER]``, by default into ``build/docs``.

The pages of ``docs/`` are taken as they are. Each notebook becomes a tutorial with the outputs that are stored in it.
Nothing of that is committed: pages and tutorials are put together in a folder beside the site, which is built there.
"""

import base64
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
TUTORIALS = "tutorials"

#: Links of notebooks, as they work in the repository, and what they are on the site.
_LINKS = (
    (r"\]\((\w+)\.ipynb\)", r"](\1.md)"),
    (r"\]\(\.\./docs/([^)]+)\)", r"](../\1)"),
    (r"\[([^\]]+)\]\(\.\./[^)]+\)", r"\1"),  # other files of the repository are not on the site
)

_NOTE = """\
!!! note ""

    This page is the notebook `notebooks/{name}.ipynb` with its outputs. `make notebooks` opens it in JupyterLab.
"""


def tutorial(name: str, notebook: NotebookNode) -> tuple[str, dict[str, bytes]]:
    """A notebook as a page.

    Parameters
    ----------
    name : str
        the notebook's name, with which those of its pictures begin.
    notebook : NotebookNode
        with its outputs.

    Returns
    -------
    text : str
        the page, in Markdown.
    pictures : dict of str to bytes
        the PNG files that it shows, by their names.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(_linked(cell.source))
            continue
        parts.append(_fenced("python", cell.source))
        for output in cell.outputs:
            if output.output_type == "stream":
                if output.text.strip():
                    parts.append(_fenced("text", output.text))
            elif "image/png" in output.data:
                file = f"{name}-{cell.id}-{len(pictures)}.png"
                pictures[file] = base64.b64decode(output.data["image/png"])
                width = output.metadata.get("image/png", {}).get("width")
                parts.append(f"![{_title(cell.source) or cell.id}]({file})" + (f"{{ width={width} }}" if width else ""))
            elif "text/html" in output.data:
                parts.append(re.sub(r"<table [^>]+>", "<table>", output.data["text/html"]))
            else:
                parts.append(_fenced("text", output.data["text/plain"]))
    title, _, rest = parts[0].partition("\n")
    parts[0] = f"{title}\n\n{_NOTE.format(name=name)}\n{rest}"
    return "\n\n".join(parts) + "\n", pictures


def _linked(text: str) -> str:
    for pattern, replacement in _LINKS:
        text = re.sub(pattern, replacement, text)
    return text


def _title(code: str) -> str:
    """The title of the picture that code draws, for readers who cannot see it."""
    found = re.search(r'(?:title=|suptitle\()f?"([^"{}]+)"', code)
    return found[1] if found else ""


def _fenced(language: str, text: str) -> str:
    lines = text.strip("\n")
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall(r"`+", lines)), 3)
    return f"{fence}{language}\n{lines}\n{fence}"


def assemble(folder: Path) -> None:
    """Write everything that the site is built from into a folder: its configuration, the pages and the tutorials."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "zensical.toml", folder)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        text, pictures = tutorial(path.stem, nbformat.read(path, as_version=4))
        pages = folder / "docs" / TUTORIALS
        pages.mkdir(exist_ok=True)
        (pages / f"{path.stem}.md").write_text(text, encoding="utf-8")
        for name, content in pictures.items():
            (pages / name).write_bytes(content)


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of what :func:`assemble` wrote into a folder; strictly: a broken link is an error."""
    zensical = Path(sys.executable).with_name("zensical")
    return subprocess.run([zensical, "build", "--strict"], cwd=folder, capture_output=True, text=True)


def main(target: Path) -> int:
    """Build the site into a folder."""
    pages = ROOT / "build" / "pages"
    assemble(pages)
    done = build(pages)
    print(done.stdout + done.stderr, end="")
    if done.returncode == 0:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(pages / "build" / "docs", target)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build" / "docs"))
