"""Exact training on tables larger than memory: the table is read in parts, a few times."""
