"""Log errors without their words, which may hold data of a request."""

import os
import traceback


def places(error: BaseException) -> "list[str]":
    """Return the frames that an error passed through, the outermost first: ``file.py:12 function``."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
