"""Searches in virtual time: for tests, benchmarks and plans."""
