"""Which model an export is of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """Which model an export is of, for the comment at its top.

    Parameters
    ----------
    model : the registered model's name, or the URI it was asked for by; empty where nobody knows.
    version : the registered version; empty where it is none.
    """

    model: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.model} version {self.version}" if self.version else self.model
