"""S3: an object of rows that was put into a bucket is scored into another, block by block."""

import csv
import json
import zlib
from gzip import BadGzipFile
from itertools import chain, islice
from urllib.parse import unquote_plus

from ...contract import RequestError, loads
from ...contract.errors import TOO_LARGE, refusal
from ...contract.matrix import Matrix
from ...scorecard.inputs import ABSENT, InputError, named
from ...scorecard.names import aliases, column_name
from ..by_row import by_row, probability_names
from .runtime import EventError
from .upload import Upload, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TextIO

    from .runtime import FunctionRuntime

_CSV, _LINES = "csv", "lines"
_SUFFIXES = {".csv": _CSV, ".jsonl": _LINES, ".ndjson": _LINES}
#: Lines that are looked at for the columns that all of them lack, and the longest line.
_FIRST, _LONGEST = 1000, 16 * 1024 * 1024


def handle(handler: "FunctionRuntime", records: list, request_id: str, told: dict) -> dict:
    """Score objects; what was made of each.

    ``KEY`` (``.csv``, ``.jsonl`` or ``.ndjson``, also with ``.gz``) gives ``OUTPUT_PREFIX/KEY``: its rows, each with
    its prediction. Rows that are refused are in ``REFUSED_PREFIX/KEY`` with their number and the reason. An object
    that is refused as a whole gives ``REFUSED_PREFIX/KEY.json``, which says why. Objects below either prefix are
    passed over. Nothing is seen of an output before it is whole.

    Raises
    ------
    EventError
        if the settings would let it score its own outputs.
    Exception
        of boto3, where S3 refuses or does not answer: Lambda asks again, and then keeps the event.
    """
    output, refused = (
        handler.environment.get(f"{name}_PREFIX") or f"{name.lower()}/" for name in ("OUTPUT", "REFUSED")
    )
    elsewhere = handler.environment.get("OUTPUT_BUCKET", "")
    if output == refused:
        raise EventError("OUTPUT_PREFIX and REFUSED_PREFIX are the same")
    done = []
    for record in records:
        source = record["s3"]
        bucket, key = source["bucket"]["name"], unquote_plus(source["object"]["key"])
        if not record.get("eventName", "ObjectCreated").startswith("ObjectCreated") or key.endswith("/"):
            continue
        if elsewhere in ("", bucket) and key.startswith((output, refused)):
            continue
        version = source["object"].get("versionId")
        job = _ObjectJob(handler, bucket, key, version, elsewhere or bucket, output + key, refused + key, told)
        done.append(job.run())
        handler.log("INFO", "scored", request_id, **done[-1])
    return {"objects": done}


class _ObjectJob:
    """One object to score."""

    def __init__(
        self,
        handler: "FunctionRuntime",
        bucket: str,
        key: str,
        version: str | None,
        to: str,
        output: str,
        refused: str,
        told: dict,
    ) -> None:
        self.handler, self.told, self.client = handler, told, handler.client("s3")
        self.source = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}
        self.to, self.output, self.refused = to, output, refused
        self.asked = handler.environment.get("OUTPUT") or "predictions"
        self.score = by_row(handler.card, self.asked)
        stem = key.removesuffix(".gz")
        self.packed = stem != key
        self.form = next((form for suffix, form in _SUFFIXES.items() if stem.lower().endswith(suffix)), None)
        self.rows = self.bad = 0

    def run(self) -> dict:
        """Score it; what came of it."""
        good = Upload(self.client, self.to, self.output, packed=self.packed)
        bad = Upload(self.client, self.to, self.refused, packed=self.packed)
        stale = [self.refused + ".json"]
        try:
            if self.form is None:
                raise RequestError(f"expected an object named {', '.join(_SUFFIXES)} (or so with .gz), found another")
            body = self.client.get_object(**self.source)["Body"]
            with reading(body, packed=self.packed) as text:
                (self._csv if self.form == _CSV else self._lines)(text, good, bad)
            if self.rows + self.bad == 0:
                raise RequestError("the object has no rows")
        except Exception as error:
            good.drop()
            bad.drop()
            if not _of_the_object(error):
                raise
            return self._refuse(error)
        if self.bad:
            bad.finish()
        else:
            bad.drop()
            stale.append(self.refused)
        good.finish()
        self._remove(stale)
        self.told["rows"] += self.rows
        self.told["refused"] += self.bad
        return {"key": self.source["Key"], "rows": self.rows, "refused": self.bad, "output": self.output}

    def _refuse(self, error: Exception) -> dict:
        """Say beside where the answers would be why there are none."""
        why = (
            error
            if isinstance(error, RequestError)
            else RequestError("the object is not UTF-8, or not gzip, to its end")
        )
        content = json.dumps(why.payload()).encode()
        self.client.put_object(Bucket=self.to, Key=self.refused + ".json", Body=content, ContentType="application/json")
        self._remove([self.output, self.refused])
        self.told["refused"] += 1
        return {"key": self.source["Key"], "rows": 0, "why": why.message, "output": self.refused + ".json"}

    def _remove(self, keys: list) -> None:
        """Remove what an earlier object of the same name has left."""
        self.client.delete_objects(Bucket=self.to, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})

    def _csv(self, text: "TextIO", good: Upload, bad: Upload) -> None:
        lines = csv.reader(_lined(text), strict=True)
        try:
            names = next((row for row in lines if row), None)
            if names is None:
                raise RequestError("the object is empty: expected CSV with a header")
            names = [name if name in self._known else column_name(name, place) for place, name in enumerate(names)]
            Matrix(names, [])  # refuses a name that is there twice
            self._absent(names)
            labels = probability_names(self.handler.card) if self.asked == "probabilities" else []
            written = csv.writer(_To(good), lineterminator="\n")
            told = csv.writer(_To(bad), lineterminator="\n")
            written.writerow([*names, "prediction", *(f"probability_{label}" for label in labels)])
            told.writerow([*names, "row", "reason"])
            for row in lines:
                if not row:
                    continue
                place = self.rows + self.bad
                if len(row) != len(names):
                    self.bad += 1
                    fields = (row + [""] * len(names))[: len(names)]
                    told.writerow([*fields, place, f"expected {len(names)} fields, found {len(row)}"])
                    continue
                found = self._scored(dict(zip(names, row, strict=True)))
                if isinstance(found, str):
                    told.writerow([*row, place, found])
                else:
                    likely = found.get("probabilities", {})
                    written.writerow([*row, _cell(found["prediction"]), *(likely[label] for label in labels)])
        except csv.Error as error:
            raise RequestError(f"the object is not CSV: {error} (line {lines.line_num})") from None

    def _lines(self, text: "TextIO", good: Upload, bad: Upload) -> None:
        lines = (line for line in _lined(text) if line.strip())
        ahead = list(islice(lines, _FIRST))
        names: dict = {}
        for line in ahead:
            value = _record(line)
            names |= dict.fromkeys(self._names if isinstance(value, str) else value)
        if ahead:
            self._absent(list(names))
        for line in chain(ahead, lines):
            place = self.rows + self.bad
            value = _record(line)
            if isinstance(value, str):
                self.bad += 1
                bad.write(json.dumps({"row": place, "reason": value, "line": line.rstrip("\r\n")}) + "\n")
                continue
            found = self._scored(value, fill=True)
            if isinstance(found, str):
                bad.write(json.dumps({"row": place, "reason": found, "record": value}) + "\n")
            else:
                good.write(json.dumps({**value, **found}) + "\n")

    @property
    def _names(self) -> list:
        return [item.name for item in self.handler.card.inputs]

    @property
    def _known(self) -> frozenset:
        return frozenset(self._names)

    def _absent(self, names: list) -> None:
        """Refuse an object that lacks a column: with a name misspelled, each of its values would seem to be missing."""
        try:
            there = {*names, *aliases(names, self._known)}
        except InputError as error:
            raise refusal(error) from None
        for name in self._names:
            if name not in there and name not in self.handler.card.optional:
                raise refusal(InputError(name, ABSENT))

    def _scored(self, row: dict, *, fill: bool = False) -> dict | str:
        """The answer to a row, or, as a text, why there is none; ``fill``: a key that it lacks is a missing value."""
        try:
            found = self.score({**dict.fromkeys(self._names), **named(row, self._known)} if fill else row)
        except InputError as error:
            self.bad += 1
            return str(error)
        self.rows += 1
        return found


class _To:
    """What ``csv`` writes to."""

    def __init__(self, upload: Upload) -> None:
        self.write = upload.write


def _lined(text: "TextIO") -> "Iterator[str]":
    """The lines of a text, none of them without end."""
    while line := text.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise RequestError("a line of the object is too long", status=413, code=TOO_LARGE)
        yield line


def _record(line: str) -> dict | str:
    """A line's record; where it is none, why, as a text."""
    try:
        value = loads(line.encode())
    except RequestError as error:
        return error.message.replace("the body", "the line")
    return value if type(value) is dict else "expected an object of column names and values"


def _cell(value: "Any") -> "Any":
    """A label as training read it from a table."""
    return str(value).lower() if isinstance(value, bool) else value


def _of_the_object(error: Exception) -> bool:
    """Whether the object itself is at fault, so that asking again would change nothing."""
    return isinstance(error, (RequestError, UnicodeDecodeError, EOFError, BadGzipFile, zlib.error))
