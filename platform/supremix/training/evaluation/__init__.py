"""Evaluation: metrics, probes, measures of the representation."""
