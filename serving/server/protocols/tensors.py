"""Tensors of the Open Inference Protocol: from JSON or little-endian bytes to lists of values, and back."""

import math
import struct

from serving.contract import Limits, RequestError, costs
from serving.contract.tables import shown
from serving.scorecard.inputs import kind

TEXT = "BYTES"
TRUTH = "BOOL"
#: Datatype -> how ``struct`` writes it. BF16, which few clients have, is not read.
_FORMATS = {
    TRUTH: "?",
    **{"INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I"},
    **{"UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d"},
}
DATATYPES = (*_FORMATS, TEXT)
_NOTHING = type(None)
#: What JSON may hold for a datatype; null is a missing value.
_HELD = {TRUTH: {bool, _NOTHING}, TEXT: {str, _NOTHING}}
_NUMBERS = {int, float, _NOTHING}
_DEEPEST = 2


class Tensor:
    """One input: ``values`` row after row, ``width`` of them in each of ``rows`` rows; ``flat`` where a row has one."""

    __slots__ = ("flat", "name", "rows", "values", "width")

    def __init__(self, name: str, shape: list, values: list):
        self.name, self.values = name, values
        self.rows, self.width, self.flat = shape[0], (shape[1] if len(shape) > 1 else 1), len(shape) == 1


def read(item, raw: memoryview | None, limits: Limits) -> tuple[Tensor, int]:
    """A tensor of a request, and how many bytes of the binary part were its own.

    Parameters
    ----------
    item : what JSON said of it.
    raw : what is left of the binary part; None where the request has none.
    limits : what is refused for its size.

    Raises
    ------
    RequestError
        where name, datatype, shape and data are missing, or do not fit each other, and where they need too much memory.
    """
    if not isinstance(item, dict):
        raise RequestError(f"inputs: expected a list of tensors, each an object, found {kind(item)}")
    name = item.get("name")
    if not isinstance(name, str):
        raise RequestError(f"inputs: expected a tensor's name to be text, found {_found(name)}")
    where = f"tensor {shown(name)}"
    datatype = item.get("datatype")
    if datatype not in DATATYPES:
        raise RequestError(f"{where}: datatype is one of {', '.join(DATATYPES)}, found {_other(datatype)}")
    shape = _shape(item.get("shape"), where)
    size = math.prod(shape)
    parameters = item.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise RequestError(f"{where}: expected parameters to be an object, found {kind(parameters)}")
    if "shared_memory_region" in parameters:
        raise RequestError(f"{where}: this server shares no memory; send the data with the request")
    if parameters.get("content_type") not in (None, "np", "pd", "str"):
        raise RequestError(f"{where}: content_type is one of np, pd and str, found another")
    length = parameters.get("binary_data_size")
    if length is None:
        return Tensor(name, shape, _of_json(item.get("data"), datatype, shape, size, where)), 0
    if "data" in item:
        raise RequestError(f"{where}: expected data or binary_data_size, found both")
    if raw is None:
        raise RequestError(f"{where}: it has binary_data_size, so expected the header Inference-Header-Content-Length")
    if type(length) is not int or not 0 <= length <= len(raw):
        raise RequestError(f"{where}: binary_data_size is not the size of data that follows the header")
    part = raw[:length]
    values = _texts(part, size, where, limits) if datatype == TEXT else _numbers(part, datatype, size, where, limits)
    return Tensor(name, shape, values), length


def written(values: list, datatype: str) -> bytes:
    """Values as the binary part of a response holds them."""
    if datatype != TEXT:
        return struct.pack(f"<{len(values)}{_FORMATS[datatype]}", *values)
    texts = [value.encode() for value in values]
    return b"".join(part for text in texts for part in (struct.pack("<I", len(text)), text))


def _shape(shape, where: str) -> list:
    if not isinstance(shape, list) or not 1 <= len(shape) <= _DEEPEST:
        raise RequestError(f"{where}: expected a shape of [rows] or [rows, columns], found another")
    if any(type(size) is not int or size < 0 for size in shape) or 0 in shape[1:]:
        raise RequestError(f"{where}: expected a shape of whole numbers, found another")
    return shape


def _of_json(data, datatype: str, shape: list, size: int, where: str) -> list:
    if not isinstance(data, list):
        raise RequestError(f"{where}: expected data to be a list, found {_found(data)}")
    if len(shape) > 1 and data and isinstance(data[0], list):
        for row, values in enumerate(data):
            if not isinstance(values, list) or len(values) != shape[1]:
                raise RequestError(f"{where}, row {row}: expected a list of {shape[1]} values, as its shape says")
        data = [value for values in data for value in values]
    if len(data) != size:
        raise RequestError(f"{where}: its shape says {size} values, found {len(data)}")
    held = _HELD.get(datatype, _NUMBERS)
    if not held.issuperset(map(type, data)):
        place = next(place for place, value in enumerate(data) if type(value) not in held)
        raise RequestError(f"{where}, {_place(place, shape)}: expected {_said(datatype)}, found {kind(data[place])}")
    if "INT" in datatype:
        _whole(data, datatype, shape, where)
    return data


def _whole(data: list, datatype: str, shape: list, where: str) -> None:
    bits = int(datatype.rpartition("T")[2])
    least, most = (0, 2**bits - 1) if datatype[0] == "U" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for place, value in enumerate(data):
        if value is None:
            continue
        if not least <= value <= most:
            raise RequestError(
                f"{where}, {_place(place, shape)}: expected {_said(datatype)}, found one out of its range"
            )
        if type(value) is float and not value.is_integer():
            raise RequestError(f"{where}, {_place(place, shape)}: expected {_said(datatype)}, found a fraction")


def _numbers(raw: memoryview, datatype: str, size: int, where: str, limits: Limits) -> list:
    form = _FORMATS[datatype]
    wanted = size * struct.calcsize(f"<{form}")
    if len(raw) != wanted:
        raise RequestError(f"{where}: its shape and datatype say {wanted} bytes, found {len(raw)}")
    limits.claim(size * costs.TENSOR_VALUE)
    return list(struct.unpack(f"<{size}{form}", raw))


def _texts(raw: memoryview, size: int, where: str, limits: Limits) -> list:
    """Text after text, each after its length in four bytes."""
    most = min(size, len(raw) // 4)
    limits.claim(most * (costs.TENSOR_VALUE + costs.WIDE_TEXT) + len(raw) * costs.width(raw.tobytes()))
    found: list = []
    start = 0
    while start < len(raw):
        if len(found) == size:
            raise RequestError(f"{where}: its shape says {size} values, found more")
        if start + 4 > len(raw):
            raise RequestError(f"{where}, value {len(found)}: expected a length of 4 bytes, found the end")
        (length,) = struct.unpack_from("<I", raw, start)
        start += 4
        if start + length > len(raw):
            raise RequestError(f"{where}, value {len(found)}: expected a text of its length, found the end")
        try:
            found.append(str(raw[start : start + length], "utf-8"))
        except UnicodeDecodeError:
            raise RequestError(f"{where}, value {len(found)}: expected UTF-8, found other bytes") from None
        start += length
    if len(found) != size:
        raise RequestError(f"{where}: its shape says {size} values, found {len(found)}")
    return found


def _place(place: int, shape: list) -> str:
    if len(shape) == 1 or shape[1] == 1:
        return f"row {place}"
    return f"row {place // shape[1]}, value {place % shape[1]}"


def _said(datatype: str) -> str:
    if datatype in (TEXT, TRUTH):
        return "text" if datatype == TEXT else "true or false"
    return f"a whole number that {datatype} holds" if "INT" in datatype else "a number"


def _found(value) -> str:
    return "none" if value is None else kind(value)


def _other(value) -> str:
    return "none" if value is None else "another"
