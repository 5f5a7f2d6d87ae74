"""Errors that no other file of a job would escape."""

from serving.errors import ServingError


class JobStopped(ServingError):
    """What ends a job whatever files are left: a full disk, a store that does not answer."""
