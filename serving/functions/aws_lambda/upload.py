"""Texts in and out of S3 without holding them: an object read as it comes, and one written in parts."""

import io
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PART = 8 * 1024 * 1024
_READ = 256 * 1024


class _Raw(io.RawIOBase):
    """The body that boto3 gives, as a file."""

    def __init__(self, body: "Any") -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Any") -> int:
        found = self._body.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


def reading(body: "Any", *, packed: bool) -> io.TextIOWrapper:
    """The lines of an object, which is UTF-8, and gzip where ``packed``."""
    raw = io.BufferedReader(_Raw(body), _READ)
    if packed:
        import gzip

        return io.TextIOWrapper(gzip.GzipFile(fileobj=raw), encoding="utf-8-sig", newline="")
    return io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")


class Upload:
    """An object that is written in parts, and is there when it is finished, or never.

    Parameters
    ----------
    packed : whether it is written as gzip.
    """

    def __init__(self, client: "Any", bucket: str, key: str, *, packed: bool) -> None:
        self._client, self._where = client, {"Bucket": bucket, "Key": key}
        self._buffer: list = []
        self._size = 0
        self._parts: list = []
        self._id = ""
        self._packer = zlib.compressobj(6, zlib.DEFLATED, 31) if packed else None

    def write(self, text: str) -> int:
        """Write a text."""
        content = text.encode("utf-8", "surrogatepass")
        self._add(self._packer.compress(content) if self._packer else content)
        return len(text)

    def _add(self, content: bytes) -> None:
        if not content:
            return
        self._buffer.append(content)
        self._size += len(content)
        if self._size >= _PART:
            self._flush()

    def _flush(self) -> None:
        if not self._id:
            self._id = self._client.create_multipart_upload(**self._where)["UploadId"]
        number = len(self._parts) + 1
        part = self._client.upload_part(
            **self._where, UploadId=self._id, PartNumber=number, Body=b"".join(self._buffer)
        )
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self._buffer, self._size = [], 0

    def finish(self) -> None:
        """Let it be seen."""
        if self._packer:
            self._add(self._packer.flush())
        if not self._id:
            self._client.put_object(**self._where, Body=b"".join(self._buffer))
            return
        if self._buffer:
            self._flush()
        self._client.complete_multipart_upload(**self._where, UploadId=self._id, MultipartUpload={"Parts": self._parts})

    def drop(self) -> None:
        """Leave nothing of it."""
        if self._id:
            self._client.abort_multipart_upload(**self._where, UploadId=self._id)
            self._id = ""
        self._buffer, self._size = [], 0
