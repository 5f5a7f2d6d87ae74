"""Export a model's scorecard to a file of some format, whole or not at all."""

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving import models
from serving.errors import ServingError
from serving.scorecard import exports


def export(
    uri: str,
    form: str,
    *,
    output: Path | None = None,
    overwrite: bool = False,
    options: Mapping[str, Any] | None = None,
) -> bytes:
    """The model of a URI in a format; also written to ``output`` if given.

    Parameters
    ----------
    uri : as :func:`serving.models.find` takes it.
    form : a name in ``serving.scorecard.exports.FORMATS``.
    options : of the format, by name: see ``FORMATS[form].options``.

    Raises
    ------
    ServingError
        if the format is unknown or has no such option, or the file exists or cannot be written.
    RegistryError, ScorecardError
        if the model cannot be fetched, or the format cannot express it; then no file is written.
    """
    given = dict(options or {})
    if form not in exports.FORMATS:
        raise ServingError(f"--format is one of {', '.join(exports.FORMATS)}, found {form!r}")
    for name in given:
        if name not in exports.FORMATS[form].options:
            others = [other.name for other in exports.FORMATS.values() if name in other.options]
            raise ServingError(f"--{name} is for --format {' or '.join(others)}, found --format {form}; leave it out")
    if output and output.exists() and not output.is_file():
        raise ServingError(f"--output {output} is no file; name one, or leave it out to write to standard output")
    if output and output.exists() and not overwrite:
        raise ServingError(f"{output} is there already; give --overwrite, or another --output")
    if output and not output.resolve().parent.is_dir():
        raise ServingError(f"--output {output}: no folder {output.resolve().parent}; make it first")
    model = models.find(uri)
    # A folder's path is of no use elsewhere.
    title = model.title if model.name or Path(model.uri).exists() else model.uri
    card = model.portable()
    text = exports.write(card, form, exports.About(title, model.version or ""), **given)
    content = text.encode() if isinstance(text, str) else text
    if output:
        _replace(output, content)
    return content


def _replace(path: Path, content: bytes) -> None:
    """Write a temporary file beside the target and move it there: no reader sees half of it."""
    target = path.resolve()  # replace what a link points at, not the link
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-", ignore_cleanup_errors=True) as folder:
            file = Path(folder, "content")
            file.write_bytes(content)
            if target.exists():
                file.chmod(stat.S_IMODE(target.stat().st_mode))
            os.replace(file, target)
    except OSError as error:
        raise ServingError(f"{path} cannot be written: {error.strerror or error}") from None
