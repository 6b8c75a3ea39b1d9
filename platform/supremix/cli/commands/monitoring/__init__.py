"""The commands that show a run in progress."""
