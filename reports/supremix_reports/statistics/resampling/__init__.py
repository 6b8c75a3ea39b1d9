"""Intervals over patients and seeds, by resampling."""
