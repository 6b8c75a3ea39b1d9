"""Checking a folder before a search: its facts, the report, a sheet of its images."""
