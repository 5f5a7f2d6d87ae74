"""A zip whose bytes depend on nothing but the files in it: one time, one order, one set of permissions."""

import io
import zipfile
from collections.abc import Iterable

from .plan import File

#: The earliest time that a zip can tell.
_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX, _READABLE = 3, 0o100644


def zipped(files: Iterable[File]) -> bytes:
    """The files as a zip, ordered by their paths, each readable by all and writable by its owner."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(files, key=lambda one: one.path):
            info = zipfile.ZipInfo(file.path, _TIME)
            # What the machine that builds would set by itself.
            info.create_system, info.external_attr = _UNIX, _READABLE << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, file.read(), compresslevel=9)
    return stream.getvalue()
