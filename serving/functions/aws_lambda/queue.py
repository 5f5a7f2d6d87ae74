"""SQS: a request a message, answers to a results queue; what is not answered goes back, and in the end to the
dead-letter queue."""

import json

from ...contract import RequestError, read
from ..web import asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .runtime import FunctionRuntime

#: What one call of SQS takes.
_ENTRIES, _BYTES = 10, 262_144
_ATTRIBUTES = 10


def handle(handler: "FunctionRuntime", records: list, request_id: str, told: dict) -> dict:
    """Answer messages; ``batchItemFailures`` names those that have to come again.

    A message is a request of the contract: its body is JSON, or what its attribute ``Content-Type`` says. Its answer
    has the attributes ``Source-Message-Id`` and ``Model-Version``, and those of the message. A message that is refused
    comes again, as one does whose answer could not be sent, until the queue gives it up to its dead-letter queue.

    Raises
    ------
    EventError
        if no results queue is set: all messages come again.
    """
    queue = handler.needs("RESULTS_QUEUE_URL")
    ordered = str(records[0].get("eventSourceARN", "")).endswith(".fifo")
    failed: list = []
    stopped: set = set()  # groups of an ordered queue in which nothing may overtake what failed
    waiting: list = []
    for record in records:
        group = (record.get("attributes") or {}).get("MessageGroupId") if ordered else None
        if group in stopped and ordered:
            failed.append(record["messageId"])
            continue
        try:
            entry, rows = _answered(handler, record, queue)
        except RequestError as error:
            # An endpoint that is away, say, is no fault of the message.
            told["errors" if error.status >= 500 else "refused"] += 1
            handler.log("WARNING", error.message, request_id, message_id=record["messageId"])
            failed.append(record["messageId"])
            stopped.add(group)
            continue
        except Exception as error:
            told["errors"] += 1
            handler.failure(error, request_id, message_id=record["messageId"])
            failed.append(record["messageId"])
            stopped.add(group)
            continue
        waiting.append((record["messageId"], group, rows, entry))
    for batch in _batches(waiting):
        if ordered:
            lost = [one for one in batch if one[1] in stopped]
            failed += [one[0] for one in lost]
            batch = [one for one in batch if one[1] not in stopped]
        if not batch:
            continue
        unsent = _send(handler, queue, batch, request_id, told)
        failed += unsent
        for name, group, rows, _ in batch:
            if name in unsent:
                stopped.add(group)
            else:
                told["rows"] += rows
    return {"batchItemFailures": [{"itemIdentifier": name} for name in dict.fromkeys(failed)]}


def _answered(handler: "FunctionRuntime", record: dict, queue: str) -> tuple[dict, int]:
    attributes = record.get("messageAttributes") or {}
    kind = (attributes.get("Content-Type") or {}).get("stringValue") or "application/json"
    found = asked(handler.card, read(record["body"].encode("utf-8", "surrogatepass"), kind))
    kept = {
        "Source-Message-Id": {"DataType": "String", "StringValue": record["messageId"]},
        "Model-Version": {"DataType": "String", "StringValue": handler.version or "none"},
    }
    for name, value in attributes.items():
        if name != "Content-Type" and len(kept) < _ATTRIBUTES and value.get("stringValue"):
            kept.setdefault(name, {"DataType": value["dataType"], "StringValue": value["stringValue"]})
    entry = {"MessageBody": json.dumps(found.payload), "MessageAttributes": kept}
    if queue.endswith(".fifo"):
        # A message that is answered twice has one answer.
        group = (record.get("attributes") or {}).get("MessageGroupId") or record["messageId"]
        entry |= {"MessageGroupId": group, "MessageDeduplicationId": record["messageId"]}
    return entry, found.rows


def _batches(waiting: list) -> "Iterator[list]":
    """As many at once as one call takes, in their order."""
    batch: list = []
    size = 0
    for one in waiting:
        entry = one[3]
        weight = len(entry["MessageBody"]) + len(json.dumps(entry["MessageAttributes"]))
        if batch and (len(batch) == _ENTRIES or size + weight > _BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += weight
    if batch:
        yield batch


def _send(handler: "FunctionRuntime", queue: str, batch: list, request_id: str, told: dict) -> list:
    """Send answers; the ids of the messages whose answers were not taken."""
    entries = [{"Id": str(place), **one[3]} for place, one in enumerate(batch)]
    try:
        done = handler.client("sqs").send_message_batch(QueueUrl=queue, Entries=entries)
    except Exception as error:
        told["errors"] += 1
        handler.failure(error, request_id)
        return [one[0] for one in batch]
    refused = done.get("Failed") or []
    for one in refused:
        told["errors"] += 1
        name = batch[int(one["Id"])][0]
        handler.log("ERROR", "an answer was not taken", request_id, message_id=name, code=one.get("Code"))
    return [batch[int(one["Id"])][0] for one in refused]
