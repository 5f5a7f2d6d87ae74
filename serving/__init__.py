"""Serving: from a registered version to answers, by a server, a cloud function, a file or a database."""
