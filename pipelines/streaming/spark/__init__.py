"""Exact training on a table that Spark reads: every pass runs where its rows are, and sums come back."""
