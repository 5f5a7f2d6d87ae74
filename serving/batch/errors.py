"""Errors of a job: those that no other file of it would escape, and that of an output of two jobs."""

from serving.errors import ServingError


class JobStopped(ServingError):
    """What ends a job whatever files are left: a full disk, a store that does not answer."""


class OutputChanged(ServingError):
    """Another job has written an output since this one began.

    Parameters
    ----------
    address : of the output.
    """

    def __init__(self, address: str) -> None:
        super().__init__(
            f"{address} was written by another job meanwhile, and is left as it is; give --overwrite, or another name"
        )
