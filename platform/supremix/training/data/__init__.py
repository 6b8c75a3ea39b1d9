"""Samples and batches of a trial."""
