"""What ``--input`` means: files of this machine, objects of S3, a Delta or Iceberg table, a query of a database."""

from registry import s3
from registry.redaction import url
from serving.batch import s3_files, tables
from serving.batch.sources import SourceFiles, find_local
from serving.databases import is_url
from serving.errors import ServingError


def find(given: str, query: str | None = None) -> SourceFiles:
    """The files of an address; or the rows of a query as one.

    Parameters
    ----------
    query : of a database: the name of a table or a view, or a SELECT.

    Raises
    ------
    ServingError
        if there is no such file, or none of a form that is read.
    """
    if query is not None and not is_url(given):
        raise ServingError(f"--query goes with a database's URL, found --input {url(given)}; leave it out")
    if (table := tables.find(given)) is not None:
        return SourceFiles((table,), single=True)
    if is_url(given):
        from serving.batch import database_input

        return database_input.find(given, query)
    if s3.is_address(given):
        return s3_files.find(given)
    if "://" in given:
        raise ServingError(f"--input: expected a file, a folder, a pattern or s3://bucket/key, found {url(given)}")
    return find_local(given)
