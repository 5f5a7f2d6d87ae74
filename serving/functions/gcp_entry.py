"""What Google's functions-framework loads; the build copies it as ``main.py``."""

import importlib
import os

import functions_framework

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_answer = importlib.import_module("{package}.functions.function").load(os.path.dirname(os.path.abspath(__file__)))


@functions_framework.http
def answer(request: "Any") -> "tuple[bytes, int, dict[str, str]]":
    """Answer a request at any path."""
    found = _answer(request.method, request.path, request.headers.items(), request.get_data(cache=False))
    return found.body, found.status, found.headers
