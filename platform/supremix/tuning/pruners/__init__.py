"""Stopping rules: which trials are given up before their last epoch."""
