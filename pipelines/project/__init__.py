"""A project of one's own: ``init`` writes a small one from the templates beside this module."""
