"""DynamoDB streams: each new image is scored, and its prediction written to a table of results."""

import binascii
import time

from ...contract.errors import refusal
from ...scorecard.inputs import InputError
from ..by_row import by_row
from .runtime import EventError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .runtime import FunctionRuntime

#: What one call of DynamoDB takes, and how often it is asked again for what it did not come to.
_BATCH, _TRIES = 25, 4
#: What an item of the results has beside its keys.
_ATTRIBUTES = frozenset(("prediction", "probabilities", "refused", "model_version"))


def handle(handler: "FunctionRuntime", records: list, request_id: str, told: dict) -> dict:
    """Score the new images of a batch; ``batchItemFailures`` names the first record that has to come again.

    The results table has the keys of the table that is watched. An item of it holds ``prediction`` (and
    ``probabilities``, with the setting ``OUTPUT=probabilities``), or ``refused`` with the reason, and
    ``model_version``. Removed items are passed over; their results stay.

    Raises
    ------
    EventError
        if no results table is set, it is the one that is watched, or its keys are called as an answer is.
    RequestError
        if ``OUTPUT`` names something that the model has not.
    """
    table = handler.needs("RESULTS_TABLE")
    if f":table/{table}/" in records[0].get("eventSourceARN", ""):
        raise EventError(f"RESULTS_TABLE is {table}, the table that is watched: each answer would be scored anew")
    names = (records[0].get("dynamodb") or {}).get("Keys") or {}
    if taken := _ATTRIBUTES.intersection(names):
        raise EventError(f"a key of the watched table is called as an answer is: {', '.join(sorted(taken))}")
    score = by_row(handler.card, handler.environment.get("OUTPUT") or "predictions")
    changes: dict = {}  # by key: of two changes of one item the later counts
    broken = None
    for record in records:
        if record.get("eventName") == "REMOVE":
            continue
        try:
            change = record["dynamodb"]
            keys = {name: _key(value) for name, value in change["Keys"].items()}
            item = {**keys, **_result(handler, score, change["NewImage"], told)}
            key = repr(sorted(keys.items()))
            changes.pop(key, None)
            changes[key] = (change["SequenceNumber"], item)
        except Exception as error:
            told["errors"] += 1
            handler.failure(error, request_id)
            broken = (record.get("dynamodb") or {}).get("SequenceNumber")
            if broken is None:
                raise
            break  # the stream comes again from here
    unwritten = _write(handler, table, changes, request_id, told)
    first = next((one["dynamodb"]["SequenceNumber"] for one in records if _number(one) in {*unwritten, broken}), None)
    return {"batchItemFailures": [] if first is None else [{"itemIdentifier": first}]}


def _number(record: dict) -> str:
    return (record.get("dynamodb") or {}).get("SequenceNumber", "")


def _key(value: dict) -> dict:
    """A key as boto3 takes it: an event has bytes in base64, and boto3 would encode them once more."""
    return {"B": binascii.a2b_base64(value["B"])} if "B" in value else value


def _result(
    handler: "FunctionRuntime", score: "Callable[[dict[str, Any]], dict[str, Any]]", image: dict, told: dict
) -> dict:
    """The answer to an image, as attributes of an item."""
    try:
        found = score({name: plain(value) for name, value in image.items()})
    except InputError as error:
        told["refused"] += 1
        found = {"refused": refusal(error).message}
    else:
        told["rows"] += 1
    typed = {name: typed_value(value) for name, value in found.items()}
    return {**typed, "model_version": {"S": handler.version or handler.about["digest"]}}


def _write(handler: "FunctionRuntime", table: str, changes: dict, request_id: str, told: dict) -> list:
    """Write items; the sequence numbers of those that were not taken."""
    left = list(changes.values())
    unwritten: list = []
    while left:
        batch, left = left[:_BATCH], left[_BATCH:]
        try:
            open_ = _put(handler, table, [item for _, item in batch])
        except Exception as error:
            told["errors"] += 1
            handler.failure(error, request_id)
            # Of these it is not known which were written; to write one twice does no harm.
            return unwritten + [number for number, _ in [*batch, *left]]
        unwritten += [number for number, item in batch if item in open_]
    if unwritten:
        told["errors"] += 1
        handler.log("ERROR", "the results table did not take all items", request_id, items=len(unwritten))
    return unwritten


def _put(handler: "FunctionRuntime", table: str, items: list) -> list:
    """Write at most a batch; the items that DynamoDB did not come to, asked several times."""
    for attempt in range(_TRIES):
        requests = [{"PutRequest": {"Item": item}} for item in items]
        done = handler.client("dynamodb").batch_write_item(RequestItems={table: requests})
        items = [one["PutRequest"]["Item"] for one in done.get("UnprocessedItems", {}).get(table, ())]
        if not items:
            break
        if attempt < _TRIES - 1:
            time.sleep(0.05 * 2**attempt)
    return items


def plain(value: dict) -> "Any":
    """A typed value of DynamoDB as JSON has it: ``{"N": "3.5"}`` is 3.5.

    Bytes and sets, which no column holds, are lists, so that they are refused as such.
    """
    ((kind, found),) = value.items()
    if kind == "N":
        return float(found)
    if kind in ("S", "BOOL"):
        return found
    if kind == "NULL":
        return None
    if kind == "M":
        return {name: plain(one) for name, one in found.items()}
    if kind == "L":
        return [plain(one) for one in found]
    return [found]


def typed_value(value: object) -> dict:
    """An answer as DynamoDB types it: its numbers hold 38 digits, and no infinity."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, (int, float)):
        # Beyond 1e126, and below 1e-130, DynamoDB takes no number.
        text = repr(value)
        return {"N": text} if value == 0 or 1e-130 <= abs(value) < 1e126 else {"S": text}
    if isinstance(value, dict):
        return {"M": {name: typed_value(one) for name, one in value.items()}}
    return {"S": str(value)}
