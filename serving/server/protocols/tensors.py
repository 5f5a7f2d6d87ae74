"""Reads and writes tensors of the Open Inference Protocol, as JSON or little-endian bytes."""

import math
import struct

from serving.contract import Limits, RequestError, costs
from serving.contract.tables import shown
from serving.scorecard.errors import kind
from serving.scorecard.inputs import BOOLEAN, NUMBER, Input

TEXT = "BYTES"
TRUTH = "BOOL"
#: Datatype -> format of ``struct``. BF16, which few clients have, is not supported.
_FORMATS = {
    TRUTH: "?",
    **{"INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I"},
    **{"UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d"},
}
DATATYPES = (*_FORMATS, TEXT)
_NOTHING = type(None)
#: Types of JSON values for a datatype; null is a missing value.
_HELD = {TRUTH: {bool, _NOTHING}, TEXT: {str, _NOTHING}}
_NUMBERS = {int, float, _NOTHING}
_DEEPEST = 2


class Tensor:
    """An input tensor: ``values`` row by row, ``rows`` rows of ``width`` values; ``flat`` if its shape is [rows]."""

    __slots__ = ("flat", "name", "rows", "shape", "values", "width")

    def __init__(self, name: str, shape: list, values: list):
        self.name, self.shape, self.values = name, shape, values
        self.rows, self.width, self.flat = shape[0], (shape[1] if len(shape) > 1 else 1), len(shape) == 1


def read(item, raw: memoryview | None, limits: Limits, *, deepest: int = _DEEPEST) -> tuple[Tensor, int]:
    """Read a tensor of a request; also return its number of bytes in the binary part.

    Parameters
    ----------
    item : the tensor's JSON.
    raw : the rest of the binary part; None if the request has none.
    deepest : maximum number of dimensions.

    Raises
    ------
    RequestError
        if name, datatype, shape or data are missing or inconsistent, or need too much memory.
    """
    if not isinstance(item, dict):
        raise RequestError(f"inputs: expected a list of tensors, each an object, found {kind(item)}")
    name = item.get("name")
    if not isinstance(name, str):
        raise RequestError(f"inputs: expected a tensor's name to be text, found {found(name)}")
    where = f"tensor {shown(name)}"
    datatype = item.get("datatype")
    if datatype not in DATATYPES:
        raise RequestError(
            f"{where}: datatype is one of {', '.join(DATATYPES)}, found {'none' if datatype is None else 'another'}"
        )
    shape = _shape(item.get("shape"), where, deepest)
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


def datatype(column: Input) -> str:
    """The datatype of an input column; integers are FP64 as well, so that one may be missing."""
    return "FP64" if column.type == NUMBER else TRUTH if column.type == BOOLEAN else TEXT


def label_datatype(classes: list | None) -> str:
    """The datatype of a model's predictions: of its labels, or FP64 for a regression."""
    if classes is None or all(type(label) is float for label in classes):
        return "FP64"
    if all(type(label) is bool for label in classes):
        return TRUTH
    if all(type(label) is int and -(2**63) <= label < 2**63 for label in classes):
        return "INT64"
    return TEXT


def written(values: list, datatype: str) -> bytes:
    """Encode values for the binary part of a response."""
    if datatype != TEXT:
        return struct.pack(f"<{len(values)}{_FORMATS[datatype]}", *values)
    texts = [value.encode() for value in values]
    return b"".join(part for text in texts for part in (struct.pack("<I", len(text)), text))


def _shape(shape, where: str, deepest: int) -> list:
    if not isinstance(shape, list) or not 1 <= len(shape) <= deepest:
        wanted = "[rows] or [rows, columns]" if deepest == _DEEPEST else f"1 to {deepest} dimensions"
        raise RequestError(f"{where}: expected a shape of {wanted}, found another")
    if any(type(size) is not int or size < 0 for size in shape) or 0 in shape[1:]:
        raise RequestError(f"{where}: expected a shape of whole numbers, found another")
    return shape


def _of_json(data, datatype: str, shape: list, size: int, where: str) -> list:
    if not isinstance(data, list):
        raise RequestError(f"{where}: expected data to be a list, found {found(data)}")
    if len(shape) > _DEEPEST:
        for _ in shape[1:]:
            if data and all(isinstance(values, list) for values in data):
                data = [value for values in data for value in values]
    elif len(shape) > 1 and data and isinstance(data[0], list):
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
    """Decode texts, each after its length in four bytes."""
    most = min(size, len(raw) // 4)
    limits.claim(most * (costs.TENSOR_VALUE + costs.WIDE_TEXT) + len(raw) * costs.width(raw.tobytes()))
    texts: list = []
    start = 0
    while start < len(raw):
        if len(texts) == size:
            raise RequestError(f"{where}: its shape says {size} values, found more")
        if start + 4 > len(raw):
            raise RequestError(f"{where}, value {len(texts)}: expected a length of 4 bytes, found the end")
        (length,) = struct.unpack_from("<I", raw, start)
        start += 4
        if start + length > len(raw):
            raise RequestError(f"{where}, value {len(texts)}: expected a text of its length, found the end")
        try:
            texts.append(str(raw[start : start + length], "utf-8"))
        except UnicodeDecodeError:
            raise RequestError(f"{where}, value {len(texts)}: expected UTF-8, found other bytes") from None
        start += length
    if len(texts) != size:
        raise RequestError(f"{where}: its shape says {size} values, found {len(texts)}")
    return texts


def _place(place: int, shape: list) -> str:
    width = math.prod(shape[1:])
    return f"row {place}" if width == 1 else f"row {place // width}, value {place % width}"


def _said(datatype: str) -> str:
    if datatype in (TEXT, TRUTH):
        return "text" if datatype == TEXT else "true or false"
    return f"a whole number that {datatype} holds" if "INT" in datatype else "a number"


def found(value) -> str:
    """The kind of a value for an error message."""
    return "none" if value is None else kind(value)
