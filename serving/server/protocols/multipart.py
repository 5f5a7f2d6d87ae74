"""Parses bodies of ``multipart/form-data`` (RFC 7578), as ``curl -F`` sends them."""

import re
from dataclasses import dataclass

from serving.contract import RequestError

FORM_DATA = "multipart/form-data"

_NAMED = re.compile(r'(?:^|;)\s*(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^;"\s]+))')
# The headers of a part are two or three short lines.
_LONGEST_HEAD = 4096
_LONGEST_BOUNDARY = 70


@dataclass(frozen=True)
class FormPart:
    """A part of a form.

    Parameters
    ----------
    file : its file name; None for a plain field.
    kind : its media type in lower case; empty if it has none.
    """

    name: str
    content: bytes
    file: str | None = None
    kind: str = ""


def parts(body: bytes, content_type: str, *, most: int) -> list[FormPart]:
    """Split a form into its parts.

    Parameters
    ----------
    content_type : the request's header, which names the boundary.
    most : maximum number of parts.

    Raises
    ------
    RequestError
        if the body is no such form, or has more parts.
    """
    boundary = _parameters(content_type.partition(";")[2]).get("boundary", "")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise RequestError("Content-Type: expected multipart/form-data with a boundary, found none")
    mark = b"\r\n--" + boundary.encode("latin-1")
    # The first boundary needs no line break before it; text before it and after the last one is ignored.
    pieces = (b"\r\n" + body).split(mark, most + 1)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise RequestError(f"multipart: expected 1 to {most} parts between boundaries, and a last boundary after them")
    return [_part(piece, place) for place, piece in enumerate(pieces[1:-1])]


def _part(piece: bytes, place: int) -> FormPart:
    head, empty, content = piece.partition(b"\r\n\r\n")
    line, _, head = head.partition(b"\r\n")
    if not empty or line.strip() or len(head) > _LONGEST_HEAD:
        raise RequestError(f"multipart, part {place}: expected its headers, an empty line and its content")
    headers = {}
    for each in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = each.partition(":")
        headers[name.strip().lower()] = value.strip()
    kind, _, rest = headers.get("content-disposition", "").partition(";")
    said = _parameters(rest)
    if kind.strip().lower() != "form-data" or "name" not in said:
        raise RequestError(f"multipart, part {place}: expected Content-Disposition: form-data with a name")
    if headers.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
        raise RequestError(f"multipart, part {place}: expected its content as it is, found another encoding")
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    return FormPart(said["name"], content, said.get("filename"), media)


def _parameters(text: str) -> dict[str, str]:
    """``name="data"; filename="a.json"`` as a dict; %22 is a quote, as browsers write it."""
    found = {}
    for name, quoted, plain in _NAMED.findall(text):
        value = plain or re.sub(r"\\(.)", r"\1", quoted)
        found[name.lower()] = value.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
    return found
