"""SQL databases by SQLAlchemy: their addresses, what is read from them, and their values as columns."""

from serving.databases.address import DatabaseAddress, DatabaseError, find, is_url
from serving.databases.query import Query, resolve

__all__ = ["DatabaseAddress", "DatabaseError", "Query", "find", "is_url", "resolve"]
