"""Sizes of memory, as people write them."""

import re


def parse_size(text: str) -> int:
    """Parse a size in bytes: ``268435456``, ``256MiB``, ``256Mi``, ``256m``, ``1G``; units are powers of 1,024.

    Raises
    ------
    ValueError
        if it is none of these.
    """
    match = re.fullmatch(r"(\d{1,15}) ?(?:([KMG])i?B?|B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[(match[2] or "").upper()]
