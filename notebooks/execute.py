"""Runs notebooks from top to bottom and stores their outputs in them: ``python notebooks/execute.py [01_train ...]``.

The notebooks are committed with their outputs. Run this after a change of a cell, or of what a cell shows; a test
compares the digest of the code with the one that is stored here.
"""

import base64
import hashlib
import io
import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

HERE = Path(__file__).parent

#: What is different each time, or is no text: MLflow's identifiers, a terminal's escapes, pandas' style sheets.
_REPLACED = (
    (r"\r\n", "\n"),
    (r"[^\n]*\r", ""),
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),
    (r"\b(runs:/)[0-9a-f]{32}", r"\1RUN_ID"),
    (r"<style scoped>.*?</style>\n", ""),
)


def digest(notebook: NotebookNode) -> str:
    """The digest of a notebook's code: of the cells in their order."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:16]


def execute(notebook: NotebookNode, folder: Path, *, seconds: int = 300) -> None:
    """Run all cells in a new kernel, and put their outputs into the notebook.

    Parameters
    ----------
    notebook : NotebookNode
        it is changed in place.
    folder : Path
        the folder that the notebook is in.
    seconds : int
        the longest that a cell may take.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        if a cell raises an exception.
    """
    client = NotebookClient(
        notebook, timeout=seconds, record_timing=False, resources={"metadata": {"path": str(folder)}}
    )
    # tqdm's, about a package that nothing here uses.
    client.execute(env={**os.environ, "PYTHONWARNINGS": "ignore:IProgress not found"})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _tidied(cell.outputs)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "executed": digest(notebook),
    }


def _tidied(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The outputs in as few bytes as will do: a cell's text in one piece, one form of each value, few colours."""
    found: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            if found and found[-1].output_type == "stream":
                found[-1].text += output.text
            else:
                found.append(nbformat.v4.new_output("stream", text=output.text))
            continue
        richest = next(kind for kind in ("image/png", "text/html", *output.data) if kind in output.data)
        found.append(nbformat.v4.new_output("display_data", {richest: output.data[richest]}, metadata=output.metadata))
    for output in found:
        if output.output_type == "stream":
            output.text = _replaced(output.text)
        elif "image/png" in output.data:
            output.data["image/png"] = _smaller(output.data["image/png"])
        else:
            output.data = {kind: _replaced(text) for kind, text in output.data.items()}
    return found


def _replaced(text: str) -> str:
    for pattern, replacement in _REPLACED:
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    return text


def _smaller(picture: str) -> str:
    """A PNG (base64) with 64 colours."""
    written = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(picture))) as opened:
        opened.convert("RGB").quantize(64).save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


def main(names: list[str]) -> None:
    """Run the named notebooks, or all."""
    paths = [HERE / f"{name.removesuffix('.ipynb')}.ipynb" for name in names] or sorted(HERE.glob("*.ipynb"))
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        execute(notebook, HERE)
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
