"""Monitoring: what a version meets and answers now, against the evidence of its training."""
