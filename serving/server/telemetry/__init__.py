"""Metrics over all workers, and the access log."""
