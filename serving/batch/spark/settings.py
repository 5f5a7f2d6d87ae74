"""How Spark is reached."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from serving.errors import ServingError


@dataclass(frozen=True)
class SparkSettings:
    """How Spark is reached: by default in this process, with as many tasks as there are cores.

    Parameters
    ----------
    conf : settings of Spark, such as ``("spark.master", "yarn")``.
    remote : address of a Spark Connect server, ``sc://HOST:PORT``; None for none.
    """

    conf: tuple[tuple[str, str], ...] = ()
    remote: str | None = None

    @property
    def is_default(self) -> bool:
        """Whether nothing was asked for."""
        return not self.conf and self.remote is None

    @classmethod
    def read(cls, conf: Iterable[str], remote: str | None) -> "SparkSettings":
        """The settings of a command line, where a text may hold several: ``spark.master=yarn spark.app.name=night``.

        Raises
        ------
        ServingError
            if one is not written ``NAME=VALUE``.
        """
        found = []
        for text in (part for given in conf for part in re.split(r"[\s,;]+(?=spark\.[\w.]+=)", given.strip())):
            name, equals, value = text.partition("=")
            if not equals or not name.strip():
                raise ServingError(f"--spark-conf: expected NAME=VALUE, such as spark.master=yarn; found {text!r}")
            found.append((name.strip(), value.strip()))
        return cls(tuple(found), remote)
