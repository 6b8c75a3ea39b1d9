"""Stopping rules: they choose the trials that are pruned."""
