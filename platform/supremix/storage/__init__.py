"""Addresses on disk and in buckets: paths, retries, locks, liveness."""
