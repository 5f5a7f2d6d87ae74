"""Evaluation: metrics of a version on a table, its comparison with the champion, and the evidence of both."""
