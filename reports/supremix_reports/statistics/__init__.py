"""Intervals, tests and ranks, computed from predictions."""
